"""The duration grammar, by the examples of tmt and by its rules."""

import math

import pytest
from atex_fmf import MetadataError, parse_duration
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("5s", 5),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("1h 30m", 5400),
        ("1h30m", 5400),
        ("1h 3h 2m 3", 4 * 3600 + 2 * 60 + 3),
        ("*3 2s *4", 24),
        ("1 m2   m", 180),
        ("10m *1.5", 900),
        ("10m*1.5", 900),
        ("3s *1.5", 5),
        ("*2", 0),
        ("5m *0", 0),
        (" 5m\n", 300),
    ],
)
def test_examples(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


INVALID = """
bad 10w *10m 1.5 1.5h -5 5mm 5M 1h,30m 1e3 1_000 \u0663m * 2* ** *.5 *2. *-1
"""


@pytest.mark.parametrize("text", ["", " ", "1h h", "2 *", "*2 m", *INVALID.split()])
def test_outside_the_grammar(text: str) -> None:
    with pytest.raises(MetadataError, match="is invalid"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 400, f"1 *{'9' * 400}", f"0 *{'9' * 400}"])
def test_too_large_for_a_float(text: str) -> None:
    with pytest.raises(MetadataError) as caught:
        parse_duration(text)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("text", "seconds"), [("*2", 600), ("0", 300), ("0s *2", 600), ("1s", 1), ("1m *2", 120)]
)
def test_base_stands_in_for_terms_that_are_missing(text: str, seconds: int) -> None:
    assert parse_duration(text, base=300.0) == seconds


UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
spaces = st.text(" \t", max_size=3)
terms = st.tuples(st.integers(0, 10**6), spaces, st.sampled_from(sorted(UNITS)))
factors = st.tuples(spaces, st.integers(0, 99))


@given(st.permutations([0, 1, 2, 3]), st.tuples(terms, terms), st.tuples(factors, factors), spaces)
def test_terms_are_added_and_factors_multiply_in_any_order(
    order: list[int],
    terms: tuple[tuple[int, str, str], ...],
    factors: tuple[tuple[str, int], ...],
    space: str,
) -> None:
    parts = [f"{count}{gap}{unit}" for count, gap, unit in terms]
    parts += [f"*{gap}{factor}" for gap, factor in factors]
    # A digit that meets a digit would be another number.
    text = (space or " ").join(parts[index] for index in order)
    total = sum(count * UNITS[unit] for count, _, unit in terms)
    assert parse_duration(text) == total * math.prod(factor for _, factor in factors)


@given(st.integers(0, 10**6), st.decimals(0, 100, places=2))
def test_the_product_is_rounded_up(count: int, factor: object) -> None:
    assert parse_duration(f"{count}s *{factor}") == math.ceil(count * float(str(factor)))


@given(st.text("0123456789 \t.*smhdw", max_size=12))
def test_anything_else_is_a_metadata_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except MetadataError:
        return
    assert seconds >= 0
    assert seconds == int(seconds)
