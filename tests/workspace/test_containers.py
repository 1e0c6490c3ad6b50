"""The fixture `podman_image`: real containers, and no test leaves one behind."""

import subprocess

import pytest

from tests.machines.rootfs import CACHE
from tests.workspace.conftest import InnerPytest

LEAKY = """
import subprocess

import pytest
from tests.machines import fixtures


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(fixtures, "PATIENCE", 1.0)


def test_leaky(podman_image):
    command = ["podman", "run", "--detach", "--network=none", podman_image, "sleep", "1000"]
    subprocess.run(command, check=True)


def test_afterwards(podman_image):
    pass
"""


def test_the_image_is_a_debian_with_systemd_and_python(podman_image: str) -> None:
    asked = "test -x /sbin/init && python3 -c 'import sys; print(sys.version_info >= (3, 6))'"
    run = ["podman", "run", "--rm", "--network=none", podman_image, "sh", "-c", asked]
    assert subprocess.run(run, check=True, capture_output=True).stdout == b"True\n"


def test_a_container_that_is_left_behind_is_an_error(
    inner_pytest: InnerPytest, podman_image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(CACHE.parent))  # its HOME is another one
    result = inner_pytest(LEAKY, plugins=["tests.machines.fixtures"])
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["the test left behind: containers *"])
