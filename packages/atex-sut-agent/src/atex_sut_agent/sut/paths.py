"""Making way for files and folders of ours in the work folder, to which a test has the same rights as we."""

import os
import shutil
import subprocess

from . import machine


def clear(path: str) -> None:
    """Remove what is at `path`: a file, nothing, or a folder that a test has put there. Raises OSError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        shutil.rmtree(path)


def discard(path: str) -> None:
    """Move the folder `path` out of the way, if it is there, and have it removed meanwhile. Raises OSError.

    A test may have left millions of files in it, so that another process has to do it. It may also have mounted
    something there, the machine's own disk for instance: then the folder stays, and goes with the session or not.
    """
    aside = "{}.{}".format(path, os.urandom(4).hex())
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return
    if not machine.mounts_in(aside):
        process = subprocess.Popen(
            ["rm", "-rf", aside], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        process.returncode = 0  # it is the daemon's to reap, not Popen's
