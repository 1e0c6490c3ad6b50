"""What the name of an image tells of the machines that are made of it. Pure."""

import re

# The last part of an image's name with its tag, and the distribution as fmf contexts write it. Where no version is said
# nothing is told: `latest` moves, and somebody's own `fedora:tests` may be of any.
_DISTROS = tuple(
    # What may follow: 12-slim, 9.6-1758184547, stream10-development.
    (re.compile(rf"{image}(?:-.*)?", re.ASCII), distro)
    for image, distro in (
        (r"fedora(?:-minimal|-bootc|-toolbox)?:(\d+|rawhide)", "fedora-{}"),
        (r"centos(?:-bootc)?:stream(\d+)", "centos-stream-{}"),
        (r"centos:(\d+)(?:\.\d+)*", "centos-{}"),
        (r"(?:ubi|rhel)\d*(?:-[a-z]+)*:(\d+\.\d+)", "rhel-{}"),
        (r"(?:ubi|rhel)(\d+)(?:-[a-z]+)*:[\w.]*", "rhel-{}"),
        (r"rocky(?:linux)?:(\d+(?:\.\d+)?)[\w.]*", "rocky-{}"),
        (r"almalinux:(\d+(?:\.\d+)?)", "almalinux-{}"),
        (r"debian:(\d+)(?:\.\d+)*", "debian-{}"),
        (r"ubuntu:(\d+\.\d+)", "ubuntu-{}"),
        (r"leap:(\d+\.\d+)", "opensuse-leap-{}"),
    )
)


def image_context(image: str) -> dict[str, tuple[str, ...]]:
    """Return the fmf context of machines made of `image`: their distro, where its name tells it, and else nothing.

    `fedora:42` and `quay.io/centos/centos:stream10` are fedora-42 and centos-stream-10.
    """
    name, _, tag = image.partition("@")[0].rpartition("/")[2].partition(":")
    for known, distro in _DISTROS:
        if match := known.fullmatch(f"{name}:{tag}"):
            return {"distro": (distro.format(match[1]),)}
    return {}
