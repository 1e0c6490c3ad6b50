"""`Executor`: one machine, one suite."""

import logging
import os
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
from atex_fmf import Suite, Test
from atex_provision import Channel, Connection, ProvisionError
from atex_sut_agent import unpack_command
from atex_sut_agent.protocol import Hello, Start

from atex_executor.attachment import Launch
from atex_executor.ending import infra
from atex_executor.environment import environment_of_test, metadata_text
from atex_executor.errors import ExecutorError
from atex_executor.journal import Attempt
from atex_executor.phases import PHASE_LIMIT, STRICT, Phases, check_plan
from atex_executor.reception import tree_folder
from atex_executor.recorder import Recorder
from atex_executor.records import timestamp, unstarted_record
from atex_executor.running import Job
from atex_executor.session import Session
from atex_executor.settings import agent_settings
from atex_executor.sink import Sink
from atex_executor.times import Times
from atex_executor.upload import upload

_CANCEL_GRACE = 5.0  # seconds between SIGINT and SIGKILL

_log = logging.getLogger(__name__)


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
    record: dict[str, Any]
    """The final record, as it is in the sink."""


class Executor:
    """Runs phases and tests of `suite` on the machine that `connection` reaches.

    `start()`, `prepare()`, any number of `run()` in any order, `finish()`, `close()`: one after the other, in any
    thread. `cancel()`, `close()` and the properties may be called from any other thread at any time. As a context
    manager: started inside, closed afterwards. The connection stays the caller's.
    """

    def __init__(
        self,
        connection: Connection,
        suite: Suite,
        *,
        platform: str = "local",
        machine: str = "local",
        environment: Mapping[str, str] = {},
        secrets: Mapping[str, str] = {},
        grace: float = 300.0,
        times: Times = Times(),
        slot: str = "0",
        take_over: bool = False,
        become: bool = False,
        python: str | None = None,
        work: str | None = None,
    ) -> None:
        """Take what it needs, and do nothing yet.

        `platform` and `machine` are names for records and folders. `environment` and `secrets` are variables for all
        that runs; secrets are written down nowhere. `grace`: seconds between SIGINT and SIGKILL for a test whose time
        is up. `times`: how long to wait for what. `slot`: of a machine that takes several tests at a time, the one to
        use; `take_over`: who has it is ended as on timeout, and not waited for. `become`: the agent and the tests run
        as root, by `sudo -n`. `python`, `work`: the interpreter and the work folder there, instead of those that the
        agent finds. Raises ValueError for what can be no name of a slot.
        """
        self._connection = connection
        self.suite = suite
        """What it runs."""
        self._names = frozenset(test.name for test in suite.tests)
        self._platform = platform
        self._machine = machine
        self._variables = {**environment, **secrets}
        self._grace = grace
        self._become = become
        settings = agent_settings(times, slot=slot, take_over=take_over)
        launch = Launch(python=python, work=work, become=become, settings=settings)
        self._session = Session(connection, launch, times)
        self._phases = Phases(
            self._session, suite.plan, self._variables, platform=platform, machine=machine
        )
        self._lock = threading.Lock()  # guards the rest
        self._tree = ""  # on the machine, once it is there
        self._connecting = False
        self._uploading: Channel | None = None
        self._cancelled: str | None = None
        self._left: str | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Can this machine take another test?"""
        with self._lock:
            usable = bool(self._tree) and self._cancelled is None
        return usable and self._session.out_of_use is None

    @property
    def left(self) -> str | None:
        """After `close()`: in words, what may be left on the machine and until when. None: nothing is."""
        with self._lock:
            return self._left

    @property
    def session(self) -> str:
        """The name of the agent's session: 32 hexadecimal digits, by which it can be attached to."""
        return self._session.id

    def start(self) -> None:
        """Connect, start the agent, bring the tree. What was begun is taken back where that fails.

        Raises UnsupportedPhase before anything is done, AgentUnavailable, MachineBusy among them, UploadFailed,
        MachineLost, ProvisionError, and ExecutorError when cancelled.
        """
        check_plan(self.suite.plan)
        self._warn_of_requirements()
        try:
            hello = self._connect()
            self._bring_tree(hello)
            with self._lock:
                self._check_cancelled()
                self._tree = tree_folder(hello)
        except BaseException as error:
            self.close()
            if isinstance(error, ExecutorError | ProvisionError):
                with self._lock:
                    self._check_cancelled()
            raise

    def prepare(self, sink: Sink) -> None:
        """Run the plan's prepare phases, each script for an hour at most.

        Raises PhaseFailed for the first script that fails or is cancelled, MachineLost, SinkError.
        """
        self._phases.prepare(sink, self._tree)

    def run(self, test: Test, sink: Sink, *, attempt: int = 1) -> RunOutcome:
        """Run one test and record it into `sink`; its final record is there when this returns, and is its last.

        Raises SinkError where it can not be begun in the journal or that record not be written, and nothing for what
        the test or the machine does.
        """
        refusal = self._refusal()
        if refusal is not None:
            return self._refuse(test, sink, attempt, refusal)
        key = os.urandom(8).hex()
        started = timestamp(time.time())
        begun = Attempt.of(
            test,
            platform=self._platform,
            machine=self._machine,
            attempt=attempt,
            started=started,
            session=self._session.id,
            incarnation=self._session.incarnation,
            key=key,
        )
        recorder = Recorder(sink, begun, tests=self._names)
        clock = time.monotonic()
        ending = infra("interrupted on the host")
        try:
            ending = self._session.run(Job(partial(self._order, test, attempt, key), recorder))
        finally:
            seconds = time.monotonic() - clock if ending.seconds is None else ending.seconds
            record = recorder.close(ending, seconds=seconds)
            self._session.recorded()
        return RunOutcome(
            status=record["status"],
            note=record.get("note"),
            exit_code=record.get("exit_code"),
            started=started,
            seconds=seconds,
            machine_lost=self._session.lost is not None,
            machine_usable=self._session.out_of_use is None,
            record=record,
        )

    def finish(self, sink: Sink, *, limit: float = PHASE_LIMIT) -> None:
        """Run all of the plan's finish phases, within `limit` seconds altogether; also after `cancel()`.

        Raises PhaseFailed afterwards if one failed or was cancelled; MachineLost, SinkError.
        """
        self._session.allow()
        self._phases.finish(sink, self._tree, limit)

    def cancel(self, note: str, *, at_once: bool = False) -> None:
        """End what runs now and refuse later runs; `note` says why, for the records.

        SIGINT, five seconds, SIGKILL; or SIGKILL at once. A second call can only make it sooner. Waits for nothing.
        Any thread, any time: a `start()` that is going on is cut off.
        """
        with self._lock:
            self._cancelled = self._cancelled or note
            connecting, uploading = self._connecting, self._uploading
        self._session.cancel(note, 0.0 if at_once else _CANCEL_GRACE)
        if connecting:
            self._session.give_up_start()
            self._connection.close()
        if uploading is not None:
            uploading.close()

    def close(self) -> None:
        """End the agent and what it runs, remove its folder there. Total; `left` says if the machine did not confirm.

        Takes about half a minute at most. Any thread, any number of times.
        """
        left = self._session.close()
        with self._lock:
            self._left = left
        if left is not None:
            _log.warning("%s", left)

    # Starting --------------------------------------------------------------------------------------------

    def _connect(self) -> Hello:
        with self._lock:
            self._check_cancelled()
            self._connecting = True
        try:
            return self._session.start()
        finally:
            with self._lock:
                self._connecting = False

    def _bring_tree(self, hello: Hello) -> None:
        with self._connection.open(unpack_command(hello, become=self._become)) as channel:
            with self._lock:
                self._check_cancelled()
                self._uploading = channel
            try:
                upload(channel, Path(self.suite.root), self._connection.name)
            finally:
                with self._lock:
                    self._uploading = None

    def _check_cancelled(self) -> None:
        """With `_lock` held."""
        if self._cancelled is not None:
            raise ExecutorError(f"{self._machine}: {self._cancelled}")

    def _warn_of_requirements(self) -> None:
        needy = [test.name for test in self.suite.tests if test.require]
        if needy:
            _log.warning(
                "%s: packages that tests require are not installed yet by this version: %d tests, %s among them",
                self._machine,
                len(needy),
                needy[0],
            )

    # Tests -----------------------------------------------------------------------------------------------

    def _order(self, test: Test, attempt: int, key: str, restarts: int) -> Start:
        strict = "" if test.framework == "beakerlib" else STRICT
        return Start(
            script=f"{strict}{test.test}\n",
            folder=f"{self._tree}{test.path}".rstrip("/"),
            defaults=test.environment,
            environment=environment_of_test(
                test,
                self.suite.plan,
                self._variables,
                self._tree,
                iteration=f"{self._session.id}-{test.serial}.{attempt}",
                restarts=restarts,
            ),
            limit=test.duration,
            grace=self._grace,
            test=test.name,
            key=f"{key}-{restarts}",
            metadata=metadata_text(test),
            tty=test.tty,
        )

    def _refusal(self) -> str | None:
        with self._lock:
            if self._cancelled is not None:
                return self._cancelled
            if not self._tree:
                return "the machine is not ready"
        return self._session.out_of_use

    def _refuse(self, test: Test, sink: Sink, attempt: int, note: str) -> RunOutcome:
        record = unstarted_record(test, self._platform, "infra", note, attempt)
        sink.records([record])
        return RunOutcome(
            status="infra",
            note=note,
            exit_code=None,
            started="",
            seconds=0.0,
            machine_lost=self._session.lost is not None,
            machine_usable=self._session.out_of_use is None,
            record=record,
        )
