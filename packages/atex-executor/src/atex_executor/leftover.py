"""Sessions that another process left on a machine, and that nobody goes on with."""

from contextlib import suppress

from atex_provision import Connection

from atex_executor.attachment import Launch
from atex_executor.errors import MachineBusy, SessionGone
from atex_executor.session import Session
from atex_executor.settings import agent_settings
from atex_executor.times import Times


def discard(
    connection: Connection,
    session: str,
    *,
    times: Times = Times(),
    become: bool = False,
    python: str | None = None,
    work: str | None = None,
) -> str | None:
    """End a session that another process left on a machine, and all that it runs; return None, or what may be left.

    One that is not there any more is no error. `connection` stays the caller's. `become`, `python`, `work`: as for the
    Executor that began it. Takes the time of two farewells at most. Raises AgentUnavailable and ProvisionError.
    """
    launch = Launch(python=python, work=work, become=become, settings=agent_settings(times))
    leaving = Session(connection, launch, times, session=session)
    with suppress(SessionGone, MachineBusy):  # somebody else's by now
        leaving.start()
    return leaving.close()
