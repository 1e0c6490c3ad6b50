"""Notes that one incarnation of the agent leaves for the next: a test may have put anything in their place."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from atex_sut_agent.sut import last_words, leader, leftovers
from atex_sut_agent.sut.machine import boot

from tests.sut_agent.driver import Agent

NO_NOTES = [
    *(b"", b"5", b"[7, 5]", b"{}", b"null", b'"abc"', b"\xff", b"[" * 100_000),
    *(b'{"a": 1, "b": 2, "c": 3, "d": 4}', b'[[], 5, "", 0]', b'[true, 5, "", 0]'),
    *(b'[0, 5, "", 0]', b'[1, 5, "", 0]', b'["7", 5, "", 0]', b'[7, null, "", 0]'),
    *(b"[7, 5, null, 0]", b'[7, 5, "", null]', b"[7, 5, 5, 5]", b'[-1, 5, "", 0]'),
]


@pytest.fixture
def child() -> Iterator[int]:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as process:
        yield process.pid
        process.kill()


@pytest.mark.parametrize("note", NO_NOTES)
def test_what_is_no_note_of_a_leader_is_none(note: bytes, tmp_path: Path) -> None:
    (tmp_path / "leader").write_bytes(note)
    assert leader.recall(str(tmp_path)) == (None, "")


@pytest.mark.parametrize("pid", ["0", "1", "-7", "true", '"7"'])
def test_nobody_is_taken_for_a_leader_who_is_none(pid: str, tmp_path: Path) -> None:
    boot_id, init_started = boot()
    (tmp_path / "leader").write_text(f'[{pid}, 5, "{boot_id}", {init_started}]')
    assert leader.recall(str(tmp_path)) == (None, "")


def test_a_fifo_or_a_link_is_no_note_and_makes_way_for_one(child: int, tmp_path: Path) -> None:
    folder = str(tmp_path)
    precious = tmp_path / "precious"
    precious.write_text("keep me")
    for name in ("leader", "last-words", "slot"):
        os.mkfifo(tmp_path / name)
    for _ in range(2):
        assert leader.recall(folder) == (None, "")
        assert last_words.read(folder) == ""
        leftovers.end_processes(str(tmp_path.parent), "0", folder)
        leader.remember(folder, leader.identify(child))
        last_words.leave(folder, OSError("what it was"))
        leftovers.claim(folder, "0")
        assert leader.recall(folder) == (child, "the agent was killed")
        assert "what it was" in last_words.read(folder)
        assert (tmp_path / "slot").read_text() == "0"
        for name in ("leader", "last-words", "slot"):
            (tmp_path / name).unlink()
            (tmp_path / name).symlink_to(precious)
    assert precious.read_text() == "keep me"


def test_a_poisoned_session_does_not_stop_the_next_one(agent: Agent) -> None:
    (agent.work / "sessions").mkdir(mode=0o700)
    for number, note in enumerate(NO_NOTES):
        poisoned = agent.work / "sessions" / f"{number:032x}"
        poisoned.mkdir(mode=0o700)
        (poisoned / "slot").write_text(agent.settings.slot)
        (poisoned / "leader").write_bytes(note)
    assert agent.attach().run("exit 3").exited.exit_code == 3
