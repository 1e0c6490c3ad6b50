"""Frames that count wait until they are acknowledged, whatever happens to the connection."""

import errno
import os
import tempfile
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from atex_sut_agent.sut.framing import HEADER, FrameReader
from atex_sut_agent.sut.outbox import Outbox
from atex_sut_agent.sut.spool import PIECE, Spool
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

LIMIT = 1 << 20


@pytest.fixture
def disk() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def numbers(frames: bytes) -> list[int]:
    return [number for number, _, _ in FrameReader().feed(frames)]


def filled(count: int) -> Outbox:
    outbox = Outbox(LIMIT, Spool("/nowhere", 0))
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
    outbox = filled(0)
    while not outbox.full:
        outbox.add({}, bytes(LIMIT // 4))
    assert outbox.next_number == 5
    outbox.take(10 * LIMIT)
    assert outbox.full
    outbox.acknowledge(1)
    assert not outbox.full


# The spool -------------------------------------------------------------------------------------------------


def frame(number: int, size: int) -> bytes:
    return HEADER.pack(2, size, number) + b"{}" + bytes(size)


def test_what_was_put_in_first_comes_out_first(disk: Path) -> None:
    spool = Spool(str(disk), 10 * PIECE)
    sizes = [0, 1, PIECE - 17, PIECE, 3 * PIECE, 5, PIECE // 2]
    for number, size in enumerate(sizes, 1):
        assert spool.put(frame(number, size))
    taken = []
    while spool.size:
        taken += spool.take(1)
    assert taken == [(number, frame(number, size)) for number, size in enumerate(sizes, 1)]


def test_it_has_no_name_and_goes_when_it_is_empty(disk: Path) -> None:
    spool = Spool(str(disk), PIECE)
    spool.put(frame(1, 1000))
    assert not list(disk.iterdir())
    assert open_files(disk) == 1
    spool.take(PIECE)
    assert open_files(disk) == 0


def open_files(folder: Path) -> int:
    """How many files of that folder this process has open, names or not."""
    links = [
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in map(int, os.listdir("/proc/self/fd"))
        if exists(fd)
    ]
    return len([link for link in links if link.startswith(f"{folder}/")])


def exists(fd: int) -> bool:
    return os.path.lexists(f"/proc/self/fd/{fd}")


def test_its_limit(disk: Path) -> None:
    spool = Spool(str(disk), 1000)
    assert spool.put(frame(1, 900))
    assert not spool.full
    assert spool.put(frame(2, 900))  # whoever asked was told that there is room
    assert spool.full
    assert not spool.put(frame(3, 0))
    spool.take(1)
    assert not spool.put(frame(3, 0))  # room comes when it is empty
    spool.take(1)
    assert spool.put(frame(3, 0))
    spool.take(1)


def test_a_full_disk_is_a_full_spool(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = [500]
    write = os.pwrite

    def pwrite(fd: int, data: bytes, at: int) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(fd, data[: room[0]], at)
        room[0] -= written
        return written

    monkeypatch.setattr(os, "pwrite", pwrite)
    spool = Spool(str(disk), 10_000)
    assert spool.put(frame(1, 300))
    assert not spool.put(frame(2, 300))  # half of it is on the disk
    assert spool.full
    assert [number for number, _ in spool.take(10_000)] == [1]
    room[0] = 500
    assert spool.put(frame(2, 300))
    assert spool.take(1) == [(2, frame(2, 300))]


def test_a_folder_that_is_gone_is_a_full_disk() -> None:
    spool = Spool("/nowhere", 1000)
    assert not spool.full
    assert not spool.put(frame(1, 1))
    assert spool.full


def test_while_nobody_takes_anything_it_is_full_when_the_spool_is(disk: Path) -> None:
    outbox = Outbox(LIMIT, Spool(str(disk), 4 * LIMIT))
    outbox.spooling = True
    while not outbox.full:
        outbox.add({}, bytes(100_000))
    made = outbox.next_number - 1
    assert made * 100_000 == pytest.approx(5 * LIMIT, rel=0.1)
    outbox.spooling = False  # a host has come
    outbox.add({}, b"last words")
    seen: list[int] = []
    while outbox.full:
        seen += numbers(outbox.take(PIECE))
        outbox.acknowledge(seen[-1])
    while taken := outbox.take(PIECE):
        seen += numbers(taken)
        outbox.acknowledge(seen[-1])
    assert seen == list(range(1, made + 2))


class Model(RuleBasedStateMachine):
    """The outbox beside a plain list: nothing is lost, nothing comes out of order, and the memory is bounded."""

    LIMIT = 2000
    LARGEST = 5000

    def __init__(self) -> None:
        super().__init__()
        self.disk = tempfile.TemporaryDirectory()
        self.spool = Spool(self.disk.name, 6000)
        self.outbox = Outbox(self.LIMIT, self.spool)
        self.kept: deque[int] = deque()  # numbers that were not acknowledged
        self.sent = 0  # how many of these the present attachment has
        self.made = 0

    @rule(size=st.one_of(st.just(0), st.integers(0, 100), st.integers(0, LARGEST)))
    def add(self, size: int) -> None:
        self.made += 1
        assert self.outbox.add({}, bytes(size)) == self.made
        self.kept.append(self.made)

    @rule(size=st.integers(1, 3000))
    def take(self, size: int) -> None:
        for number in numbers(self.outbox.take(size)):
            assert number == self.kept[self.sent]
            self.sent += 1

    @precondition(lambda self: self.kept)
    @rule(share=st.floats(0, 1))
    def acknowledge(self, share: float) -> None:
        count = round(share * self.sent)
        for _ in range(count):
            self.outbox.acknowledge(self.kept.popleft())
        self.sent -= count

    @rule()
    def attach(self) -> None:
        self.outbox.rewind()
        self.sent = 0

    @rule(spooling=st.booleans())
    def spooling(self, spooling: bool) -> None:
        self.outbox.spooling = spooling

    @rule()
    def no_room(self) -> None:
        self.spool._refused = True

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.outbox._size <= 2 * self.LIMIT + PIECE + self.LARGEST + 1000

    @invariant()
    def what_is_full_becomes_free(self) -> None:
        if not self.kept:
            assert not self.outbox.full

    def teardown(self) -> None:
        self.outbox.rewind()
        self.sent = 0
        while self.kept:
            self.take(1000)
            assert self.sent
            self.acknowledge(1.0)
        assert not self.outbox.full
        assert open_files(Path(self.disk.name)) == 0
        self.disk.cleanup()


test_beside_a_plain_list = Model.TestCase
