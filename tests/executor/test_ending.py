"""How runs end, in the agent's words and without them."""

from typing import Any

import pytest
from atex_executor.ending import GONE_DOWN, Ending, death_note, infra, told_ending
from atex_executor.errors import ProtocolBroken
from atex_sut_agent.protocol import Exited, Failed

from tests.executor.hellos import hello


def exited(**changes: Any) -> Exited:
    fields = {"exit_code": 0, "signal": None, "ended_by": "itself", "seconds": 1.5, "limit": 300.0}
    return Exited(run=1, **{**fields, **changes})


def test_what_the_agent_tells() -> None:
    assert told_ending(exited(error="bad word"), None) == Ending(
        exit_code=0, seconds=1.5, limit=300.0, error="bad word"
    )
    assert told_ending(exited(ended_by="cancel"), None).note == "the session was closed"
    assert told_ending(exited(ended_by="abort", note="no disk"), None).note == "no disk"
    assert told_ending(exited(ended_by="restart", note="x"), "enough").note is None
    assert told_ending(exited(ended_by="cancel"), "enough").note == "enough"
    assert told_ending(Failed(run=1, reason="no bash"), None) == infra(
        "it could not be started: no bash"
    )


def test_a_reason_may_be_long_and_is_not_kept_whole() -> None:
    assert len(told_ending(exited(error="x" * 10**6), None).error or "") == 1000
    aborted = told_ending(exited(ended_by="abort", note="x" * 10**6), None)
    assert len(aborted.note or "") == 4096
    assert len(told_ending(Failed(run=1, reason="x" * 10**6), None).note or "") < 1100


@pytest.mark.parametrize(
    "changes",
    [
        {"exit_code": -1},
        {"exit_code": 256},
        {"signal": 0},
        {"signal": 65},
        {"seconds": -0.1},
        {"limit": -1.0},
        {"ended_by": ""},
    ],
)
def test_what_no_agent_tells(changes: dict[str, Any]) -> None:
    with pytest.raises(ProtocolBroken):
        told_ending(exited(**changes), None)


def test_the_death_of_an_agent() -> None:
    before = hello()
    assert death_note(before, hello(boot_id="other"), away=1.0) == GONE_DOWN
    assert death_note(before, hello(init_started=9), away=1.0) == GONE_DOWN
    killed = "the agent died during this test: the agent was killed"
    assert death_note(before, hello(), away=3000.0) == killed
    assert death_note(before, hello(), away=1.0).startswith(f"{killed}; if processes end there")
    words = "Traceback:\n  x\nMemoryError"
    assert death_note(before, hello(last_words=words), away=1.0) == (
        f"the agent died during this test: {words}"
    )
