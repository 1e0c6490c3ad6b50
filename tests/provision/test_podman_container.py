"""Containers, and what is left of one when we are killed while it comes up."""

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from atex_provision.podman import container
from atex_provision.podman.command import podman
from atex_provision.podman.container import Settings

from tests.machines import all_containers
from tests.waits import eventually

# A process that brings a container up and tells when it begins.
ASKING = """
import sys
from atex_provision.podman import container

image, name = sys.argv[1:]
print("asking", flush=True)
settings = container.Settings(image=image, network="none")
container.create(name, settings, lease="none", seconds=1000).finish()
container.start(name)
print("up", flush=True)
"""
LONGEST = 1.5  # seconds; longer than it takes on an idle machine
AT_ONCE = 5


def unique(number: int = 0) -> str:
    return f"atex-test-{os.getpid()}-{number}"


def test_a_container_from_the_making_to_the_end(podman_image: str) -> None:
    name = unique()
    assert container.state(name) is None
    settings = Settings(image=podman_image, network="none")
    container.create(name, settings, lease="lease-1", seconds=1000).finish()
    made = container.state(name)
    assert made is not None
    assert made.status == "created"
    assert not made.running
    container.start(name)
    container.start(name)
    up = container.state(name)
    assert up is not None
    assert up.running
    assert up.started_at != made.started_at
    assert podman("ps", "--format={{.Names}}", "--filter=label=atex.lease=lease-1") == f"{name}\n"
    container.remove(name)
    container.remove(name)
    assert container.state(name) is None


def test_what_ends_in_it_is_reaped(podman_image: str) -> None:
    name = unique()
    settings = Settings(image=podman_image, network="none")
    container.create(name, settings, lease="", seconds=1000).finish()
    container.start(name)
    podman("exec", name, "sh", "-c", "setsid sh -c 'sleep 0.01 & exec sleep 0.02' & exit")
    eventually(lambda: "sleep 0" not in podman("exec", name, "ps", "-eo", "args"))
    assert "defunct" not in podman("exec", name, "ps", "-eo", "args")
    podman("exec", name, "kill", "1")
    eventually(lambda: (now := container.state(name)) and now.status == "exited")
    container.remove(name)


def test_its_end_is_podmans_matter(podman_image: str) -> None:
    name = unique()
    settings = Settings(image=podman_image, network="none")
    container.create(name, settings, lease="", seconds=0.5).finish()
    container.start(name)
    eventually(lambda: (now := container.state(name)) and now.status == "exited")
    container.remove(name)


def test_volumes_and_privileges(
    podman_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = unique()
    (tmp_path / "given").mkdir()
    (tmp_path / "given/file").write_text("from outside")
    monkeypatch.chdir(tmp_path)
    settings = Settings(
        image=podman_image, network="host", privileged=True, volumes=("./given:/mnt/given:ro",)
    )
    container.create(name, settings, lease="", seconds=1000).finish()
    container.start(name)
    assert podman("exec", name, "cat", "/mnt/given/file") == "from outside"
    said = podman("container", "inspect", "--format={{.HostConfig.Privileged}}", name)
    assert said == "true\n"
    container.remove(name)


@pytest.mark.parametrize("times", [6, pytest.param(60, marks=pytest.mark.nightly)])
def test_no_container_comes_up_after_its_parent_was_killed(podman_image: str, times: int) -> None:
    """At whatever moment: what is there when the parent is dead can be removed, and nothing comes after that."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(
            pool.map(lambda number: _kill_the_parent_of(unique(number), podman_image), range(times))
        )


def _kill_the_parent_of(name: str, image: str) -> None:
    moment = random.uniform(0, LONGEST)
    asking = [sys.executable, "-c", ASKING, image, name]
    with subprocess.Popen(asking, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"asking\n"
        time.sleep(moment)  # for the moment, not for luck
        parent.send_signal(signal.SIGKILL)
    container.remove(name)
    assert name not in all_containers(), f"killed after {moment:.3f} s"
    eventually(lambda: not _processes_about(name))
    assert name not in all_containers(), f"killed after {moment:.3f} s"


def _processes_about(name: str) -> list[str]:
    """The command lines of what still makes, starts or watches over the container."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if name in line:
            found.append(line)
    return found
