"""Which status a finished attempt gets: spec/RESULTS.md, "The verdict". Pure."""

import signal

import msgspec

from atex_executor.ending import Ending

# From the worst; among equals of the specification (pass, info) the one that says more comes first.
_WORST_FIRST = ("error", "fail", "warn", "pass", "info", "skip")


class Verdict(msgspec.Struct, frozen=True):
    """The status of an attempt, why, and the exit code that is recorded."""

    status: str
    note: str | None
    exit_code: int | None


def judge(ending: Ending, status: str | None = None, note: str | None = None) -> Verdict:
    """Return the verdict on a run that ended so, and sent `status` as the worst and `note` as the last for itself.

    The runner's word wins: first for what was not the test's fault, then for what was. Only then counts what the
    test sent, and only where it sent nothing the exit code.
    """
    exit_code = ending.exit_code
    if exit_code is None and ending.signal is not None:
        exit_code = 128 + ending.signal  # as shells say it
    decided = _runners_word(ending)
    if decided is not None:
        status, why = decided
        return Verdict(status, why or note, exit_code)
    note = ending.note or note
    if note is None and ending.exit_code is None and ending.signal is not None:
        note = f"killed by {signal_name(ending.signal)}"
    return Verdict(status or ("pass" if exit_code == 0 else "fail"), note, exit_code)


def _runners_word(ending: Ending) -> tuple[str, str | None] | None:
    """Return status and note where the runner decides; the first error at a door is always named."""
    error = f"control file: {ending.error}" if ending.error is not None else None
    match ending.ended_by:
        case "cancel" | "infra":
            status, why = "infra", ending.note
        case "linger":
            status = "infra"
            why = "the machine was without its host for so long that it ended the test"
        case "limit":
            status, why = "error", f"ran longer than {human_duration(ending.limit)}"
        case "abort":
            status, why = "error", ending.note or "the test aborted"
        case _:
            return None if error is None else ("error", error)
    return status, "; ".join(part for part in (why, error) if part) or None


def worse(one: str | None, other: str) -> str:
    """Return the worse of two statuses; None is the absence of one. A word that is not ATEX's counts as "info"."""
    known = [
        status if status in _WORST_FIRST else "info"
        for status in (one, other)
        if status is not None
    ]
    return min(known, key=_WORST_FIRST.index)


def human_duration(seconds: float) -> str:
    """Return `seconds` as people write a duration: 300 is "5m", 5400 is "1h30m", 0.5 is "0.5s"."""
    whole, fraction = divmod(round(seconds, 3), 1)
    minutes, rest = divmod(int(whole), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [
        f"{value}{unit}" for value, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if value
    ]
    if rest or fraction or not parts:
        parts.append(f"{round(rest + fraction, 3):g}s")
    return "".join(parts)


def signal_name(number: int) -> str:
    """Return "SIGSEGV" for 11; "signal 77" for one without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
