"""An agent's session on a leased machine: as long as there may be one its lease says so, for `atex gc` to look."""

import logging

from atex_executor import Executor
from atex_provision import Machine, Provisioner, ProvisionError, SessionNote

_log = logging.getLogger(__name__)


def note_session(
    provisioner: Provisioner, machine: Machine, executor: Executor, *, become: bool
) -> None:
    """Write the session into the lease, before `executor` is started. Raises ProvisionError."""
    provisioner.note_session(SessionNote(executor.session, become=become, python=machine.python))


def close_session(provisioner: Provisioner, executor: Executor) -> str | None:
    """End the session; return why processes may be left there. Then the lease goes on to name it."""
    executor.close()
    if executor.left is None:
        try:
            provisioner.forget_session(executor.session)
        except ProvisionError as error:  # who looks for it will find that it is gone
            _log.warning("%s", error)
    return executor.left
