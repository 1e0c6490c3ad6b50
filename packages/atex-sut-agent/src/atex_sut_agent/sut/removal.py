"""Removing a tree that a test has made: of any depth, and with anything mounted or changing in it.

Folders that are not empty are moved up to the top, and emptied there: no path becomes long, and nothing recurses. What
is a mount point can not be moved, and only what was moved is entered. No link is followed.
"""

import contextlib
import os

from .opening import FOLDER


def remove_tree(path: str) -> None:
    """Remove the folder at `path` with all in it. Raises OSError where something stays, with the rest gone."""
    top = os.open(path, FOLDER)
    try:
        pending = _remove_entries(top, top)
        while pending:
            name = pending.pop()
            with contextlib.suppress(OSError):
                folder = os.open(name, FOLDER, dir_fd=top)
                try:
                    pending += _remove_entries(folder, top)
                finally:
                    os.close(folder)
                os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    os.rmdir(path)


def _remove_entries(folder: int, top: int) -> "list[str]":
    """Remove what is in a folder, as far as that is possible; return the names of what was moved to the top instead."""
    moved = []
    for name in os.listdir(folder):
        try:
            os.unlink(name, dir_fd=folder)
        except IsADirectoryError:
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=folder)
                continue
            with contextlib.suppress(OSError):  # it is mounted, or belongs to somebody else
                new_name = os.urandom(8).hex()
                os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=top)
                moved.append(new_name)
        except OSError:
            pass  # gone meanwhile, mounted, or not ours
    return moved
