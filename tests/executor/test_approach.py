"""The way to a busy machine, and giving it up. With real machines: test_busy.py."""

import pytest
from atex_executor import approach as approach_module
from atex_executor.approach import Approach
from atex_executor.attachment import Launch
from atex_executor.errors import AgentUnavailable, MachineBusy
from atex_executor.times import Times
from atex_provision import LocalConnection


@pytest.mark.parametrize("last", [1, 2])
def test_who_gives_up_while_it_attaches_closes_the_connection_and_ends_the_waiting(
    monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    tries = 0
    waited: list[bool] = []

    def attach(*_: object) -> None:
        nonlocal tries
        tries += 1
        if tries == last:
            waited.append(approach.give_up())
        raise MachineBusy("somebody has it")

    monkeypatch.setattr(approach_module, "attach", attach)
    with LocalConnection() as connection:
        approach = Approach(connection, "0" * 32, Launch(), Times(), None)
        with pytest.raises(AgentUnavailable, match="nobody waits for it any more"):
            approach.attach_when_free()
    assert (tries, waited) == (last, [False])
