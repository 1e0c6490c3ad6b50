"""Tests that do to their machine what no test should: they cost themselves, and nothing else."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from atex_executor import Executor, FolderSink, RunOutcome
from atex_fmf import Suite, Test

from tests.machines import LightHost, NspawnHost
from tests.machines.login import ssh_to

Outcomes = Callable[..., list[RunOutcome]]


@pytest.fixture
def outcomes(tmp_path: Path, own_home: Path) -> Iterator[Outcomes]:
    """`outcomes(machine, script, script...)`: how tests with these scripts end there, one after the other."""
    with ExitStack() as stack:
        sink = stack.enter_context(FolderSink(tmp_path / "run"))

        def outcomes(machine: LightHost | NspawnHost, *scripts: str) -> list[RunOutcome]:
            (tmp_path / "tree").mkdir()
            tests = tuple(Test(name=f"/{n}", test=script) for n, script in enumerate(scripts))
            suite = Suite(root=str(tmp_path / "tree"), tests=tests)
            connection = stack.enter_context(ssh_to(machine))
            executor = stack.enter_context(Executor(connection, suite))
            return [executor.run(test, sink) for test in suite.tests]

        yield outcomes


def test_it_kills_all_there_is(light_host: LightHost, outcomes: Outcomes) -> None:
    first, second = outcomes(light_host, "echo last words; kill -9 -1", "echo fine")
    assert (first.status, first.machine_lost) == ("infra", False)
    assert "the agent died during this test: the agent was killed" in (first.note or "")
    assert second.status == "pass"


def test_it_removes_python(light_host: LightHost, outcomes: Outcomes) -> None:
    """Something else in its place, on this machine alone. The agent lives on what it has loaded."""
    script = """
agent=$(readlink -f /proc/$PPID/exe)
[ "$(readlink /proc/self/ns/mnt)" = "$(readlink /proc/1/ns/mnt)" ]
mount --bind /dev/null "$agent"
! "$agent" -c ''
echo 'result {"status": "pass"}' >&$ATEX_TEST_CONTROL
exit 3
"""
    first, second = outcomes(light_host, script, "exit 4")
    assert (first.status, first.exit_code, first.note) == ("pass", 3, None)
    assert (second.status, second.exit_code) == ("fail", 4)


def test_it_removes_the_agents_folder(light_host: LightHost, outcomes: Outcomes) -> None:
    # Again where the agent has just written something there.
    script = """
cd /
until rm -rf "${ATEX_CONTROL_FILE%/sessions/*}"; do :; done
echo 'result {"name": "behind it", "status": "pass"}' >&$ATEX_TEST_CONTROL
exit 3
"""
    first, second = outcomes(light_host, script, "exit 4")
    assert (first.status, first.exit_code) == ("fail", 3)
    assert second.status == "infra"  # without its folder it has no tree


def test_it_stops_sshd(nspawn_host: NspawnHost, outcomes: Outcomes) -> None:
    stop = "systemctl stop ssh.service ssh.socket || :; echo stopped; exit 3"
    start = "systemctl start ssh.service; exit 4"
    first, second = outcomes(nspawn_host, stop, start)
    assert (first.status, first.exit_code, first.note) == ("fail", 3, None)
    assert (second.status, second.exit_code, second.note) == ("fail", 4, None)
