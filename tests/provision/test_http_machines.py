"""The example of a backend of one's own passes the suite."""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

import pytest
from atex_provision import Machine
from atex_provision.testing import NewProvisioner, ProvisionerSuite

from examples.http_machines.http_machines import HttpProvisioner
from examples.http_machines.server import Lender, Service
from tests.machines import Sshd, sshd_missing
from tests.waits import Background
from tests.workspace.readme import ROOT, python_examples

EXAMPLE = ROOT / "examples/http_machines"
PAGE = ROOT / "docs/backends/writing-your-own.md"
MACHINES = 4


@pytest.fixture(scope="module")
def servers() -> Iterator[list[Sshd]]:
    """All let in who has the key of the first."""
    if reason := sshd_missing():
        pytest.skip(reason)
    with ExitStack() as stack:
        servers = [stack.enter_context(Sshd()) for _ in range(MACHINES)]
        for server in servers[1:]:
            authorized = servers[0].folder / "authorized_keys"
            (server.folder / "authorized_keys").write_text(authorized.read_text())
        yield servers


@pytest.fixture
def service(servers: list[Sshd], monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("MACHINES_TOKEN", "secret")
    lender = Lender([f"{one.user}@{one.address}:{one.port}" for one in servers], "secret")
    with Service(lender) as service:
        serving = Background(lambda: service.serve_forever(poll_interval=0.02))
        yield service
        service.shutdown()
        serving.result()


@pytest.fixture
def key(servers: list[Sshd]) -> str:
    return str(servers[0].identity)


class TestProvisioner(ProvisionerSuite):
    at_once = MACHINES

    @pytest.fixture
    def new_provisioner(self, service: Service, key: str) -> NewProvisioner:
        return partial(HttpProvisioner, service.url, identity=key)

    @pytest.fixture
    def held(self, service: Service) -> Callable[[], Collection[str]]:
        return lambda: [name for name in service.lender.lent if name.startswith("http-")]

    @pytest.fixture
    def full(self, service: Service) -> Callable[[], AbstractContextManager[None]]:
        @contextmanager
        def full() -> Iterator[None]:
            names = [f"other-{number}" for number in range(MACHINES)]
            for name in names:
                assert service.lender.lend(name, 600)
            yield
            for name in names:
                service.lender.take_back(name)

        return full

    @pytest.fixture
    def kill(self, servers: list[Sshd]) -> Callable[[Machine], None]:
        def kill(machine: Machine) -> None:
            (server,) = (one for one in servers if machine.name.endswith(f":{one.port}"))
            server.kill_sessions()

        return kill

    @pytest.fixture
    def broken(self, service: Service) -> Callable[[], AbstractContextManager[None]]:
        """The service lets nobody in."""

        @contextmanager
        def broken() -> Iterator[None]:
            service.lender.token = "another"
            yield
            service.lender.token = "secret"

        return broken


def test_the_page_shows_the_example() -> None:
    source = (EXAMPLE / "http_machines.py").read_text()
    assert python_examples(PAGE)[0] == source
    assert len(source.splitlines()) <= 60


def test_the_tests_of_the_page_are_tests(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, service: Service, key: str
) -> None:
    pytester.makepyfile(python_examples(PAGE)[1])
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.setenv("MACHINES_URL", service.url)
    monkeypatch.setenv("MACHINES_KEY", key)
    only = ("-k", "reserve_use_and_release", "-p", "no:cacheprovider", "-p", "no:xdist")
    pytester.runpytest_inprocess(*only).assert_outcomes(passed=1)
