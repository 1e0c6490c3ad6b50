import pytest
from atex_cli.exit_codes import exit_code


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({}, 3),
        ({"pass": 2}, 0),
        ({"pass": 1, "info": 1}, 0),
        ({"info": 1}, 0),
        ({"pass": 1, "skip": 5}, 0),
        ({"skip": 2}, 4),
        ({"pass": 9, "fail": 1}, 1),
        ({"pass": 9, "warn": 1}, 1),
        ({"fail": 9, "error": 1}, 2),
        ({"error": 1, "skip": 1}, 2),
        ({"error": 1, "infra": 1}, 75),
        ({"pass": 9, "infra": 1}, 75),
    ],
)
def test_the_gravest_status_decides(counts: dict[str, int], code: int) -> None:
    assert exit_code(counts) == code


def test_a_run_that_is_not_complete_has_no_verdict() -> None:
    assert exit_code({"pass": 1}, complete=False) == 75
    assert exit_code({}, complete=False) == 75


@pytest.mark.parametrize(("signal", "code"), [(2, 130), (15, 143)])
def test_a_signal_wins(signal: int, code: int) -> None:
    assert exit_code({"infra": 3, "error": 1}, complete=False, signal=signal) == code
