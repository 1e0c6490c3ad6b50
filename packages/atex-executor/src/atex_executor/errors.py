"""What can go wrong between a host and one machine, beyond what `atex_provision` raises for the connection itself."""


class ExecutorError(Exception):
    """The root of all errors of this package."""


class AgentUnavailable(ExecutorError):
    """The agent can not run on this machine: no usable python3, no work folder, a login that prints without end.

    You do not get this for a machine that can not be reached: that is a `CannotConnect` of atex_provision.
    """


class MachineBusy(AgentUnavailable):
    """Another session has this machine, or this slot of it; the message says whose, since when, and what it runs."""

    def __init__(self, words: str, session: str = "") -> None:
        """`session`: the name of that one, as far as it is known."""
        super().__init__(words)
        self.session = session


class SessionGone(ExecutorError):
    """There is no session with this name on the machine any more, or its tree is gone."""


class UploadFailed(ExecutorError):
    """The tree could not be brought to the machine: there is no room over there, say."""


class PackFailed(UploadFailed):
    """The tree can be brought to no machine: a file here can not be read, or there is no room to pack it."""


class UnsupportedPhase(ExecutorError):
    """The plan has a phase of a kind (`how`) that is not supported; nothing was started."""


class PhaseFailed(ExecutorError):
    """A script of prepare or finish failed, ran longer than it may, or was cancelled. The machine is still there."""

    def __init__(
        self,
        reason: str,
        *,
        status: str = "fail",
        output: str = "",
        tail: tuple[str, ...] = (),
    ) -> None:
        """`reason` names machine and phase; `output` is the file with what it printed, `tail` its last lines."""
        super().__init__(f"{reason}; its output is in files/{output}" if output else reason)
        self.reason = reason
        """One line: which phase failed on which machine, and how."""
        self.status = status
        """As of a test: "infra" where the script is not to blame, "error" where its time was up, else "fail"."""
        self.output = output
        """The file, below `files/` of a run folder; empty where it did not begin."""
        self.tail = tail
        """The last lines that the script printed; of a machine that nobody trusts."""


class MachineLost(ExecutorError):
    """The machine can not be used any more: it is unreachable, or its agent is gone or can not be trusted.

    Tests never raise this, their outcome says it (`RunOutcome.machine_lost`).
    """


class ProtocolBroken(MachineLost):
    """The machine sent what an agent never sends. Nothing more is read from it."""


class SinkError(ExecutorError):
    """Results can not be stored: the run folder can not be written. Not the machine's fault, nor the test's."""


class SinkFull(SinkError):
    """The same, because the host's disk (or a quota) is full. What was written before is whole."""


class FileRefused(SinkError):
    """One file can not be stored under its name, others can: a folder has that name, or it is too long."""
