"""A skipped test is never overlooked: the last lines of a run name each with its reason.

With `--no-skips`, or with CI=true in the environment, a skipped test turns the run red.
"""

import os
from collections import defaultdict
from collections.abc import Generator, Sequence

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="store_true",
        default=os.environ.get("CI") == "true",
        help="fail the run if any test was skipped (on by itself where CI=true)",
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Outermost, so that its lines come after pytest's own summary."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None:  # a worker of xdist; its controller hears of the skips
        return (yield)
    skipped = terminal.stats.get("skipped", [])
    forbidden = session.config.getoption("no_skips")
    if skipped and forbidden and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    yield
    if skipped:
        _print(terminal, skipped, forbidden=forbidden)


def _print(
    terminal: pytest.TerminalReporter,
    skipped: Sequence[pytest.TestReport | pytest.CollectReport],
    *,
    forbidden: bool,
) -> None:
    by_reason = defaultdict(list)
    for report in skipped:
        by_reason[_reason(report)].append(report.nodeid)
    verdict = ", and nothing may be (CI=true or --no-skips)" if forbidden else ""
    terminal.write_line("")
    terminal.write_line(f"SKIPPED: {len(skipped)}{verdict}", red=forbidden, yellow=not forbidden)
    for reason, tests in sorted(by_reason.items()):
        terminal.write_line(f"  {reason}")
        for test in sorted(tests):
            terminal.write_line(f"    {test}")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    match report.longrepr:
        case (_, _, str(reason)):
            return reason.removeprefix("Skipped: ")
        case other:
            return str(other)
