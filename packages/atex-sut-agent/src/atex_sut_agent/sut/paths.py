"""Making way for files and folders of ours in the work folder, to which a test has the same rights as we."""

import os

from . import leftovers
from .fork import fork_child
from .removal import remove_tree


def clear(path: str) -> None:
    """Remove what is at `path`: a file, nothing, or a folder that a test has put there. Raises OSError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        remove_tree(path)


def discard(path: str) -> None:
    """Remove what is at `path`; a folder is moved out of the way, and removed by a process of its own. Raises OSError.

    A test may have left millions of files in it. It may also have mounted something there, the machine's own disk for
    instance: then the folder stays where it was moved to.
    """
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        aside = "{}.{}".format(path, os.urandom(4).hex())
        os.rename(path, aside)
        fork_child(lambda: leftovers.remove(aside))
