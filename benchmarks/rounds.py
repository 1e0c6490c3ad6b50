"""Rounds: in each, all subjects are measured, one right after another, so that they share the machine's moods."""

import argparse
import faulthandler
import signal
from collections.abc import Callable, Mapping

from benchmarks.table import Row

LIMIT = 600.0  # seconds; no measurement takes that long, unless it hangs
ROUNDS = 10


def start(description: str | None) -> int:
    """Begin a benchmark: return the number of rounds, the command line's only option.

    SIGTERM is a Ctrl-C from now on, so that all is cleaned up.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--rounds",
        type=int,
        default=ROUNDS,
        help="how often each is measured (default: %(default)s)",
    )
    rounds: int = parser.parse_args().rounds
    if rounds < 1:
        parser.error("at least one round is needed")
    return rounds


def side_by_side(subjects: Mapping[str, Callable[[], float]], rounds: int) -> list[Row]:
    """Return a row for each subject, with what its function returned in each round.

    A measurement that hangs ends this process, which prints where it hung; the machines end with it.
    """
    values: dict[str, list[float]] = {subject: [] for subject in subjects}
    for _ in range(rounds):
        for subject, measure in subjects.items():
            faulthandler.dump_traceback_later(LIMIT, exit=True)
            try:
                values[subject].append(measure())
            finally:
                faulthandler.cancel_dump_traceback_later()
    return [Row(*item) for item in values.items()]
