"""The podman command line: what it prints, its errors, its end."""

import time
from pathlib import Path

import pytest
from atex_provision import ConnectionLost, PodmanFailed
from atex_provision.podman.command import Interruptible, PodmanCommand, podman

from tests.waits import PATIENCE, Background


def test_it_says_what_podman_prints(podman_image: str) -> None:
    assert podman("image", "exists", podman_image) == ""
    assert podman("run", "--rm", "--network=none", podman_image, "echo", "hello") == "hello\n"


def test_an_exit_code_is_told(podman_image: str) -> None:
    with pytest.raises(PodmanFailed, match=r"^podman image: exit code 1$"):
        podman("image", "exists", "localhost/no-such-image")


@pytest.mark.needs("podman")
def test_no_such_image_and_no_registry() -> None:
    with pytest.raises(PodmanFailed, match=r"no such image on this machine.*`podman pull`"):
        podman("run", "localhost:1/no-such-image", "true", timeout=20)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("Error: crun: setrlimit `RLIMIT_NOFILE`: Operation not permitted", "containers.conf"),
        ("Error: cannot set up namespace using \"/usr/bin/newuidmap\": exit status 1", "/etc/subuid"),
        ("Error: mkdir /var/lib/containers: permission denied", "may not do that"),
        ("Error: short-name \"x\" did not resolve to an alias", "podman pull"),
        ("Error: container-init binary not found on the host", "catatonit"),
    ],
)  # fmt: skip
def test_podmans_last_words_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, advice: str
) -> None:
    program = tmp_path / "podman"
    program.write_text(f"#!/bin/sh\necho 'a warning' >&2\ncat >&2 <<'.'\n{words}\n.\nexit 125\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(PodmanFailed) as caught:
        podman("run", "x")
    told, _, tip = str(caught.value).partition(" (")
    assert told == f"podman run: {words.removeprefix('Error: ')}"
    assert advice in tip


def test_podman_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PodmanFailed, match="not installed on this machine: `dnf install podman`"):
        podman("version")


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A podman that does not come to an end, which the real one does not do when asked to."""
    program = tmp_path / "podman"
    program.write_text("#!/bin/sh\necho 'for a start' >&2\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


@pytest.mark.usefixtures("hanging")
def test_it_has_a_limit() -> None:
    started = time.monotonic()
    with pytest.raises(PodmanFailed, match=r"^podman run: not done after 0.5 seconds: for a start"):
        podman("run", "image", timeout=0.5)
    assert time.monotonic() - started < PATIENCE


@pytest.mark.usefixtures("hanging")
def test_it_can_be_interrupted() -> None:
    by = Interruptible()
    by.interrupt()
    waiting = Background(lambda: by.finish(PodmanCommand("run", "image")))
    while waiting.waiting:
        by.interrupt()
    with pytest.raises(ConnectionLost):
        waiting.result()
