"""What becomes of a run that announced a restart; by a made-up clock."""

from math import inf

from atex_executor.ending import Ending
from atex_executor.restart import (
    NEVER_WENT,
    Agent,
    Announced,
    Decision,
    EndWhatIsLeft,
    Over,
    Restart,
    StartAgain,
    Wait,
)
from atex_sut_agent.protocol import Clock
from hypothesis import given
from hypothesis import strategies as st

from tests.executor.hellos import hello

SETTLE, EXIT_WAIT = 15.0, 60.0
AT = 1000.0
CLOCK = Clock(used=100.0, limit=700.0, saved=((50.0, 600.0),))
UP = AT + 600.0  # when the test's time is up


def announced(patience: float | None = None, agent: Agent | None = None) -> Restart:
    return Restart(
        Announced(CLOCK, patience, AT),
        agent or Agent.of(hello()),
        settle=SETTLE,
        exit_wait=EXIT_WAIT,
    )


def again(after: float) -> StartAgain:
    return StartAgain(Clock(used=100.0 + after, limit=700.0, saved=CLOCK.saved))


def lost_for(decision: Decision) -> str:
    assert isinstance(decision, Over)
    assert decision.lost is not None
    return decision.lost


def test_a_machine_that_booted_starts_it_again_at_once_and_the_time_away_is_charged() -> None:
    restart = announced()
    assert restart.next(AT) == Wait(inf)
    restart.connection_lost()
    assert restart.next(AT + 30) == Wait(UP)
    restart.attached(hello(incarnation="b", boot_id="another boot"), AT + 40)
    assert restart.next(AT + 40) == again(40)


def test_another_agent_in_the_same_boot_has_to_stay() -> None:
    restart = announced()
    restart.connection_lost()
    restart.attached(hello(incarnation="b"), AT + 10)
    assert restart.next(AT + 10) == Wait(AT + 25)
    assert restart.next(AT + 25) == again(25)


def test_the_same_agent_has_to_stay_and_then_ends_what_is_left() -> None:
    restart = announced()
    restart.connection_lost()
    restart.attached(hello(), AT + 10)
    assert restart.next(AT + 24.9) == Wait(AT + 25)
    assert restart.next(AT + 25) == EndWhatIsLeft()
    assert restart.next(AT + 26) == Wait(inf)
    restart.exited(Ending(ended_by="restart"), AT + 27)
    assert restart.next(AT + 27) == again(27)


def test_a_loss_meanwhile_begins_it_anew() -> None:
    restart = announced()
    restart.connection_lost()
    restart.attached(hello(), AT + 10)
    restart.connection_lost()
    assert restart.next(AT + 26) == Wait(UP)
    restart.attached(hello(), AT + 30)
    assert restart.next(AT + 30) == Wait(AT + 45)


def test_the_same_agent_whose_test_has_ended_meanwhile() -> None:
    restart = announced()
    restart.exited(Ending(exit_code=0), AT + 1)
    restart.connection_lost()
    restart.attached(hello(), AT + 10)
    assert restart.next(AT + 25) == again(25)


def test_a_system_that_shuts_down_is_not_back() -> None:
    restart = announced(patience=100.0)
    restart.connection_lost()
    restart.attached(hello(), AT + 10)
    restart.going_down()
    assert restart.next(AT + 30) == Wait(AT + 100)
    restart.connection_lost()
    restart.attached(hello(incarnation="b", boot_id="another boot"), AT + 60)
    assert restart.next(AT + 60) == again(60)


def test_a_machine_that_never_went_leaves_the_test_its_exit_code() -> None:
    ending = Ending(exit_code=3)
    restart = announced()
    restart.exited(ending, AT + 5)
    assert restart.next(AT + 5) == Wait(AT + 65)
    assert restart.next(AT + 65) == Over(Ending(exit_code=3, note=NEVER_WENT))


def test_the_same_with_a_patience_of_its_own() -> None:
    restart = announced(patience=20.0)
    restart.exited(Ending(exit_code=0), AT + 5)
    assert restart.next(AT + 5) == Wait(AT + 20)
    assert restart.next(AT + 20) == Over(Ending(exit_code=0, note=NEVER_WENT))


