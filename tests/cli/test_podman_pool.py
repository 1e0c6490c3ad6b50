import contextlib
from pathlib import Path

import pytest
from atex_cli.podman_pool import PodmanPool, read_podman_pool
from atex_cli.pools import PoolError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def test_all_that_can_be_said(tmp_path: Path) -> None:
    file = tmp_path / "pool.toml"
    file.write_text("""
        image = "registry.fedoraproject.org/fedora:42"
        systemd = true
        volumes = ["/srv/data:/data:ro"]
        network = "host"
        privileged = true
        prepare = ["dnf -y install vim"]
        machines = 4
        platform = "fedora"
        context = {distro = "fedora-42", variant = ["server", "cloud"]}
    """)
    assert read_podman_pool(file) == PodmanPool(
        image="registry.fedoraproject.org/fedora:42",
        systemd=True,
        volumes=("/srv/data:/data:ro",),
        network="host",
        privileged=True,
        prepare=("dnf -y install vim",),
        machines=4,
        platform="fedora",
        context={"distro": "fedora-42", "variant": ("server", "cloud")},
    )


def test_the_image_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "pool.toml"
    file.write_text('image = "fedora:42"')
    assert read_podman_pool(file) == PodmanPool(image="fedora:42")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "image"),
        ("image = 1", "image: Expected `str`"),
        ('image = "--privileged"', "image: '--privileged' can be no image"),
        ('image = "a"\nmachine = 2', "unknown field `machine`"),
        ('image = "a"\nmachines = 0', "machines: Expected `int` >= 1"),
        ('image = "a"\nmachines = "2"', "machines: Expected `int`"),
        ('image = "a"\nvolumes = "/a:/b"', "volumes: Expected `array`"),
        ('image = "a"\nvolumes = ["/a:/b", 2]', r"volumes\[1\]: Expected `str`"),
        ('image = "a"\ncontext = {distro = 42}', "context"),
        ('image = "a"\nimage = "b"', "is not TOML"),
        ("image: a", "is not TOML"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "pool.toml"
    file.write_text(text)
    with pytest.raises(PoolError, match=complaint) as caught:
        read_podman_pool(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    for file, why in ((tmp_path / "none", "No such file"), (tmp_path, "directory")):
        with pytest.raises(PoolError, match=why):
            read_podman_pool(file)


@given(st.binary())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_a_pool_or_a_pool_error(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "pool.toml"
    file.write_bytes(b"image = 'a'\n" + content)
    with contextlib.suppress(PoolError):
        assert read_podman_pool(file).image == "a"
