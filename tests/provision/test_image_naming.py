import pytest
from atex_provision import image_context
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("image", "distro"),
    [
        ("fedora:42", "fedora-42"),
        ("registry.fedoraproject.org/fedora:42", "fedora-42"),
        ("quay.io/fedora/fedora-minimal:43-x86_64", "fedora-43"),
        ("registry:5000/fedora:rawhide", "fedora-rawhide"),
        ("quay.io/centos/centos:stream10", "centos-stream-10"),
        ("quay.io/centos/centos:stream9-development", "centos-stream-9"),
        ("centos:7.9.2009", "centos-7"),
        ("registry.access.redhat.com/ubi9/ubi-minimal:9.6-1758184547", "rhel-9.6"),
        ("registry.access.redhat.com/ubi8-init", "rhel-8"),
        ("rhel10/rhel-bootc:10.1", "rhel-10.1"),
        ("rockylinux:9.3.20231119", "rocky-9.3"),
        ("almalinux:10", "almalinux-10"),
        ("docker.io/library/debian:12-slim", "debian-12"),
        ("debian:12.11", "debian-12"),
        ("ubuntu:24.04", "ubuntu-24.04"),
        ("opensuse/leap:15.6", "opensuse-leap-15.6"),
        (f"fedora:42@sha256:{'a' * 64}", "fedora-42"),
    ],
)
def test_what_is_known(image: str, distro: str) -> None:
    assert image_context(image) == {"distro": (distro,)}


@pytest.mark.parametrize(
    "image",
    [
        "fedora",
        "fedora:latest",
        "fedora:42x",
        "notfedora:42",
        "me/fedora:tests",
        "registry:42/mine",
        "debian:bookworm",
        "localhost/deb:min",
        "a1b2c3",
        f"fedora@sha256:{'4' * 64}",
    ],
)
def test_what_is_not_known_is_not_guessed(image: str) -> None:
    assert image_context(image) == {}


@given(st.text())
def test_any_text_is_taken(image: str) -> None:
    assert image_context(image).keys() <= {"distro"}
