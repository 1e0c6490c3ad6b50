"""What the user of a pool may decide otherwise: methods of `Orchestrator` to override.

What a method raises is a bug of the run: it is stopped as by abort(), and run() raises it when all is settled. From
run_test(), though, the errors of atex_provision and atex_executor, and TimeoutError, are the machine's: it is replaced.
"""

from collections.abc import Callable, Sequence

from atex_executor import Executor, RunOutcome, Sink
from atex_fmf import Test
from atex_provision import Machine

from atex_orchestrator.results import FinalRecord
from atex_orchestrator.scheduling import Rules


class Policy:
    """The decisions of a pool, each with its default.

    All but run_test() and output_result() are called in run()'s thread, which decides nothing else meanwhile: they
    should be quick. One that is not overridden costs nothing; applicable(), fitness() and next_test() are otherwise
    called for each waiting test of the platform whenever a machine gets free.

    A `machine` is what its provisioner handed out: name, facts, `marks` (of tests, and of whoever wants to remember
    something), lease, and the `platform` that it was reserved for. A test may come again: `test.serial` is its own.
    """

    def __init__(self, rules: Rules) -> None:
        """Decide by `rules` where nothing is overridden."""
        self.rules = rules
        self._failures_before: Callable[[FinalRecord], int] = lambda record: record.attempt - 1

    def applicable(self, test: Test, machine: Machine) -> bool:
        """Whether `test` may ever run on this machine; by default every test of its platform.

        A machine that no test is applicable to is given back; a test that no machine takes gets an `infra` record.
        """
        return True

    def fitness(self, test: Test, machine: Machine) -> float:
        """How well `test` suits this machine as it is now; by default 0 for all.

        The highest is started next, among equals the first in the order of the run. `-math.inf`: not here and now.
        """
        return 0.0

    def next_test(self, machine: Machine, tests: Sequence[Test]) -> Test | None:
        """Choose the next test for this machine among those that may start on it, which are in the order of the run.

        By default the fittest. None: the machine is given back, and no other one is asked for in its place.
        """
        return max(tests, key=lambda test: self.fitness(test, machine), default=None)

    def run_test(
        self, machine: Machine, executor: Executor, test: Test, sink: Sink, attempt: int
    ) -> RunOutcome:
        """Run `test` on a machine that is its alone, and return what `executor.run()` does; by default nothing else.

        In a thread of this machine's: it may take its time, and run commands by `machine.connection` before and after.
        """
        return executor.run(test, sink, attempt=attempt)

    def destructive(self, test: Test, record: FinalRecord, machine: Machine) -> bool:
        """Whether the machine is spoilt by what ran there: it is given back, and another one asked for.

        By default as `destructive=` of the Orchestrator says; not called of a test that was not even started.
        """
        return self.rules.spoils(test, record.status)

    def should_rerun(self, test: Test, record: FinalRecord, machine: Machine) -> bool:
        """Whether a test that ended with `record` is run once more; by default one that failed, `reruns=` times.

        Not called of `infra`, which is retried apart from that (`infra_retries=`).
        """
        return self.rules.reruns_after(record.status, self.failures_before(record))

    def failures_before(self, record: FinalRecord) -> int:
        """Return how many attempts at a test failed before the one that ended with `record`; for should_rerun()."""
        return self._failures_before(record)

    def count_by(self, failures_before: Callable[[FinalRecord], int]) -> None:
        """Let a run, which knows all attempts, answer failures_before(). Called by run()."""
        self._failures_before = failures_before

    def output_result(self, test: Test, record: FinalRecord) -> None:
        """Take the final record of an attempt, which is in the run folder; by default nothing is done.

        Once for each, in a thread of the machine where it ran; in run()'s for tests that were never started.
        """
