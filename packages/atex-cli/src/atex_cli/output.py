"""Where a command writes what it has to tell."""

import itertools
from datetime import datetime
from pathlib import Path

from atex_cli.errors import Refused

RUNS = Path("atex-runs")


def output_folder(wanted: Path | None) -> Path:
    """Return the folder for what is written: the one that is wanted, which is new or empty, or one named after now.

    Raises Refused.
    """
    if wanted is None:
        return _new_folder()
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        if any(wanted.iterdir()):
            raise Refused(f"{wanted} is not empty: choose a folder of its own with --output")
    except OSError as error:
        raise Refused(f"{wanted}: {error.strerror}: choose another folder") from error
    return wanted


def _new_folder() -> Path:
    """Make a folder named after this moment below `atex-runs`; two that start in the same second get two.

    Raises Refused where it can not be made.
    """
    name = datetime.now().astimezone().strftime("%Y-%m-%d-%H.%M.%S")
    try:
        RUNS.mkdir(exist_ok=True)
        for suffix in itertools.chain([""], (f"-{number}" for number in itertools.count(2))):
            folder = RUNS / (name + suffix)
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise Refused(f"{RUNS}: {error.strerror}: choose another place with --output") from error
    raise AssertionError
