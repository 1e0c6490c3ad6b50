"""`Executor`: one machine, one suite."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Self

from atex_fmf import Suite, Test
from atex_provision import Connection, ProvisionError
from atex_sut_agent import unpack_command
from atex_sut_agent.protocol import Hello

from atex_executor.attachment import Launch
from atex_executor.attempts import Attempts, RunOutcome
from atex_executor.errors import ExecutorError, PhaseFailed, SinkError
from atex_executor.masking import Mask
from atex_executor.pack import Pack
from atex_executor.phases import PHASE_LIMIT, Phases, check_plan
from atex_executor.places import tree_folder
from atex_executor.preparation import Lacking, Preparation
from atex_executor.resume import OpenAttempt
from atex_executor.session import Session
from atex_executor.settings import agent_settings
from atex_executor.sink import Sink
from atex_executor.times import Times
from atex_executor.upload import Upload
from atex_executor.wishes import OnAddTest, OnMark, ignore_addtest, ignore_mark

_CANCEL_GRACE = 5.0  # seconds between SIGINT and SIGKILL

_log = logging.getLogger(__name__)


class Executor:
    """Runs phases and tests of `suite` on the machine that `connection` reaches.

    `start()`, `prepare()`, any number of `run()` in any order, `finish()`, `close()`: one after the other, in any
    thread. `cancel()`, `cancel_run()`, `close()` and the properties may be called from any other thread at any time. As
    a context manager: started inside, closed afterwards. The connection stays the caller's.
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
        session: str | None = None,
        on_mark: OnMark = ignore_mark,
        on_addtest: OnAddTest = ignore_addtest,
        on_busy: Callable[[str], None] | None = None,
        times: Times = Times(),
        slot: str = "0",
        take_over: bool = False,
        become: bool = False,
        python: str | None = None,
        work: str | None = None,
        pack: Pack | None = None,
    ) -> None:
        """Take what it needs, and do nothing yet.

        `platform` and `machine` are names for records and folders. `environment` and `secrets` are variables for all
        that runs; secrets are written down nowhere. `grace`: seconds between SIGINT and SIGKILL for a test whose time
        is up. `session`: goes on with a session that another process left, instead of a new one. `on_mark` takes the
        name and the value of a mark that a test or a phase leaves on the machine, `on_addtest` a further run of a test
        that is asked for; a thread of the executor's calls them, and they must not raise. `on_busy` takes in words who
        has the machine, while `start()` waits for it. `times`: how long to wait
        for what. `slot`: of a machine that takes several tests at a time, the one to use; `take_over`: who has it is
        ended as on timeout, and not waited for. `become`: the agent and the tests run as root, by `sudo -n`. `python`,
        `work`: the interpreter and the work folder there, instead of those that the agent finds. `pack`: of the suite's
        trees, shared with other executors, and the caller's; without it they are read for this machine alone.

        Raises ValueError for what can be no name of a slot.
        """
        self._connection = connection
        self.suite = suite
        """What it runs."""
        self._machine = machine
        self._pack = pack
        self._variables = {**environment, **secrets}
        self._become = become
        settings = agent_settings(times, slot=slot, take_over=take_over)
        launch = Launch(python=python, work=work, become=become, settings=settings)
        self._session = Session(connection, launch, times, session=session, on_busy=on_busy)
        self._adopted = session is not None
        mask = Mask(secrets.values())
        self._phases = Phases(
            self._session,
            suite.plan,
            self._variables,
            mask=mask,
            platform=platform,
            machine=machine,
            on_mark=on_mark,
        )
        self._preparation = Preparation(self._phases, suite)
        self._attempts = Attempts(
            self._session,
            suite,
            self._variables,
            platform=platform,
            machine=machine,
            grace=grace,
            mask=mask,
            on_mark=on_mark,
            on_addtest=on_addtest,
        )
        self._lock = threading.Lock()  # guards the rest
        self._tree = ""  # on the machine, once it is there
        self._connecting = False
        self._uploading: Upload | None = None
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
        """Connect, start the agent, bring the tree; or attach to the session that another process left.

        What was begun is taken back where that fails; a session that could not be looked at is left as it is.

        Raises UnsupportedPhase before anything is done, AgentUnavailable, MachineBusy among them, UploadFailed,
        PackFailed among them, SessionGone, MachineLost, ProvisionError, TimeoutError, and ExecutorError when cancelled.
        """
        check_plan(self.suite.plan)
        try:
            if self._adopted:
                hello = self._connect()
            else:
                with nullcontext(self._pack) if self._pack else Pack(self.suite) as pack:
                    pack.start()  # while the machine is being reached
                    hello = self._connect()
                    self._bring_trees(hello, pack)
            with self._lock:
                self._check_cancelled()
                self._tree = tree_folder(hello)
        except BaseException as error:
            self.close()
            if isinstance(error, ExecutorError | ProvisionError):
                with self._lock:
                    self._check_cancelled()
            raise

    def prepare(self, sink: Sink) -> tuple[PhaseFailed, ...]:
        """Run the plan's prepare phases, and among them install what the tests require and recommend.

        Each script and each installation has an hour. Where packages of tests can not be installed, that is
        not raised but returned: `run()` tries those of its test.

        Raises PhaseFailed for the first phase of the plan that fails, or any that is cancelled, MachineLost, SinkError.
        """
        return self._preparation.run(sink, self._tree)

    def run(self, test: Test, sink: Sink, *, attempt: int = 1) -> RunOutcome:
        """Run one test and record it into `sink`; its final record is there when this returns, and is its last.

        What it requires, and is not known to be installed, is installed first; where that fails the record is "infra",
        and the machine as good as before.

        Raises SinkError where it can not be begun in the journal or that record not be written, or not what an
        installation prints (the record, "infra", has the error's words then), and nothing for what the test or the
        machine does.
        """
        refusal = self._refusal()
        if refusal is not None:
            return self._attempts.refuse(test, sink, attempt, refusal)
        with self._turn_of(test, attempt):
            lacking = self._bring_packages(test, sink, attempt)
            if lacking is not None:
                return self._attempts.refuse(test, sink, attempt, lacking.note, lacking.files)
            return self._attempts.run(test, sink, self._tree, attempt)

    def resume(self, test: Test, sink: Sink, left: OpenAttempt) -> RunOutcome:
        """Go on with an attempt at `test` that another process left open, in this session; else like `run()`.

        What its agent has to tell since is recorded, each thing once. Where the run never began, it begins now; where
        its agent died with it, it ends as infra, or starts again if it had announced a restart.
        """
        refusal = self._refusal()
        if refusal is not None:
            return self._attempts.give_up(test, sink, left, refusal)
        with self._turn_of(test, left.begun.attempt):
            return self._attempts.resume(test, sink, self._tree, left)

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
        if connecting and not self._session.give_up_start():
            self._connection.close()
        if uploading is not None:
            uploading.give_up()

    def cancel_run(self, test: Test, note: str, *, attempt: int = 1, at_once: bool = False) -> None:
        """End this attempt at `test` as `cancel()` does, or let it not begin; others are not affected.

        Any thread, any time. Waits for nothing.
        """
        grace = 0.0 if at_once else _CANCEL_GRACE
        self._session.cancel(note, grace, turn=(test.serial, attempt))

    def close(self) -> None:
        """End the agent and what it runs, remove its folder there. Total; `left` says if the machine did not confirm.

        Takes about half a minute at most. Any thread, any number of times.
        """
        left = self._session.close()
        with self._lock:
            self._left = left
        if left is not None:
            _log.warning("%s", left)

    @contextmanager
    def _turn_of(self, test: Test, attempt: int) -> Iterator[None]:
        """What is run meanwhile is this attempt's, for `cancel_run()`."""
        self._session.take_turn((test.serial, attempt))
        try:
            yield
        finally:
            self._session.take_turn(None)

    def _bring_packages(self, test: Test, sink: Sink, attempt: int) -> Lacking | None:
        try:
            return self._preparation.bring(test, sink, self._tree, attempt)
        except BaseException as error:  # the attempt has its record nevertheless
            note = str(error) if isinstance(error, SinkError) else "interrupted on the host"
            self._attempts.refuse(test, sink, attempt, note)
            raise

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

    def _bring_trees(self, hello: Hello, pack: Pack) -> None:
        with self._connection.open(unpack_command(hello, become=self._become)) as channel:
            upload = Upload(channel, pack, self._connection.name)
            with self._lock:
                self._check_cancelled()
                self._uploading = upload
            try:
                upload.run()
            finally:
                with self._lock:
                    self._uploading = None

    def _check_cancelled(self) -> None:
        """With `_lock` held."""
        if self._cancelled is not None:
            raise ExecutorError(f"{self._machine}: {self._cancelled}")

    def _refusal(self) -> str | None:
        with self._lock:
            if self._cancelled is not None:
                return self._cancelled
            if not self._tree:
                return "the machine is not ready"
        return self._session.out_of_use
