"""`atex run` and `atex reserve` with containers."""

import json
import signal
from pathlib import Path

import pytest
from atex_provision import LeaseJournal

from tests.cli.command import Atex
from tests.machines import containers_of


def test_tests_run_in_containers(atex: Atex, podman_image: str) -> None:
    for name in "ab":
        atex.write(f"{name}.fmf", "test: 'true'\n")
    ended = atex.run("--on", f"2xpodman:{podman_image}", "--for", "1h")
    assert ended.code == 0, ended
    machines = {record["machine"] for record in atex.finals().values()}
    assert all(machine.startswith("podman-") for machine in machines)
    assert not containers_of(podman_image)


def test_a_file_describes_them(atex: Atex, podman_image: str, tmp_path: Path) -> None:
    """With a platform, a context and a volume of their own."""
    volume = tmp_path / "volume"
    volume.mkdir()
    file = tmp_path / "pool.toml"
    file.write_text(f"""
        image = "{podman_image}"
        volumes = ["{volume}:/volume"]
        privileged = true
        platform = "mine"
        context = {{distro = "mine-1"}}
    """)
    atex.write("a.fmf", "test: touch /volume/written\n")
    atex.write("b.fmf", "test: 'true'\nadjust: {when: distro == mine-1, enabled: false}\n")
    ended = atex.run("--on", f"podman:@{file}")
    assert ended.code == 0, ended
    assert (volume / "written").exists()
    [platform] = json.loads((atex.results / "run.json").read_text())["platforms"]
    assert (platform["name"], platform["context"]) == ("mine", {"distro": ["mine-1"]})
    assert list(platform["tests"].values()) == ["/a"]
    assert "distro" in ended.err  # which this image says is another one


def test_no_such_image(atex: Atex, podman_image: str) -> None:
    atex.write("a.fmf", "test: 'true'\n")
    ended = atex.run("--on", "podman:localhost/no-such-image:1")
    assert ended.code == 75, ended
    assert "localhost/no-such-image:1" in ended.out


@pytest.mark.leaves_leases
def test_what_a_killed_reserve_leaves_is_given_back(atex: Atex, podman_image: str) -> None:
    process = atex.start("reserve", f"2xpodman:{podman_image}")
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(4)]
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert len(containers_of(podman_image)) == 2
    assert said[1].startswith("    podman exec -it podman-")
    ended = atex("gc")
    assert ended.code == 0, ended
    assert not containers_of(podman_image)
    assert not LeaseJournal(atex.state / "leases").leases()


def test_a_failed_test_keeps_its_machine(atex: Atex, podman_image: str) -> None:
    """Somebody may look at it, run tests on it, and gives it back."""
    atex.write(
        "plan.fmf", "discover: {how: fmf}\nprepare: {how: shell, script: date >>/prepared}\n"
    )
    atex.write("a.fmf", "test: touch /was-here; false\n")
    atex.write("b.fmf", "test: test -e /was-here && test $(wc -l </prepared) = 1\n")
    ended = atex.run("--on", f"podman:{podman_image}", "--hold-failed", "--test", "/a")
    assert ended.code == 1, ended
    [lease] = LeaseJournal(atex.state / "leases").leases()
    kept = ended.out.partition(f"{lease.machine} is kept until ")[2].splitlines()
    assert kept[1:4] == [
        f"    podman exec -it {lease.machine} /bin/sh",
        f"    atex run --on lease:{lease.name}   # runs tests on it",
        f"    atex gc {lease.name}               # gives it back",
    ]
    assert ended.err.count(lease.machine) == 1  # a line, at once
    ended = atex.run("--on", f"lease:{lease.name}", "--test", "/b", "--output", "again")
    assert ended.code == 0, ended
    assert atex("gc").code == 0
    assert containers_of(podman_image)
    ended = atex("gc", lease.name)
    assert ended.code == 0, ended
    assert not containers_of(podman_image)
