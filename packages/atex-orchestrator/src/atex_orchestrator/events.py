"""What happens in a pool, as typed facts: one Struct a kind, in the past tense.

The worker of a machine puts them in the orchestrator's queue; its owner thread feeds them to the scheduler, appends
them to the run folder's `events.jsonl` (a line each, the kind under `event`) and hands them to who listens.
"""

import time
from collections.abc import Callable
from typing import Literal

import msgspec
from atex_executor.records import timestamp
from atex_provision import Facts, Holder, Moment

ANY = "any"  # the platform of tests that are bound to none, as long as they did not run

During = Literal["reserve", "start", "prepare", "resume", "test", "finish", "keep"]


def now() -> str:
    """Return this moment as the run folder has it: UTC, to the millisecond, as `2026-11-20T15:04:05.123Z`."""
    return timestamp(time.time())


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", omit_defaults=True):
    time: str = msgspec.field(default_factory=now)  # when it happened, see now()


class RunStarted(_Event, frozen=True, kw_only=True, tag="run-started"):
    """The run folder is open and nothing is reserved yet."""

    tests: int  # over all platforms
    holder: Holder | None = None  # the process: of its leases


class RunResumed(_Event, frozen=True, kw_only=True, tag="run-resumed"):
    """Another process goes on with the run, whose process was killed, or stopped it."""

    tests: int  # over all platforms
    decided: int = 0  # those of them that have a verdict
    holder: Holder | None = None


class RunStopping(_Event, frozen=True, kw_only=True, tag="run-stopping"):
    """Somebody asked to stop: no test is started from here on, running ones are cancelled."""

    reason: str
    at_once: bool = False  # the second time: nobody waits


class RunEnded(_Event, frozen=True, kw_only=True, tag="run-ended"):
    """Every test has its final record; the last line of a run that ended by itself or was stopped."""

    reason: str | None = None  # why it was stopped; None: it came to its end


class TestsGivenUp(_Event, frozen=True, kw_only=True, tag="given-up"):
    """These tests will not be started; each has its record with this reason."""

    platform: str
    serials: tuple[int, ...]
    reason: str
    status: Literal["infra", "skip"] = "infra"


class TestAborted(_Event, frozen=True, kw_only=True, tag="aborted"):
    """Somebody wants no more of this test. Comes before the attempt that runs, if there is one, is cancelled."""

    platform: str  # "any": it is bound to none
    serial: int
    reason: str


class OfWorker(_Event, frozen=True, kw_only=True):
    """What all events of a machine have."""

    worker: int  # counted from 1; a worker has one machine, from the request to the release
    platform: str


class MachineRequested(OfWorker, frozen=True, kw_only=True, tag="requested"):
    """A worker set out to get a machine."""

    pool: str


class MachineComing(OfWorker, frozen=True, kw_only=True, tag="coming"):
    """What is being done to get the machine."""

    moment: Moment  # before the request, in a queue, while it boots, while it is connected to
    words: str


class MachineReserved(OfWorker, frozen=True, kw_only=True, tag="reserved"):
    """The machine is ours; the agent and the tree are not on it yet."""

    machine: str
    facts: Facts = Facts()
    lease: str = ""  # its name, where it has one


class MachineDiffers(OfWorker, frozen=True, kw_only=True, tag="differs"):
    """The machine is not what the tests of its platform were chosen for. Each difference is told once of a platform."""

    machine: str
    reason: str


class MachineOccupied(OfWorker, frozen=True, kw_only=True, tag="occupied"):
    """Somebody else uses the machine; it is waited for."""

    machine: str
    reason: str  # who, since when, and for what


class MachineIncomplete(OfWorker, frozen=True, kw_only=True, tag="incomplete"):
    """Packages of tests can not be installed on the machine, which is used nevertheless."""

    machine: str
    reason: str  # a line: what failed, and what follows
    output: str = ""  # the file with what was printed, below `files/`
    tail: tuple[str, ...] = ()  # its last lines


