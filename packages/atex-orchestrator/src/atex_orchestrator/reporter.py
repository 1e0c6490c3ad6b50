"""What is said of one machine, as events, by whoever gets it, prepares it and uses it.

They are put in the queue by his thread, and while a machine is reserved by the provisioner's (`coming`).
"""

import logging
from collections.abc import Callable

from atex_executor import PhaseFailed, RunOutcome
from atex_executor.records import timestamp
from atex_fmf import Test
from atex_provision import Lease, Moment, ProvisionError

from atex_orchestrator.events import (
    During,
    Event,
    MachineComing,
    MachineFailed,
    MachineIncomplete,
    MachineKept,
    MachineOccupied,
    TestFinished,
)

LONGEST_REASON = 1000  # characters; each test that is given up for it repeats it

_log = logging.getLogger(__name__)


class Reporter:
    """Says what becomes of one machine."""

    def __init__(self, worker: int, platform: str, emit: Callable[[Event], None]) -> None:
        """Say it by `emit`, as the worker of this number, counted from 1."""
        self.machine: str | None = None
        """Its name in this run, once there is one."""
        self._worker = worker
        self._platform = platform
        self._emit = emit
        self._told = ""  # how it comes, last

    def say(self, kind: Callable[..., Event], **facts: object) -> None:
        """Put an event of this machine in the queue."""
        self._emit(
            kind(worker=self._worker, platform=self._platform, machine=self.machine, **facts)
        )

    def coming(self, moment: Moment, words: str) -> None:
        """Say how it comes, each thing once: who waits asks again and again."""
        if words == self._told:
            return
        self._told = words
        _log.info("%s: %s", moment, words)
        self._emit(
            MachineComing(worker=self._worker, platform=self._platform, moment=moment, words=words)
        )

    def occupied(self, reason: str) -> None:
        """Say who else uses it."""
        self.say(MachineOccupied, reason=reason)

    def failed(self, during: During, error: BaseException | str) -> None:
        """Say that it failed; of a phase, with what it printed last."""
        output = ""
        tail: tuple[str, ...] = ()
        if isinstance(error, PhaseFailed):
            output, tail = error.output, error.tail
        self.say(
            MachineFailed,
            during=during,
            reason=in_a_line(error),
            permanent=isinstance(error, ProvisionError) and error.permanent,
            output=output,
            tail=tail,
        )

    def incomplete(self, failure: PhaseFailed) -> None:
        """Say that packages of tests can not be installed on it, which is tolerated."""
        self.say(MachineIncomplete, reason=failure.reason, output=failure.output, tail=failure.tail)

    def tested(self, test: Test, attempt: int, outcome: RunOutcome) -> None:
        """Say how a test ended that was started there."""
        self.say(
            TestFinished,
            test=test.name,
            serial=test.serial,
            attempt=attempt,
            status=outcome.status,
            seconds=round(outcome.seconds, 3),
            exit_code=outcome.exit_code,
            note=outcome.note,
            agent_died=outcome.agent_died,
            unstarted=not outcome.started,
        )

    def kept(self, lease: Lease, test: str) -> None:
        """Say that it is kept by this lease, as `test` left it."""
        self.say(
            MachineKept,
            test=test,
            login=lease.login,
            lease=lease.name,
            until=timestamp(lease.ends),
        )


def in_a_line(error: BaseException | str) -> str:
    """Return the reason that an error gives, as a line that is not too long."""
    if isinstance(error, PhaseFailed):
        return error.reason
    return " ".join(str(error).split())[:LONGEST_REASON] or type(error).__name__
