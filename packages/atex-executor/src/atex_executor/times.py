"""How long an executor waits for what: the long times, in one place, so that they can be short in a test."""

import msgspec


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """All in seconds; the defaults are those of spec/AGENT.md and spec/CONTROL_FILE.md.

    Raises ValueError where a host would be more patient than its agent: it could come back to a machine that
    somebody else has by then.
    """

    patience: float = 600.0
    """To reach a machine again before it counts as lost, and for a busy one to become free."""
    linger: float = 3600.0
    """Without a host, until an agent ends its test as on timeout, and its session."""
    settle: float = 15.0
    """An agent that was away after an announced restart has to stay attached so long before the test starts again, if
    the machine seems not to have booted: sshd takes logins while a machine goes down."""
    exit_wait: float = 60.0
    """For a machine to go down whose test announced that and ended; then its exit is the end."""
    beat: float = 15.0
    """Between two signs of life, on both sides."""
    silence: float = 45.0
    """Without a byte until a connection counts as lost, on both sides."""
    handshake: float = 60.0
    """For an agent to answer, from the login to its hello."""
    confirm: float = 10.0
    """For an agent to confirm that a cancelled run is over, on top of the run's grace."""
    farewell: float = 15.0
    """For an agent to confirm that its session is over."""
    overdue: float = 60.0
    """For an agent that shows signs of life to end a run, beyond what was left of its limit and its grace."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} can not be less than 0 seconds")
        if self.patience >= self.linger:
            raise ValueError(
                f"the host's patience ({self.patience:g} seconds) has to be smaller than the time for which an agent"
                f" lingers without a host ({self.linger:g} seconds)"
            )
