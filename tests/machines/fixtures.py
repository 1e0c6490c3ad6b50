"""Fixtures with real machines: a plugin that tests/conftest.py loads for all tests."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.machines import (
    LightHost,
    LightHosts,
    NspawnHost,
    NspawnHosts,
    Repository,
    Sshd,
    containers_of,
    light_hosts_missing,
    nspawn_missing,
    podman_images,
    podman_missing,
    podman_settings,
    remove_container,
    rpm_missing,
    sshd_missing,
)
from tests.waits import eventually

PATIENCE = 30.0  # seconds that containers have, after their test, to go


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    """A running sshd of the test's own."""
    _skip_for(sshd_missing())
    with Sshd() as server:
        yield server


@pytest.fixture
def light_hosts() -> Iterator[Callable[[int], list[LightHost]]]:
    """`light_hosts(2)`: two running light hosts of the test's own."""
    _skip_for(light_hosts_missing())
    with ExitStack() as stack:
        yield lambda count: stack.enter_context(LightHosts(count))


@pytest.fixture
def light_host(light_hosts: Callable[[int], list[LightHost]]) -> LightHost:
    """A running light host of the test's own."""
    return light_hosts(1)[0]


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """Packages for `dnf_host`: "one", "two" and "three" can be installed, "broken" wants what nobody provides."""
    _skip_for(rpm_missing())
    repository = Repository(tmp_path_factory.mktemp("packages") / "repository")
    repository.add("one", provides=["virtual-one", "perl(One)"], files={"/var/lib/one/file": "1\n"})
    repository.add("two")
    repository.add("three")
    repository.add("broken", requires=["what-nobody-provides"])
    repository.publish()
    return repository


@pytest.fixture
def dnf_host(light_host: LightHost, repository: Repository) -> LightHost:
    """A running light host of the test's own whose dnf finds the packages of `repository`, in /root/repository."""
    repository.offer_to(light_host)
    return light_host


@pytest.fixture
def nspawn_hosts() -> Iterator[Callable[[int], list[NspawnHost]]]:
    """`nspawn_hosts(2)`: two running machines with systemd of the test's own."""
    _skip_for(nspawn_missing())
    with ExitStack() as stack:
        yield lambda count: stack.enter_context(NspawnHosts(count))


@pytest.fixture
def nspawn_host(nspawn_hosts: Callable[[int], list[NspawnHost]]) -> NspawnHost:
    """A running machine with systemd of the test's own."""
    return nspawn_hosts(1)[0]


@pytest.fixture(scope="session")
def podman_base() -> Iterator[str]:
    """What `podman_image` is, for fixtures of a wider scope than a test's. Who makes containers of it removes them."""
    _skip_for(podman_missing())
    with pytest.MonkeyPatch.context() as patch, podman_images() as image:
        for name, value in podman_settings().items():
            patch.setenv(name, value)
        yield image


@pytest.fixture
def podman_image(podman_base: str) -> Iterator[str]:
    """The name of an image for `podman run`: Debian with systemd (`/sbin/init`) and python3.

    A test that leaves a container of it behind fails.
    """
    before = {*containers_of(podman_base)}
    yield podman_base
    # One that somebody else is just making is shown by any name of the image, for a moment.
    with contextlib.suppress(AssertionError):
        eventually(lambda: before.issuperset(containers_of(podman_base)), PATIENCE)
    if left := sorted({*containers_of(podman_base)} - before):
        for name in left:
            remove_container(name)
        pytest.fail(f"the test left behind: containers {', '.join(left)}", pytrace=False)


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME: no ssh config, keys, agent or known hosts of whoever runs the tests."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("SSH_AUTH_SOCK", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return home


def _skip_for(reason: str | None) -> None:
    if reason:
        pytest.skip(reason)
