"""How a daemon died, left in the session's folder for whoever comes next."""

import os

from . import notes

_LONGEST = 4096  # bytes


def leave(folder: str, error: BaseException) -> None:
    """Leave word of `error`, as far as there is room."""
    try:
        notes.write(_path(folder), _describe(error).encode("utf-8", "replace")[:_LONGEST])
    except OSError:
        pass  # a full disk may be what it died of


def read(folder: str) -> str:
    """Return what was left, "" where nothing was."""
    try:
        return notes.read(_path(folder), _LONGEST).decode("utf-8", "replace")
    except OSError:
        return ""


def forget(folder: str) -> None:
    """They have been read."""
    notes.remove(_path(folder))


def _describe(error: BaseException) -> str:
    """Return the error and where it came from, in one line."""
    # By hand: the library's traceback reads sources and imports more, and Python may be gone from the disk by now.
    places = []
    trace = error.__traceback__
    while trace is not None:
        file = os.path.basename(trace.tb_frame.f_code.co_filename)
        places.append("{}:{}".format(file, trace.tb_lineno))
        trace = trace.tb_next
    return "{}: {} ({})".format(type(error).__name__, error, " > ".join(places))


def _path(folder: str) -> str:
    return os.path.join(folder, "last-words")
