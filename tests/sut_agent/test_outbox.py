"""Frames that count wait until they are acknowledged, whatever happens to the connection."""

from atex_sut_agent.sut.framing import FrameReader
from atex_sut_agent.sut.outbox import Outbox
from hypothesis import given
from hypothesis import strategies as st

LIMIT = 1 << 20


def numbers(frames: bytes) -> list[int]:
    return [number for number, _, _ in FrameReader().feed(frames)]


def filled(count: int) -> Outbox:
    outbox = Outbox(LIMIT)
    for _ in range(count):
        outbox.add({"kind": "noted"}, b"x" * 100)
    return outbox


def test_frames_are_numbered_from_one() -> None:
    outbox = filled(3)
    assert outbox.next_number == 4
    assert numbers(outbox.take(10_000)) == [1, 2, 3]
    assert outbox.take(10_000) == b""


def test_about_the_size_that_was_asked_for() -> None:
    outbox = filled(10)
    assert numbers(outbox.take(150)) == [1, 2]
    assert numbers(outbox.take(1)) == [3]


def test_what_is_not_acknowledged_is_sent_again() -> None:
    outbox = filled(5)
    outbox.take(10_000)
    outbox.acknowledge(2)
    outbox.rewind()
    assert numbers(outbox.take(10_000)) == [3, 4, 5]


def test_an_acknowledgement_may_be_for_what_this_attachment_has_not_sent_yet() -> None:
    outbox = filled(5)
    outbox.take(10_000)
    outbox.rewind()
    outbox.acknowledge(4)
    assert numbers(outbox.take(10_000)) == [5]


def test_full_until_enough_is_acknowledged() -> None:
    outbox = Outbox(LIMIT)
    while not outbox.full:
        outbox.add({}, bytes(LIMIT // 4))
    assert outbox.next_number == 5
    outbox.acknowledge(1)
    assert not outbox.full


@given(st.lists(st.sampled_from(["add", "take", "acknowledge", "rewind"])))
def test_nothing_is_lost_and_nothing_out_of_order(actions: list[str]) -> None:
    outbox = Outbox(LIMIT)
    applied = 0  # as a host does it: the next frame, and nothing twice
    for action in actions:
        if action == "add":
            outbox.add({}, b"x" * 100)
        elif action == "rewind":
            outbox.rewind()
        elif action == "acknowledge":
            outbox.acknowledge(applied)
        else:
            for number in numbers(outbox.take(150)):
                assert number <= applied + 1
                applied = max(applied, number)
    outbox.rewind()
    rest = [number for number in numbers(outbox.take(1 << 30)) if number > applied]
    assert rest == list(range(applied + 1, outbox.next_number))
