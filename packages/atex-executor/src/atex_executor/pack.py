"""`Pack`: the trees of a suite, read once and shared by all machines.

Threads: any may call anything. A thread of the pack's own reads the trees, once; readers follow it (spool.py). `_lock`
guards `_thread`.
"""

import os
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from atex_fmf import Suite

from atex_executor.errors import PackFailed
from atex_executor.exclude import Exclusion
from atex_executor.packing import pack_trees
from atex_executor.places import place_of
from atex_executor.spool import Reader, Spool

_PATIENCE = 5.0  # seconds


class Pack:
    """The trees of `suite`, but for what `exclude` is about, as all machines get them.

    What is read lies in a file without a name, in the folder for temporary files (TMPDIR), until `close()`. Executors
    need it until their `start()` returns. A context manager: leaving it closes.
    """

    def __init__(self, suite: Suite, *, exclude: Sequence[str] = ()) -> None:
        """Do nothing yet. `exclude`: patterns, as in exclude.py. Raises ValueError for what can be none."""
        roots = {"": suite.root, **suite.trees}
        self._trees = {place_of(name): root for name, root in roots.items()}
        self._exclusion = Exclusion(exclude)
        self._spool = Spool()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to read the trees, in the background, unless that has begun."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._read, name="pack", daemon=True)
                self._thread.start()

    def reader(self) -> Reader:
        """Return who reads it from its beginning; `start()` was called."""
        self.start()
        return Reader(self._spool)

    def close(self) -> None:
        """End the reading, and forget what was read. Total; may be repeated."""
        self._spool.fail("the pack was closed")
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(_PATIENCE)  # a file system that hangs can not be left
        self._spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> None:
        spool = self._spool
        try:
            spool.finish(pack_trees(self._trees, self._exclusion, spool.write).hex())
        except PackFailed as error:
            spool.fail(str(error))
        except OSError as error:
            file = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
            spool.fail(f"the tree can not be read: {file}{error.strerror or error}")
        except Exception as error:
            spool.fail(f"the tree can not be packed: {error!r}")
            raise
