"""What every provisioner with a lease keeps: the order of things, failures, the end from any thread at any moment."""

import math
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from atex_provision import (
    Aborted,
    Holder,
    JournalError,
    Lease,
    LeaseJournal,
    ProvisionError,
    SessionNote,
)
from atex_provision.provisioner import holding

from tests.provision.service import Gate, Served, Service, Staying, fail_at
from tests.waits import PATIENCE, Background, eventually


@pytest.fixture
def journal() -> LeaseJournal:
    return LeaseJournal()


@pytest.fixture
def service(tmp_path: Path) -> Service:
    (tmp_path / "service").mkdir()
    return Service(tmp_path / "service")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs is waited for not quite as long as usual."""
    monkeypatch.setattr(holding, "ABORT_TIME", 0.5)
    monkeypatch.setattr("atex_provision.provisioner.leased.ABORT_TIME", 0.5)
    monkeypatch.setattr("atex_provision.provisioner.leased.RELEASE_TIME", 0.5)
    monkeypatch.setattr(holding, "PROMPT", 0.1)


# The order of things


def test_the_lease_is_there_as_long_as_the_machine(service: Service, journal: LeaseJournal) -> None:
    def during(step: str) -> None:
        [lease] = journal.leases()
        seen.append((step, lease.resource.get("number"), bool(service.machines)))

    seen: list[tuple[str, str | None, bool]] = []
    provisioner = Served(service, during=during, purpose="a test", duration=3600)
    machine = provisioner.reserve()
    [lease] = journal.leases()
    assert service.machines == {lease.name}
    assert (machine.lease, machine.lease_end) == (lease.name, lease.ends)
    assert lease.ends == lease.created + 3600
    assert (lease.holder, lease.purpose) == (Holder.myself(), "a test")
    assert lease.backend == "tests.provision.service:Served"
    assert lease.machine == machine.name
    provisioner.release()
    assert provisioner.left is None
    assert journal.leases() == []
    assert seen == [
        ("ask", None, False),
        ("asked", None, True),
        ("wait", "7", True),
        ("connect", "7", True),
        ("free", "7", True),
    ]


def test_what_it_says_of_its_progress(service: Service) -> None:
    provisioner = Served(service)
    said: list[str] = []
    provisioner.on_progress = lambda moment, words: said.append(f"{moment}: {words}")
    with provisioner as machine:
        assert said == [
            f"request: asking for {machine.lease}",
            "wait: in the queue",
            "connect: connecting to local",
        ]


def test_without_a_journal_nothing_is_asked_for(service: Service, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    provisioner = Served(service, journal=LeaseJournal(tmp_path / "file"))
    with pytest.raises(JournalError):
        provisioner.reserve()
    provisioner.release()
    assert service.calls == []


@pytest.mark.parametrize("step", ["ask", "asked", "wait", "connect"])
def test_what_fails_is_given_back(service: Service, journal: LeaseJournal, step: str) -> None:
    provisioner = Served(service, during=fail_at(step))
    with pytest.raises(ProvisionError, match=f"no luck with {step}"):
        provisioner.reserve()
    assert service.machines == set()
    assert journal.leases() == []
    assert provisioner.left is None
    assert not provisioner.alive()


def test_a_bug_of_a_backend_is_given_back_as_well(service: Service, journal: LeaseJournal) -> None:
    def during(step: str) -> None:
        if step == "connect":
            raise KeyError("a bug")

    with pytest.raises(KeyError, match="a bug"):
        Served(service, during=during).reserve()
    assert service.machines == set()
    assert journal.leases() == []


def test_the_lease_ends(service: Service) -> None:
    provisioner = Served(service, duration=0.5)
    with provisioner as machine:
        assert machine.lease_end is not None
        eventually(lambda: not provisioner.alive())
        assert time.time() >= machine.lease_end
        assert machine.connection.run("true").exit_code == 0  # it is ours to ask no more


@pytest.mark.parametrize("duration", [0.0, -1.0, math.nan, math.inf])
def test_a_lease_of_no_time_and_of_all_time(service: Service, duration: float) -> None:
    with pytest.raises(ValueError, match="can not last"):
        Served(service, duration=duration)


# The end at any moment


@pytest.mark.parametrize("end", ["abort", "release"])
@pytest.mark.parametrize("step", ["ask", "asked", "wait", "connect"])
def test_the_end_comes_while_it_is_at_something(
    service: Service, journal: LeaseJournal, step: str, end: str
) -> None:
    gate = Gate(step)
    provisioner = Served(service, during=gate)
    reserving = Background(provisioner.reserve)
    assert gate.reached.wait(PATIENCE)
    ending = Background(getattr(provisioner, end))
    assert provisioner._over.wait(PATIENCE)
    gate.opened.set()
    ending.result()
    with pytest.raises(Aborted):
        reserving.result()
    assert service.machines == set()
    assert journal.leases() == []
    assert provisioner.left is None


@pytest.mark.parametrize("moment", ["request", "wait", "connect"])
def test_whoever_hears_of_the_progress_may_abort(
    service: Service, journal: LeaseJournal, moment: str
) -> None:
    provisioner = Served(service)

    def on_progress(now: str, words: str) -> None:
        if now == moment:
            provisioner.abort()

    provisioner.on_progress = on_progress
    started = time.monotonic()
    with pytest.raises(Aborted):
        provisioner.reserve()
    assert time.monotonic() - started < 20
    assert service.machines == set()
    assert journal.leases() == []
    assert provisioner.left is None
    if moment == "request":
        assert not any(call == "give" for call, _ in service.calls)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("step", ["ask", "asked", "connect"])
def test_a_backend_that_hangs_is_left_alone_and_cleans_up_when_it_comes_back(
    service: Service, journal: LeaseJournal, step: str
) -> None:
    gate = Gate(step)
    provisioner = Served(service, during=gate)
    reserving = Background(provisioner.reserve)
    assert gate.reached.wait(PATIENCE)
    provisioner.abort()
    with pytest.raises(Aborted):
        reserving.result()
    assert service.machines == set()  # what there was has been freed
    [lease] = journal.leases()  # but more may come
    assert provisioner.left == f"{lease.name} is still being given back"
    gate.opened.set()
    eventually(lambda: not journal.leases())
    assert service.machines == set()
    eventually(lambda: provisioner.left is None)


def test_a_service_is_not_asked_all_the_time_while_the_backend_hangs(
    service: Service, journal: LeaseJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only when there is something new to be freed, or after seconds."""
    monkeypatch.setattr(holding, "PROMPT", 0.1)
    monkeypatch.setattr(holding, "FREE_AGAIN", 1000.0)
    asks, waits = Gate("asked"), Gate("wait")

    def during(step: str) -> None:
        asks(step)
        waits(step)

    class Deaf(Served):
        def _check_over(self) -> None:
            """Goes on."""

    provisioner = Deaf(service, during=during)
    reserving = Background(provisioner.reserve)
    assert asks.reached.wait(PATIENCE)
    [lease] = journal.leases()
    ending = Background(provisioner.release)
    eventually(lambda: service.taken(lease.name) == 1)
    time.sleep(3 * holding.AGAIN)
    assert service.taken(lease.name) == 1
    asks.opened.set()  # and it learns something
    assert waits.reached.wait(PATIENCE)
    eventually(lambda: service.taken(lease.name) == 2)
    monkeypatch.setattr(holding, "FREE_AGAIN", 0.3)
    eventually(lambda: service.taken(lease.name) > 2)
    waits.opened.set()
    ending.result()
    with pytest.raises(Aborted):
        reserving.result()
    assert journal.leases() == []


