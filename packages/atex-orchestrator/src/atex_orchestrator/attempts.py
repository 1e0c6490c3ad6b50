"""Attempts at tests on one machine, by the policy of its pool, and what tests ask for.

Threads: add() and mark() are called by one of the executor's, add() only while a test runs; all else by the worker's.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from atex_executor import (
    AddedTest,
    Executor,
    OpenAttempt,
    RunOutcome,
    SinkError,
    close_attempt,
)
from atex_fmf import Test
from atex_provision import Machine

from atex_orchestrator.events import MachineMarked
from atex_orchestrator.results import FinalRecord
from atex_orchestrator.settings import Shared


class Attempts:
    """Runs tests one after the other, and hands on what they ask for."""

    def __init__(
        self,
        worker: int,
        platform: str,
        shared: Shared,
        *,
        broken: Callable[[Exception], None],
    ) -> None:
        """Run them for this worker; `broken` takes what keeps a wish from being written down."""
        self.test: Test | None = None
        """That runs, or ran last."""
        self.record: FinalRecord | None = None
        """How the last one ended."""
        self._worker = worker
        self._platform = platform
        self._shared = shared
        self._broken = broken
        self._attempt = 0

    def run(self, machine: Machine, executor: Executor, test: Test, attempt: int) -> RunOutcome:
        """Run a test, whose final record is written and handed out when this returns. Raises what the policy raises."""
        self.test, self._attempt = test, attempt
        policy = self._shared.policy
        outcome = policy.run_test(machine, executor, test, self._shared.sink, attempt)
        self._hand_out(test, outcome.record)
        return outcome

    def resume(self, executor: Executor, test: Test, left: OpenAttempt) -> RunOutcome:
        """Go on with what a process that was killed left open; else like run()."""
        self.test, self._attempt = test, left.begun.attempt
        outcome = executor.resume(test, self._shared.sink, left)
        self._hand_out(test, outcome.record)
        return outcome

    def close(self, test: Test, left: OpenAttempt, note: str) -> FinalRecord:
        """Return the record, `infra`, of what was left open and can not go on. Raises SinkError."""
        return self._hand_out(test, close_attempt(self._shared.sink, left, note))

    def _hand_out(self, test: Test, record: dict[str, Any]) -> FinalRecord:
        self.record = msgspec.convert(record, FinalRecord)
        self._shared.policy.output_result(test, self.record)
        return self.record

    def add(self, asked: AddedTest) -> None:
        """The test that runs asks for one more run of a test: write that down, then say it."""
        if self.test is None:
            raise RuntimeError(f"nothing runs that could ask for {asked.test}")
        try:
            event = self._shared.added.add(
                asked,
                worker=self._worker,
                platform=self._platform,
                by=self.test,
                attempt=self._attempt,
            )
        except OSError as error:
            self._broken(SinkError(f"a test can not be added: {error.strerror}"))
        else:
            self._shared.emit(event)

    def mark(self, machine: Machine, name: str, value: str) -> None:
        """A test or a phase marks the machine: write that down, then say it."""
        machine.marks[name] = value
        event = MachineMarked(
            worker=self._worker,
            platform=self._platform,
            machine=machine.name,
            name=name,
            value=value,
        )
        try:
            self._shared.write(event)
        except OSError as error:
            self._broken(SinkError(f"a mark can not be noted: {error.strerror}"))
        else:
            self._shared.emit(event)
