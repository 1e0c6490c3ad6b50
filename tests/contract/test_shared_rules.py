"""Rules that two packages state, each in its own words."""

import contextlib
import json

import msgspec
from atex_fmf import FmfError
from atex_fmf import parse_duration as parse_in_metadata
from atex_sut_agent.sut.control import Door
from atex_sut_agent.sut.durations import LONGEST
from atex_sut_agent.sut.durations import parse_duration as parse_in_control_file
from atex_sut_agent.sut.listener import Listener
from atex_sut_agent.sut.results import GrammarError
from hypothesis import example, given, settings
from hypothesis import strategies as st

TERMS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "*", "* ", "+", "-"]),
    st.sampled_from(["0", "1", "3", "10", "1.5", "007", ".5", "5.", "1e3"]),
    st.sampled_from(["", " ", "  "]),
    st.sampled_from(["", "s", "m", "h", "d", "w", "ms", "M"]),
)
DURATIONS = st.lists(TERMS, max_size=5).map(" ".join) | st.lists(TERMS, max_size=5).map("".join)


def seconds_in_metadata(text: str) -> float | None:
    try:
        return parse_in_metadata(text)
    except FmfError:
        return None


def seconds_in_control_file(text: str) -> float | None:
    try:
        return parse_in_control_file(text)
    except ValueError:
        return None


@settings(max_examples=500)
@given(DURATIONS | st.text("0123456789smhd*. ", max_size=12))
@example("1h 3h 2m 3")
@example("*3 2s *4")
@example("1 m2   m")
def test_durations_are_read_alike(text: str) -> None:
    in_metadata = seconds_in_metadata(text)
    if in_metadata is not None and in_metadata > LONGEST:
        return  # a test may ask for more than a century, an agent need not count it
    assert in_metadata == seconds_in_control_file(text)


class Lines(Listener):
    def __init__(self) -> None:
        self.lines = b""

    def results(self, lines: bytes, count: int) -> None:
        self.lines += lines


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["\ud800", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=300)
@given(st.dictionaries(st.text("abc", max_size=2), VALUES, max_size=3), st.booleans())
def test_the_host_can_decode_every_result_that_the_agent_lets_through(
    value: dict[str, object], ascii_only: bool
) -> None:
    listener = Lines()
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    with contextlib.suppress(GrammarError):
        Door(listener).feed(b"result %b\nresult %d\n%b" % (text, len(text), text))
    assert msgspec.json.Decoder(dict[str, object]).decode_lines(listener.lines) in (
        [],
        [value] * 2,
    )


@given(st.binary(max_size=30))
def test_whatever_bytes_a_result_is_made_of(inside: bytes) -> None:
    listener = Lines()
    with contextlib.suppress(GrammarError):
        Door(listener).feed(b'result {"a":' + inside + b"}\n")
    msgspec.json.Decoder(dict[str, object]).decode_lines(listener.lines)
