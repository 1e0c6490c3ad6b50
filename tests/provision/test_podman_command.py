"""The podman command line: what it prints, its errors, its end."""

import os
import time
from pathlib import Path

import pytest
from atex_provision import PodmanFailed
from atex_provision.podman.command import PodmanCommand, podman

from tests.machines import containers_of, remove_container
from tests.waits import Background, eventually


def test_it_says_what_podman_prints(podman_image: str) -> None:
    assert podman("image", "exists", podman_image) == ""
    assert podman("run", "--rm", "--network=none", podman_image, "echo", "hello") == "hello\n"
    assert (
        podman("run", "-i", "--rm", "--network=none", podman_image, "cat", stdin=b"given")
        == "given"
    )


def test_an_exit_code_is_told(podman_image: str) -> None:
    with pytest.raises(PodmanFailed, match=r"^podman image: exit code 1$") as caught:
        podman("image", "exists", "localhost/no-such-image")
    assert caught.value.exit_code == 1


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


def test_it_has_a_limit(podman_image: str) -> None:
    name = f"atex-test-{os.getpid()}-limit"
    started = time.monotonic()
    try:
        with pytest.raises(PodmanFailed, match=r"^podman run: not done after 1 seconds"):
            podman(
                "run", "--network=none", f"--name={name}", podman_image, "sleep", "1000", timeout=1
            )
        assert time.monotonic() - started < 20
    finally:
        remove_container(name)


def test_close_ends_it(podman_image: str) -> None:
    name = f"atex-test-{os.getpid()}-close"
    try:
        made: list[PodmanCommand] = []

        def run() -> str:
            made.append(
                PodmanCommand(
                    "run", "--network=none", f"--name={name}", podman_image, "sleep", "1000"
                )
            )
            return made[0].finish()

        waiting = Background(run)
        eventually(lambda: name in containers_of(podman_image))
        made[0].close()
        with pytest.raises(ConnectionError):
            waiting.result()
    finally:
        remove_container(name)
