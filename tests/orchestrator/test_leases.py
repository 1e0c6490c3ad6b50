"""What a run does with leases: sessions are noted in them, machines of failed tests kept, prepared ones used."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from atex_fmf import Phase, Plan, Suite, Test
from atex_orchestrator import Orchestrator, Summary, summarize
from atex_orchestrator.events import (
    Event,
    MachineComing,
    MachineDiffers,
    MachineExpired,
    MachineKept,
    MachineNotKept,
    MachineReady,
    MachineReleased,
    MachineReserved,
    TestFinished,
    TestStarted,
)
from atex_provision import LeaseJournal, LocalProvisioner, Platform, Provisioner, adopt, borrow

from tests.orchestrator.provisioners import Keepable, Prepared, Slow, Sticky, Talkative

PHASES = Plan(
    prepare=(Phase(name="setup", how="shell", script=("echo up",)),),
    finish=(Phase(name="clean", how="shell", script=("echo down",)),),
)


class Story:
    """One run, and what it told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.context: dict[str, str] = {}
        self.hold_failed = False
        self.listen: Callable[[Event], None] = lambda event: None

    def run(self, factory: Callable[[], Provisioner], *scripts: str, machines: int = 1) -> Summary:
        (self.folder / "tree").mkdir()
        orchestrator = Orchestrator(self.folder / "run", hold_failed=self.hold_failed)
        orchestrator.subscribe(self._take)
        tests = tuple(Test(name=f"/t{n}", test=text) for n, text in enumerate(scripts, start=1))
        suite = Suite(root=str(self.folder / "tree"), tests=tests, plan=PHASES)
        orchestrator.add_platform("p", suite, context=self.context)
        orchestrator.add_provisioner(factory, max_workers=machines, platform="p")
        return orchestrator.run()

    def printed(self) -> set[str]:
        """What phases printed."""
        return {path.read_text().strip() for path in self.folder.glob("run/files/p/@*/*.txt")}

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self.listen(event)


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path)


def test_a_session_is_in_the_lease_as_long_as_it_lives(story: Story) -> None:
    noted: list[str] = []

    def listen(event: Event) -> None:
        if isinstance(event, TestStarted):
            [lease] = LeaseJournal().leases()
            noted.extend(note.id for note in lease.sessions)

    story.listen = listen
    story.run(LocalProvisioner, "true")
    assert noted == [event.session for event in story.events if isinstance(event, MachineReady)]
    [reserved] = [event for event in story.events if isinstance(event, MachineReserved)]
    assert reserved.lease.startswith("local-")
    assert LeaseJournal().leases() == []


def test_the_machine_of_a_failed_test_is_kept(story: Story) -> None:
    """As it is: its finish does not run, and its session is over."""
    story.hold_failed = True
    story.context = {"distro": "debian-12"}
    summary = story.run(Keepable, "true", "false")
    [kept] = summary.kept
    assert (kept.machine, kept.test, kept.platform) == ("local", "/t2", "p")
    assert kept in story.events
    assert summarize(summary.folder).kept == summary.kept
    [lease] = LeaseJournal().leases()
    assert (lease.name, lease.kept, lease.prepared) == (kept.lease, True, True)
    assert lease.platform == Platform("p", {"distro": ("debian-12",)})
    assert lease.sessions == ()
    assert story.printed() == {"up"}
    assert summary.troubles == ()
    assert summary.left == {}
    adopt(lease).release()


def test_one_machine_is_kept_and_the_others_go_on(story: Story) -> None:
    story.hold_failed = True
    summary = story.run(Keepable, *["false"] * 6, machines=2)
    assert summary.counts == {"fail": 6}
    [kept] = summary.kept
    finished = [event for event in story.events if isinstance(event, TestFinished)]
    on_it = [event.test for event in finished if event.machine == kept.machine]
    assert on_it[-1:] == [kept.test]
    [lease] = LeaseJournal().leases()
    adopt(lease).release()


def test_the_machine_that_a_test_took_out_of_use_is_kept(story: Story) -> None:
    story.hold_failed = True
    summary = story.run(Keepable, "echo abort it burns >&$ATEX_TEST_CONTROL; sleep 60", "true")
    assert summary.counts == {"error": 1, "infra": 1}
    assert [kept.test for kept in summary.kept] == ["/t1"]
    [lease] = LeaseJournal().leases()
    adopt(lease).release()


@pytest.mark.parametrize(
    ("provisioner", "reason"),
    [(LocalProvisioner, "need not be kept"), (Slow, "the service does not answer")],
)
def test_one_that_can_not_be_kept_goes_on_and_is_given_back(
    story: Story, provisioner: type[Provisioner], reason: str
) -> None:
    """With its finish; and that it can not is said once of a pool."""
    story.hold_failed = True
    summary = story.run(provisioner, *["false"] * 4, machines=2)
    assert summary.counts == {"fail": 4}
    assert (summary.kept, summary.troubles) == ((), ())
    [event] = [event for event in story.events if isinstance(event, MachineNotKept)]
    assert reason in event.reason
    assert len([event for event in story.events if isinstance(event, MachineReserved)]) == 2
    assert story.printed() == {"up", "down"}
    assert LeaseJournal().leases() == []


def test_one_that_is_borrowed_stays_anyway(story: Story) -> None:
    story.hold_failed = True
    with Keepable() as machine:
        summary = story.run(partial(borrow, machine.lease), "false")
        assert [lease.name for lease in LeaseJournal().leases()] == [machine.lease]
    assert (summary.kept, summary.troubles) == ((), ())


def test_a_prepared_machine_is_not_prepared_again(story: Story) -> None:
    assert story.run(Prepared, "true").counts == {"pass": 1}
    assert story.printed() == set()


@pytest.mark.leaves_leases
def test_a_machine_that_can_not_be_given_back(story: Story) -> None:
    summary = story.run(Sticky, "true")
    assert summary.counts == {"pass": 1}
    [reason] = summary.held
    assert "the service is down" in reason
    assert [event.held for event in story.events if isinstance(event, MachineReleased)] == [reason]


def test_how_a_machine_comes_is_told_once(story: Story) -> None:
    story.run(Talkative, "true")
    words = [event.words for event in story.events if isinstance(event, MachineComing)]
    assert [said for said in words if "queue" in said] == [
        "number 2 in the queue",
        "number 1 in the queue",
    ]


def test_a_machine_that_is_not_what_it_should_be(story: Story) -> None:
    story.context = {"arch": "s390x"}
    story.run(LocalProvisioner, *["sleep 0.1"] * 4, machines=2)
    [event] = [event for event in story.events if isinstance(event, MachineDiffers)]
    assert "tests of platform p were chosen for arch=s390x" in event.reason


def test_a_machine_whose_lease_has_ended_is_replaced(story: Story) -> None:
    story.hold_failed = True
    summary = story.run(partial(LocalProvisioner, duration=0.1), "false", "sleep 0.1", "true")
    assert summary.counts == {"pass": 2, "fail": 1}
    expired = [event.machine for event in story.events if isinstance(event, MachineExpired)]
    assert expired == ["local", "local-2", "local-3"]
    assert summary.troubles == ()  # nor was the first one kept


def test_nothing_is_kept_that_nobody_asked_for(story: Story) -> None:
    summary = story.run(Keepable, "false")
    assert summary.kept == ()
    assert not [event for event in story.events if isinstance(event, MachineKept)]
    assert story.printed() == {"up", "down"}
