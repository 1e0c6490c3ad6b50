"""From a request to an orchestrator, and from its summary to an exit code."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from atex_executor import Mask
from atex_fmf import Suite
from atex_orchestrator import Orchestrator, OrchestratorError
from atex_orchestrator.results import FILES, LOG

from atex_cli.closing import print_summary
from atex_cli.commands.machines import PURPOSE_OF_RUN, read_pools
from atex_cli.commands.request import Request
from atex_cli.commands.suites import notices_of, read_suites
from atex_cli.errors import Refused
from atex_cli.exit_codes import exit_code
from atex_cli.invocation import Invocation
from atex_cli.output import output_folder
from atex_cli.progress import Progress
from atex_cli.signals import stopped_by_signals
from atex_cli.supply import Terms
from atex_cli.terminal import Terminal


def execute(
    request: Request,
    secrets: Mapping[str, str],
    output: Path | None,
    invocation: Invocation,
    *,
    quiet: bool,
    resume: bool = False,
) -> int:
    """Run the tests; return the exit code. `resume`: the run in `output` goes on. Raises Refused."""
    staffs = read_pools(request.on, request.context, request.identity)
    platforms = [staff.platform for staff in staffs]
    suites = read_suites(
        platforms,
        request.tree,
        request.plan,
        request.tests,
        request.context,
        request.environment,
        request.exclude,
    )
    terminal = Terminal(Mask(secrets.values()))
    for notice in notices_of(platforms, suites):
        terminal.complain(f"atex: {notice}")
    folder = output if resume and output is not None else output_folder(output)
    invocation.log = folder / LOG
    orchestrator = Orchestrator(
        folder,
        environment=request.environment,
        secrets=secrets,
        grace=request.grace,
        take_over=request.take_over,
        become=request.become,
        exclude=request.exclude,
        hold_failed=request.hold_failed,
        resume=resume,
        request=request.noted(),
        **request.scheduling,
    )
    orchestrator.subscribe(
        Progress(terminal, folder / FILES, width=_longest_name(suites), quiet=quiet)
    )
    terms = Terms(
        duration=request.duration,
        purpose=f"{PURPOSE_OF_RUN}{folder.absolute()}",
        take_over=request.take_over,
        host_keys=request.host_keys,
    )
    for staff, suite in zip(staffs, suites, strict=True):
        platform = staff.platform
        orchestrator.add_platform(platform.name, suite, context=platform.context)
        for supply in staff.supplies:
            orchestrator.add_provisioner(
                supply.open(terms),
                max_workers=supply.machines,
                platform=platform.name,
                name=supply.pool,
            )
    return _run(orchestrator, terminal, invocation)


def _longest_name(suites: Sequence[Suite]) -> int:
    return max((len(test.name) for suite in suites for test in suite.tests), default=0)


def _run(orchestrator: Orchestrator, terminal: Terminal, invocation: Invocation) -> int:
    try:
        with stopped_by_signals(orchestrator) as signals:
            invocation.signals = signals
            summary = orchestrator.run()
            print_summary(summary, terminal)
    except OrchestratorError as error:
        raise Refused(str(error)) from error
    return exit_code(
        summary.counts,
        complete=not (summary.missing or summary.stopped or summary.held),
        signal=signals[0] if signals else None,
    )
