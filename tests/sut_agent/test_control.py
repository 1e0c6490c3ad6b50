"""The grammar of the control file: spec/CONTROL_FILE.md, fed in any pieces."""

import itertools
import json
import time

import pytest
from atex_sut_agent.sut.control import MAX_INLINE, MAX_LINE, Door
from atex_sut_agent.sut.results import MAX_RESULT
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sut_agent.generated import Generator
from tests.sut_agent.listening import TEST, Listening, told


def error(stream: bytes) -> str:
    last = told(stream)[-1]
    assert last[0] == "error", last
    return str(last[1])


# What is allowed -------------------------------------------------------------------------------------------


def test_words() -> None:
    assert told(b"noop\nduration 15m\nexitcode  3 \r\nabort it is over\n") == [
        ("word", "noop", ""),
        ("word", "duration", "15m"),
        ("word", "exitcode", "3"),
        ("word", "abort", "it is over"),
    ]


def test_result_by_length() -> None:
    text = b'{\n  "status": "pass"\r\n}'
    assert told(b"result %d\n%bnoop\n" % (len(text), text)) == [
        ("result", {"status": "pass"}),
        ("word", "noop", ""),
    ]


def test_result_on_the_line() -> None:
    assert told(b'result {"status": "pass", "new": [1, {"x": null}]}\n') == [
        ("result", {"status": "pass", "new": [1, {"x": None}]})
    ]


def test_results_keep_their_order_among_others() -> None:
    stream = (
        b'result {"n":1}\nresult {"n":2, "partial":false}\nnoop\nresult {"n":3}\nresult {"n":4} \n'
    )
    assert [entry[1] for entry in told(stream)] == [
        {"n": 1},
        {"n": 2, "partial": False},
        "noop",
        {"n": 3},
        {"n": 4},
    ]


def test_files() -> None:
    value = {
        "name": f"{TEST}/part",
        "files": [
            {"name": "a/log", "length": 5},
            {"name": "empty", "length": 0},
            {"name": "a/log", "length": 2},
        ],
    }
    assert told(f"result {json.dumps(value)}\n12345yznoop\n".encode()) == [
        ("claim", "part", ["a/log", "empty", "a/log"]),
        ("file", "part", "a/log", b"12345"),
        ("file", "part", "empty", b""),
        ("file", "part", "a/log", b"yz"),
        ("result", value),
        ("commit",),
        ("word", "noop", ""),
    ]


def test_files_that_another_door_is_writing() -> None:
    answers = iter((False, True))
    listener = Listening(lambda: next(answers))
    door = Door(listener)
    door.feed(b'result {"files": [{"name": "log", "length": 3}]}\nabcno')
    assert door.waiting
    assert listener.told == []
    door.feed(b"")
    assert not door.waiting
    assert [entry[0] for entry in listener.told] == ["claim", "file", "result", "commit"]
    door.feed(b"op\n")
    assert listener.told[-1] == ("word", "noop", "")


@pytest.mark.parametrize("blank", [b" ", b"\t", b"\n", b"\r\n", b" \n\t "])
def test_white_space_around_a_result(blank: bytes) -> None:
    text = blank + b"{" + blank + b'"a":' + blank + b"1}" + blank
    assert told(b"result %d\n%b" % (len(text), text)) == [("result", {"a": 1})]


def test_numbers_stay_as_they_were_written() -> None:
    """Nothing is encoded anew: not even a large number grows, and a frame stays below its limit."""
    text = b'{"a":[\n1e15, 1E+300, 0.10]}'
    listener = Listening()
    Door(listener).feed(b"result %d\n%b" % (len(text), text))
    assert listener.lines == b'{"a":[ 1e15, 1E+300, 0.10]}\n'


def test_escaped_text() -> None:
    value = {"name": "\U0001f600 é \0 \n result ", "status": "own word"}
    stream = f"result {json.dumps(value)}\nresult {json.dumps(value, ensure_ascii=False)}\n"
    assert told(stream.encode()) == [("result", value)] * 2


def test_the_last_of_equal_keys_counts() -> None:
    assert told(b'result {"status": "infra", "status": "pass"}\n') == [
        ("result", {"status": "pass"})
    ]


def test_64_deep() -> None:
    deep = b'{"a":' + b"[" * 63 + b"]" * 63 + b"}"
    assert told(b"result %b\n" % deep)[-1][0] == "result"
    wide = b'{"a\\"[[[":"' + b"[" * 99 + b'","b":[' + b"[]," * 99 + b"{}]}"
    assert told(b"result %b\n" % wide)[-1][0] == "result"


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 2**64 - 1, 0, -0.0, 1e308])
def test_numbers(number: float) -> None:
    assert told(f'result {{"x": {number!r}}}\n'.encode()) == [("result", {"x": number})]


