"""Receives a tree: a tar stream on stdin becomes a folder, whole or not at all."""

import os
import shutil
import sys
import tarfile

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from typing import Any


class _Member(tarfile.TarInfo):
    """tarfile takes a stream that breaks off between two members for a complete one; we do not."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> "_Member":
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]  # its stubs do not know it
            raise tarfile.ReadError("the stream breaks off inside the tree")


class _Tree(tarfile.TarFile):
    """Its files belong to who unpacks it, root as well, whatever users there are where it was packed."""

    tarinfo = _Member

    def chown(self, *ignored: "Any", **also_ignored: "Any") -> None:
        pass


def unpack(folder: str) -> None:
    """Unpack stdin below `folder`, which must not exist yet. Raises OSError, also for a stream that is no whole tar."""
    folder = os.path.abspath(folder)
    partial = folder + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.umask(0o022)
    os.mkdir(partial)
    try:
        with _Tree.open(fileobj=sys.stdin.buffer, mode="r|", errorlevel=1) as tar:
            if hasattr(tarfile, "fully_trusted_filter"):
                # The tree is the host's own, and its modes and links are to arrive as they are.
                tar.extraction_filter = tarfile.fully_trusted_filter
            # From inside: where the session ends meanwhile and removes it, nothing is made anew below a path of it.
            os.chdir(partial)
            tar.extractall(".")
        while sys.stdin.buffer.read(65536):
            pass  # padding; who sends it is not to meet a closed pipe
        os.rename(partial, folder)
    except (
        tarfile.TarError,
        ValueError,
    ) as error:  # ValueError: names that this locale can not write
        shutil.rmtree(partial, ignore_errors=True)
        raise OSError("the tree did not arrive: {}".format(error))
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