@pytest.mark.usefixtures("impatient")
def test_to_give_back_may_hang(service: Service, journal: LeaseJournal) -> None:
    gate = Gate("free")
    provisioner = Served(service, during=gate)
    provisioner.reserve()
    provisioner.abort()
    provisioner.release()
    [lease] = journal.leases()
    assert provisioner.left == f"{lease.name} is still being given back"
    gate.opened.set()
    provisioner.release()
    assert provisioner.left is None
    assert service.taken(lease.name) == 1
    assert journal.leases() == []


def test_two_that_release_at_once_free_once(service: Service) -> None:
    gate = Gate("free")
    provisioner = Served(service, during=gate)
    name = provisioner.reserve().lease
    ends = [provisioner.abort, provisioner.release] * 4
    threads = [Background(end) for end in ends]
    assert gate.reached.wait(PATIENCE)
    gate.opened.set()
    for thread in threads:
        thread.result()
    provisioner.release()
    assert service.taken(name) == 1


def test_where_no_thread_can_be_started_it_is_freed_without(
    service: Service, journal: LeaseJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    provisioner = Served(service)
    provisioner.reserve()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        provisioner.release()
    assert service.machines == set()
    assert journal.leases() == []


def test_where_no_thread_can_be_started_nothing_is_asked_for(
    service: Service, journal: LeaseJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    provisioner = Served(service)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        with pytest.raises(ProvisionError, match="can't start new thread: raise the limit"):
            provisioner.reserve()
    provisioner.release()
    assert provisioner.left is None
    assert service.calls == []
    assert journal.leases() == []


def test_what_cannot_be_freed_stays_for_gc(service: Service, journal: LeaseJournal) -> None:
    provisioner = Served(service, during=fail_at("free"))
    name = provisioner.reserve().lease
    provisioner.release()
    assert provisioner.left == (
        f"{name} could not be given back: no luck with free; `atex gc {name}` tries again"
    )
    assert not journal.read(name).in_use  # gc need not wait for the end of this process
    assert service.machines == {name}
    provisioner.release()
    assert provisioner.left is None
    assert service.machines == set()
    assert journal.leases() == []


def test_what_fails_and_cannot_be_freed_says_so(service: Service, journal: LeaseJournal) -> None:
    def during(step: str) -> None:
        if step in {"connect", "free"}:
            raise ProvisionError(f"no luck with {step}")

    provisioner = Served(service, during=during)
    with pytest.raises(ProvisionError, match="no luck with connect"):
        provisioner.reserve()
    assert provisioner.left is not None
    assert "no luck with free" in provisioner.left
    provisioner.during = lambda step: None
    provisioner.release()
    assert provisioner.left is None
    assert journal.leases() == []


def test_any_end_at_any_moment(service: Service, journal: LeaseJournal) -> None:
    """Many provisioners, each ended by several threads at random moments."""

    def one(seed: int) -> None:
        chance = random.Random(seed)
        dawdle = [chance.uniform(0, 0.01) for _ in range(8)]
        provisioner = Served(service, during=lambda step: time.sleep(dawdle[len(step)]))
        ends: list[Background[None]] = []

        def end(call: Callable[[], None], pause: float) -> None:
            time.sleep(pause)
            call()

        for call in (provisioner.abort, provisioner.release, provisioner.abort):
            pause = chance.uniform(0, 0.1)
            ends.append(Background(lambda call=call, pause=pause: end(call, pause)))  # type: ignore[misc]
        try:
            machine = provisioner.reserve()
            assert machine.lease
        except Aborted:
            pass
        for thread in ends:
            thread.result()
        assert provisioner.left is None

    for batch in range(5):
        for thread in [Background(lambda seed=10 * batch + n: one(seed)) for n in range(10)]:  # type: ignore[misc]
            thread.result()
    assert service.machines == set()
    assert journal.leases() == []


def test_ctrl_c_while_it_waits(
    service: Service, journal: LeaseJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exception comes in the thread that called reserve(), in the middle of its wait."""
    gate = Gate("wait")
    provisioner = Served(service, during=gate)

    def interrupt(waiting: object) -> None:
        threading.Thread(target=gate.opened.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(provisioner._holding, "_await", interrupt)
    with pytest.raises(KeyboardInterrupt):
        provisioner.reserve()
    assert service.machines == set()
    assert journal.leases() == []


# What is kept


def test_what_is_kept_is_not_given_back(service: Service, journal: LeaseJournal) -> None:
    provisioner = Served(service)
    machine = provisioner.reserve()
    until = time.time() + 60
    kept = provisioner.keep(until, prepared=True)
    assert machine.lease_end == kept.ends == until
    assert kept.kept
    assert kept.prepared
    assert provisioner.alive()
    assert provisioner.keep() == kept
    provisioner.release()
    provisioner.abort()
    assert not provisioner.alive()
    assert provisioner.left is None
    assert journal.leases() == [kept]
    assert service.machines == {kept.name}
    journal.remove(kept.name)


def test_to_keep_does_not_prolong(service: Service, journal: LeaseJournal) -> None:
    provisioner = Served(service, duration=60)
    machine = provisioner.reserve()
    assert provisioner.keep(time.time() + 3600).ends == machine.lease_end
    journal.remove(machine.lease)


def test_nothing_is_kept_that_is_not_reserved(service: Service) -> None:
    provisioner = Served(service)
    with pytest.raises(ProvisionError, match="no machine is reserved"):
        provisioner.keep()
    provisioner.reserve()
    provisioner.release()
    with pytest.raises(ProvisionError, match="no machine"):
        provisioner.keep()


def test_what_could_not_be_kept_is_given_back(
    service: Service, journal: LeaseJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """release() comes while keep() writes the lease, and waits to see what becomes of it."""
    releasing: list[Background[None]] = []

    def fail(name: str, **changes: object) -> None:
        releasing.append(Background(provisioner.release))
        assert provisioner._over.wait(PATIENCE)
        raise JournalError("the disk is full")

    provisioner = Served(service, journal=journal)
    provisioner.reserve()
    monkeypatch.setattr(journal, "update", fail)
    with pytest.raises(JournalError):
        provisioner.keep()
    releasing[0].result()
    assert service.machines == set()
    assert journal.leases() == []


def test_keep_and_release_at_once(service: Service, journal: LeaseJournal) -> None:
    """One of them has its way."""

    def keep() -> bool:
        try:
            provisioner.keep()
        except ProvisionError:
            return False
        return True

    for _ in range(5):
        provisioner = Served(service)
        name = provisioner.reserve().lease
        keeping, releasing = Background(keep), Background(provisioner.release)
        releasing.result()
        kept = keeping.result()
        assert [lease.name for lease in journal.leases()] == [name] * kept
        assert service.machines == {name} if kept else not service.machines
        journal.remove(name)
        service.take(name)


# Sessions of agents


def test_sessions_are_noted_while_they_last(service: Service, journal: LeaseJournal) -> None:
    provisioner = Staying(service)
    with pytest.raises(ProvisionError, match="no machine"):
        provisioner.note_session(SessionNote("a"))
    machine = provisioner.reserve()
    provisioner.note_session(SessionNote("a", become=True))
    provisioner.note_session(SessionNote("b"))
    assert journal.read(machine.lease).sessions == (
        SessionNote("a", become=True, holder=Holder.myself()),
        SessionNote("b", holder=Holder.myself()),
    )
    provisioner.forget_session("a")
    provisioner.forget_session("b")
    provisioner.release()
    assert journal.leases() == []
    provisioner.forget_session("b")


def test_where_the_machine_stays_a_session_is_not_forgotten(
    service: Service, journal: LeaseJournal
) -> None:
    provisioner = Staying(service)
    name = provisioner.reserve().lease
    provisioner.note_session(SessionNote("a"))
    provisioner.release()
    assert provisioner.left == (
        f"on local the session of an agent may go on; `atex gc {name}` tries again"
    )
    [lease] = journal.leases()
    assert lease.sessions == (SessionNote("a"),)  # gc need not wait for the end of this process
    assert not lease.in_use
    journal.remove(name)


def test_a_lease_that_somebody_removed_is_no_trouble(
    service: Service, journal: LeaseJournal
) -> None:
    provisioner = Staying(service)
    journal.remove(provisioner.reserve().lease)
    provisioner.release()
    assert provisioner.left is None
    assert service.machines == set()


def test_where_the_machine_goes_its_sessions_go_with_it(
    service: Service, journal: LeaseJournal
) -> None:
    provisioner = Served(service)
    provisioner.reserve()
    provisioner.note_session(SessionNote("a"))
    provisioner.release()
    assert provisioner.left is None
    assert journal.leases() == []


def test_what_was_learnt_is_freed_even_if_it_cannot_be_written(
    service: Service, journal: LeaseJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[dict[str, str]] = []

    class Noting(Served):
        def _free(self, lease: Lease) -> None:
            freed.append(lease.resource)

    def fail(name: str, **changes: object) -> None:
        raise JournalError("the disk is full")

    monkeypatch.setattr(journal, "update", fail)
    provisioner = Noting(service, journal=journal)
    with pytest.raises(JournalError, match="full"):
        provisioner.reserve()
    assert freed == [{"folder": str(service.folder), "number": "7"}]
