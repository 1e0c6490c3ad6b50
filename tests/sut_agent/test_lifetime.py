"""What SIGKILL does not end: given up after a while, and told. Real processes hang like that too seldom."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from atex_sut_agent.sut import lifetime, processes
from atex_sut_agent.sut.clock import Limit, now
from atex_sut_agent.sut.lifetime import Lifetime
from atex_sut_agent.sut.loop import Loop

from tests.sut_agent.driver import PATIENCE, is_alive, wait_until


class Session:
    """`sh` leads it, `sleep` is the other process; nobody kills them before `die()`."""

    def __init__(self) -> None:
        script = "sleep 1000 & echo $!; exec sleep 1000"
        self.leader = subprocess.Popen(
            ["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.leader.stdout
        self._stdout = self.leader.stdout
        self.other = int(self._stdout.readline())

    def die(self) -> None:
        for pid in (self.leader.pid, self.other):
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.leader.wait()
        self._stdout.close()
        wait_until(lambda: not is_alive(self.other), "its end")


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setattr(processes, "_send", lambda function, pid, number: None)
    monkeypatch.setattr(lifetime, "_KILL_PATIENCE", 0.2)
    session = Session()
    try:
        yield session
    finally:
        session.die()


def end(session: Session, *, leader_ends: bool) -> Lifetime:
    """Cancel the session at once, and wait until that is over."""
    loop = Loop()
    over: list[float] = []
    life = Lifetime(loop, Limit(60, now()), 60, False, lambda: over.append(now()))
    life.begin(session.leader.pid)
    began = now()
    life.cancel(0, "cancel")
    if leader_ends:
        os.kill(session.leader.pid, signal.SIGKILL)
        wait_until(lambda: processes.ended_child(session.leader.pid), "the leader's end")
        life.leader_has_ended(None, signal.SIGKILL)
    while not over:
        assert now() - began < PATIENCE
        loop.turn()
    assert over[0] - began >= 0.2
    return life


def test_a_leader_that_can_not_be_killed(session: Session) -> None:
    life = end(session, leader_ends=False)
    assert set(life.left_behind) == {session.leader.pid, session.other}
    assert (life.ended_by, life.signal, life.exit_code) == ("cancel", None, None)
    assert processes.any_lives(life.left_behind)
    session.die()
    assert not processes.any_lives(life.left_behind)


def test_somebody_else_of_the_session_who_can_not_be_killed(session: Session) -> None:
    life = end(session, leader_ends=True)
    assert set(life.left_behind) == {session.other}
    assert (life.ended_by, life.signal) == ("cancel", signal.SIGKILL)
