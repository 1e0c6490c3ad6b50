"""Machines that are held are given back, also by an `atex` that breaks."""

import io
from pathlib import Path

import pytest
from atex_cli.holding import Holding
from atex_cli.progress import Progress
from atex_cli.terminal import Terminal
from atex_provision import LeaseJournal, LocalProvisioner, Platform


class Broken(Terminal):
    """Can not say that a machine is there."""

    def say(self, text: str = "") -> None:
        raise io.UnsupportedOperation("not writable")


def test_what_breaks_atex_gives_the_machines_back_first(tmp_path: Path) -> None:
    journal = LeaseJournal(tmp_path)
    terminal = Broken()
    holding = Holding(terminal, Progress(terminal, tmp_path))
    for _ in range(3):
        holding.add(Platform("local"), lambda: LocalProvisioner(journal=journal), None)
    with pytest.raises(io.UnsupportedOperation):
        holding.run()
    assert not journal.leases()
