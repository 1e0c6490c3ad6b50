"""Who may shake hands, and when."""

import threading

import pytest
from atex_provision.ssh.gate import Gate

from tests.waits import Background


def test_places_go_to_who_waits_longest() -> None:
    gate = Gate(2)
    assert gate.enter(threading.Event())
    assert gate.enter(threading.Event())
    order: list[int] = []

    def come(number: int, turn: threading.Event) -> None:
        if gate.enter(turn):
            order.append(number)
            gate.leave()

    turns = [threading.Event() for _ in range(5)]
    waiting = []
    for number, turn in enumerate(turns):
        waiting.append(Background(lambda n=number, t=turn: come(n, t)))  # type: ignore[misc]
        with pytest.raises(AssertionError):
            waiting[-1].result(0.02)
    turns[1].set()
    waiting[1].result()
    assert order == []
    gate.leave()
    for thread in waiting:
        thread.result()
    assert order == [0, 2, 3, 4]


def test_a_turn_that_was_given_up_before_costs_no_place() -> None:
    gate = Gate(1)
    over = threading.Event()
    over.set()
    assert gate.enter(over)
    assert not gate.enter(over)
    gate.leave()
    assert gate.enter(over)


def test_many_come_go_and_give_up() -> None:
    """Whatever happens, the places are all there afterwards, and never more are taken."""
    gate = Gate(3)
    inside = threading.Semaphore(3)

    def come(number: int) -> None:
        for _ in range(50):
            turn = threading.Event()
            if number % 3 == 0:
                threading.Thread(target=turn.set).start()
            if gate.enter(turn):
                assert inside.acquire(blocking=False)
                inside.release()
                gate.leave()

    for thread in [Background(lambda n=n: come(n)) for n in range(12)]:  # type: ignore[misc]
        thread.result()
    over = threading.Event()
    over.set()
    assert [gate.enter(over) for _ in range(4)] == [True, True, True, False]
