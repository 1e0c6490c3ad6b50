"""What a session's agent is told when it is started."""

import os
import pwd
import socket

from atex_sut_agent.protocol import MAX_OWNER, Settings

from atex_executor.times import Times

SLOTS = "ATEX_SLOT"
"""A variable that, where it is set, the names of all slots begin with: several programs can use one machine at a time,
each as if it were alone there. Our own tests do."""


def agent_settings(times: Times, *, slot: str = "0", take_over: bool = False) -> Settings:
    """Return the settings of a session of ours. Raises ValueError for what can be no name of a slot."""
    family = os.environ.get(SLOTS)
    return Settings(
        slot=f"{family}.{slot}" if family else slot,
        owner=_owner(),
        take_over=take_over,
        linger=times.linger,
        beat=times.beat,
        silence=times.silence,
    )


def _owner() -> str:
    """Return who we are, in words for others that want the machine."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    words = f"{user}@{socket.gethostname()}, process {os.getpid()}"
    return "".join(letter for letter in words if letter.isprintable())[:MAX_OWNER]
