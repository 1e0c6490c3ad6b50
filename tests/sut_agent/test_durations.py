"""The grammar of durations: tmt's, by its own examples."""

import pytest
from atex_sut_agent.sut.durations import LONGEST, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("5s", 5),
        ("5m", 300),
        ("3h", 10800),
        ("4d", 345600),
        ("1h 3h 2m 3", 4 * 3600 + 2 * 60 + 3),  # terms are added up
        ("1h3h2m3", 4 * 3600 + 2 * 60 + 3),
        ("*3 2s *4", 24),  # multipliers may stand anywhere, and come last
        ("*2 1m *4", 480),
        ("1 m2   m", 180),  # blanks too
        ("5s*2", 10),
        ("3 * 1.33", 4),  # whole seconds, rounded up
        ("*3", 0),  # nothing, three times
        ("0", 0),
        ("  7s  ", 7),
        ("100d *365", LONGEST),
    ],
)
def test_examples(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "bad",
        "10w",
        "*10m",
        "*",
        "5 *",
        "1.5m",
        "0.2",
        "m",
        "5mm",
        "-5",
        "+5",
        "1e3",
        "1h,",
        "5 M",
        "\u0665m",
        "save",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36501d", "9" * 400, "1d *1000000", "9" * 400 + " *0"])
def test_longer_than_anybody_lives(text: str) -> None:
    with pytest.raises(ValueError, match="100 years"):
        parse_duration(text)
