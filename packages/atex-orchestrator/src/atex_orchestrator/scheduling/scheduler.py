"""Which machine does what next: events in, decisions out.

Pure: no clock, no threads, no I/O, so that it is tested and simulated without any of them. Whoever owns it carries
the decisions out, in their order, and says by events what came of them.

The rules: a free machine takes the next test that it may (choice.py), of its platform or of none, in the order of
their rank. Tests are tried again as `Rules` say (tries.py), on a machine that did not have them while another one takes
tests. Nobody waits for the last machine to come; no more machines are asked for than there are tests waiting; one that
nothing is left for is let go at once, but for as many as there are running tests that may come back. Each that is gone
leaves its slot to another one, which is asked for while tests wait; so many that fail before their first test in a
row, and each that can never be reserved, leave none; a platform without machines gives its waiting tests up. Every test
is decided upon: it is run, or given up.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from atex_fmf import Test

from atex_orchestrator.events import (
    Event,
    MachineExpired,
    MachineFailed,
    MachineNotKept,
    MachineReady,
    MachineReleased,
    TestFinished,
)
from atex_orchestrator.scheduling.decisions import (
    Decision,
    GiveUp,
    Pool,
    Release,
)
from atex_orchestrator.scheduling.dispatch import Dispatch
from atex_orchestrator.scheduling.hooks import Hooks
from atex_orchestrator.scheduling.keeping import Keeping
from atex_orchestrator.scheduling.rules import FAILURES, Rules
from atex_orchestrator.scheduling.staff import REPLACEMENTS, State, Worker
from atex_orchestrator.scheduling.staffing import Staffing
from atex_orchestrator.scheduling.tries import Job, Tries

WORTH_A_LOOK = ("fail", "error")  # statuses for which a machine may be kept


class Scheduler:
    """Decides for all platforms and pools of one run. Not thread-safe: one owner calls it.

    `now` is always the time in seconds since the epoch.
    """

    def __init__(
        self,
        tests: Mapping[str, Sequence[Test]],
        pools: Sequence[Pool],
        *,
        rules: Rules = Rules(),
        hooks: Hooks = Hooks(),
        anywhere: Sequence[Test] = (),
        rank: Callable[[str, Test], Any] | None = None,
        workers: int = 0,
    ) -> None:
        """Take the tests of each platform, and the pools, each of a known platform.

        `anywhere`: tests that are bound to no platform; a machine of any runs them. `rank(platform, test)` is a key by
        which tests are started, the smallest first, tests that are bound to none by `rank(ANY, test)`; ties, and all
        without it, in the order given. New workers are counted on from `workers`.
        """
        self._rules = rules
        self._hooks = hooks
        self._staff = Staffing(tests, anywhere, pools, rank, spares=rules.spares, workers=workers)
        self._dispatch = Dispatch(self._staff, rules, hooks)
        self._keeping = Keeping(self._staff, rules)
        self._failed = 0  # tests, in their last attempt
        self._started = False

    @property
    def done(self) -> bool:
        """Whether nothing is left to decide: every test was, and every worker has ended."""
        return not self._staff.workers and not any(
            waiting.count for waiting in self._staff.all_waiting()
        )

    def tries(self, platform: str, serial: int) -> Tries:
        """Return what is known of the attempts at a test, as before the event in hand. Raises KeyError."""
        job = self._staff.waiting(platform).jobs[serial]
        return Tries(attempts=job.attempts, failures=job.failures, infra=job.infra)

    # What a process that is gone left behind, before start():

    def restore(
        self,
        platform: str,
        serial: int,
        finished: Sequence[TestFinished],
        *,
        attempts: int,
        given_up: bool = False,
    ) -> None:
        """Take over what became of a test (`platform` ANY: of one bound to none), as if it had come now.

        `finished`: the attempts that count, in their order; `attempts`: the number of the last one that there was.
        `given_up`: no further one follows. Raises KeyError for a test that there is not.
        """
        job = self._staff.waiting(platform).jobs[serial]
        again = not given_up
        for event in finished:
            again = job.ended(event, self._rules, self._hooks) and not given_up
        job.attempts = max(job.attempts, attempts)
        if not again and job.waits:
            job.home.take(job)
            self._failed += bool(finished) and finished[-1].status in FAILURES

    def adopt(self, number: int, pool: int, running: tuple[Test, int] | None = None) -> None:
        """Take over a worker of this pool, by its number; it runs this attempt at a test, or nothing.

        MachineReady comes of it, as of any, and TestFinished of what it runs without a Run.
        """
        worker = self._staff.adopt(number, pool)
        if running is not None:
            test, attempt = running
            waiting = worker.platform.waiting
            jobs = waiting.jobs if test.serial in waiting.jobs else self._staff.anywhere.jobs
            job = jobs[test.serial]
            job.attempts = max(job.attempts, attempt)
            worker.platform.arrived(worker)
            self._dispatch.occupy(worker, job)

    def note_kept(self, platform: str) -> None:
        """A machine of this platform is kept already."""
        self._keeping.note_kept(platform)

    # What whoever owns the run wants:

    def start(self, now: float) -> list[Decision]:
        """Return the first decisions of the run."""
        self._started = True
        self._check_fail_fast()
        return self._dispatch.decided(now)

    def stop(self, reason: str) -> list[Decision]:
        """Give up every waiting test; from here on nothing is started or asked for."""
        self._staff.end("infra", reason)
        return self._staff.take_decisions()

    def add(self, platform: str, test: Test, now: float) -> list[Decision]:
        """Schedule one more test of this platform (ANY: of none); its serial is new."""
        self._dispatch.put(self._staff.add(platform, test), now)
        return self._dispatch.decided(now) if self._started else []

    def dismiss(self, number: int, now: float) -> list[Decision]:
        """Use this worker's machine no more and replace it; what runs there is expected to end."""
        worker = self._staff.workers.get(number)
        if worker is not None:
            self._is_over(worker)
        return self._dispatch.decided(now)

    def abandon(self, platform: str, serial: int, reason: str, now: float) -> list[Decision]:
        """Start no further attempt at this test; where it was never started it is given up for this reason.

        Raises KeyError for a test that there is not.
        """
        job = self._staff.waiting(platform).jobs[serial]
        job.abandoned = True
        if job.waits:
            job.home.take(job)
            if not job.attempts:
                self._staff.decide(GiveUp(platform, (job.test,), reason))
        return self._dispatch.decided(now)

    def handle(self, event: Event, now: float) -> list[Decision]:
        """Return what follows from `event`; nothing from one that changes nothing, or of a worker long gone."""
        workers = self._staff.workers
        match event:
            case TestFinished() if worker := workers.get(event.worker):
                self._finished(worker, event, now)
            case MachineReady() if worker := workers.get(event.worker):
                self._ready(worker, event)
            case MachineFailed() if worker := workers.get(event.worker):
                self._machine_failed(worker, event)
            case MachineExpired() if worker := workers.get(event.worker):
                self._is_over(worker)
            case MachineNotKept() if worker := workers.get(event.worker):
                self._keeping.not_kept(worker)
            case MachineReleased() if worker := workers.get(event.worker):
                self._gone(worker, now)
            case _:
                return []
        return self._dispatch.decided(now, worker.platform)

    # What happened to a machine:

    def _ready(self, worker: Worker, event: MachineReady) -> None:
        worker.lease_end = event.lease_end
        if worker.state is not State.COMING:
            return  # it runs something, or was let go too late
        if worker.is_spare and not self._staff.is_ending and not worker.platform.stand_in(worker):
            worker.platform.stand_by(worker)
        else:
            self._staff.arrived(worker)

    def _finished(self, worker: Worker, event: TestFinished, now: float) -> None:
        job = worker.job
        if job is None:
            return
        worker.platform.vacate(worker)
        self._count(job, worker, event, now)
        is_spoilt = worker.state is not State.LEAVING and self._is_spoilt(job, event)
        if event.status in WORTH_A_LOOK and self._keeping.may_keep(worker):
            worker.is_over |= is_spoilt
            self._keeping.keep(worker)
        elif worker.state is State.LEAVING:
            self._staff.decide(Release(worker.number))
        elif is_spoilt:
            self._staff.let_go(worker)
        else:
            self._staff.freed(worker)

    def _count(self, job: Job, worker: Worker, event: TestFinished, now: float) -> None:
        """Let the test be tried again, or leave it at this."""
        if self._staff.is_ending:
            return
        if job.ended(event, self._rules, self._hooks):
            if worker.takes_tests:
                job.tried |= {worker.number}
                worker.tried.append(job)
            self._dispatch.put(job, now)
        elif event.status in FAILURES:
            self._failed += 1
            self._check_fail_fast()

    def _machine_failed(self, worker: Worker, event: MachineFailed) -> None:
        if worker.state is State.LEAVING:
            return
        platform = worker.platform
        platform.failures.append(event)
        is_lost = event.permanent and event.during == "reserve"
        if worker.is_fresh and not is_lost:
            is_lost = platform.failed_in_a_row >= REPLACEMENTS
            platform.failed_in_a_row += 1
        waits_for_orders = worker.state in (State.IDLE, State.SPARE)
        self._staff.leave(worker, returns=not is_lost)
        if waits_for_orders:
            self._staff.decide(
                Release(worker.number)
            )  # others leave by themselves, or after their test

    def _is_over(self, worker: Worker) -> None:
        """Nothing is started there any more, and it is nothing to keep."""
        worker.is_over = True
        if worker.state not in (State.LEAVING, State.KEPT):
            self._staff.let_go(worker)

    def _gone(self, worker: Worker, now: float) -> None:
        job = worker.job
        self._staff.gone(worker)
        if job is not None and not self._staff.is_ending and not job.abandoned:
            job.infra += 1  # nobody said how it ended
            if job.infra <= self._rules.infra_retries:
                self._dispatch.put(job, now)

    def _is_spoilt(self, job: Job, event: TestFinished) -> bool:
        if event.unstarted:
            return False
        if self._hooks.destructive is not None:
            return self._hooks.destructive(job.test, event)
        return self._rules.spoils(job.test, event.status)

    def _check_fail_fast(self) -> None:
        limit = self._rules.fail_fast
        if limit and self._failed >= limit:
            tests = "1 test" if limit == 1 else f"{limit} tests"
            self._staff.end("skip", f"{tests} failed: nothing more is started (fail-fast)")
