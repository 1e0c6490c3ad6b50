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
    unstarted_record,
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
        broken: Callable[[BaseException], None],
        left: tuple[Test, OpenAttempt] | None = None,
    ) -> None:
        """Run them for this worker, and first what a process that was killed `left` open there.

        `broken` takes what is no machine's doing: of the run folder, or of the policy.
        """
        self.test: Test | None = None
        """That runs, or ran last."""
        self.attempt = 0
        self.is_open = False
        """Whether it has begun, and not ended."""
        self.record: FinalRecord | None = None
        """How the last one ended."""
        self.left: OpenAttempt | None = None
        """Of the test, until somebody goes on with it."""
        self._worker = worker
        self._platform = platform
        self._shared = shared
        self._broken = broken
        if left is not None:
            test, self.left = left
            self._begin(test, self.left.begun.attempt)

    def run(self, machine: Machine, executor: Executor, test: Test, attempt: int) -> RunOutcome:
        """Run a test, whose final record is written and handed out when this returns.

        Raises what the policy's run_test() does: there may be a record or not, close() settles that.
        """
        self._begin(test, attempt)
        policy = self._shared.policy
        outcome = policy.run_test(machine, executor, test, self._shared.sink, attempt)
        self._end(test, outcome.record)
        return outcome

    def resume(self, executor: Executor, test: Test, left: OpenAttempt) -> RunOutcome:
        """Go on with what was left open; else like run()."""
        outcome = executor.resume(test, self._shared.sink, left)
        self._end(test, outcome.record)
        return outcome

    def close(self, test: Test, note: str) -> FinalRecord:
        """End what nobody goes on with; return the record that it has already, or else gets: `infra`, with this note.

        Raises SinkError, OSError.
        """
        if self.left is not None:
            return self._end(test, close_attempt(self._shared.sink, self.left, note))
        known = self._shared.final(self._platform, test.serial, self.attempt)
        if known is not None:
            return self._end(test, msgspec.to_builtins(known))
        record = unstarted_record(test, self._platform, "infra", note, self.attempt)
        self._shared.sink.records([record])
        return self._end(test, record)

    def _begin(self, test: Test, attempt: int) -> None:
        self.test, self.attempt, self.is_open = test, attempt, True

    def _end(self, test: Test, record: dict[str, Any]) -> FinalRecord:
        self.is_open, self.left = False, None
        self.record = final = msgspec.convert(record, FinalRecord)
        try:
            self._shared.policy.output_result(test, final)
        except BaseException as error:  # whatever it is, the attempt has ended
            self._broken(error)
        return final

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
                attempt=self.attempt,
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
