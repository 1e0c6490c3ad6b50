"""The long times fit together."""

import pytest
from atex_executor import Times


def test_the_host_is_less_patient_than_its_agent() -> None:
    assert Times(patience=5, linger=6).patience == 5
    for linger in (5, 4):
        with pytest.raises(ValueError, match=r"patience .* has to be smaller than"):
            Times(patience=5, linger=linger)


def test_no_time_is_negative() -> None:
    with pytest.raises(ValueError, match="settle can not be less than 0"):
        Times(settle=-1)


def test_what_is_said_in_the_documentation() -> None:
    times = Times()
    assert (times.patience, times.linger, times.settle, times.exit_wait) == (600, 3600, 15, 60)
    assert (times.beat, times.silence) == (15, 45)
