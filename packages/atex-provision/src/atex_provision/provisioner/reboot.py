"""A reboot of a machine, by a command that it runs itself.

Boots are told apart by the boot id (random(4)) and by when process 1 was started: a container has
its kernel's boot id for ever, but a process 1 of its own.
"""

import shlex
import time
from collections.abc import Callable

from atex_provision.connection.base import Connection
from atex_provision.errors import ConnectionLost, ConnectTimeout, ProvisionError
from atex_provision.provisioner.connecting import pauses
from atex_provision.provisioner.reset import what_it_said

ANSWER_TIME = 60.0  # seconds

# What stands in parentheses in /proc/1/stat may have spaces: see proc(5), field 22.
_WHICH_BOOT = (
    "cat /proc/sys/kernel/random/boot_id && sed 's/.*) //' /proc/1/stat | cut -d ' ' -f 20"
)


def reboot(
    connection: Connection, command: str, timeout: float, again: Callable[[str, float], None]
) -> None:
    """Has the machine, which is connected, run `command`, and waits until it is there again after
    another boot, for which it has `timeout` seconds. Afterwards it is connected.

    `again(why, seconds)` waits so long, or raises. Raises ProvisionError, and what `again` raises.
    """
    deadline = time.monotonic() + timeout
    before = _which_boot(connection)
    _order(connection, command, timeout)
    why = "it has not gone down yet"
    for pause in pauses():
        if time.monotonic() + pause >= deadline:
            break
        again(f"{connection.name}: {why}", pause)
        try:
            connection.close()
            connection.connect()
            now = _which_boot(connection)
            if now != before and len(now) == len(before):  # else the answer was cut short
                return
            why = "it has not gone down yet"
        # Also for a probe that failed: the shutdown ends it like everything else.
        except (ProvisionError, TimeoutError) as error:
            if isinstance(error, ProvisionError) and error.permanent:
                raise
            why = str(error)
    raise ConnectTimeout(f"{connection.name}: not back {timeout:g} s after its reboot: {why}")


def _which_boot(connection: Connection) -> list[bytes]:
    """What no other boot of the machine has: its id, and when process 1 was started if that can be
    seen.
    """
    answer = connection.run(f"sh -c {shlex.quote(_WHICH_BOOT)}", timeout=ANSWER_TIME)
    if answer.exit_code or not answer.stdout.strip():
        raise ProvisionError(
            f"{connection.name}: cannot tell its boots apart; {what_it_said(answer.stderr)}"
        )
    return answer.stdout.split()


def _order(connection: Connection, command: str, timeout: float) -> None:
    try:
        done = connection.run(command, timeout=min(ANSWER_TIME, timeout))
    except (ConnectionLost, TimeoutError):  # it goes down, or it may yet
        return
    if 0 < done.exit_code < 128:  # else a signal killed the shell: it goes down
        raise ProvisionError(
            f"{connection.name}: the reboot failed with exit code {done.exit_code};"
            f" {what_it_said(done.stdout + done.stderr)}"
        )
