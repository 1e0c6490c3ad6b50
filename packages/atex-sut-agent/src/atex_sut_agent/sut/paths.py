"""Making way for files of ours in the work folder, to which a test has the same rights as we."""

import os
import shutil


def clear(path: str) -> None:
    """Remove what is at `path`: a file, nothing, or a folder that a test has put there. Raises OSError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except IsADirectoryError:
        shutil.rmtree(path)
