"""Packages for machines under test: real rpms, and a repository of them that a light host's dnf finds."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.machines.light_host import LightHost

SPEC = """\
Name: {name}
Version: {version}
Release: 1
Summary: For tests
License: Public Domain
BuildArch: noarch
{relations}
%description
For tests.
%install
cp -r {files}/. %{{buildroot}}
%files
{paths}
"""

REPOSITORY = """\
[tests]
name=tests
baseurl=file:///root/repository
"""


def rpm_missing() -> str | None:
    """Why there can be no `Repository` on this box; None if there can be."""
    for tool, package in (("rpmbuild", "rpm"), ("dnf", "dnf"), ("createrepo_c", "createrepo-c")):
        if shutil.which(tool) is None:
            return f"no {tool} (Debian: apt-get install {package})"
    return None


class Repository:
    """A folder of rpms, with what dnf wants to know of them.

    A light host shares /usr and /etc with the box and all other hosts: packages may bring files below /root,
    /var/lib and /var/tmp only. What it did not get by rpm is not there for rpm, /bin/sh neither.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sources = folder.with_name(f"{folder.name}-sources")
        folder.mkdir()

    def add(
        self,
        name: str,
        *,
        version: str = "1.0",
        provides: Sequence[str] = (),
        requires: Sequence[str] = (),
        files: Mapping[str, str] = {},
    ) -> Path:
        """Build a package and return the rpm. `files` are texts, by their paths on the machine."""
        sources = self._sources / f"{name}-{version}"
        root = sources / "files"
        root.mkdir(parents=True)
        for path, text in files.items():
            file = root / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        relations = [f"Provides: {one}" for one in provides]
        relations += [f"Requires: {one}" for one in requires]
        spec = SPEC.format(
            name=name,
            version=version,
            relations="\n".join(relations),
            files=root,
            paths="\n".join(files),
        )
        (sources / "spec").write_text(spec)
        _run("rpmbuild", "--define", f"_topdir {sources}", "-bb", str(sources / "spec"))
        (built,) = sources.glob("RPMS/noarch/*.rpm")
        return Path(shutil.copy(built, self.folder))

    def publish(self) -> None:
        """Tell dnf of all that was added."""
        _run("createrepo_c", "--quiet", str(self.folder))

    def offer_to(self, host: LightHost) -> None:
        """Have a host's dnf find all that is published."""
        root = host.folder / "root"
        shutil.copytree(self.folder, root / "repository")
        (root / "repos").mkdir()
        (root / "repos/tests.repo").write_text(REPOSITORY)


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
