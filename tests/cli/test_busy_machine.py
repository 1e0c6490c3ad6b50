"""A second `atex run` on a machine where a first one was killed: no test starts beside the old one."""

import signal

import pytest

from tests.cli.command import Atex, await_line, end, wait_for
from tests.machines import LightHost

pytestmark = pytest.mark.leaves_leases  # by the run that was killed

# Fails if another one of its kind runs; the first one runs until it is ended.
ALONE = """
/alone:
    test: |
        mkdir /var/tmp/running || exit 9
        trap 'rmdir /var/tmp/running; echo cleaned; exit 1' INT
        if mkdir /var/tmp/second 2>/dev/null; then
            echo begun
            while :; do sleep 0.05; done
        fi
        rmdir /var/tmp/running
"""


@pytest.fixture
def pool(atex: Atex, light_host: LightHost) -> list[object]:
    """How to run on a machine on which the agent of a killed `atex run` goes on with its test."""
    atex.write("main.fmf", ALONE)
    pool = ["--on", f"ssh:root@{light_host.address}", "--identity", light_host.identity]
    killed = atex.start_run(*pool)
    output = atex.results / "files/ssh/alone/@1.1/output.txt"
    wait_for(lambda: output.exists() and output.read_text() == "begun\n", "the first test")
    killed.kill()
    killed.communicate()
    atex.results = atex.folder / "second"
    return [*pool]


def test_it_takes_over_what_it_is_told_to(
    atex: Atex, pool: list[object], light_host: LightHost
) -> None:
    ended = atex.run(*pool, "--take-over")
    assert ended.code == 0, ended.err
    assert atex.finals()["/alone"]["status"] == "pass"
    assert not (light_host.folder / "var/tmp/running").exists()


def test_else_it_waits_and_says_for_whom(
    atex: Atex, pool: list[object], light_host: LightHost
) -> None:
    waiting = atex.start_run(*pool)
    await_line(waiting, "the machine is in use by")
    waiting.send_signal(signal.SIGINT)
    ended = end(waiting)
    assert ended.code == 130
    assert atex.finals()["/alone"]["status"] == "infra"
    assert (light_host.folder / "var/tmp/running").exists()  # the first test goes on
