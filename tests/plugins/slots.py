"""Each test has slots of its own on this machine: the fixture `own_slots`, which every test gets.

A machine under test has one slot, and two sessions in it wait for each other. Tests run beside each other on one
machine, which is what ATEX_SLOT is for (`atex_executor.slots`); what they start inherits it.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_FOLDERS = (Path("/run/lock"), Path("/var/tmp"))  # where the agent keeps its locks
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def own_slots(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name that the slots of this test begin with."""
    name = f"t{os.getpid()}-{next(_numbers)}"
    monkeypatch.setenv("ATEX_SLOT", name)
    yield name
    for folder in _FOLDERS:
        for lock in folder.glob(f"atex-{name}.*.lock"):
            lock.unlink(missing_ok=True)
