from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Atex, caller_environment
from tests.machines import LightHost
from tests.system.both.tmt import Tmt


@pytest.fixture
def tmt(light_host: LightHost, tmp_path: Path, own_home: Path) -> Tmt:
    """The real tmt, for the light host."""
    return Tmt(light_host, tmp_path / "tmt", caller_environment(own_home))


@pytest.fixture
def atex(tmp_path: Path, own_home: Path) -> Iterator[Atex]:
    """The real `atex`, in a folder of its own."""
    atex = Atex(tmp_path / "atex", caller_environment(own_home))
    yield atex
    atex.kill()