def test_a_machine_that_says_it_goes_down_is_waited_for() -> None:
    restart = announced()
    restart.exited(Ending(exit_code=0), AT + 5)
    restart.going_down()
    assert restart.next(AT + 65) == Wait(UP)


def test_a_patience_that_ends_is_the_machines_fault() -> None:
    for runs in (True, False):
        restart = announced(patience=20.0)
        if not runs:
            restart.connection_lost()
        assert restart.next(AT + 19) == Wait(AT + 20)
        decision = restart.next(AT + 20)
        reason = "the machine did not come back from an announced restart within 20s"
        assert decision == Over(Ending(ended_by="infra", note=reason), lost=reason)


def test_who_came_back_in_time_may_take_longer_to_settle() -> None:
    restart = announced(patience=20.0)
    restart.connection_lost()
    restart.attached(hello(incarnation="b"), AT + 19)
    assert restart.next(AT + 21) == Wait(AT + 34)
    assert restart.next(AT + 34) == again(34)


def test_a_duration_that_runs_out_is_an_error() -> None:
    restart = announced()
    restart.connection_lost()
    decision = restart.next(UP)
    assert decision == Over(Ending(ended_by="limit", limit=700.0), lost=lost_for(decision))
    assert "within the test's duration" in lost_for(decision)


def test_a_duration_that_runs_out_on_a_machine_that_is_there() -> None:
    restart = announced()
    restart.connection_lost()
    restart.attached(hello(incarnation="b"), UP - 10)
    assert restart.next(UP - 10) == Wait(UP)
    assert restart.next(UP) == Over(Ending(ended_by="limit", limit=700.0))


def test_what_still_runs_there_is_ended_by_its_agent() -> None:
    restart = announced()
    assert restart.next(UP + 1) == Wait(inf)
    restart.exited(Ending(ended_by="limit", limit=700.0), UP + 2)
    assert restart.next(UP + 2) == Over(Ending(ended_by="limit", limit=700.0))


def test_what_another_process_saw_has_to_stay() -> None:
    restart = announced(agent=Agent("a"))
    restart.connection_lost()
    restart.attached(hello(incarnation="b", boot_id="another boot"), AT + 10)
    assert restart.next(AT + 10) == Wait(AT + 25)


class Machine:
    """What really goes on there, while a Restart is told of it."""

    def __init__(self, patience: float | None) -> None:
        self.restart = announced(patience)
        self.connected = self.runs = True
        self._agent = "a"

    def happens(self, event: str, now: float) -> None:
        if event == "lost" and self.connected:
            self.connected = False
            self.restart.connection_lost()
        elif event in BACK and not self.connected:
            self.connected = True
            if event != "same":
                self._agent += "b"
                self.runs = False
            self.restart.attached(hello(incarnation=self._agent, boot_id=BACK[event]), now)
        elif event == "going down" and self.connected:
            self.restart.going_down()
        elif event in ENDS and self.connected and self.runs:
            self.runs = False
            self.restart.exited(Ending(ended_by=event, exit_code=0), now)


BACK = {"same": "boot", "another": "boot", "booted": "another boot"}
ENDS = ("itself", "limit")
EVENTS = st.sampled_from(["lost", *BACK, "going down", *ENDS, "nothing"])


@given(
    st.lists(st.tuples(EVENTS, st.floats(0.0, 200.0)), max_size=12),
    st.none() | st.floats(0.0, 800.0),
)
def test_whatever_happens(events: list[tuple[str, float]], patience: float | None) -> None:
    """It never starts again what may still run, nor beyond its time; and it always comes to an end, or waits for what
    an agent that is attached has to say.
    """
    machine, now = Machine(patience), AT
    for event, seconds in events:
        now += seconds
        machine.happens(event, now)
        decision = machine.restart.next(now)
        may_run = machine.connected and machine.runs
        match decision:
            case StartAgain(clock):
                assert (machine.connected, machine.runs) == (True, False)
                assert clock.used == CLOCK.used + now - AT < clock.limit
                return
            case Over():
                return
            case Wait(until):
                assert until > now
                assert until < inf or may_run
            case EndWhatIsLeft():
                assert may_run
