"""Receives a tree: a tar stream on stdin becomes a folder, whole or not at all."""

import os
import shutil
import sys
import tarfile


def unpack(folder: str) -> None:
    """Unpack stdin below `folder`, which must not exist yet. Raises OSError or tarfile.TarError."""
    partial = folder + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.umask(0o022)
    os.mkdir(partial)
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|", errorlevel=1) as tar:
            if hasattr(tarfile, "fully_trusted_filter"):
                # The tree is the host's own, and its modes and links are to arrive as they are.
                tar.extraction_filter = tarfile.fully_trusted_filter
            tar.extractall(partial)
        os.rename(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
