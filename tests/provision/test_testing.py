"""How the suites of atex_provision.testing are subclassed, in somebody else's pytest."""

import pytest

NO_PLUGINS = ("-p", "no:cacheprovider", "-p", "no:xdist")

BACKEND = """
from typing import ClassVar
import pytest
from atex_provision import LocalConnection
from atex_provision.testing import ConnectionSuite

class {name}(ConnectionSuite):
    cannot: ClassVar = {cannot}

    @pytest.fixture
    def new_connection(self):
        return {factory}
"""


def suite(name: str = "TestMine", cannot: str = '{"be lost": "a reason"}', **given: str) -> str:
    return BACKEND.format(name=name, cannot=cannot, **{"factory": "LocalConnection", **given})


@pytest.mark.parametrize("classes", ["", "python_classes = Check", "python_classes ="])
def test_subclasses_are_collected_and_suites_are_not(
    pytester: pytest.Pytester, classes: str
) -> None:
    pytester.makeini(f"[pytest]\n{classes}\n")
    pytester.makepyfile(
        suite(name="AnyName")
        + "class Base(ConnectionSuite):\n    __test__ = False\n    cannot: ClassVar = {}\n"
    )
    found = pytester.runpytest_inprocess("--collect-only", "-q", *NO_PLUGINS)
    found.stdout.fnmatch_lines(["*::AnyName::test_run_says_all_about_a_command"])
    for absent in ("*::ConnectionSuite::*", "*::Base::*", "*_a_loss_*"):
        found.stdout.no_fnmatch_line(absent)


def test_what_a_backend_can_do_is_tested(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(suite(cannot="{}"))
    ran = pytester.runpytest_inprocess("-k", "half_an_answer", *NO_PLUGINS)
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*TestMine needs a fixture `lose`: *cannot = {?be lost?: REASON}*"])


def test_an_unknown_point_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(suite(cannot='{"fly": "no wings"}'))
    ran = pytester.runpytest_inprocess(*NO_PLUGINS)
    ran.assert_outcomes(errors=1)
    ran.stdout.fnmatch_lines(["*TestMine.cannot: no such point: fly (there are: be lost)"])


def test_an_assert_of_a_suite_shows_what_it_saw(pytester: pytest.Pytester) -> None:
    lying = "type('Lying', (LocalConnection,), {'name': ''})"
    pytester.makepyfile(suite(factory=lying))
    ran = pytester.runpytest_inprocess("-k", "has_a_name", *NO_PLUGINS)
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["E * assert ''"])


def test_a_leak_is_an_error(pytester: pytest.Pytester) -> None:
    leaking = "lambda: LEAKED.append(open('/dev/null')) or LocalConnection()"
    pytester.makepyfile(suite(factory=leaking) + "LEAKED = []\n")
    pytester.makeconftest("from atex_provision.testing import traces\ntraces.LET_GO = 0.1\n")
    ran = pytester.runpytest_subprocess("-k", "has_a_name", *NO_PLUGINS)
    ran.assert_outcomes(passed=1, errors=1)
    ran.stdout.fnmatch_lines(["E *left behind: descriptor * /dev/null"])


BROKEN = """
import pytest
from atex_provision import LocalProvisioner, ProvisionError
from atex_provision.testing import ProvisionerSuite
from typing import ClassVar

HELD = []

class Backend(LocalProvisioner):
    def _acquire(self, lease):
        HELD.append(lease.name)
        super()._acquire(lease)

    def _free(self, lease):
        HELD[:] = [name for name in HELD if name not in (lease.name, "early")]
        super()._free(lease)

class Broken(Backend):
    {broken}

class TestBroken(ProvisionerSuite):
    cannot: ClassVar = dict.fromkeys(["be full", "die", "fail", "be kept"], "no matter")

    @pytest.fixture
    def new_provisioner(self):
        return Broken

    @pytest.fixture
    def held(self):
        return lambda: HELD
"""


@pytest.mark.parametrize(
    ("test", "broken"),
    [
        ("context_manager_releases", "pass"),
        (
            "context_manager_releases",
            "def _give_back(self, lease, failure): self._free(lease); return True",
        ),
        ("lease_is_there_before", "def _resource(self): HELD.append('early'); return {}"),
        ("on_progress_hears", "def _progress(self, moment, words): pass"),
        ("any_number_of_threads", "def _free(self, lease): HELD.remove(lease.name)"),
        ("over_before_it_began", "def reserve(self): raise ProvisionError('no')"),
    ],
)
def test_a_broken_backend_is_found_out(pytester: pytest.Pytester, test: str, broken: str) -> None:
    pytester.makepyfile(BROKEN.format(broken=broken))
    ran = pytester.runpytest_inprocess("-x", "-k", test, *NO_PLUGINS)
    assert ran.ret == (pytest.ExitCode.OK if broken == "pass" else pytest.ExitCode.TESTS_FAILED)
