"""The lease journal: a small file for each lease, written before the machine is asked for and removed
when it is gone.

Guarantees: whenever a process is killed, or the power cut, a file is there whole, as it was before
or after a change; of several processes that open a lease with the same key at once, one wins. The
files are the lock: a lease whose process is dead holds nothing.

Whoever writes, in any process, holds the flock of the file `.lock`; in this process `_writing`
besides, so that its threads queue up in order. Reading needs neither.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from atex_provision.errors import JournalError, LeaseInUse, LeaseTaken, NoLease
from atex_provision.leases.holder import Holder
from atex_provision.leases.lease import NAME, Lease, beginning
from atex_provision.state import state_folder

LOCK_TIME = 60.0  # seconds; a writer needs milliseconds, but hundreds may queue up at a slow disk
LOCK_AGAIN = 0.01  # seconds
LARGEST = 1 << 20  # bytes of a lease

# What os.open() says of a symbolic link, a socket, and what only others may read.
_NO_FILE_OF_OURS = {errno.ELOOP, errno.ENXIO, errno.EACCES}

_writing = threading.Lock()
_decoder = msgspec.json.Decoder(Lease)


class _Foreign(JournalError):
    """The file is read, as far as may be, and is no lease of ours."""


class LeaseJournal:
    """The leases of this user, in `folder`. Any thread; others may write it at the same time."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: by default `leases` in the user's state folder; made when it is needed."""
        self.folder = folder or state_folder() / "leases"

    def leases(self) -> list[Lease]:
        """All leases, the oldest first. What cannot be read is left out: see `problems()`.

        Raises JournalError if the folder cannot be read.
        """
        return sorted(
            (lease for lease in self._files() if isinstance(lease, Lease)),
            key=lambda lease: (lease.created, lease.name),
        )

    def problems(self) -> list[str]:
        """A sentence for each file that should be a lease and is none. Raises JournalError."""
        return [str(problem) for problem in self._files() if isinstance(problem, JournalError)]

    def read(self, name: str) -> Lease:
        """The lease of that name. Raises NoLease, JournalError."""
        if not NAME.fullmatch(name):
            raise NoLease(f"{name!r} is not the name of a lease, such as podman-7f3a91")
        try:
            return self._read(self._path(name))
        except FileNotFoundError:
            raise NoLease(f"there is no lease {name} in {self.folder}") from None

    def open(self, lease: Lease, *, take_over: bool = False) -> None:
        """Writes a new lease, to be called before anything is asked for.

        Raises LeaseTaken if a lease that is in use has the same key; with `take_over` only if that
        was kept, or this very process holds it. JournalError if it cannot be written, or one that
        may have this key cannot be read; ValueError for a name that does not begin as
        `new_name(lease.key)` does.
        """
        if not NAME.fullmatch(lease.name):
            raise ValueError(f"no name for a lease: {lease.name!r}")
        if lease.key and lease.name.rpartition("-")[0] != beginning(lease.key):
            raise ValueError(f"{lease.name!r} is no name for a lease of {lease.key!r}")
        with self._locked():
            if lease.key:
                self._check_free(lease, take_over=take_over)
            if self._path(lease.name).exists():
                raise JournalError(f"there is a lease {lease.name} already")
            try:
                self._write(lease)
            except OSError:  # perhaps of the last sync only
                self._path(lease.name).unlink(missing_ok=True)
                raise

    def amend(self, name: str, change: Callable[[Lease], Lease]) -> Lease:
        """Changes a lease and returns what it is now. `change` makes no calls to the journal.

        Raises NoLease, JournalError; then it is as it was, or, if the disk fails, as it was to be.
        """
        with self._locked():
            lease = self.read(name)
            changed = change(lease)
            if changed != lease:
                self._write(changed)
            return changed

    def update(self, name: str, **changes: Any) -> Lease:
        """Changes fields of a lease and returns what it is now. Raises NoLease, JournalError."""
        return self.amend(name, lambda lease: msgspec.structs.replace(lease, **changes))

    def claim(self, name: str) -> Lease:
        """Makes this process the holder of a lease that a dead one left behind, or that was kept.

        Raises LeaseInUse for any other, and while a living process has a session on the machine;
        NoLease, JournalError.
        """

        def change(lease: Lease) -> Lease:
            if lease.held and not lease.kept:
                raise LeaseInUse(f"{lease.held_by()}; it gives the machine back when it ends")
            if user := lease.used_by:
                raise LeaseInUse(f"{user} uses the machine of lease {name}")
            return msgspec.structs.replace(lease, holder=Holder.myself(), kept=False)

        return self.amend(name, change)

    def remove(self, name: str) -> None:
        """Removes a lease, to be called when the machine is gone. One that is not there is no error.

        Raises JournalError.
        """
        # Not synced: what a power cut brings back is freed once more.
        with self._locked(), contextlib.suppress(FileNotFoundError):
            self._path(name).unlink()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _check_free(self, lease: Lease, *, take_over: bool) -> None:
        # By their names: there may be a thousand others.
        rivals = re.compile(re.escape(beginning(lease.key)) + r"-[0-9a-f]{6}\.json")
        for name in os.listdir(self.folder):
            if not rivals.fullmatch(name):
                continue
            # What is no lease is passed over; one that cannot be read now may be that of a living process.
            with contextlib.suppress(_Foreign, FileNotFoundError):
                other = self._read(self.folder / name)
                if other.key != lease.key or not other.in_use:
                    continue
                if other.kept or other.holder == Holder.myself() or not take_over:
                    raise LeaseTaken(other)

    def _files(self) -> Iterator[Lease | JournalError]:
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise JournalError(f"cannot read the leases in {self.folder}: {error}") from error
        for name in sorted(names):
            if name.endswith(".json") and not name.startswith("."):
                try:
                    yield self._read(self.folder / name)
                except FileNotFoundError:  # it has just been given back
                    continue
                except JournalError as error:
                    yield error

    def _read(self, path: Path) -> Lease:
        """Raises FileNotFoundError, JournalError."""
        try:
            # A fifo must not block, and nobody else's file say which code to run (`backend`).
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
                    raise _Foreign(f"{path} is not a file of ours; it is left alone")
                lease = _decoder.decode(os.read(descriptor, LARGEST))
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            raise
        except OSError as error:
            problem = _Foreign if error.errno in _NO_FILE_OF_OURS else JournalError
            raise problem(f"{path} cannot be read: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _Foreign(f"{path} is not a lease that can be read: {error}") from error
        if lease.name != path.stem:
            raise _Foreign(f"{path} is not a lease: it says that it is {lease.name!r}")
        return lease

    def _write(self, lease: Lease) -> None:
        """Raises OSError. To be called with the lock, so that there is one new file at a time."""
        new = self.folder / ".new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(os.open(new, flags, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(lease), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._path(lease.name))
        _sync_folder(self.folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps all other writers out. What goes wrong inside is a JournalError."""
        if not _writing.acquire(timeout=LOCK_TIME):
            raise self._hangs()
        try:
            self._make_folder()
            descriptor = os.open(
                self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            try:
                self._flock(descriptor)
                yield
            finally:
                os.close(descriptor)
        except OSError as error:
            raise JournalError(
                f"the lease journal cannot be written: {error}; without it nothing is asked for:"
                " make room, or name another folder in XDG_STATE_HOME"
            ) from error
        finally:
            _writing.release()

    def _make_folder(self) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_folder(self.folder.parent)

    def _flock(self, descriptor: int) -> None:
        deadline = time.monotonic() + LOCK_TIME
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise self._hangs() from None
                time.sleep(LOCK_AGAIN)

    def _hangs(self) -> JournalError:
        return JournalError(
            f"somebody has been writing the lease journal for {LOCK_TIME:g} s: is an atex stopped"
            f" in the middle of it? (fuser {self.folder / '.lock'})"
        )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
