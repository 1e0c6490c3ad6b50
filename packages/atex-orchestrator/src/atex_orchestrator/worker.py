"""A worker: a thread with one machine, as the owner of the run sees it.

Guarantees: whoever orders something, or stops a worker, never waits for a machine (holdings.py). What the thread does:
tenure.py.
"""

import logging
import threading
import time
from collections.abc import Callable

from atex_fmf import Test
from atex_provision import Machine

from atex_orchestrator.events import During, MachineFreed
from atex_orchestrator.requests import StillHeld
from atex_orchestrator.results import FinalRecord
from atex_orchestrator.tenure import BEFORE_TESTS, KeepMachine, RunTest, Tenure

_log = logging.getLogger(__name__)


class Worker:
    """Gets a machine ready, runs on it what it is told, and gives it back.

    The orchestrator's owner thread calls the methods, which do not wait, but for abandon() and join().
    """

    def __init__(self, tenure: Tenure) -> None:
        """Take what its thread will do, and do nothing yet."""
        self.number = tenure.number
        self.platform = tenure.platform
        self.is_leaving = False
        """Whether it was told to take no more tests."""
        self._tenure = tenure
        self._thread = threading.Thread(
            target=tenure.see_through, name=f"worker-{tenure.number}", daemon=True
        )

    @property
    def machine(self) -> str | None:
        """The name of the machine, once there is one; no other of the run has it."""
        return self._tenure.machine

    @property
    def borrowed(self) -> Machine | None:
        """The machine, from MachineReserved on."""
        return self._tenure.borrowed

    @property
    def error(self) -> BaseException | None:
        """What broke the worker itself: not a machine and not a test. There before the event that follows from it."""
        return self._tenure.error

    @property
    def during(self) -> During:
        """What it does at this moment."""
        return self._tenure.during

    @property
    def record(self) -> FinalRecord | None:
        """How the last test ended, from its TestFinished on until the next one is run."""
        return self._tenure.record

    def start(self) -> None:
        """Set out to get a machine."""
        self._thread.start()

    def run(self, test: Test, attempt: int) -> None:
        """Run a test; the machine must be ready and free."""
        self._tenure.orders.put(RunTest(test, attempt))

    def release(self) -> None:
        """No test is left: finish and give the machine back, or stop getting one."""
        if self._tenure.during in BEFORE_TESTS:
            self._tenure.holdings.stop("no test is left for this machine", hurry=False)
        self._leave()

    def keep(self) -> None:
        """Leave the machine as it is, and reserved; its test must have ended. Where that is not possible it is free."""
        self._tenure.orders.put(KeepMachine())

    def cancel(self, test: Test, attempt: int, reason: str) -> None:
        """End this attempt, which was ordered and has not ended; then the machine is free."""
        self._tenure.holdings.cancel_run(test, attempt, reason)

    def dismiss(self, reason: str) -> None:
        """Cancel the test and take no other; then finish, for as long as that takes, and give the machine back."""
        self._tenure.holdings.stop(reason, hurry=False)
        self._leave()

    def stop(self, reason: str, *, at_once: bool = False) -> None:
        """The same, with a minute for finish; or, at once, without."""
        self._tenure.holdings.stop(reason, hurry=True, at_once=at_once)
        self._leave()

    def abandon(self) -> None:
        """Free the machine's lease without waiting for the worker, which hangs. For any thread."""
        self._tenure.holdings.abandon()

    @property
    def held(self) -> str | None:
        """After abandon(), or at its end: why the machine may still be held; None: it is not."""
        return self._tenure.holdings.held

    def give_back_again(self, tell: Callable[[MachineFreed | StillHeld], None]) -> None:
        """Try once more to give back what is still held, in a thread of its own, and tell how that ended."""
        threading.Thread(
            target=self._give_back_again, args=[tell], name=f"again-{self.number}", daemon=True
        ).start()

    def _leave(self) -> None:
        self.is_leaving = True
        self._tenure.orders.put(None)

    def _give_back_again(self, tell: Callable[[MachineFreed | StillHeld], None]) -> None:
        try:
            freed = self._tenure.holdings.give_back_again()
        except Exception:  # of a backend, which may be anybody's code
            _log.exception("%s", self.machine)
            freed = False
        if freed:
            tell(MachineFreed(worker=self.number, platform=self.platform, machine=self.machine))
        else:
            tell(StillHeld(self.number))

    def join(self, timeout: float) -> None:
        """Wait for the end of the worker's threads, so many seconds at most."""
        deadline = time.monotonic() + timeout
        self._tenure.holdings.join(timeout)
        self._thread.join(max(0.0, deadline - time.monotonic()))