def test_the_longest() -> None:
    assert told(b"noop " + b"x" * (MAX_LINE - 6) + b"\n")[0][0] == "word"
    value = b'{"x": "%b"}' % (b"y" * (MAX_RESULT - 9))
    assert len(value) == MAX_RESULT
    assert told(b"result %b\n" % value)[-1][0] == "result"
    assert told(b"result %d\n" % MAX_RESULT, value)[-1][0] == "result"


# What is not -----------------------------------------------------------------------------------------------


# (a stream, the reason why it is an error), for whoever has a door
BROKEN = [
        (b"result\n", "needs a length or an object"),
        (b"result x\n", "needs a length or an object"),
        (b"result 0\n", "1 to 1048576"),
        (b"result -5\n", "1 to 1048576"),
        (b"result 1048577\n", "1 to 1048576"),
        (b"result " + b"9" * 4000 + b"\n", "1 to 1048576"),
        (b"result \xd9\xa3\n", "needs a length or an object"),
        (b"result []\n", "needs a length or an object"),
        (b"result 2\n[]", "not an object"),
        (b"result 4\nnull", "not an object"),
        (b'result 72\n"' + b"[" * 70 + b'"', "not an object"),
        (b"result {\n", "not JSON"),
        (b"result {}x\n", "something else on its line"),
        (b"result {} {}\n", "something else on its line"),
        (b'result {"a": }\n', "not JSON"),
        (b'result {"a": 01}\n', "not JSON"),
        (b"result {'a': 1}\n", "not JSON"),
        (b'result {"a": "\x01"}\n', "not JSON"),
        (b'result 11\n{"a": "\n"}x', "not JSON"),
        (b"result 1\n ", "not JSON"),
        (b'result {"a": NaN}\n', "NaN"),
        (b'result {"a": Infinity}\n', "Infinity"),
        (b'result {"a": 1e999}\n', "not finite"),
        (b'result {"a": 18446744073709551616}\n', "64 bits"),
        (b'result {"a": -9223372036854775809}\n', "64 bits"),
        (b'result {"a": ' + b"9" * 1000 + b"}\n", "64 bits"),
        (b'result {"a": "\\ud800"}\n', "surrogate"),
        (b'result {"\\udc00": 1}\n', "surrogate"),
        (b'result {"a": "\\ud800", "a": 1}\n', "surrogate"),
        (b'result {"a": "\\\\\\ud83d\\\\ude00"}\n', "surrogate"),
        (b'result {"a": "\xff"}\n', "UTF-8"),
        (b'result {"a": "\xed\xa0\x80"}\n', "UTF-8"),
        (b'result {"a":' + b"[" * 64 + b"]" * 64 + b"}\n", "deeper than 64"),
        (b'result {"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "deeper than 64"),
        (b'result {"a":' + b"[" * 64 + b"]" * 64 + b', "a": 1}\n', "deeper than 64"),
        (b'result {"status": 5}\n', "status is not a string"),
        (b'result {"name": []}\n', "name is not a string"),
        (b'result {"note": {}}\n', "note is not a string"),
        (b'result {"status": "infra"}\n', "runner's word"),
        (b'result {"partial": "true"}\n', "partial is neither"),
        (b'result {"partial": 1}\n', "partial is neither"),
        (b'result {"testout": 1}\n', "testout is not a string"),
        (b'result {"testout": "../x"}\n', "testout"),
        (b'result {"files": {}}\n', "not a list"),
        (b'result {"files": ["a"]}\n', "not an object"),
        (b'result {"files": [{"length": 1}]}\n', "needs a name"),
        (b'result {"files": [{"name": "a"}]}\n', "no length"),
        (b'result {"files": [{"name": "a", "length": -1}]}\n', "no length"),
        (b'result {"files": [{"name": "a", "length": 1.0}]}\n', "no length"),
        (b'result {"files": [{"name": "a", "length": true}]}\n', "no length"),
        (b'result {"files": [{"name": "/a", "length": 1}]}\n', "absolute"),
        (b'result {"files": [{"name": "a/../b", "length": 1}]}\n', "component"),
        (b'result {"testout": "a", "files": [{"name": "a", "length": 1}]}\n', "testout"),
        (b'result {"partial": true, "name": "%b"}\n' % (b"n" * 4097), "longer than 4096 bytes"),
        (b'result {"testout": "o", "name": "%b"}\n' % (b"n" * 4097), "longer than 4096 bytes"),
        (b'result {"files": [{"name": "a", "length": 1}], "name": "%b"}\n' % (b"\xc3\xa9" * 2049), "longer than 4096"),
        (b'result {"files": [{"name": "%b", "length": 1}]}\n' % (b"n" * 256), "longer than 255 bytes"),
        (b'result {"files": [{"name": "%b", "length": 1}]}\n' % (b"n/" * 512 + b"n"), "longer than 1024 bytes"),
        (b"\xff\n", "UTF-8"),
        (b"bad\n", "unknown word 'bad'"),
        (b"noop", "ends inside a control line"),
        (b"result 5\n{", "ends inside a result"),
        (b'result {"files": [{"name": "a", "length": 5}]}\nabc', "ends inside a result"),
        (b"noop " + b"x" * (MAX_LINE - 5) + b"\n", "too long"),
        (b"noop " + b"x" * MAX_LINE, "too long"),
        (b'result {"a": "' + b"x" * MAX_INLINE, "too long"),
        (b'result {"a": "' + b"x" * MAX_RESULT + b'"}\n', "too long"),
]  # fmt: skip


@pytest.mark.parametrize(("stream", "reason"), BROKEN)
def test_errors(stream: bytes, reason: str) -> None:
    assert reason in error(stream)
    # Behind good ones in the same piece, these stay.
    assert told(b'result {"ok":1}\nnoop\nresult {"ok":2}\n' + stream)[:3] == [
        ("result", {"ok": 1}),
        ("word", "noop", ""),
        ("result", {"ok": 2}),
    ]


def test_what_is_unfinished_is_dropped_and_its_files_cut_back() -> None:
    assert told(b'result {"files": [{"name": "a", "length": 5}]}\nabc')[-2:] == [
        ("cut back",),
        ("error", "the stream ends inside a result"),
    ]


def test_an_error_behind_a_result_with_files_does_not_touch_them() -> None:
    entries = told(b'result {"files": [{"name": "a", "length": 1}]}\nxresult 0\n')
    assert [entry[0] for entry in entries] == ["claim", "file", "result", "commit", "error"]


# In any pieces ---------------------------------------------------------------------------------------------

WORDS = [
    *(b"noop\n", b"duration 15m\n", b"duration +60\n", b"duration -1m\n", b"duration refresh\n"),
    *(
        b"duration save\n",
        b"duration restore\n",
        b"restart\n",
        b"restart  600 \r\n",
        b"disconnect\n",
    ),
    *(
        b"exitcode 3\n",
        b"abort it is \xe2\x98\xa0\n",
        b"mark set up=yes\n",
        b"sync\n",
        b"sync token\n",
    ),
    *(b"addtest /a/test A='b c' B=\n", b"\n", b" \n", b"\r\n", b"noop " + b"x" * 4090 + b"\n"),
]
ERRORS = [
    b"bad\n",
    b"result 0\n",
    b'result {"a":"\xff"}\n',
    b"result {\n",
    b"nothi",
    b"\xff\n",
    b"x" * 5000,
]


@st.composite
def results(draw: st.DrawFn) -> bytes:
    """A result as a client sends it, and something behind it; it may be hostile, on a line or behind its length."""
    chance = draw(st.randoms(use_true_random=False))
    text = Generator(chance, hostile=draw(st.booleans())).result()
    on_a_line = b"\n" not in text and draw(st.booleans())
    sent = b"result %b\n" % text if on_a_line else b"result %d\n%b" % (len(text), text)
    return sent + draw(st.binary(max_size=20))


@st.composite
def results_with_files(draw: st.DrawFn) -> bytes:
    """A valid one, and exactly the bytes of its files."""
    contents = draw(st.lists(st.binary(max_size=20), min_size=1, max_size=3))
    files = [
        {"name": draw(st.sampled_from(["log", "a/b"])), "length": len(content)}
        for content in contents
    ]
    name = draw(st.sampled_from(["", "part", TEST, f"{TEST}/part"]))
    text = json.dumps({"name": name, "files": files}, indent=draw(st.sampled_from([None, 1])))
    head = f"result {len(text)}\n{text}" if "\n" in text else f"result {text}\n"
    return head.encode() + b"".join(contents)


PLAIN = st.integers(0, 9).map(b'result {"name":"%d"}\n'.__mod__)
STREAMS = st.lists(
    results() | results_with_files() | PLAIN | st.sampled_from(WORDS) | st.sampled_from(ERRORS),
    max_size=8,
).map(b"".join)


@settings(max_examples=300)
@given(STREAMS, st.data())
def test_any_fragmentation_tells_the_same(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [
        stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
    ]
    refused = data.draw(st.integers(0, 3))
    answers = itertools.cycle([False] * refused + [True])
    assert told(*pieces, is_free=lambda: next(answers)) == told(stream)


@given(STREAMS)
def test_byte_by_byte(stream: bytes) -> None:
    assert told(*(bytes([byte]) for byte in stream)) == told(stream)


@pytest.mark.parametrize("stream", [b"result %d\n" % 999_991, b'result {"a":"'])
def test_small_pieces_of_something_large_cost_no_more_than_large_ones(stream: bytes) -> None:
    door = Door(Listening())
    begin = time.process_time()
    door.feed(stream)
    for _ in range(330_000):
        door.feed(b"xxx")
    assert time.process_time() - begin < 10  # were each piece to copy what came before it, a minute
    assert door.held >= 990_000


@given(st.binary(max_size=200))
def test_anything_is_an_event_or_an_error(stream: bytes) -> None:
    told(stream)
    told(b"result " + stream + b"\n")
