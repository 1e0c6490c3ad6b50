"""The arguments of control words: what is taken, what is refused, and in which words."""

import contextlib
import functools
import shlex
from collections.abc import Callable

import pytest
from atex_sut_agent.sut import words
from atex_sut_agent.sut.clock import Limit
from atex_sut_agent.sut.results import GrammarError
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("argument", "left"),
    [
        ("15m", 900),
        ("1h 30m", 5400),
        ("0", 0),
        ("+60", 130),
        ("+ 1m *2", 190),
        ("-1m", 10),
        ("-1h", -30),
        ("refresh", 100),
        ("save", 70),
    ],
)
def test_duration(argument: str, left: float) -> None:
    limit = Limit(100, present=0)
    words.limit_change(argument)(limit, 30)
    assert limit.left(30) == left


def test_duration_save_and_restore() -> None:
    limit = Limit(100, present=0)
    words.limit_change("save")(limit, 30)
    words.limit_change("600")(limit, 30)
    words.limit_change("restore")(limit, 500)
    assert limit.left(500) == 70
    with pytest.raises(ValueError, match="'duration restore' without 'duration save'"):
        words.limit_change("restore")(limit, 500)


@pytest.mark.parametrize("argument", ["", "+", "-", "soon", "--5", "+-5", "1w", "save 5", "inf"])
def test_no_duration(argument: str) -> None:
    with pytest.raises(GrammarError):
        words.limit_change(argument)


@pytest.mark.parametrize("code", [0, 7, 255])
def test_exit_code(code: int) -> None:
    assert words.exit_code(str(code)) == code


@pytest.mark.parametrize("argument", ["", "256", "-1", "1.0", "1 2", "\u0661"])
def test_no_exit_code(argument: str) -> None:
    with pytest.raises(GrammarError, match="'exitcode' needs a number from 0 to 255"):
        words.exit_code(argument)


def test_patience() -> None:
    assert words.patience("restart", "") is None
    assert words.patience("restart", "90") == 90
    assert words.patience("restart", "5m") == 300
    assert words.patience("disconnect", "") is None
    for word, argument in (("restart", "soon"), ("restart", "-5"), ("disconnect", "90")):
        with pytest.raises(GrammarError):
            words.patience(word, argument)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("snapshot", ("snapshot", "")),
        ("snapshot=", ("snapshot", "")),
        ("snapshot=a b=c", ("snapshot", "a b=c")),
        ("\u00e9" * 127, ("\u00e9" * 127, "")),
    ],
)
def test_mark(argument: str, expected: tuple[str, str]) -> None:
    assert words.mark(argument) == expected


@pytest.mark.parametrize("argument", ["", "=x", "two words", "a\x01", "\u00e9" * 128])
def test_no_mark(argument: str) -> None:
    with pytest.raises(GrammarError, match="'mark' needs NAME or NAME=VALUE"):
        words.mark(argument)


def test_added_test() -> None:
    assert words.added_test("/a/b") == ("/a/b", {})
    found = words.added_test("""'/a b' X=1 Y='a "b"' Z="it's"\\ # E=""")
    assert found == ("/a b", {"X": "1", "Y": 'a "b"', "Z": "it's #", "E": ""})


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])).map("/{}".format),
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]*", fullmatch=True),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    ),
)
def test_whatever_a_shell_would_quote_is_added(name: str, environment: dict[str, str]) -> None:
    line = [name, *(f"{key}={value}" for key, value in environment.items())]
    assert words.added_test(shlex.join(line)) == (name, environment)


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("", "'addtest' needs NAME [VAR=VALUE ...]"),
        ("/a 'x", "quoted as in a shell"),
        ("a", "'a' is no test's name"),
        ("''", "'' is no test's name"),
        ("/a X", "'X' is no VAR=VALUE"),
        ("/a 1=x", "'1=x' is no VAR=VALUE"),
        ("/a X-Y=x", "is no VAR=VALUE"),
        ("/a X=\0", "is no VAR=VALUE"),
    ],
)
def test_no_added_test(argument: str, reason: str) -> None:
    with pytest.raises(GrammarError) as caught:
        words.added_test(argument)
    assert reason in str(caught.value)


def test_token() -> None:
    assert words.token("") == ""
    assert words.token("a b") == "a b"
    with pytest.raises(GrammarError, match="the token of 'sync' is longer than 255 bytes"):
        words.token("\u00e9" * 128)


@given(
    st.sampled_from(
        [
            words.limit_change,
            words.exit_code,
            words.mark,
            words.added_test,
            words.token,
            functools.partial(words.patience, "restart"),
            functools.partial(words.patience, "disconnect"),
        ]
    ),
    st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))
    | st.text("0123456789.*+- smhd=/'\"\\x"),
)
def test_whatever_is_said_is_understood_or_refused(
    word: Callable[[str], object], argument: str
) -> None:
    with contextlib.suppress(GrammarError):
        word(argument)
