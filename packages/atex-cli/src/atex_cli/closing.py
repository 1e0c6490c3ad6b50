"""What a run says at its end: what failed and why, what has no verdict, and where everything is."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

from atex_orchestrator import Flaky, Summary, last_lines
from atex_orchestrator.events import MachineKept
from atex_orchestrator.results import EVENTS, FILES, RESULTS, FinalRecord

from atex_cli.moments import moment
from atex_cli.terminal import Terminal

LINES = 10  # of a failed test's output
DETAILED = 20  # failed tests of which output is shown; the others have a line each
NAMED = 5  # tests named for one cause
MACHINES = 10  # that failed, or cost tests their verdict, and are told of; the others are counted
REASON = 4000  # characters of a cause, which may be those of ten machines


def print_summary(summary: Summary, terminal: Terminal) -> None:
    """Print the closing summary of a run."""
    for place, record in enumerate(summary.failed):
        _print_failed(summary, record, terminal, output=place < DETAILED)
    for flaky in summary.flaky:
        _print_flaky(summary, flaky, terminal)
    _print_troubles(summary, terminal)
    _print_causes("retried", summary.retried, summary, terminal)
    _print_causes("skip", summary.skipped, summary, terminal)
    _print_causes("infra", summary.infra, summary, terminal)
    _print_missing(summary, terminal)
    for kept in summary.kept:
        _print_kept(kept, terminal)
    terminal.say()
    terminal.say(_count(summary, terminal))
    if summary.info.order == "random":
        terminal.say(f"Order: --order random --seed {summary.info.seed}")
    terminal.say(f"Results: {summary.folder}")
    for machine, reason in summary.left.items():
        terminal.complain(
            f"atex: processes of this run may be left on {machine}: {terminal.quote(reason)}"
        )
    for reason in summary.held:
        terminal.complain(f"atex: {terminal.quote(reason, REASON)}")


def describe_kept(kept: MachineKept, terminal: Terminal) -> str:
    """Return which machine was kept, until when, and why."""
    until = moment(datetime.fromisoformat(kept.until).timestamp())
    return f"{kept.machine} is kept until {until}, as {terminal.quote(kept.test)} left it"


def _print_kept(kept: MachineKept, terminal: Terminal) -> None:
    """Print how a human gets to a machine that was kept, and rid of it: lines to be copied."""
    use, end = f"atex run --on lease:{kept.lease}", f"atex gc {kept.lease}"
    terminal.say()
    terminal.say(describe_kept(kept, terminal))
    terminal.say(f"    {kept.login}")
    terminal.say(f"    {use}   # runs tests on it")
    terminal.say(f"    {end.ljust(len(use))}   # gives it back")


def _print_failed(
    summary: Summary, record: FinalRecord, terminal: Terminal, *, output: bool
) -> None:
    head = f"{terminal.status(record.status)} {terminal.quote(record.test)}"
    attempts = f"; attempt {record.attempt}" if record.attempt > 1 else ""
    why = f"{_why(record, terminal)}{attempts}".removeprefix("; ")
    note = f"  ({why})" if why else ""
    file = summary.output_file(record)
    terminal.say()
    terminal.say(f"{head}{_platform(summary, record)}{note}")
    if file is not None and output:
        for line in last_lines(file, LINES):
            terminal.say(f"    {terminal.quote(line)}")
    if file is not None:
        terminal.say(f"  {file}")


def _print_flaky(summary: Summary, flaky: Flaky, terminal: Terminal) -> None:
    """Print which test failed and then passed, and how it failed."""
    passed = flaky.passed
    head = f"{terminal.status('flaky')} {terminal.quote(passed.test)}{_platform(summary, passed)}"
    terminal.say()
    terminal.say(f"{head}  (passed in attempt {passed.attempt})")
    for record in flaky.failed:
        why = _why(record, terminal)
        note = f"  ({why})" if why else ""
        terminal.say(f"    attempt {record.attempt}: {terminal.status(record.status)}{note}")
        file = summary.output_file(record)
        if file is not None:
            terminal.say(f"  {file}")


def _why(record: FinalRecord, terminal: Terminal) -> str:
    note = record.note or (f"exit code {record.exit_code}" if record.exit_code else "")
    return terminal.quote(note)


def _platform(summary: Summary, record: FinalRecord) -> str:
    """Return where it ran, if there is a choice."""
    return f"  {record.platform}" if len(summary.info.platforms) > 1 else ""


def _print_troubles(summary: Summary, terminal: Terminal) -> None:
    """Print which machines failed, but for those where a test tells of it."""
    by_cause = {
        (trouble.reason, trouble.output): trouble
        for trouble in summary.troubles
        if trouble.during != "test"
    }
    troubles = list(by_cause.values())  # of machines that could not be had for one reason, one
    told: set[tuple[str, ...]] = set()  # machines of a kind fail in the same way
    for trouble in troubles[:MACHINES]:
        terminal.say()
        terminal.say(terminal.quote(trouble.reason, REASON))
        if trouble.tail not in told:
            told.add(trouble.tail)
            for line in trouble.tail:
                terminal.say(f"    {terminal.quote(line)}")
        if trouble.output:
            terminal.say(f"  {summary.folder / FILES / trouble.output}")
    if len(troubles) > MACHINES:
        terminal.say()
        terminal.say(
            f"{len(troubles) - MACHINES} more machines failed: see {summary.folder / EVENTS}"
        )


def _print_causes(
    word: str, records: Iterable[FinalRecord], summary: Summary, terminal: Terminal
) -> None:
    """Print why attempts have no verdict: a paragraph for each machine and cause, not for each test."""
    by_cause: dict[tuple[str, str], list[FinalRecord]] = defaultdict(list)
    for record in records:
        note = record.note or ""
        if record.machine is None:
            note = note.partition("\n")[0].rstrip(":")  # what follows was said of the machines
        by_cause[record.machine or "not started", note].append(record)
    causes = list(by_cause.items())
    for (where, note), alike in causes[:MACHINES]:
        cause = f"{where}: {terminal.quote(note, REASON)}"
        _print_cause(word, cause, [record.test for record in alike], terminal)
        file = next((record.files[-1] for record in alike if record.files), None)
        if file is not None:
            terminal.say(f"  {summary.folder / FILES / file}")
    if more := sum(len(alike) for _, alike in causes[MACHINES:]):
        terminal.say()
        terminal.say(f"{terminal.status(word)} {more} more: see {summary.folder / RESULTS}")


def _print_missing(summary: Summary, terminal: Terminal) -> None:
    by_platform: dict[str, list[str]] = defaultdict(list)
    for platform, _serial, name in summary.missing:
        by_platform[platform].append(name)
    for platform, names in by_platform.items():
        cause = f"no record: the run ended before these of platform {platform} had one"
        _print_cause("infra", cause, names, terminal)


def _print_cause(word: str, cause: str, tests: Sequence[str], terminal: Terminal) -> None:
    names = ", ".join(terminal.quote(name) for name in tests[:NAMED])
    more = f" and {len(tests) - NAMED} more" if len(tests) > NAMED else ""
    terminal.say()
    terminal.say(f"{terminal.status(word)} {cause}")
    terminal.say(f"    {names}{more}")


def _count(summary: Summary, terminal: Terminal) -> str:
    if not summary.tests:
        return "There was nothing to run."
    words = [
        f"{count} {terminal.status(status)}" for status, count in sorted(summary.counts.items())
    ]
    if summary.missing:
        words.append(f"{len(summary.missing)} without a record")
    total = "1 test" if summary.tests == 1 else f"{summary.tests} tests"
    flaky = f"; {len(summary.flaky)} {terminal.status('flaky')}" if summary.flaky else ""
    return f"{total}: {', '.join(words)}{flaky}"
