import pytest
from atex_cli.moments import age, moment
from hypothesis import given
from hypothesis import strategies as st


def test_a_moment_is_local_time() -> None:
    assert moment(1e9) in {f"2001-09-0{day} {hour:02}:46" for day in (8, 9) for hour in range(24)}


@pytest.mark.parametrize(
    ("seconds", "words"), [(1e20, "@1e+20"), (float("inf"), "@inf"), (float("nan"), "@nan")]
)
def test_a_moment_that_no_calendar_has(seconds: float, words: str) -> None:
    assert moment(seconds) == words


@given(st.floats())
def test_any_number_has_words(seconds: float) -> None:
    assert moment(seconds)
    assert age(seconds)
