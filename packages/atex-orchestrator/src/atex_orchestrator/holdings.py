"""What a worker holds, where others find it who want to stop the worker.

Guarantees: a provisioner and an executor are stored the moment they exist, so that stop() ends what is waited for with
them; nothing is stored after stop(); whoever calls stop() never waits for a machine. `_lock` guards all that changes,
and nobody does I/O while holding it.
"""

import threading
import time

from atex_executor import Executor
from atex_fmf import Test
from atex_provision import Provisioner

from atex_orchestrator.garbage import free_at_last
from atex_orchestrator.sessions import close_session

FINISH_LIMIT = 3600.0  # seconds for the plan's finish phases
STOPPED_FINISH_LIMIT = 60.0  # the same when the run is stopped


class Stopped(Exception):
    """The worker was stopped before it held the next thing."""


class Holdings:
    """One machine's provisioner and executor, and whether they are still wanted.

    The worker's thread stores them, begins finish and gives them back; stop(), abandon() and join() are for others.
    """

    def __init__(self, name: str) -> None:
        """Hold nothing yet; `name` is for threads."""
        self._name = name
        self._lock = threading.Lock()
        self._provisioner: Provisioner | None = None
        self._executor: Executor | None = None
        self._stopped = False
        self._hurried = False  # the whole run is stopped
        self._at_once = False
        self._finishing = False
        self._finished = threading.Event()
        self._interrupters: list[threading.Thread] = []

    @property
    def stopped(self) -> bool:
        """Whether somebody called stop()."""
        with self._lock:
            return self._stopped

    @property
    def held(self) -> str | None:
        """After give_back() or abandon(): why the machine may still be held; None: it is not."""
        with self._lock:
            provisioner = self._provisioner
        return None if provisioner is None else provisioner.left

    def hold_provisioner(self, provisioner: Provisioner) -> Provisioner:
        """Store it and return it. Raises Stopped."""
        with self._lock:
            if self._stopped:
                raise Stopped
            self._provisioner = provisioner
        return provisioner

    def hold_executor(self, executor: Executor) -> Executor:
        """Store it and return it. Raises Stopped."""
        with self._lock:
            if self._stopped:
                raise Stopped
            self._executor = executor
        return executor

    def begin_finish(self) -> float | None:
        """Return how many seconds finish may take, or None where it is not wanted. From here on only time ends it."""
        with self._lock:
            if self._at_once:
                return None
            self._finishing = True
            limit = STOPPED_FINISH_LIMIT if self._hurried else FINISH_LIMIT
            interrupters = list(self._interrupters)
        for interrupter in interrupters:
            interrupter.join()  # what it cancels is over, and not what comes now
        return limit

    def close_session(self) -> str | None:
        """End it; return why processes may be left there, where a later `atex gc` is to look for them, too."""
        with self._lock:
            provisioner, executor = self._provisioner, self._executor
        if provisioner is None or executor is None:
            return None
        return close_session(provisioner, executor)

    def give_back(self) -> str | None:
        """End the session and give the machine back, whatever goes wrong with the former; return why processes may be
        left there. One that was kept is only let go of.
        """
        self._finished.set()
        try:
            return self.close_session()
        finally:
            with self._lock:
                provisioner = self._provisioner
            if provisioner is not None:
                provisioner.release()

    def give_back_again(self) -> bool:
        """After give_back(), where something is held: try once more; return whether nothing is now."""
        with self._lock:
            provisioner = self._provisioner
        return provisioner is None or free_at_last(provisioner)

    def stop(self, reason: str, *, hurry: bool, at_once: bool = False) -> None:
        """Cancel what runs and let nothing more begin, but for finish.

        `hurry`: the run is stopped; a finish that goes on ends in a minute. `at_once`: no finish, nobody is waited for.
        """
        with self._lock:
            self._stopped = True
            self._hurried = self._hurried or hurry
            self._at_once = self._at_once or at_once
            interrupter = threading.Thread(
                target=self._interrupt,
                args=(reason, hurry, at_once, self._finishing),
                name=f"{self._name}-stop",
                daemon=True,
            )
            self._interrupters.append(interrupter)
            interrupter.start()

    def cancel_run(self, test: Test, attempt: int, reason: str) -> None:
        """End this attempt at a test, now or as soon as it begins."""
        with self._lock:
            executor = self._executor
            if executor is None:
                return
            interrupter = threading.Thread(
                target=executor.cancel_run,
                args=(test, reason),
                kwargs={"attempt": attempt},
                name=f"{self._name}-cancel",
                daemon=True,
            )
            self._interrupters.append(interrupter)
            interrupter.start()

    def abandon(self) -> None:
        """Free the machine's lease without waiting for the worker, which hangs."""
        with self._lock:
            provisioner = self._provisioner
        if provisioner is not None:
            provisioner.abort()

    def join(self, timeout: float) -> None:
        """Wait for the end of what stop() began, so many seconds at most."""
        deadline = time.monotonic() + timeout
        with self._lock:
            interrupters = list(self._interrupters)
        for interrupter in interrupters:
            interrupter.join(max(0.0, deadline - time.monotonic()))

    def _interrupt(self, reason: str, hurry: bool, at_once: bool, finishing: bool) -> None:
        """End what the worker waits for, in a thread of its own: a machine may not answer."""
        if finishing and not at_once and (not hurry or self._finished.wait(STOPPED_FINISH_LIMIT)):
            return
        with self._lock:
            provisioner, executor = self._provisioner, self._executor
        if executor is not None:
            executor.cancel(reason, at_once=at_once)
        elif provisioner is not None:
            provisioner.abort()
