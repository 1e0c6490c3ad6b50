"""The methods that a user's Orchestrator overrides, as the scheduler asks them: of workers, which have machines."""

from collections.abc import Mapping, Sequence
from typing import Any

from atex_fmf import Test
from atex_provision import Machine

from atex_orchestrator.events import TestFinished
from atex_orchestrator.policy import Policy
from atex_orchestrator.results import FinalRecord
from atex_orchestrator.scheduling import Hooks
from atex_orchestrator.worker import Worker


def hooks_of(policy: Policy, workers: Mapping[int, Worker]) -> Hooks:
    """Return what the class of `policy` has of its own; `workers` are those that have not ended, by number."""
    asked = _Asked(policy, workers)
    own: dict[str, Any] = {
        name: getattr(asked, name)
        for name in Hooks.__struct_fields__
        if getattr(type(policy), name) is not getattr(Policy, name)
    }
    return Hooks(**own)


class _Asked:
    def __init__(self, policy: Policy, workers: Mapping[int, Worker]) -> None:
        self._policy = policy
        self._workers = workers

    def applicable(self, worker: int, test: Test) -> bool:
        return self._policy.applicable(test, self._machine(worker))

    def fitness(self, worker: int, test: Test) -> float:
        return self._policy.fitness(test, self._machine(worker))

    def next_test(self, worker: int, tests: Sequence[Test]) -> Test | None:
        return self._policy.next_test(self._machine(worker), tests)

    def should_rerun(self, test: Test, finished: TestFinished) -> bool:
        if finished.worker not in self._workers:  # of a process that is gone, and so is its machine
            return self._policy.rules.reruns_after(finished.status, finished.attempt - 1)
        return self._policy.should_rerun(
            test, self._record(finished), self._machine(finished.worker)
        )

    def destructive(self, test: Test, finished: TestFinished) -> bool:
        return self._policy.destructive(
            test, self._record(finished), self._machine(finished.worker)
        )

    def _machine(self, worker: int) -> Machine:
        machine = self._workers[worker].borrowed
        if machine is None:
            raise RuntimeError(f"worker {worker} has no machine that could take a test")
        return machine

    def _record(self, finished: TestFinished) -> FinalRecord:
        record = self._workers[finished.worker].record
        if record is None:
            raise RuntimeError(f"worker {finished.worker} has run no test")
        return record
