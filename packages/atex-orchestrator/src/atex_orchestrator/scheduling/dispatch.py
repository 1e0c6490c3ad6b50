"""Which machine takes a test, which waits for one to come back, and which is let go."""

from atex_orchestrator.scheduling.choice import Choice
from atex_orchestrator.scheduling.decisions import Decision, Run
from atex_orchestrator.scheduling.hooks import Hooks
from atex_orchestrator.scheduling.rules import Rules
from atex_orchestrator.scheduling.staff import Platform, State, Worker
from atex_orchestrator.scheduling.staffing import Staffing
from atex_orchestrator.scheduling.tries import Job


class Dispatch:
    """Brings tests that wait and machines that are free together."""

    def __init__(self, staff: Staffing, rules: Rules, hooks: Hooks) -> None:
        """Take who works, what waits, and what was decided."""
        self._staff = staff
        self._rules = rules
        self._hooks = hooks
        self._choice = Choice(hooks, staff.anywhere)

    def decided(self, now: float, only: Platform | None = None) -> list[Decision]:
        """Let free workers take tests, and staff what then waits; return all that was decided."""
        staff = self._staff
        while True:
            while staff.free:
                self._next(staff.free.pop(), now)
            if staff.recall():
                continue
            staff.settle(only)
            if not staff.free:
                return staff.take_decisions()

    def _next(self, worker: Worker, now: float) -> None:
        staff = self._staff
        if worker.state is not State.FREE:
            return  # it was let go in the meantime
        if staff.is_ending:
            staff.let_go(worker)
            return
        job = self._choice.for_worker(worker, now, staff.taking())
        if job is not None:
            self._run(worker, job)
            return
        if worker.is_fresh and not self._choice.is_free and not worker.declined:
            staff.refused(worker)
        if not worker.declined and self._may_rest(worker):
            worker.platform.rest(worker)
        else:
            staff.let_go(worker)

    def _run(self, worker: Worker, job: Job) -> None:
        job.attempts += 1
        worker.is_fresh = False
        worker.platform.failed_in_a_row = 0
        worker.platform.refusals.taken(worker.pool, job, worker.platform.slots)
        self.occupy(worker, job)
        self._staff.decide(Run(worker.number, job.test, job.attempts))

    def occupy(self, worker: Worker, job: Job) -> None:
        """Let a machine be busy with a test."""
        if job.waits:
            job.home.take(job)
        may_return = job.may_fail_again(self._rules, self._hooks)
        worker.platform.occupy(worker, job, may_return=may_return)

    def _may_rest(self, worker: Worker) -> bool:
        """Return whether more running tests may come back, and to this worker, than there are idle ones."""
        platform = worker.platform
        if platform.may_return <= len(platform.idle):
            return False
        if self._hooks.applicable is None:
            return True
        suited = sum(
            busy.counts and busy.job is not None and self._choice.suits(worker, busy.job)
            for busy in platform.busy
        )
        return suited > len(platform.idle)

    def put(self, job: Job, now: float) -> None:
        """Let a test wait, unless an idle worker takes it at once."""
        staff = self._staff
        if not staff.put(job):
            return
        for platform in staff.platforms_of(job.home):
            # Without hooks the first that did not have it has the longest lease of all who might take it.
            asked = len(job.tried) + 1 if self._choice.is_free else None
            for worker in platform.idle[:asked]:
                chosen = self._choice.for_worker(worker, now, staff.taking())
                if chosen is not None:
                    platform.wake(worker)
                    self._run(worker, chosen)
                    break
            if not job.waits:
                break
