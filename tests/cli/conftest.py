from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Atex, caller_environment


@pytest.fixture
def atex(tmp_path: Path, own_home: Path) -> Iterator[Atex]:
    """`atex` with an empty tree, an empty HOME, and nothing in the current folder but these."""
    atex = Atex(tmp_path, caller_environment(own_home))
    yield atex
    atex.kill()
