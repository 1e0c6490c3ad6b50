"""The packs that a machine keeps, so that a tree which was sent once is not sent again.

They lie in `packs` of the work folder, which is ours alone, each named by its sha256. By that it is checked whenever it
is unpacked: a test has the same rights as we, and a power cut leaves what it likes. Who receives a pack writes it into
the folder of his session, and moves it here when it is whole; so any number may receive it at the same time, and who is
killed leaves nothing that does not go with his session.
"""

import errno
import os
import stat
import time

from .bootstrap import make_private

_MOST = 3  # packs
_UNUSED = 14 * 86400.0  # seconds
_SPARE = 8  # keeping packs leaves an eighth of the disk free,
_MOST_SPARE = 4 << 30  # but no more than that, in bytes,
_LEAST_SPARE = 16 << 20  # and no less: the tree itself is still to come
_HEXADECIMAL = frozenset("0123456789abcdef")


class Packs:
    """The packs of a work folder. Raises OSError where there can be none."""

    def __init__(self, work: str) -> None:
        self._folder = os.path.join(work, "packs")
        make_private(self._folder)

    def names(self) -> "list[str]":
        """Return which there are."""
        return [name for name in os.listdir(self._folder) if is_name(name)]

    def open(self, name: str) -> int:
        """Return a descriptor of a pack, which counts as used now. Raises OSError where there is none."""
        path = os.path.join(self._folder, name)
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(errno.EINVAL, "is no plain file", path)
            os.utime(fd)
        except OSError:
            os.close(fd)
            raise
        return fd

    def add(self, path: str, name: str) -> None:
        """Move a whole pack here. Too many of them, and those long unused, go. Raises OSError."""
        os.rename(path, os.path.join(self._folder, name))
        now = time.time()
        ages = sorted((now - self._used(other), other) for other in self.names() if other != name)
        for position, (age, other) in enumerate(ages, start=1):
            if position >= _MOST or age > _UNUSED:
                self.remove(other)

    def remove(self, name: str) -> None:
        """Remove a pack; who just reads it reads on."""
        try:
            os.unlink(os.path.join(self._folder, name))
        except OSError:
            pass  # somebody else was faster

    def remove_oldest(self) -> bool:
        """Make room: remove the pack that was not used for longest. Return False where none could be removed."""
        names = self.names()
        if names:
            self.remove(min(names, key=self._used))
        return len(self.names()) < len(names)

    def _used(self, name: str) -> float:
        try:
            return os.lstat(os.path.join(self._folder, name)).st_mtime
        except OSError:
            return 0.0


class Copy:
    """A pack that is just received, on its way to the others.

    These make room for it, the oldest first. Where there is too little even so, it is not kept.
    """

    def __init__(self, path: str, packs: Packs) -> None:
        self._path = path
        self._packs = packs
        self._fd: "int | None" = None
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError:
            pass

    def write(self, data: memoryview) -> None:
        """Take the next piece of it."""
        if self._fd is None:
            return
        try:
            while not _has_room(self._fd):
                if not self._packs.remove_oldest():
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            self.drop()

    def keep(self, name: str) -> None:
        """It is whole: let it be kept."""
        if self._fd is not None:
            try:
                self._packs.add(self._path, name)
            except OSError:
                pass  # the next one is sent it again
            self.drop()

    def drop(self) -> None:
        """Remove it, unless it was kept."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            try:
                os.unlink(self._path)
            except OSError:
                pass


def is_name(text: str) -> bool:
    """Can this be a pack's name?"""
    return len(text) == 64 and _HEXADECIMAL.issuperset(text)


def _has_room(fd: int) -> bool:
    disk = os.fstatvfs(fd)
    share = disk.f_blocks * disk.f_frsize // _SPARE
    return disk.f_bavail * disk.f_frsize >= max(_LEAST_SPARE, min(share, _MOST_SPARE))
