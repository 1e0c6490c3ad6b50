from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.command import Atex, caller_environment
from tests.machines import LightHost
from tests.system.fleet import Fleet


@pytest.fixture
def fleet(
    tmp_path: Path,
    own_home: Path,
    podman_image: str,
    light_hosts: Callable[[int], list[LightHost]],
) -> Iterator[Fleet]:
    """An image, four light hosts, and an `atex` to use them."""
    atex = Atex(tmp_path, caller_environment(own_home))
    yield Fleet(atex, podman_image, light_hosts(4))
    atex.kill()
