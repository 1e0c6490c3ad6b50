"""What every provisioner with a lease keeps, wherever its machines come from."""

import pickle
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

import pytest

from atex_provision.leases.journal import LeaseJournal
from atex_provision.machine import Machine
from atex_provision.provisioner.base import Moment
from atex_provision.testing.provisioner.aborting import Aborting
from atex_provision.testing.provisioner.child import Child
from atex_provision.testing.provisioner.endings import Endings
from atex_provision.testing.provisioner.handing_over import HandingOver
from atex_provision.testing.provisioner.killed import Killed
from atex_provision.testing.provisioner.reserving import Reserving
from atex_provision.testing.provisioner.types import NewChild, NewProvisioner
from atex_provision.testing.suite import to_be_written
from atex_provision.testing.waits import eventually


class ProvisionerSuite(Reserving, Aborting, Endings, HandingOver, Killed):
    """The contract of `Provisioner`, for one that has leases. Its machines need a POSIX shell.

    A subclass writes the fixture `new_provisioner`, and `held`, `full`, `kill` and `broken`,
    or says in `cannot` why not. Leases are in a journal of the test's own (XDG_STATE_HOME).
    """

    __test__ = False
    points = frozenset({"be asked what it holds", "be full", "die", "fail", "be kept"})

    moments: ClassVar[tuple[Moment, ...]] = ("request", "connect")
    """What `on_progress` hears of each reservation, in this order, but for "wait"."""
    at_once: ClassVar[int] = 20
    """How many machines one process may hold at the same time."""

    @pytest.fixture
    def new_provisioner(self) -> NewProvisioner:
        """Makes a provisioner, with `duration=SECONDS` if that is given.

        It is called in other processes, too: a function of a module, or functools.partial() of one.
        """
        raise to_be_written(self, "new_provisioner", "a callable that makes a Provisioner")

    @pytest.fixture
    def held(self) -> Callable[[], Collection[str]]:
        """Asks the service what it holds for the provisioners of this test, a word for each."""
        raise to_be_written(self, "held", _or_else("be asked what it holds"))

    @pytest.fixture
    def full(self) -> Callable[[], AbstractContextManager[None]]:
        """A context in which a new reservation has to wait until the context is left."""
        raise to_be_written(self, "full", _or_else("be full"))

    @pytest.fixture
    def kill(self) -> Callable[[Machine], None]:
        """Lets a machine die without the provisioner's doing; returns when it is dead."""
        raise to_be_written(self, "kill", _or_else("die"))

    @pytest.fixture
    def broken(self) -> Callable[[], AbstractContextManager[None]]:
        """A context in which no machine can be had, nor given back, perhaps."""
        raise to_be_written(self, "broken", _or_else("fail"))

    @pytest.fixture(autouse=True)
    def journal(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LeaseJournal:
        """The journal of all provisioners of this test."""
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        return LeaseJournal()

    @pytest.fixture
    def holds(self, request: pytest.FixtureRequest) -> Callable[[], Collection[str]]:
        """As `held`, and always nothing where the service cannot be asked."""
        if "be asked what it holds" in self.cannot:
            return list
        asked: Callable[[], Collection[str]] = request.getfixturevalue("held")
        return asked

    @pytest.fixture(autouse=True)
    def _nothing_held(
        self, journal: LeaseJournal, holds: Callable[[], Collection[str]]
    ) -> Iterator[None]:
        """After each test no machine is held, and no lease is left."""
        yield
        eventually(lambda: not holds(), "the service holds nothing any more")
        assert [lease.name for lease in journal.leases()] == []
        assert journal.problems() == []

    @pytest.fixture
    def new_child(self, new_provisioner: NewProvisioner) -> Iterator[NewChild]:
        """Starts a process that reserves a machine, or comes as far as to a moment of that."""
        try:
            recipe = pickle.dumps(new_provisioner)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                "new_provisioner goes to other processes: it must be a function of a module,"
                f" or functools.partial() of one ({error})"
            ) from error
        children: list[Child] = []

        def start(stop_at: Moment | None = None) -> Child:
            children.append(Child(recipe, stop_at))
            return children[-1]

        yield start
        for child in children:
            child.kill()

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Tests of a moment are there for each of this backend's."""
        if "moment" in metafunc.fixturenames:
            metafunc.parametrize("moment", self.moments)


def _or_else(point: str) -> str:
    return f'see ProvisionerSuite; or else cannot = {{"{point}": REASON}}'
