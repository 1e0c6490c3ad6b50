"""Removing a tree that a test has made: of any depth, and with anything mounted or changing in it.

Folders that are not empty are moved up to the top, and emptied there: no path becomes long, and nothing recurses. What
is a mount point can not be moved, and only what was moved is entered. No link is followed. Folders that are closed are
opened up first: who is not root needs the right to read them and to write into them.
"""

import contextlib
import os

from .opening import FOLDER


def remove_tree(path: str) -> None:
    """Remove the folder at `path` with all in it. Raises OSError where something stays, with the rest gone."""
    _open_up(path)
    top = os.open(path, FOLDER)
    try:
        pending = _remove_entries(top, top)
        while pending:
            name = pending.pop()
            with contextlib.suppress(OSError):
                _open_up(name, top)
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
                moved.append(_move(name, folder, top))
        except OSError:
            pass  # gone meanwhile, mounted, or not ours
    return moved


def _move(name: str, folder: int, top: int) -> str:
    """Move a folder to the top; return its new name. Raises OSError."""
    new_name = os.urandom(8).hex()
    try:
        os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=top)
    except PermissionError:
        # The move changes its `..`, which is closed to us. Another name does not, and no mount point gets one.
        os.rename(name, new_name, src_dir_fd=folder, dst_dir_fd=folder)
        _open_up(new_name, folder)
        os.rename(new_name, new_name, src_dir_fd=folder, dst_dir_fd=top)
    return new_name


def _open_up(name: str, above: "int | None" = None) -> None:
    """Let us read and change a folder that a tree or a test has closed, if it is ours."""
    with contextlib.suppress(OSError):
        folder = os.open(name, os.O_PATH | FOLDER, dir_fd=above)
        try:
            os.chmod("/proc/self/fd/{}".format(folder), 0o700)  # fchmod() does not take it
        finally:
            os.close(folder)
