"""The messages between the host and the agent, as the host sees them.

One tagged union per direction: `AgentMessage` is what an agent says (facts, in the past tense), `HostMessage`
what a host says (orders). Each is the head of a frame (`sut/framing.py`); where a message has a tail, its docstring
says what is in it. docs/protocol.md tells the same as a story. The agent itself has no Structs (it is
standard library only); tests/contract/ holds the two ends equal.

Nothing here does I/O, all of it is immutable, and any thread may use it.
"""

from math import inf

import msgspec

from atex_sut_agent.sut.framing import (
    MAGIC,
    MAX_CHUNK,
    MAX_HEAD,
    MAX_TAIL,
    PROTOCOL,
    FrameError,
    FrameReader,
    pack,
)
from atex_sut_agent.sut.settings import SLOT_NAME
from atex_sut_agent.sut.settings import Settings as Defaults

__all__ = [
    "MAGIC",
    "MAX_CHUNK",
    "MAX_HEAD",
    "MAX_TAIL",
    "PROTOCOL",
    "Acknowledge",
    "Again",
    "AgentMessage",
    "Alive",
    "Busy",
    "Bye",
    "Cancel",
    "Clock",
    "Cut",
    "Dropped",
    "End",
    "Exited",
    "Failed",
    "FileChunk",
    "FrameError",
    "FrameReader",
    "GoingDown",
    "HangUp",
    "Hello",
    "HostMessage",
    "Lengths",
    "Marked",
    "Noted",
    "Output",
    "Restarting",
    "Results",
    "RunMessage",
    "Settings",
    "Start",
    "Started",
    "Superseded",
    "Sync",
    "TestAdded",
    "decode_agent_message",
    "encode_host_message",
]


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    pass


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """How a run stands with its time."""

    used: float  # seconds of its limit
    limit: float  # seconds
    # (used, limit) at each `duration save` that was not restored, the oldest first
    saved: tuple[tuple[float, float], ...] = ()


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A file that has (or keeps only) its first `length` bytes. `name` is that of the result, "" the test itself.

    In Dropped, `length` is None for a file that no result has listed: it is removed.
    """

    name: str
    file: str
    length: int | None


# What an agent says ----------------------------------------------------------------------------------------


class Hello(_Message, frozen=True, kw_only=True, tag="hello"):
    """The first frame after MAGIC on each attachment. Not numbered."""

    protocol: int
    session: str
    incarnation: str  # random, one per life of the daemon
    order: int  # the highest order it knows; it ignores any that is not higher
    run: int | None  # the run that goes on now, or whose end is not acknowledged yet
    key: str = ""  # that run's, as its Start had it
    frame: int  # the number of the next new frame; what is below and not acknowledged follows now
    folder: str  # of the session, on the machine; the tree belongs into its folder `tree`
    archive: str  # where the agent's own archive lies
    python: str  # path of the interpreter
    python_version: str
    pid: int
    user: str
    boot_id: str = ""
    uptime: float = 0.0  # seconds
    init_started: int = 0  # PID 1's start, in clock ticks after boot
    missing: tuple[str, ...] = ()  # what this machine's python lacks, "ctypes" for instance
    last_words: str = ""  # how an earlier incarnation of this session died, where it left word


class Busy(_Message, frozen=True, kw_only=True, tag="busy"):
    """Said instead of Hello, then the connection ends: another session has this slot of the machine. Not numbered."""

    owner: str  # as it called itself
    since: float  # seconds since 1970
    session: str
    test: str = ""  # that it runs, or ran last
    note: str = ""  # what is being done about it, where it is told to make way


class Alive(_Message, frozen=True, kw_only=True, tag="alive"):
    """Sent by both sides at least every 15 seconds. Not numbered."""

    left: float | None = (
        None  # said by an agent that has a run: seconds until its limit and its grace have passed
    )


class Superseded(_Message, frozen=True, kw_only=True, tag="superseded"):
    """A newer attachment took the session; whoever reads this does not reconnect. Not numbered."""


class GoingDown(_Message, frozen=True, kw_only=True, tag="going-down"):
    """The daemon got SIGTERM: the machine shuts down. No exit of a test after this is a verdict. Not numbered."""


class Bye(_Message, frozen=True, kw_only=True, tag="bye"):
    """The session is over and removed, nothing follows. Not numbered."""

    reason: str


class Started(_Message, frozen=True, kw_only=True, tag="started"):
    """The run's process exists."""

    run: int
    pid: int


