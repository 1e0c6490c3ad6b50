"""How machines are prepared that are held for later: by the executor, as `atex run` does it, but with no test.

The agent's session is closed afterwards; what the plan's phases did to the machine stays.
"""

import logging
from collections.abc import Callable, Mapping

import msgspec
from atex_executor import Executor, Pack, PhaseFailed, Sink
from atex_fmf import Suite
from atex_provision import Machine, Provisioner, ProvisionError, SessionNote

_log = logging.getLogger(__name__)


class Preparation(msgspec.Struct, frozen=True, kw_only=True):
    """What is done to each machine of a platform. Any thread; each machine in one."""

    platform: str
    suite: Suite
    pack: Pack
    sink: Sink
    environment: Mapping[str, str]
    secrets: Mapping[str, str]
    take_over: bool
    become: bool

    def executor(self, machine: Machine, on_busy: Callable[[str], None]) -> Executor:
        """Return who prepares this machine; see Executor for `on_busy`."""
        return Executor(
            machine.connection,
            self.suite,
            platform=self.platform,
            machine=machine.lease,
            environment=self.environment,
            secrets=self.secrets,
            on_mark=machine.marks.__setitem__,
            on_busy=on_busy,
            slot=machine.slot,
            take_over=self.take_over,
            become=self.become,
            python=machine.python,
            pack=self.pack,
        )

    def run(
        self, executor: Executor, machine: Machine, provisioner: Provisioner
    ) -> tuple[PhaseFailed, ...]:
        """Prepare the machine, whose lease knows of the session as long as there is one; return what is tolerated.

        Raises ExecutorError (PhaseFailed among them), ProvisionError, TimeoutError.
        """
        provisioner.note_session(
            SessionNote(executor.session, become=self.become, python=machine.python)
        )
        try:
            executor.start()
            return executor.prepare(self.sink)
        finally:
            executor.close()
            if executor.left is None:
                try:
                    provisioner.forget_session(executor.session)
                except ProvisionError as error:  # who looks for it will find that it is gone
                    _log.warning("%s", error)
