"""Frames survive any way in which a stream may be cut, and nothing oversized gets through."""

import json

import pytest
from atex_sut_agent.sut.framing import (
    HEADER,
    MAX_HEAD,
    MAX_TAIL,
    FrameError,
    FrameReader,
    pack,
)
from hypothesis import given
from hypothesis import strategies as st

FRAMES = st.lists(
    st.tuples(st.integers(0, 2**64 - 1), st.binary(max_size=50), st.binary(max_size=50)), max_size=8
)


def read(pieces: list[bytes]) -> list[tuple[int, bytes, bytes]]:
    reader = FrameReader()
    return [frame for piece in pieces for frame in reader.feed(piece)]


@given(FRAMES, st.data())
def test_any_fragmentation(frames: list[tuple[int, bytes, bytes]], data: st.DataObject) -> None:
    stream = b"".join(pack(*frame) for frame in frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    pieces = [
        stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
    ]
    assert read(pieces) == frames


def test_byte_by_byte() -> None:
    stream = pack(1, b"{}", b"tail") + pack(2, b"[]")
    assert read([bytes([byte]) for byte in stream]) == [(1, b"{}", b"tail"), (2, b"[]", b"")]


def test_layout() -> None:
    assert pack(7, {"kind": "alive"}, b"xyz") == (
        b'\0\0\0\x10\0\0\0\x03\0\0\0\0\0\0\0\x07{"kind":"alive"}xyz'
    )


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    head = {"folder": b"/\xff\xc3\xa9".decode("utf-8", "surrogateescape")}
    ((_, packed, _),) = read([pack(0, head)])
    assert packed == b'{"folder":"/\xff\xc3\xa9"}'
    assert json.loads(packed.decode("utf-8", "surrogateescape")) == head


@pytest.mark.parametrize(("head", "tail"), [(MAX_HEAD, MAX_TAIL), (0, 0)])
def test_limits_are_allowed(head: int, tail: int) -> None:
    assert read([pack(1, b"h" * head, b"t" * tail)]) == [(1, b"h" * head, b"t" * tail)]


@pytest.mark.parametrize(("head", "tail"), [(MAX_HEAD + 1, 0), (0, MAX_TAIL + 1)])
def test_beyond_the_limits_the_header_is_enough(head: int, tail: int) -> None:
    with pytest.raises(FrameError, match=f"{head} \\+ {tail} bytes"):
        read([HEADER.pack(head, tail, 1)])


def test_frames_before_a_bad_one_are_read() -> None:
    reader = FrameReader()
    frames = reader.feed(pack(1, b"{}") + b"\xff" * HEADER.size)
    assert next(frames) == (1, b"{}", b"")
    with pytest.raises(FrameError):
        next(frames)