class Output(_Message, frozen=True, kw_only=True, tag="output"):
    """Tail: bytes of the run's stdout+stderr, at `offset` bytes from its beginning."""

    run: int
    offset: int


class FileChunk(_Message, frozen=True, kw_only=True, tag="file"):
    """Tail: bytes of `file` of the result `name` ("" is the test itself), at `offset` bytes in that file."""

    run: int
    name: str
    file: str
    offset: int
    before: int | None = (
        None  # bytes that it had before this result; None: no result has listed it yet
    )


class Results(_Message, frozen=True, kw_only=True, tag="results"):
    """Tail: one or many results, a line of JSON each, numbered `first`, `first + 1` ... within the run.

    A result that has files comes alone. `before` then says of each file, in the order of their first mention, what
    FileChunk says.
    """

    run: int
    first: int
    before: tuple[int | None, ...] = ()


class Dropped(_Message, frozen=True, kw_only=True, tag="dropped"):
    """A result stayed unfinished: its files are cut back to what they were before it."""

    run: int
    cuts: tuple[Cut, ...]
    note: str


class Noted(_Message, frozen=True, kw_only=True, tag="noted"):
    """A remark about the run, for the log."""

    run: int
    note: str


class Sync(_Message, frozen=True, kw_only=True, tag="sync"):
    """A client waits until all frames before this one are safe on disk: the acknowledgement of this one says so."""

    run: int


class Restarting(_Message, frozen=True, kw_only=True, tag="restarting"):
    """The test announced that it takes the machine down. Acknowledged once that is noted; then its doors close."""

    run: int
    clock: Clock
    patience: float | None = None  # seconds that it gives the machine to come back


class Marked(_Message, frozen=True, kw_only=True, tag="marked"):
    """The test leaves a mark on this machine."""

    run: int
    name: str
    value: str


class TestAdded(_Message, frozen=True, kw_only=True, tag="test-added"):
    """The test asks for one more run of a test, anywhere in the pool; for the `number`th time, counted from 1."""

    run: int
    number: int
    test: str
    environment: dict[str, str]


class Exited(_Message, frozen=True, kw_only=True, tag="exited"):
    """The run is over. The last frame of each run that was started."""

    run: int
    exit_code: (
        int | None
    )  # what the test asked for by `exitcode`, else the process's; None: killed by a signal
    signal: int | None  # that killed the process
    ended_by: str  # "itself", "limit", "cancel", "linger", "abort", "restart" (by HangUp)
    seconds: float  # from start to the end of the process
    limit: float  # seconds, as it stood at the end
    note: str | None = None  # of `abort`
    error: str | None = None  # the first reason why a door of the control file was closed
    left_behind: int = 0  # processes that SIGKILL could not end


class Failed(_Message, frozen=True, kw_only=True, tag="failed"):
    """The run could not be started. The last frame of such a run."""

    run: int
    reason: str


# What it says of a run: each has its number. All are numbered frames, and only they are.
RunMessage = (
    Started
    | Output
    | FileChunk
    | Results
    | Dropped
    | Noted
    | Sync
    | Restarting
    | Marked
    | TestAdded
    | Exited
    | Failed
)
AgentMessage = Hello | Alive | Busy | Superseded | GoingDown | Bye | RunMessage


# What a host says ------------------------------------------------------------------------------------------


