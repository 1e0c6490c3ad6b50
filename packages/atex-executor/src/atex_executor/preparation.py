"""Prepare on one machine: the plan's phases, and in their midst and afterwards the packages of its tests.

All that the tests require is installed in one transaction. Where that fails, each test's own packages are tried before
that test, so that one bad package costs only those that need it. What is known to be there is not asked for again, and
what could not be installed is not tried again.
"""

import logging
import re
from collections.abc import Callable, Iterable

import msgspec
from atex_fmf import Phase, Suite, Test

from atex_executor.errors import MachineLost, PhaseFailed
from atex_executor.packages import install_script, recommended_by, required_by
from atex_executor.phases import Phases
from atex_executor.sink import Sink

_REQUIRE_ORDER = 70  # among the phases of the plan, as in tmt
_RECOMMEND_ORDER = 75
_LAST_LINES = 3  # of a package manager whose error has no beginning that is known
_ERROR = re.compile("Error|Failed")  # how dnf's begins, and dnf5's

_log = logging.getLogger(__name__)


class Lacking(msgspec.Struct, frozen=True):
    """Why a test can not run: its packages are not there."""

    note: str
    files: tuple[str, ...] = ()
    """What the package manager printed, below `files/`."""


class Preparation:
    """Prepares one machine for `suite`. Not thread-safe: one thread at a time."""

    def __init__(self, phases: Phases, suite: Suite) -> None:
        self._phases = phases
        plan = suite.plan.prepare
        self._require = _install(
            _unique("require", plan), _REQUIRE_ORDER, suite.tests, required_by, "fail"
        )
        self._recommend = _install(
            _unique("recommend", plan), _RECOMMEND_ORDER, suite.tests, recommended_by, "skip"
        )
        self._all = _inserted(_inserted(plan, self._require), self._recommend)
        self._installed: set[str] = set()  # what tests require, and is there
        self._failed: dict[frozenset[str], Lacking] = {}  # what can not be installed together

    def run(self, sink: Sink, tree: str) -> tuple[PhaseFailed, ...]:
        """Run prepare in `tree`, the folder on the machine; return what failed and is tolerated.

        Raises as `Executor.prepare()`.
        """
        tolerated = []
        for phase in self._all:
            try:
                self._phases.run("prepare", phase, sink, tree)
            except PhaseFailed as error:
                if error.status == "infra" or phase not in (self._require, self._recommend):
                    raise
                tolerated.append(self._tolerated(phase, error))
            else:
                if phase is self._require:
                    self._installed.update(phase.package)
        return tuple(tolerated)

    def bring(self, test: Test, sink: Sink, tree: str, attempt: int) -> Lacking | None:
        """Install what `test` requires, and is not known to be there; return why it can not run, or None.

        Raises SinkError.
        """
        wanted = frozenset(required_by(test)) - self._installed
        if not wanted:
            return None
        known = next((why for lacking, why in self._failed.items() if lacking <= wanted), None)
        if known is not None:
            return known
        name = f"{self._require.name}.{test.serial}.{attempt}"
        script = install_script(sorted(wanted), refresh=False)
        try:
            self._phases.run("prepare", Phase(name=name, how="shell", script=(script,)), sink, tree)
        except MachineLost as error:
            return Lacking(str(error))
        except PhaseFailed as error:
            if error.status == "infra":
                return Lacking(error.reason, (error.output,))
            return self._failed.setdefault(wanted, _lacking(error))
        self._installed |= wanted
        return None

    def _tolerated(self, phase: Phase, error: PhaseFailed) -> PhaseFailed:
        """Return `error` with what follows from it."""
        consequence = "tests do without what could not be installed"
        if phase is self._require:
            consequence = "the packages of each test are tried before it"
        reason = f"{error.reason}; {consequence}"
        failure = PhaseFailed(reason, status=error.status, output=error.output, tail=error.tail)
        _log.warning("%s", failure)
        return failure


def _lacking(error: PhaseFailed) -> Lacking:
    return Lacking(f"its packages could not be installed: {_words(error)}", (error.output,))


def _words(error: PhaseFailed) -> str:
    """Return what the package manager said last, or that its time was up."""
    if error.status == "error":
        return error.reason
    lines = [line.strip() for line in error.tail]
    errors = [at for at, line in enumerate(lines) if _ERROR.match(line)]
    return "; ".join(lines[errors[-1] if errors else -_LAST_LINES :]) or error.reason


def _install(
    name: str,
    order: int,
    tests: Iterable[Test],
    wanted_by: Callable[[Test], tuple[str, ...]],
    missing: str,
) -> Phase:
    """Return the phase that installs what `tests` want."""
    packages = tuple(dict.fromkeys(package for test in tests for package in wanted_by(test)))
    return Phase(name=name, how="install", package=packages, missing=missing, order=order)


def _inserted(phases: tuple[Phase, ...], phase: Phase) -> tuple[Phase, ...]:
    """Return `phases` with one more, behind those that have its order; without it where it has nothing to do."""
    if not phase.package:
        return phases
    at = next((at for at, other in enumerate(phases) if other.order > phase.order), len(phases))
    return (*phases[:at], phase, *phases[at:])


def _unique(name: str, phases: tuple[Phase, ...]) -> str:
    """Return `name`, or a longer one where a phase of the plan is called so, or as a single test's packages are."""
    while any(f"{phase.name}.".startswith(f"{name}.") for phase in phases):
        name += "-of-tests"
    return name
