"""Single tests, on one machine: from the order to the final record."""

import os
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from atex_fmf import Suite, Test
from atex_sut_agent.protocol import Start

from atex_executor.ending import Ending, infra
from atex_executor.environment import environment_of_test, metadata_text
from atex_executor.errors import SinkError
from atex_executor.journal import Attempt
from atex_executor.masking import Mask
from atex_executor.phases import STRICT
from atex_executor.places import place_of_test
from atex_executor.recorder import Recorder
from atex_executor.records import timestamp, unstarted_record
from atex_executor.restart import Announced
from atex_executor.resume import OpenAttempt
from atex_executor.running import Begun, Job
from atex_executor.session import Session
from atex_executor.sink import Sink
from atex_executor.wishes import OnAddTest, OnMark


class RunOutcome(msgspec.Struct, frozen=True):
    """How an attempt at a test ended."""

    status: str
    note: str | None
    exit_code: int | None
    started: str
    """Like 2026-11-20T15:04:05.123Z; empty where it was not started."""
    seconds: float
    machine_lost: bool
    """Whether nothing can run on the machine any more, finish phases neither."""
    machine_usable: bool
    """Whether the machine takes another test: it is not lost, and no test took it out of use (`abort`)."""
    agent_died: bool
    """Whether the agent was killed under it, on a machine that lives: worth one more attempt, whatever else is set
    (spec/AGENT.md, "A run")."""
    sink_error: SinkError | None
    """What kept the sink from taking what the test said, a full disk for instance; the next test fares no better."""
    record: dict[str, Any]
    """The final record, as it is in the sink."""


class Attempts:
    """Runs tests of `suite` in a session, and records them.

    `variables` are those of the run, `mask` knows the secrets among them.
    """

    def __init__(
        self,
        session: Session,
        suite: Suite,
        variables: dict[str, str],
        *,
        platform: str,
        machine: str,
        grace: float,
        mask: Mask,
        on_mark: OnMark,
        on_addtest: OnAddTest,
    ) -> None:
        self._session = session
        self._plan = suite.plan
        self._names = frozenset(test.name for test in suite.tests)
        self._variables = variables
        self._platform = platform
        self._machine = machine
        self._grace = grace
        self._mask = mask
        self._on_mark = on_mark
        self._on_addtest = on_addtest

    def run(self, test: Test, sink: Sink, tree: str, attempt: int) -> RunOutcome:
        """Run `test` in `tree`, the folder on the machine. Raises as `Executor.run()`."""
        begun = Attempt.of(
            test,
            platform=self._platform,
            machine=self._machine,
            attempt=attempt,
            started=timestamp(time.time()),
            session=self._session.id,
            incarnation=self._session.incarnation,
            key=os.urandom(8).hex(),
        )
        return self._see_through(test, sink, tree, begun, None)

    def resume(self, test: Test, sink: Sink, tree: str, left: OpenAttempt) -> RunOutcome:
        """Go on with what another process left. Raises as `Executor.resume()`."""
        for name, value in left.marks.items():
            self._on_mark(name, value)  # it may have been killed before it did
        return self._see_through(test, sink, tree, left.begun, left)

    def refuse(
        self, test: Test, sink: Sink, attempt: int, note: str, files: Sequence[str] = ()
    ) -> RunOutcome:
        """Record that `test` was not started; `files` say more. Raises SinkError."""
        record = unstarted_record(test, self._platform, "infra", note, attempt, files)
        sink.records([record])
        return self._outcome(record, "", 0.0)

    def give_up(self, test: Test, sink: Sink, left: OpenAttempt, note: str) -> RunOutcome:
        """Record that what another process left does not go on. Raises SinkError."""
        record = close_attempt(sink, left, note)
        return self._outcome(record, left.begun.started, _age(left.begun))

    def _see_through(
        self, test: Test, sink: Sink, tree: str, begun: Attempt, left: OpenAttempt | None
    ) -> RunOutcome:
        recorder = Recorder(
            sink,
            left or begun,
            tests=self._names,
            mask=self._mask,
            on_mark=self._on_mark,
            on_addtest=self._on_addtest,
        )
        job = Job(partial(self._order, test, tree, begun), recorder)
        known = None if left is None else _known(left)
        clock = time.monotonic() - _age(begun) if left else time.monotonic()
        ending = infra("interrupted on the host")
        try:
            ending = self._session.run(job, known)
        finally:
            seconds = time.monotonic() - clock if ending.seconds is None else ending.seconds
            record = recorder.close(ending, seconds=seconds)
            self._session.recorded()
        return self._outcome(record, begun.started, seconds, ending)

    def _outcome(
        self, record: dict[str, Any], started: str, seconds: float, ending: Ending | None = None
    ) -> RunOutcome:
        return RunOutcome(
            status=record["status"],
            note=record.get("note"),
            exit_code=record.get("exit_code"),
            started=started,
            seconds=seconds,
            machine_lost=self._session.lost is not None,
            machine_usable=self._session.out_of_use is None,
            agent_died=ending is not None and ending.agent_died,
            sink_error=None if ending is None else ending.sink_error,
            record=record,
        )

    def _order(self, test: Test, tree: str, begun: Attempt, restarts: int) -> Start:
        strict = "" if test.framework == "beakerlib" else STRICT
        return Start(
            script=f"{strict}{test.test}\n",
            folder=place_of_test(tree, test.tree, test.path),
            defaults=test.environment,
            environment=environment_of_test(
                test,
                self._plan,
                self._variables,
                tree,
                iteration=f"{self._session.id}-{test.serial}.{begun.attempt}",
                restarts=restarts,
            ),
            limit=test.duration,
            grace=self._grace,
            test=test.name,
            key=_key(begun, restarts),
            metadata=metadata_text(test),
            tty=test.tty,
        )


def close_attempt(sink: Sink, left: OpenAttempt, note: str) -> dict[str, Any]:
    """Write and return the final record, `infra`, of an attempt that another process left and nobody goes on with.

    Raises SinkError.
    """
    return Recorder(sink, left).close(infra(note), seconds=_age(left.begun))


def _known(left: OpenAttempt) -> Begun:
    """Return what the process that left it knew of its run."""
    announced = None
    if left.announced is not None:
        said = left.announced
        at = time.monotonic() - max(0.0, time.time() - said.at)
        announced = Announced(said.clock, said.patience, at)
    return Begun(
        incarnation=left.incarnation,
        key=_key(left.begun, left.restarts),
        restarts=left.restarts,
        announced=announced,
    )


def _key(begun: Attempt, restarts: int) -> str:
    """Return the key of a start, by which the agent knows it."""
    return f"{begun.key}-{restarts}"


def _age(begun: Attempt) -> float:
    """Return how many seconds ago it began."""
    return max(0.0, time.time() - datetime.fromisoformat(begun.started).timestamp())
