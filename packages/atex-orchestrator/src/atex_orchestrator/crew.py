"""The workers of a run, and what runs on their machines. Used by the run's owner thread alone."""

import time
from collections.abc import Callable, Mapping

import msgspec
from atex_fmf import Suite, Test
from atex_provision import Platform, Provisioner

from atex_orchestrator.asked import Asked, MachinePool
from atex_orchestrator.chronicle import Chronicle
from atex_orchestrator.events import (
    MachineFailed,
    MachineFreed,
    MachineLeaving,
    MachineReleased,
    MachineRequested,
    TestStarted,
)
from atex_orchestrator.heritage import Heritage
from atex_orchestrator.requests import StillHeld
from atex_orchestrator.settings import Shared
from atex_orchestrator.stragglers import Stragglers
from atex_orchestrator.tenure import Tenure
from atex_orchestrator.unstarted import LeftOpen
from atex_orchestrator.worker import Worker

JOIN_LIMIT = 5.0  # seconds for the threads of workers that said their last word


class Crew:
    """Those who have not ended, by number, and an account of what they were told to run."""

    def __init__(
        self,
        asked: Asked,
        suites: Mapping[str, Suite],
        kinds: Mapping[str, Platform],
        shared: Shared,
        chronicle: Chronicle,
    ) -> None:
        """Begin with nobody. `suites`: all that the machines of each platform may run; `kinds`: what they are to be."""
        self.workers: dict[int, Worker] = {}
        self.running: dict[int, LeftOpen] = {}
        """By worker: what was begun and has not ended."""
        self._asked = asked
        self._suites = suites
        self._kinds = kinds
        self._shared = shared
        self._chronicle = chronicle
        self._ended: list[Worker] = []
        self._left_open: list[LeftOpen] = []  # by those who broke or hang
        self._stragglers = Stragglers()

    def hire(self, number: int, index: int) -> None:
        """Have a machine of this pool made ready."""
        pool = self._asked.pools[index]
        self._employ(number, pool, pool.factory)
        self._chronicle.tell(
            MachineRequested(worker=number, platform=pool.platform, pool=pool.name)
        )

    def take_over(self, heir: Heritage) -> None:
        """Go on with the machine of another process."""
        pool = self._asked.pools[heir.pool]
        if heir.left is not None:
            test, left = heir.left
            self.running[heir.worker] = LeftOpen(pool.platform, test, left.begun.attempt)
        self._employ(heir.worker, pool, lambda: heir.provisioner, heir)

    def start_test(self, number: int, test: Test, attempt: int) -> None:
        """Run a test on a machine that is ready and free."""
        worker = self.workers[number]
        self.running[worker.number] = LeftOpen(worker.platform, test, attempt)
        self._chronicle.tell(
            TestStarted(
                worker=worker.number,
                platform=worker.platform,
                machine=worker.machine or "",
                test=test.name,
                serial=test.serial,
                attempt=attempt,
            )
        )
        worker.run(test, attempt)

    def let_go(self, number: int) -> None:
        """Have a machine given back; nothing for a worker that has ended.

        That is written down first: who goes on after a kill must not run tests where finish began.
        """
        worker = self.workers.get(number)
        if worker is None:
            return
        if worker.machine is not None:
            self._chronicle.tell(
                MachineLeaving(
                    worker=worker.number, platform=worker.platform, machine=worker.machine
                )
            )
        worker.release()

    def keep(self, number: int) -> None:
        """Have a machine kept as it is; nothing for a worker that has ended."""
        if number in self.workers:
            self.workers[number].keep()

    def dismiss(self, machine: str, reason: str) -> int | None:
        """Let a machine go as if it had failed, but for what it still can do; return its worker, if it is in use."""
        for number, worker in self.workers.items():
            if worker.machine == machine and not worker.is_leaving and worker.during != "finish":
                self._chronicle.tell(
                    MachineFailed(
                        worker=number,
                        platform=worker.platform,
                        machine=machine,
                        during=worker.during,
                        reason=reason,
                    )
                )
                worker.dismiss(reason)
                return number
        return None

    def cancel(self, is_meant: Callable[[LeftOpen], bool], reason: str) -> None:
        """End the attempts that are meant; their machines go on."""
        for number, worker in self.workers.items():
            running = self.running.get(number)
            if running is not None and is_meant(running):
                worker.cancel(running.test, running.attempt, reason)

    def stop(self, reason: str, *, at_once: bool) -> None:
        """Have all tests cancelled and all machines given back; at once: without waiting for anybody."""
        for worker in self.workers.values():
            worker.stop(reason, at_once=at_once)

    def ended(self, number: int) -> LeftOpen | None:
        """A worker has said its last word; return what it was told to run and did not take, if there is something."""
        worker = self.workers.pop(number)
        self._ended.append(worker)
        left = self.running.pop(number, None)
        if left is None or worker.error is None:
            return left
        self._left_open.append(left)  # there may be a record of it
        return None

    def give_back_again(self, tell: Callable[[MachineFreed | StillHeld], None]) -> set[int]:
        """Begin once more to give back what those who have ended still hold; return their numbers."""
        holding = [worker for worker in self._ended if worker.held is not None]
        for worker in holding:
            worker.give_back_again(tell)
        return {worker.number for worker in holding}

    def leave_behind(self) -> None:
        """Listen no more to those who are still there."""
        self._stragglers.take(self.workers.values())
        for number, worker in self.workers.items():
            if number in self.running:
                left = self.running.pop(number)
                machine = worker.machine or "its machine"
                self._left_open.append(msgspec.structs.replace(left, machine=machine))
        self.workers.clear()

    def free_machines(self) -> list[MachineReleased]:
        """Give back the machines of those who were left behind; return what is to be said of each."""
        return self._stragglers.free_machines()

    def join(self) -> None:
        """Wait for the end of the threads of those who have ended."""
        deadline = time.monotonic() + JOIN_LIMIT
        for worker in self._ended:
            worker.join(deadline - time.monotonic())

    def left_open(self) -> list[LeftOpen]:
        """Return the attempts that nobody saw the end of."""
        return [*self._left_open, *self.running.values()]

    def _employ(
        self,
        number: int,
        pool: MachinePool,
        factory: Callable[[], Provisioner],
        heritage: Heritage | None = None,
    ) -> None:
        tenure = Tenure(
            number,
            platform=self._kinds[pool.platform],
            suite=self._suites[pool.platform],
            pack=self._asked.packs[pool.platform],
            factory=factory,
            shared=self._shared,
            heritage=heritage,
        )
        worker = Worker(tenure)
        worker.start()  # where that is not possible nobody waits for him
        self.workers[number] = worker
