"""How a daemon died, left in the session's folder for whoever comes next."""

import os

_LONGEST = 4096  # bytes; of a traceback the end is worth most


def leave(folder: str, words: str) -> None:
    """Leave `words`, as far as there is room."""
    try:
        with open(_path(folder), "wb") as file:
            file.write(words.encode("utf-8", "replace")[-_LONGEST:])
    except OSError:
        pass  # a full disk may be what it died of


def read(folder: str) -> str:
    """Return what was left, "" where nothing was."""
    try:
        with open(_path(folder), "rb") as file:
            return file.read(_LONGEST).decode("utf-8", "replace")
    except OSError:
        return ""


def forget(folder: str) -> None:
    """They have been read."""
    try:
        os.unlink(_path(folder))
    except OSError:
        pass  # none were left


def _path(folder: str) -> str:
    return os.path.join(folder, "last-words")
