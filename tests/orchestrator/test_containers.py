"""A run on containers."""

from pathlib import Path

from atex_fmf import Suite, Test
from atex_orchestrator import Orchestrator
from atex_orchestrator.events import Event, TestFinished
from atex_provision import LeaseJournal, PodmanProvisioner

MEET = "touch /meeting/$(hostname); until [ $(ls /meeting | wc -l) = 2 ]; do sleep 0.05; done"


def test_two_containers_share_the_tests(podman_image: str, tmp_path: Path) -> None:
    tree, meeting = tmp_path / "tree", tmp_path / "meeting"
    tree.mkdir()
    meeting.mkdir()
    scripts = [MEET, MEET, "true", "false"]
    tests = tuple(Test(name=f"/t{n}", test=text) for n, text in enumerate(scripts, start=1))
    events: list[Event] = []
    orchestrator = Orchestrator(tmp_path / "run")
    orchestrator.subscribe(events.append)
    orchestrator.add_platform("p", Suite(root=str(tree), tests=tests))
    orchestrator.add_provisioner(
        lambda: PodmanProvisioner(podman_image, network="none", volumes=[f"{meeting}:/meeting:rw"]),
        platform="p",
        max_workers=2,
    )
    summary = orchestrator.run()
    assert summary.counts == {"pass": 3, "fail": 1}
    machines = {event.machine for event in events if isinstance(event, TestFinished)}
    assert machines == {path.name for path in meeting.iterdir()}
    assert LeaseJournal().leases() == []