class MachineReady(OfWorker, frozen=True, kw_only=True, tag="ready"):
    """Prepared: it waits for its first test."""

    machine: str
    session: str  # names the agent's session, which another process may attach to
    lease_end: float | None = None  # seconds since the epoch; None: it has none


class MachineMarked(OfWorker, frozen=True, kw_only=True, tag="marked"):
    """A test or a phase left a mark on the machine. Written before the test or the phase goes on."""

    machine: str
    name: str
    value: str


class TestStarted(OfWorker, frozen=True, kw_only=True, tag="started"):
    """A test was handed to a machine."""

    machine: str
    test: str
    serial: int
    attempt: int


class TestFinished(OfWorker, frozen=True, kw_only=True, tag="finished"):
    """A test that was started has its final record in `results.jsonl`."""

    machine: str
    test: str
    serial: int
    attempt: int
    status: str
    seconds: float
    note: str | None = None
    exit_code: int | None = None
    agent_died: bool = False  # under it, on a machine that lives
    unstarted: bool = (
        False  # its script never ran: what it requires can not be installed, for instance
    )


class TestAdded(OfWorker, frozen=True, kw_only=True, tag="added"):
    """A running test asked for one more test, which waits for a machine."""

    test: str
    serial: int  # of the new one
    environment: dict[str, str] = {}
    by_serial: int  # the test that asked
    by_attempt: int
    number: int  # how many-th it asked for, counted from 1


class MachineLeaving(OfWorker, frozen=True, kw_only=True, tag="leaving"):
    """No test will be started there any more. Comes before finish begins, and the machine is given back."""

    machine: str


class MachineFailed(OfWorker, frozen=True, kw_only=True, tag="failed"):
    """The machine takes no more tests. Comes before the TestFinished of the test that was running there."""

    machine: str | None  # None: it was not even reserved
    during: During
    reason: str  # a line
    permanent: bool = (
        False  # the next one would fail as well: there is no machine, or no such image, say
    )
    output: str = ""  # of a phase that failed: the file with what it printed, below `files/`
    tail: tuple[str, ...] = ()  # its last lines


class MachineExpired(OfWorker, frozen=True, kw_only=True, tag="expired"):
    """Its lease has ended: it takes no more tests. Comes before the TestFinished of the one that was running there."""

    machine: str


class MachineKept(OfWorker, frozen=True, kw_only=True, tag="kept"):
    """The machine stays reserved when the run is over, as this test left it; `finish` did not run there."""

    machine: str
    test: str
    login: str  # the command by which a human gets in
    lease: str  # its name
    until: str  # as now() writes it


class MachineNotKept(OfWorker, frozen=True, kw_only=True, tag="not-kept"):
    """The machine of a failed test can not be kept: it goes on, as if that had not been wanted."""

    machine: str
    reason: str


class MachineReleased(OfWorker, frozen=True, kw_only=True, tag="released"):
    """The worker has ended; nothing of it is used any more. The last event of each, but for MachineFreed."""

    machine: str | None = None
    left: str | None = None  # why processes of ours may still be there; None: there are none
    held: str | None = None  # why it could not be given back; None: it was


class MachineFreed(OfWorker, frozen=True, kw_only=True, tag="freed"):
    """What was held when the worker ended could be given back after all, when the run was over: nothing is left."""

    machine: str | None = None


Event = (
    RunStarted
    | RunResumed
    | RunStopping
    | RunEnded
    | TestsGivenUp
    | TestAborted
    | MachineRequested
    | MachineComing
    | MachineReserved
    | MachineDiffers
    | MachineOccupied
    | MachineIncomplete
    | MachineReady
    | MachineMarked
    | TestStarted
    | TestFinished
    | TestAdded
    | MachineLeaving
    | MachineFailed
    | MachineExpired
    | MachineKept
    | MachineNotKept
    | MachineReleased
    | MachineFreed
)

Listener = Callable[[Event], None]
