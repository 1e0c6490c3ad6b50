"""Single phases of a plan, on one machine."""

import time
from collections.abc import Mapping
from functools import partial

from atex_fmf import Phase, Plan
from atex_sut_agent.protocol import Start

from atex_executor.ending import Ending
from atex_executor.environment import environment_of_phase
from atex_executor.errors import MachineLost, PhaseFailed, UnsupportedPhase
from atex_executor.layout import phase_file
from atex_executor.masking import Mask
from atex_executor.output_file import OutputFile
from atex_executor.packages import install_script
from atex_executor.running import Job
from atex_executor.session import Session
from atex_executor.sink import Sink
from atex_executor.verdict import judge
from atex_executor.wishes import OnMark

PHASE_LIMIT = 3600.0  # seconds, of each script of prepare, and of finish altogether
STRICT = "set -eo pipefail\n"  # how a script begins
_GRACE = 5.0  # seconds between SIGINT and SIGKILL for a script whose time is up


class Phases:
    """Runs the phases of `plan` in a session, and writes down what they print. `variables` are those of the run, `mask`
    hides the secrets among them from messages.
    """

    def __init__(
        self,
        session: Session,
        plan: Plan,
        variables: Mapping[str, str],
        *,
        mask: Mask,
        platform: str,
        machine: str,
        on_mark: OnMark,
    ) -> None:
        self._session = session
        self._plan = plan
        self._variables = variables
        self._mask = mask
        self._platform = platform
        self._machine = machine
        self._on_mark = on_mark

    def finish(self, sink: Sink, tree: str, limit: float) -> None:
        """Run finish in `tree`, within `limit` seconds. Raises as `Executor.finish()`."""
        deadline = time.monotonic() + limit
        failure = None
        for phase in self._plan.finish:
            try:
                self.run("finish", phase, sink, tree, deadline=deadline)
            except PhaseFailed as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def run(
        self, step: str, phase: Phase, sink: Sink, tree: str, *, deadline: float | None = None
    ) -> None:
        """Run one phase of `step` in `tree`, the folder on the machine, until `deadline`, or for an hour each script.

        Raises PhaseFailed for the first script that fails or is cancelled, MachineLost, SinkError.
        """
        what = f"{step} phase {phase.name!r}"
        path = phase_file(self._platform, step, self._machine, phase.name)
        output = OutputFile(sink, path, self._on_mark)
        for script in _scripts(phase):
            limit = PHASE_LIMIT if deadline is None else deadline - time.monotonic()
            if limit <= 0:
                raise PhaseFailed(f"{self._machine}: no time is left for {what}")
            output.next_script()
            order = partial(self._order, f"{STRICT}{script}\n", tree, limit)
            ending = self._session.run(Job(order, output))
            self._session.recorded()
            self._check(ending, what, output)

    def _order(self, script: str, tree: str, limit: float, restarts: int) -> Start:
        return Start(
            script=script,
            folder=tree,
            environment=environment_of_phase(self._plan, self._variables, tree, restarts=restarts),
            limit=limit,
            grace=_GRACE,
        )

    def _check(self, ending: Ending, what: str, output: OutputFile) -> None:
        if ending.sink_error is not None:
            raise ending.sink_error
        lost = self._session.lost
        if ending.ended_by != "itself" and lost is not None:
            raise MachineLost(f"{self._machine}: lost in {what}: {lost}")
        verdict = judge(ending)
        if verdict.status != "pass":
            reason = verdict.note or f"exit code {verdict.exit_code}"
            raise PhaseFailed(
                f"{self._machine}: {what} failed: {reason}",
                status=verdict.status,
                output=output.path,
                tail=output.tail(self._mask),
            )


def _scripts(phase: Phase) -> tuple[str, ...]:
    if phase.how == "shell":
        return phase.script
    if not phase.package:
        return ()
    skip_missing = phase.missing == "skip"
    return (install_script(phase.package, exclude=phase.exclude, skip_missing=skip_missing),)


def check_plan(plan: Plan) -> None:
    """Raise UnsupportedPhase where `plan` asks for what an Executor can not do; before a machine is asked for, say."""
    for phases, known in ((plan.prepare, ("shell", "install")), (plan.finish, ("shell",))):
        for phase in phases:
            if phase.how not in known:
                raise UnsupportedPhase(
                    f"{plan.name}: phase {phase.name!r}: `how: {phase.how}` is not supported, only"
                    f" {' and '.join(known)}"
                )
