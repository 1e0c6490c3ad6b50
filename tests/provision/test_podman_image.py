"""Images that are prepared once."""

import errno
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from atex_provision import (
    Aborted,
    LeaseJournal,
    PodmanFailed,
    PodmanProvisioner,
    ProvisionError,
    adopt,
)
from atex_provision.podman.command import Interruptible, podman
from atex_provision.podman.image import REPOSITORY, ImagePreparer, preparing
from atex_provision.podman.recipe import SCRIPT
from atex_sut_agent import launch

from tests.machines.bare_image import bare_images, containers_of_lease, prepared_of
from tests.machines.registry import registry
from tests.waits import Background, eventually

LEASE = f"podman-images-{os.getpid()}"
UNTIL_TOLD = "n=0; until [ -e /go ] || [ $n = 300 ]; do n=$((n + 1)); sleep 0.1; done"

pytestmark = pytest.mark.needs("dpkg-deb")


@pytest.fixture(scope="module")
def bare(podman_base: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bare_images(podman_base, tmp_path_factory.mktemp("bare")) as image:
        yield image


@pytest.fixture
def bare_image(bare: str) -> Iterator[str]:
    """The name of an image without python3, like no other; no container may be left of its preparation."""
    yield bare
    assert containers_of_lease(LEASE) == []


def preparer(told: list[str] | None = None) -> ImagePreparer:
    words: list[str] = [] if told is None else told
    return ImagePreparer(
        LEASE,
        network="none",
        by=Interruptible(),
        tell=words.append,
        pause=lambda seconds: time.sleep(min(seconds, 0.05)),
    )


PROGRAM = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from atex_provision.podman.command import Interruptible
from atex_provision.podman.image import ImagePreparer

lease, image, threads, *recipe = sys.argv[1:]

def prepare(number):
    preparer = ImagePreparer(
        lease, network="none", by=Interruptible(), tell=lambda words: None, pause=lambda seconds: time.sleep(0.2)
    )
    return preparer.image_for(image, recipe)

with ThreadPoolExecutor(int(threads)) as pool:
    print(*set(pool.map(prepare, range(int(threads)))))
"""


def other_process(image: str, *recipe: str, threads: int = 1) -> "subprocess.Popen[str]":
    """A process that has an image prepared in so many threads, and prints what it got."""
    command = [sys.executable, "-c", PROGRAM, LEASE, image, str(threads), *recipe]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run_in(image: str, *command: str) -> str:
    return podman("run", "--rm", "--network=none", "--entrypoint=", image, *command)


def config_of(image: str) -> str:
    return podman(
        "image",
        "inspect",
        "--format={{.Config.User}} {{.Config.WorkingDir}} {{.Config.Entrypoint}} {{.Config.Cmd}}",
        image,
    )


def test_an_image_with_python_is_used_as_it_is(podman_image: str) -> None:
    told: list[str] = []
    for _ in range(2):
        assert preparer(told).image_for(podman_image) == podman_image
    assert told == []
    assert prepared_of(podman_image) == []


def test_python_is_installed_once(bare_image: str) -> None:
    told: list[str] = []
    prepared = preparer(told).image_for(bare_image)
    assert told == [f"preparing {bare_image}"]
    assert run_in(prepared, "python3", "-c", "print(6 * 7)") == "42\n"
    assert config_of(prepared) == config_of(bare_image)
    assert preparer(told).image_for(bare_image) == prepared
    assert told == [f"preparing {bare_image}"]


def test_another_recipe_or_another_base_is_another_image(bare_image: str) -> None:
    recipe = ["id -u >/who", "cd /; cp who twice"]
    first = preparer().image_for(bare_image, recipe)
    assert preparer().image_for(bare_image, recipe) == first
    alias = bare_image.replace("-bare:", "-bare-alias:")
    try:
        podman("tag", first, alias)
        second = preparer().image_for(alias, [*recipe, "echo other >>/who"])
        assert run_in(second, "cat", "/who", "/twice") == "0\nother\n0\n"
        podman("tag", second, alias)
        third = preparer().image_for(alias, [*recipe, "echo other >>/who"])
        assert len({first, second, third}) == 3
        podman("rmi", second, third)
    finally:
        podman("untag", alias)


def test_what_fails_says_what_it_printed(bare_image: str) -> None:
    with pytest.raises(PodmanFailed) as caught:
        preparer().image_for(bare_image, ["echo begun", "echo words >&2; exit 3", "echo never"])
    message = str(caught.value)
    assert f"{bare_image} could not be prepared" in message
    assert "failed: echo words >&2; exit 3\nbegun\nwords" in message


def test_without_a_package(bare_image: str) -> None:
    with pytest.raises(PodmanFailed, match="it could not be installed"):
        preparer().image_for(bare_image, ["rm /repository/*"])


def test_no_such_image(podman_base: str) -> None:
    with pytest.raises(PodmanFailed, match="image not known"):
        preparer().image_for("localhost/atex-tests-nothing:here")


Says = Callable[[str], None]


@pytest.fixture
def podman_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """Sets what podman says of every image but the prepared ones, of which there are none."""
    program = tmp_path / "podman"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def say(words: str) -> None:
        none = f'case "$*" in *{REPOSITORY}*) echo "image not known" >&2; exit 125 ;; esac'
        program.write_text(f"#!/bin/sh\n{none}\necho '{words}'\n")
        program.chmod(0o755)

    return say


@pytest.mark.parametrize("words", ["[]", "null", "[{}]", "what?", ""])
def test_what_podman_does_not_say(podman_says: Says, words: str) -> None:
    podman_says(words)
    with pytest.raises(PodmanFailed, match="podman says of localhost/image what is not understood"):
        preparer().image_for("localhost/image")


def test_a_folder_without_locks(podman_says: Says, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    podman_says('[{"Id": "1"}]')
    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(ProvisionError, match="cannot lock the preparing of localhost/image"):
        preparer().image_for("localhost/image")


def test_an_image_of_a_registry_is_pulled(
    podman_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.tar").write_bytes(bytes(1024))
    empty = podman("import", "--quiet", str(tmp_path / "empty.tar")).strip()
    podman("save", "--quiet", "--format=docker-dir", f"--output={tmp_path / 'image'}", empty)
    podman("rmi", empty)
    config = tmp_path / "registries.conf"
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(config))
    told: list[str] = []
    with registry(tmp_path / "image", "team/empty") as name:
        location = name.partition("/")[0]
        config.write_text(f'[[registry]]\nlocation = "{location}"\ninsecure = true\n')
        try:
            # There is nothing in it, no shell either.
            with pytest.raises(PodmanFailed, match="unable to start container"):
                preparer(told).image_for(name)
            assert told == [f"pulling {name}"]
            assert podman("image", "inspect", "--format={{.Size}}", name)
        finally:
            podman("rmi", "--force", name)
        with pytest.raises(PodmanFailed, match="there is no such image on this machine"):
            preparer().image_for(name.replace(":latest", ":other"))


ONCE = "echo made >>/made"


def test_twenty_at_once_and_two_processes(bare_image: str) -> None:
    processes = [other_process(bare_image, ONCE, threads=10) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert said[0] == said[1]
    (prepared,) = said[0]
    assert run_in(prepared, "cat", "/made") == "made\n"


def test_who_waits_may_be_aborted_and_else_fails_as_the_one_he_waits_for(bare_image: str) -> None:
    recipe = [f"{UNTIL_TOLD}; exit 1"]
    first = Background(lambda: preparer().image_for(bare_image, recipe))
    eventually(lambda: containers_of_lease(LEASE))
    told: list[str] = []
    over = threading.Event()

    def pause(seconds: float) -> None:
        over.wait(seconds)
        if over.is_set():
            raise Aborted("over")

    aborted = ImagePreparer(
        LEASE, network="none", by=Interruptible(), tell=told.append, pause=pause
    )
    second = Background(lambda: aborted.image_for(bare_image, recipe))
    third_told: list[str] = []
    third = Background(lambda: preparer(third_told).image_for(bare_image, recipe))
    waits = f"process {os.getpid()} looks at {bare_image} or prepares it; waiting for it"
    eventually(lambda: waits in told and waits in third_told)
    over.set()
    with pytest.raises(Aborted):
        second.result()
    assert first.waiting
    tell(LEASE)
    with pytest.raises(PodmanFailed) as caught:
        first.result()
    with pytest.raises(PodmanFailed, match=re.escape(str(caught.value))):
        third.result()
    assert f"preparing {bare_image}" not in third_told


def tell(lease: str) -> None:
    """End UNTIL_TOLD in the lease's container, as soon as it runs."""

    def told() -> bool:
        try:
            podman("exec", *containers_of_lease(lease), "touch", "/go")
        except PodmanFailed:  # it is not there yet, or does not run
            return False
        return True

    eventually(told)


RESERVE = """
import sys
from atex_provision import PodmanProvisioner

PodmanProvisioner(sys.argv[1], network="none", prepare=sys.argv[2:]).reserve()
"""


def test_who_was_killed_leaves_nothing_that_is_used(bare_image: str) -> None:
    recipe = [f"echo half >>/half; {UNTIL_TOLD}; echo whole >>/half"]
    before = prepared_of(bare_image)
    with subprocess.Popen([sys.executable, "-c", RESERVE, bare_image, *recipe]) as process:
        eventually(lambda: LeaseJournal().leases())
        (lease,) = LeaseJournal().leases()
        eventually(lambda: containers_of_lease(lease.name))
        process.kill()
    adopt(lease).release()  # as atex gc does it
    assert containers_of_lease(lease.name) == []
    assert prepared_of(bare_image) == before
    again = Background(lambda: preparer().image_for(bare_image, recipe))
    tell(LEASE)
    assert run_in(again.result(), "cat", "/half") == "half\nwhole\n"


def test_a_provisioner_prepares_and_may_be_aborted_meanwhile(bare_image: str) -> None:
    aborted = PodmanProvisioner(bare_image, network="none", prepare=[UNTIL_TOLD])
    reserving = Background(aborted.reserve)
    eventually(lambda: LeaseJournal().leases())
    (lease,) = LeaseJournal().leases()
    eventually(lambda: containers_of_lease(lease.name) == [preparing(lease.name)])
    began = time.monotonic()
    aborted.abort()
    assert time.monotonic() - began < 60  # 5 s, on a box that does nothing else
    with pytest.raises(Aborted):
        reserving.result()
    eventually(lambda: not LeaseJournal().leases())
    assert containers_of_lease(lease.name) == []
    said: list[str] = []
    provisioner = PodmanProvisioner(bare_image, network="none", prepare=["echo 1 >/one"])
    provisioner.on_progress = lambda moment, words: said.append(moment)
    with provisioner as machine:
        assert machine.connection.run("python3 --version; cat /one").exit_code == 0
    assert said == ["request", "wait", "boot", "connect"]


@pytest.mark.nightly
def test_killed_at_any_moment(bare_image: str) -> None:
    recipe = "head -c 30000000 /dev/urandom >/big; sha256sum /big >/sum"
    for round_ in range(20):
        with other_process(bare_image, recipe) as process:
            try:
                process.wait(0.3 + 0.15 * round_)
            except subprocess.TimeoutExpired:
                process.kill()
        for left in containers_of_lease(LEASE):
            podman("rm", "--force", "--time=0", left)
        for prepared in prepared_of(bare_image):
            if podman("image", "inspect", "--format={{.RepoTags}}", prepared).strip() != "[]":
                assert "OK" in run_in(prepared, "sha256sum", "-c", "/sum")
                podman("rmi", prepared)


MANAGERS = {
    "dnf": "-y install python3",
    "microdnf": "-y install python3",
    "yum": "-y install python3",
    "apt-get": "-y install --no-install-recommends python3",
    "apk": "add --no-cache python3",
    "zypper": "--non-interactive install python3",
}


@pytest.mark.parametrize("manager", MANAGERS)
def test_the_package_manager_that_there_is(manager: str, tmp_path: Path) -> None:
    tool = tmp_path / manager
    tool.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\n')
    tool.chmod(0o755)
    script = SCRIPT.replace("/usr/libexec/platform-python /usr/bin/python3.[0-9]*", "")
    ended = subprocess.run(
        ["/bin/sh", "-c", script, "sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines()[-1].startswith("failed: there is no python3")
    assert MANAGERS[manager] in (tmp_path / "calls").read_text().splitlines()


def test_the_look_for_python_is_the_agents() -> None:
    assert f"for p in {' '.join(launch._PYTHONS)}; do" in SCRIPT
