"""`Syncer`: makes what was written safe from a power cut, about a second later.

Threads: any may call the methods. One daemon thread syncs, a second after the first change that is not synced. `_lock`
guards `_dirty` and `_failure`; nothing is waited for under it. `_syncing` lets one thread sync at a time, so that who
syncs next finds done what others had begun.
"""

import os
import threading

_SYNC_AFTER = 1.0  # seconds
_MANY_FILES = 500  # so many are synced faster by sync(2)


class Syncer:
    """Syncs files and folders. `name` is for its thread."""

    def __init__(self, name: str) -> None:
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        self._dirty: set[str] = set()
        self._failure: OSError | None = None  # what was taken may be lost, so no more is taken
        self._unsynced = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(
            target=self._sync_behind, name=f"atex-sync {name}", daemon=True
        )
        self._thread.start()

    def changed(self, path: str) -> None:
        """Sync the file or folder at this absolute path, soon."""
        with self._lock:
            self._dirty.add(path)
        if not self._unsynced.is_set():
            self._unsynced.set()

    def check(self) -> None:
        """Raise the OSError with which syncing failed, if it did."""
        with self._lock:
            failure = self._failure
        if failure is not None:
            raise failure

    def sync(self) -> None:
        """Return when all that was changed before is safe. Raises OSError, as check() does from then on."""
        with self._syncing:
            with self._lock:
                dirty, self._dirty = self._dirty, set()
            try:
                if len(dirty) > _MANY_FILES:
                    os.sync()
                else:
                    for path in dirty:
                        _sync(path)
            except OSError as error:
                with self._lock:
                    self._failure = error
        self.check()

    def close(self) -> None:
        """Sync for the last time; any number of times. Raises OSError, and is closed then as well."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._unsynced.set()
        self._thread.join()
        self.sync()

    def _sync_behind(self) -> None:
        while not self._closed.is_set():
            self._unsynced.wait()
            self._closed.wait(_SYNC_AFTER)
            self._unsynced.clear()
            try:
                self.sync()
            except OSError:
                return  # the next who writes is told


def _sync(path: str) -> None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return  # removed since
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
