"""A session of the real agent for each test, on the oldest and on the newest Python."""

import sys
from collections.abc import Iterator

import pytest

from tests.sut_agent.driver import Agent, Host

# Connects, sends its argument, and shows each line that comes back, and then the end of file.
TALKER = """\
import os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(os.environ["ATEX_CONTROL_FILE"])
client.sendall(sys.argv[1].encode())
for line in client.makefile():
    print(line, end="", flush=True)
print("end of file", flush=True)
"""


@pytest.fixture
def agent(agent_python: str, login: list[str]) -> Iterator[Agent]:
    with Agent(agent_python, login=login) as agent:
        yield agent


@pytest.fixture
def host(agent: Agent) -> Host:
    return agent.attach()


@pytest.fixture
def talk(agent: Agent) -> str:
    """A shell command that says its argument through the socket and stays until that is closed."""
    path = agent.work / "talker.py"
    path.write_text(TALKER)
    return f"{sys.executable} -IS {path}"
