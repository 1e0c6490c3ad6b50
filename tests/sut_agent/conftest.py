"""A session of the real agent for each test, on the oldest and on the newest Python."""

from collections.abc import Iterator

import pytest

from tests.sut_agent.driver import Agent, Host


@pytest.fixture
def agent(agent_python: str) -> Iterator[Agent]:
    with Agent(agent_python) as agent:
        yield agent


@pytest.fixture
def host(agent: Agent) -> Host:
    return agent.attach()
