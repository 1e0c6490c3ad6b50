"""The messages between the host and the agent, as the host sees them.

One tagged union per direction: `AgentMessage` is what an agent says (facts, in the past tense), `HostMessage`
what a host says (orders). Each is the head of a frame (`sut/framing.py`); where a message has a tail, its docstring
says what is in it. docs/protocol.md tells the same as a story. The agent itself has no Structs (it is
standard library only); tests/contract/ holds the two ends equal.

Nothing here does I/O, all of it is immutable, and any thread may use it.
"""

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

__all__ = [
    "MAGIC",
    "MAX_CHUNK",
    "MAX_HEAD",
    "MAX_TAIL",
    "PROTOCOL",
    "Acknowledge",
    "AgentMessage",
    "Alive",
    "Bye",
    "Cancel",
    "Cut",
    "Dropped",
    "End",
    "Exited",
    "Failed",
    "FileChunk",
    "FrameError",
    "FrameReader",
    "GoingDown",
    "Hello",
    "HostMessage",
    "Noted",
    "Output",
    "Results",
    "Start",
    "Started",
    "Superseded",
    "decode_agent_message",
    "encode_host_message",
]


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    pass


# What an agent says ----------------------------------------------------------------------------------------


class Hello(_Message, frozen=True, kw_only=True, tag="hello"):
    """The first frame after MAGIC on each attachment. Not numbered."""

    protocol: int
    session: str
    incarnation: str  # random, one per life of the daemon
    order: int  # the highest order it knows; it ignores any that is not higher
    run: int | None  # the run that goes on now
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


class Alive(_Message, frozen=True, kw_only=True, tag="alive"):
    """Sent by both sides at least every 15 seconds. Not numbered."""


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


class Results(_Message, frozen=True, kw_only=True, tag="results"):
    """Tail: one or many results, a line of JSON each, numbered `first`, `first + 1` ... within the run."""

    run: int
    first: int


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """A file that keeps only its first `length` bytes."""

    name: str
    file: str
    length: int


class Dropped(_Message, frozen=True, kw_only=True, tag="dropped"):
    """A result stayed unfinished: its files are cut back to what they were before it."""

    run: int
    cuts: tuple[Cut, ...]
    note: str


class Noted(_Message, frozen=True, kw_only=True, tag="noted"):
    """A remark about the run, for the log."""

    run: int
    note: str


class Exited(_Message, frozen=True, kw_only=True, tag="exited"):
    """The run is over. The last frame of each run that was started."""

    run: int
    exit_code: (
        int | None
    )  # what the test asked for by `exitcode`, else the process's; None: killed by a signal
    signal: int | None  # that killed the process
    ended_by: str  # "itself", "limit", "cancel", "linger"
    seconds: float  # from start to the end of the process
    limit: float  # seconds, as it stood at the end
    error: str | None = None  # the first reason why a door of the control file was closed
    left_behind: int = 0  # processes that SIGKILL could not end


class Failed(_Message, frozen=True, kw_only=True, tag="failed"):
    """The run could not be started. The last frame of such a run."""

    run: int
    reason: str


AgentMessage = (
    Hello
    | Alive
    | Superseded
    | GoingDown
    | Bye
    | Started
    | Output
    | FileChunk
    | Results
    | Dropped
    | Noted
    | Exited
    | Failed
)


# What a host says ------------------------------------------------------------------------------------------


class Acknowledge(_Message, frozen=True, kw_only=True, tag="acknowledge"):
    """All frames up to `frame` are applied: the agent forgets them. Not numbered."""

    frame: int


class Start(_Message, frozen=True, kw_only=True, tag="start"):
    """Start a run; its id is the number of this frame. Ends in Exited or Failed."""

    script: str  # the whole text of the file that /bin/bash runs
    folder: str  # absolute, where it runs
    environment: dict[str, str]
    limit: float  # seconds
    grace: float  # seconds between SIGINT and SIGKILL when the limit has passed
    test: str = ""  # the test's name, by which names of results are shortened


class Cancel(_Message, frozen=True, kw_only=True, tag="cancel"):
    """End `run`: SIGINT, after `grace` seconds SIGKILL. Again with less grace: sooner."""

    run: int
    grace: float = 5.0


class End(_Message, frozen=True, kw_only=True, tag="end"):
    """End the session: kill what runs, remove its folder, say Bye, exit."""


HostMessage = Acknowledge | Alive | Start | Cancel | End


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AgentMessage] = msgspec.json.Decoder(AgentMessage)


def encode_host_message(message: HostMessage, number: int = 0) -> bytes:
    """Return the frame of `message`; `number` is above 0 for orders (Start, Cancel, End).

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
