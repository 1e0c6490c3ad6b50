"""What `atex run` says of machines while it goes on."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from atex_cli.moments import moment
from atex_cli.progress import Progress
from atex_cli.terminal import Terminal
from atex_orchestrator.events import Event, MachineComing, MachineDiffers, MachineKept
from atex_provision import Moment

STEPS: tuple[tuple[Moment, str], ...] = (
    ("request", "asking for a machine"),
    ("wait", "all hosts are taken"),
    ("boot", "it boots"),
)


def said(capsys: pytest.CaptureFixture[str], *events: Event) -> list[str]:
    progress = Progress(Terminal(), Path("run/files"))
    for event in events:
        progress(event)
    return capsys.readouterr().err.splitlines()


def test_what_is_waited_for_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    events = [
        MachineComing(worker=worker, platform="p", moment=moment, words=words)
        for worker in (1, 2)
        for moment, words in STEPS
    ]
    assert said(capsys, *events) == ["atex: all hosts are taken"]


def test_a_machine_that_differs(capsys: pytest.CaptureFixture[str]) -> None:
    event = MachineDiffers(worker=1, platform="p", machine="m", reason="m: it is\x1b another")
    assert said(capsys, event) == ["atex: m: it is\\x1b another"]


def test_a_machine_that_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    event = MachineKept(
        worker=1,
        platform="p",
        machine="root@one.lab",
        test="/bad",
        login="ssh root@one.lab",
        lease="ssh-one.lab-22-0-7f3a91",
        until="2026-11-22T15:04:05.123Z",
    )
    local = moment(datetime(2026, 11, 22, 15, 4, 5, tzinfo=UTC).timestamp())
    assert said(capsys, event) == [
        f"atex: root@one.lab is kept until {local}, as /bad left it",
    ]
