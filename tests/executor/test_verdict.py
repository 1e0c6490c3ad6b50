"""Verdicts: spec/RESULTS.md, "The verdict"."""

import pytest
from atex_executor.ending import Ending
from atex_executor.verdict import Verdict, human_duration, judge, signal_name, worse


def ended(**how: object) -> Ending:
    return Ending(**{"exit_code": 0, **how})  # type: ignore[arg-type]


@pytest.mark.parametrize(("exit_code", "status"), [(0, "pass"), (1, "fail"), (255, "fail")])
def test_without_a_status_the_exit_code_decides(exit_code: int, status: str) -> None:
    assert judge(ended(exit_code=exit_code), None, "seen") == Verdict(status, "seen", exit_code)


@pytest.mark.parametrize("exit_code", [0, 1])
def test_with_a_status_the_exit_code_is_only_recorded(exit_code: int) -> None:
    assert judge(ended(exit_code=exit_code), "warn", None) == Verdict("warn", None, exit_code)


def test_a_signal_is_an_exit_code_as_in_a_shell() -> None:
    assert judge(ended(exit_code=None, signal=11)) == Verdict("fail", "killed by SIGSEGV", 139)
    assert judge(ended(exit_code=None, signal=9), None, "mine") == Verdict("fail", "mine", 137)


def test_the_exit_code_that_a_test_asked_for_wins_over_its_signal() -> None:
    assert judge(ended(exit_code=0, signal=15)) == Verdict("pass", None, 0)


def test_the_limit_is_named() -> None:
    ending = ended(ended_by="limit", limit=5400.0, exit_code=130)
    assert judge(ending, "pass", "all fine") == Verdict("error", "ran longer than 1h30m", 130)


def test_an_error_at_a_door_is_an_error() -> None:
    verdict = judge(ended(error="unknown word 'x'"), "pass", "fine")
    assert verdict == Verdict("error", "control file: unknown word 'x'", 0)


def test_the_limit_comes_before_an_error_at_a_door_and_both_are_named() -> None:
    verdict = judge(ended(ended_by="limit", limit=1.0, error="x"))
    assert verdict == Verdict("error", "ran longer than 1s; control file: x", 0)


def test_an_abort_is_an_error() -> None:
    ending = ended(ended_by="abort", note="no disk", exit_code=130)
    assert judge(ending, "pass", "fine") == Verdict("error", "no disk", 130)
    assert judge(ended(ended_by="abort"), "pass").note == "the test aborted"


def test_the_host_may_remark_on_an_end_that_it_does_not_decide() -> None:
    assert judge(ended(note="no restart came")) == Verdict("pass", "no restart came", 0)
    assert judge(ended(note="no restart came"), "warn", "mine").status == "warn"


@pytest.mark.parametrize("ended_by", ["cancel", "infra"])
def test_infra_wins_over_everything(ended_by: str) -> None:
    ending = ended(ended_by=ended_by, note="gone", error="x", exit_code=None)
    assert judge(ending, "error", "mine") == Verdict("infra", "gone; control file: x", None)


def test_a_host_that_stayed_away_is_infra() -> None:
    assert judge(ended(ended_by="linger", exit_code=130), "pass").status == "infra"


def test_worse() -> None:
    order = ["error", "fail", "warn", "pass", "info", "skip"]
    for index, status in enumerate(order):
        assert worse(None, status) == status
        for other in order[index:]:
            assert worse(status, other) == worse(other, status) == status
    assert worse("skip", "unheard of") == "info"
    assert worse("fail", "unheard of") == "fail"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.3, "0.3s"),
        (59.9994, "59.999s"),
        (59.9999, "1m"),
        (300, "5m"),
        (61.5, "1m1.5s"),
        (3600, "1h"),
        (5400, "1h30m"),
        (90061, "1d1h1m1s"),
    ],
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_signals_without_a_name() -> None:
    assert signal_name(15) == "SIGTERM"
    assert signal_name(60) == "signal 60"
