"""The tether: a test dies with the agent, also where the agent has no time to kill it."""

import os
import signal
from pathlib import Path

from tests.sut_agent.driver import Agent, is_alive, wait_until

# The kernel alone does it: nobody attaches again, and no second agent is started.
GROUP = """\
trap '' HUP TERM INT
sleep 1000 & echo $! >>pids
echo $$ >>pids
echo up
while :; do sleep 0.01; done
"""


def test_the_group_dies_with_the_agent(agent: Agent) -> None:
    host = agent.attach()
    run = host.start(GROUP)
    host.wait_for_output(run, b"up\n")
    pids = [int(line) for line in Path(host.hello.folder, "pids").read_text().split()]
    os.kill(agent.pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid) for pid in pids), "the group's death")
    host.drop()


def test_it_is_cut_when_the_run_is_over(agent: Agent) -> None:
    """A daemon that left the session holds the pipe's other end, and is not killed."""
    host = agent.attach()
    host.run("mkfifo up; setsid bash -c 'echo $$ >pid; echo >up; exec sleep 1000' & read <up")
    pid = int(Path(host.hello.folder, "pid").read_text())
    os.kill(agent.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(agent.pid), "the agent's death")
    host.drop()
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