class Acknowledge(_Message, frozen=True, kw_only=True, tag="acknowledge"):
    """All frames up to `frame` are applied: the agent forgets them. Not numbered."""

    frame: int


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run goes on that was started before, on this machine, and announced a restart."""

    clock: Clock  # the time away included
    results: int  # that it has sent
    output: int  # bytes
    added: int = 0  # runs of tests that it has asked for


class Lengths(_Message, frozen=True, kw_only=True, tag="lengths"):
    """Files that the run which the next Start starts again has sent already. Any number of these may precede it."""

    files: tuple[Cut, ...]


class Start(_Message, frozen=True, kw_only=True, tag="start"):
    """Start a run; its id is the number of this frame. Ends in Exited or Failed."""

    script: str  # the whole text of the file that /bin/bash runs
    folder: str  # absolute, where it runs
    environment: dict[str, str]
    limit: float  # seconds
    grace: float  # seconds between SIGINT and SIGKILL when the limit has passed
    test: str = ""  # the test's name, by which names of results are shortened; "": it is no test, but a phase
    key: str = ""  # by which a host that did not start it knows it again
    defaults: dict[str, str] = {}  # variables that yield to the plan's environment file
    metadata: str = ""  # text for the file TMT_TEST_METADATA
    tty: bool = False  # it gets a terminal
    again: Again | None = None


class Cancel(_Message, frozen=True, kw_only=True, tag="cancel"):
    """End `run`: SIGINT, after `grace` seconds SIGKILL. Again with less grace: sooner."""

    run: int
    grace: float = 5.0


class HangUp(_Message, frozen=True, kw_only=True, tag="hang-up"):
    """End what is left of `run`, which announced a restart: SIGHUP, after `grace` seconds SIGKILL."""

    run: int
    grace: float = 5.0


class End(_Message, frozen=True, kw_only=True, tag="end"):
    """End the session: kill what runs, remove its folder, say Bye, exit."""


HostMessage = Acknowledge | Alive | Lengths | Start | Cancel | HangUp | End


MAX_OWNER = 200  # characters


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a session's daemon is told when it is started; a later attach changes none of it. Part of a command line,
    so nothing secret. Defaults are the agent's own. Raises ValueError for what no daemon could be told.
    """

    slot: str = Defaults.slot  # the session is the only one in this slot of the machine
    owner: str = Defaults.owner  # who asks, in words for others that want the slot
    take_over: bool = Defaults.take_over  # end the session that has the slot, as on timeout
    linger: float = Defaults.linger  # seconds without a host until the session ends
    beat: float = Defaults.beat  # seconds between signs of life
    silence: float = (
        Defaults.silence
    )  # seconds without a byte from the host until it counts as gone
    memory: int = Defaults.memory  # bytes of unacknowledged frames
    spool: int = Defaults.spool  # bytes of them on the machine's disk, behind those

    def __post_init__(self) -> None:
        if not SLOT_NAME.match(self.slot):
            raise ValueError(
                f"{self.slot!r} is no name of a slot: it takes 1 to 32 letters, digits, dots, underscores and dashes"
            )
        if len(self.owner) > MAX_OWNER or not self.owner.isprintable():
            raise ValueError(f"an owner's words are at most {MAX_OWNER} printable characters")
        for name in ("linger", "beat", "silence", "memory"):
            if not 0 < getattr(self, name) < inf:
                raise ValueError(f"{name} has to be more than 0")
        if self.spool < 0:
            raise ValueError("spool can not be less than 0")


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AgentMessage] = msgspec.json.Decoder(AgentMessage)


def encode_host_message(message: HostMessage, number: int = 0) -> bytes:
    """Return the frame of `message`; `number` is above 0 for orders (Lengths, Start, Cancel, HangUp, End).

    Bytes that are no UTF-8 (in a script, an environment), decoded with "surrogateescape", arrive as they were.
    """
    try:
        return pack(number, _encoder.encode(message))
    except UnicodeEncodeError:
        return pack(number, msgspec.to_builtins(message))


def decode_agent_message(head: bytes) -> AgentMessage:
    """Return the message in a frame's head. Raises FrameError where it is none that this version knows."""
    try:
        return _decoder.decode(head)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"the agent sent a message that is none: {error}") from error
