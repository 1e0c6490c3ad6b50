"""How machines are prepared that are held for later: by the executor, as `atex run` does it, but with no test.

The agent's session is closed afterwards; what the plan's phases did to the machine stays.
"""

from collections.abc import Callable, Mapping

import msgspec
from atex_executor import Executor, Pack, PhaseFailed, Sink
from atex_fmf import Suite
from atex_orchestrator.sessions import close_session, note_session
from atex_provision import Machine, Provisioner


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
        note_session(provisioner, machine, executor, become=self.become)
        try:
            executor.start()
            return executor.prepare(self.sink)
        finally:
            close_session(provisioner, executor)
