"""An image without python3, whose apt finds a package of that name in the image itself and asks no network."""

import contextlib
import hashlib
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.machines.keeper import MachineError

LIMIT = 120.0  # seconds for a command

# The interpreter is hidden where nobody looks for it; the package is a link to it.
CONTAINERFILE = """\
FROM {base}
COPY python3.deb Packages /repository/
RUN dpkg --purge --force-all python3 python3-minimal && mv /usr/bin/python3.11 /usr/lib/hidden-python && \
    rm -f /usr/bin/python3* /etc/apt/sources.list.d/* && \
    echo 'deb [trusted=yes] file:/repository ./' >/etc/apt/sources.list
LABEL atex.test={unique}
USER tester
WORKDIR /home/tester
ENTRYPOINT ["/bin/echo", "entered"]
CMD ["a command", "of its own"]
"""
CONTROL = """\
Package: python3
Version: 99
Architecture: all
Maintainer: nobody <nobody@example.org>
Description: For tests
"""


@contextlib.contextmanager
def bare_images(base: str, folder: Path) -> Iterator[str]:
    """The image, by a name of its own; no other is like it. `folder`, which is there, is for what it is made of.

    In the end it goes, with all that was prepared of it. Raises MachineError.
    """
    unique = secrets.token_hex(6)
    name = f"localhost/atex-tests-bare:{unique}"
    _write_repository(folder)
    (folder / "Containerfile").write_text(CONTAINERFILE.format(base=base, unique=unique))
    try:
        _run(
            "podman",
            "build",
            "--quiet",
            "--layers=false",
            "--network=none",
            "--pull=never",
            f"--tag={name}",
            folder,
        )
        yield name
    finally:
        for image in [*prepared_of(name), name]:
            _run("podman", "rmi", "--force", image)


def prepared_of(name: str) -> list[str]:
    """The ids of the images that were prepared of this one."""
    listed = _run("podman", "images", "--quiet", f"--filter=label=atex.base={name}")
    return sorted(set(listed.split()))


def containers_of_lease(lease: str) -> list[str]:
    """The names of the containers with the label of a lease."""
    listed = _run(
        "podman", "ps", "--all", "--format={{.Names}}", f"--filter=label=atex.lease={lease}"
    )
    return listed.split()


def _write_repository(folder: Path) -> None:
    package = folder / "package"
    (package / "DEBIAN").mkdir(parents=True)
    (package / "DEBIAN/control").write_text(CONTROL)
    (package / "usr/bin").mkdir(parents=True)
    (package / "usr/bin/python3").symlink_to("/usr/lib/hidden-python")
    deb = folder / "python3.deb"
    _run("dpkg-deb", "--build", "--root-owner-group", package, deb)
    data = deb.read_bytes()
    stanza = f"{CONTROL}Filename: python3.deb\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    (folder / "Packages").write_text(stanza)


def _run(*command: str | Path) -> str:
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if ended.returncode:
        raise MachineError(f"{' '.join(map(str, command))}: {ended.stderr.strip()}")
    return ended.stdout
