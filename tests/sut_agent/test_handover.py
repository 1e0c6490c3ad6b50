"""Bridge and daemon meet at an address that every user of the machine can reach, and look at each other."""

import os
import subprocess

import pytest

from tests.sut_agent.driver import Agent, Lost

NOBODY = 65534

KNOCK = """\
import os, socket, sys
bridge = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
bridge.connect("\\0atex-" + sys.argv[1])
bridge.settimeout(60)
try:
    bridge.send(b"x")
    print(repr(bridge.recv(1)))
except (BrokenPipeError, ConnectionResetError):
    print(repr(b""))
"""

SQUAT = """\
import socket, sys
squatter = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
squatter.bind("\\0atex-" + sys.argv[1])
squatter.listen(8)
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def root() -> None:
    if os.getuid() != 0:
        pytest.skip("needs root, to be somebody else")


def test_somebody_elses_bridge_is_sent_away(agent: Agent) -> None:
    host = agent.attach()
    knock = subprocess.run(
        ["/usr/bin/python3", "-c", KNOCK, agent.session],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert knock.stdout == "b''\n", knock.stderr
    assert host.run("exit 3").exited.exit_code == 3


def test_an_address_that_somebody_else_took_is_refused(agent: Agent) -> None:
    squatting = subprocess.Popen(
        ["/usr/bin/python3", "-c", SQUAT, agent.session],
        stdin=-1,
        stdout=-1,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
    )
    with squatting:
        assert squatting.stdout
        assert squatting.stdout.readline() == b"up\n"
        with pytest.raises(Lost, match="another user"):
            agent.attach()
