import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.command import Atex, caller_environment
from tests.machines import LightHost, Repository, rpm_missing
from tests.system.both.sides import Both, Seen, run_atex, run_tmt
from tests.system.both.tmt import LIMIT, Tmt
from tests.waits import Background

NAMES = ["glob-one", "glob-two", "recommended", "required", "skipping", "there", "tool"]


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The packages that the plans and tests ask for, and one that tmt wants on each machine."""
    if reason := rpm_missing():
        pytest.skip(reason)
    if shutil.which("rsync") is None:
        pytest.skip("no rsync, which tmt needs (Debian: apt-get install rsync)")
    packages = Repository(tmp_path_factory.mktemp("packages") / "repository")
    packages.add("flock", provides=["/usr/bin/flock"])
    packages.add("beakerlib")
    packages.add("both-provider", provides=["both-virtual"])
    for name in NAMES:
        packages.add(f"both-{name}")
    packages.publish()
    return packages


@pytest.fixture
def hosts(
    light_hosts: Callable[[int], list[LightHost]], packages: Repository
) -> tuple[LightHost, LightHost]:
    """Two equal machines: for tmt, and for ATEX."""
    theirs, ours = light_hosts(2)
    for host in (theirs, ours):
        packages.offer_to(host)
        # Without dnf, which takes longer.
        host.run("cd /root/repository; HOME=/root rpm --install flock-*.rpm both-there-*.rpm")
    return theirs, ours


@pytest.fixture
def tmt(hosts: tuple[LightHost, LightHost], own_home: Path) -> Iterator[Tmt]:
    """The real tmt, for the first of the hosts."""
    # The path of a socket in this folder must be short, or each command is an ssh connection of its own.
    with tempfile.TemporaryDirectory(prefix="tmt-") as folder:
        yield Tmt(hosts[0], Path(folder), caller_environment(own_home))


@pytest.fixture
def both(hosts: tuple[LightHost, LightHost], tmt: Tmt, tmp_path: Path, own_home: Path) -> Both:
    """`both(tree, plan, *options)` runs a plan under tmt and under ATEX, side by side."""

    def run(tree: Path, plan: str, *options: str) -> tuple[Seen, Seen]:
        atex = Atex(tmp_path / "atex", caller_environment(own_home))
        theirs = Background(lambda: run_tmt(tmt, hosts[0], tree, plan, *options))
        try:
            ours = run_atex(atex, hosts[1], tree, plan, *options)
        finally:
            atex.kill()
            seen = theirs.result(LIMIT)
        return seen, ours

    return run
