"""A session of the real agent, with the small host of tests/sut_agent."""

from tests.sut_agent.conftest import agent, host

__all__ = ["agent", "host"]
