"""What a scheduler is told in tests, in short: tests of a plan, and events of machines."""

from atex_fmf import Test
from atex_orchestrator.events import (
    During,
    MachineExpired,
    MachineFailed,
    MachineNotKept,
    MachineReady,
    MachineReleased,
    TestFinished,
)
from atex_orchestrator.scheduling import Decision, Pool, Rules, Run
from atex_orchestrator.scheduling.scheduler import Scheduler

DEFAULT = Rules()


def plan(count: int) -> list[Test]:
    return [Test(name=f"/t{serial}", test="true", serial=serial) for serial in range(1, count + 1)]


def ready(worker: int, platform: str = "p", *, lease_end: float | None = None) -> MachineReady:
    return MachineReady(
        worker=worker,
        platform=platform,
        machine=f"m{worker}",
        session="0" * 32,
        lease_end=lease_end,
    )


def finished(
    worker: int,
    serial: int,
    platform: str = "p",
    *,
    attempt: int = 1,
    status: str = "pass",
    agent_died: bool = False,
) -> TestFinished:
    return TestFinished(
        worker=worker,
        platform=platform,
        machine=f"m{worker}",
        test=f"/t{serial}",
        serial=serial,
        attempt=attempt,
        status="infra" if agent_died else status,
        seconds=0.1,
        agent_died=agent_died,
    )


def failed(
    worker: int,
    reason: str,
    platform: str = "p",
    *,
    during: During = "reserve",
    permanent: bool = True,
) -> MachineFailed:
    """Of a reservation: one that would fail again, unless told otherwise."""
    return MachineFailed(
        worker=worker,
        platform=platform,
        machine=None,
        during=during,
        reason=reason,
        permanent=permanent,
    )


def released(worker: int, platform: str = "p") -> MachineReleased:
    return MachineReleased(worker=worker, platform=platform)


def expired(worker: int, platform: str = "p") -> MachineExpired:
    return MachineExpired(worker=worker, platform=platform, machine=f"m{worker}")


def not_kept(worker: int, platform: str = "p") -> MachineNotKept:
    return MachineNotKept(worker=worker, platform=platform, machine=f"m{worker}", reason="no")


def one_platform(tests: int, *sizes: int, rules: Rules = DEFAULT) -> Scheduler:
    return Scheduler({"p": plan(tests)}, [Pool("p", size) for size in sizes], rules=rules)


def runs(decisions: list[Decision]) -> list[tuple[int, int]]:
    return [(d.worker, d.test.serial) for d in decisions if isinstance(d, Run)]


def begun(scheduler: Scheduler, *lease_ends: float | None) -> list[tuple[int, int]]:
    """Start it, and let machines of p be ready, one after another; return what they run."""
    scheduler.start(0.0)
    return [
        run
        for worker, end in enumerate(lease_ends, start=1)
        for run in runs(scheduler.handle(ready(worker, lease_end=end), 0.0))
    ]
