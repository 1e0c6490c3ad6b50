"""How fast a tree of 200 MB in 10,000 files gets to a machine over ssh, and how fast when it was there before.

From the first look at the tree to all of it in its place, over connections that are there already; against `rsync -a`.
What the files hold can not be compressed; most are small, a few are large.
"""

import itertools
import os
import random
import shlex
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from atex_executor import Pack
from atex_executor.upload import Upload
from atex_fmf import Suite
from atex_provision import SshConnection
from atex_sut_agent import agent_archive

from benchmarks.machines import light_hosts
from benchmarks.openssh import MultiplexedSsh
from benchmarks.rounds import side_by_side, start
from benchmarks.table import print_table
from tests.machines.login import ssh_to

FILES = 10_000
SIZE = 200_000_000  # bytes, of all of them
FOLDERS = 100


def main() -> None:
    """Measure all, and print the table."""
    rounds = start(__doc__)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        tree = write_files(folder / "tree")
        (host,) = stack.enter_context(light_hosts(1))
        ssh = stack.enter_context(MultiplexedSsh(host, folder))
        atex = Atex(tree, stack.enter_context(ssh_to(host)), ssh)
        rsync = Rsync(tree, ssh)
        subjects = {
            "ATEX, once more": atex.bring_again,
            "`rsync -a`, once more": rsync.bring_again,
            "ATEX": atex.bring,
            "`rsync -a`": rsync.bring,
        }
        atex.bring()
        rsync.bring()
        rows = side_by_side(subjects, rounds)
    print_table("A tree of 200 MB in 10,000 files, over ssh", "s", rows)


def write_files(tree: Path) -> Path:
    """Make the tree, each time the same; return it."""
    chance = random.Random(1)
    shares = [chance.lognormvariate(0, 1.5) for _ in range(FILES)]
    data = os.urandom(SIZE // 4)
    for number, share in enumerate(shares):
        size = int(share / sum(shares) * SIZE)
        begin = chance.randrange(len(data) - size)
        folder = tree / f"area-{number % FOLDERS // 10}" / f"topic-{number % FOLDERS}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{number}").write_bytes(data[begin : begin + size])
    return tree


class Atex:
    """Brings a tree with the agent's archive, which is there already."""

    _WORK = "/root/work"

    def __init__(self, tree: Path, connection: SshConnection, ssh: MultiplexedSsh) -> None:
        self._suite = Suite(root=str(tree), tests=())
        self._connection = connection
        self._ssh = ssh
        self._sessions = itertools.count()
        ssh.run(f"mkdir -m 700 {self._WORK}")
        with tempfile.NamedTemporaryFile() as archive:
            archive.write(agent_archive().data)
            archive.flush()
            connection.upload(Path(archive.name), f"{self._WORK}/agent.pyz")

    def bring(self) -> float:
        """Return the seconds, to a machine that has nothing of it."""
        self._ssh.run(f"rm -rf {self._WORK}/packs")
        return self.bring_again()

    def bring_again(self) -> float:
        """Return the seconds, for another session of the same machine."""
        session = f"{self._WORK}/sessions/{next(self._sessions)}"
        self._ssh.run(f"rm -rf {self._WORK}/sessions; mkdir -p {session}; sync")
        command = shlex.join(["python3", "-IS", f"{self._WORK}/agent.pyz", "unpack", session])
        started = time.perf_counter()
        with Pack(self._suite) as pack:
            pack.start()
            with self._connection.open(command) as channel:
                Upload(channel, pack, "the host").run()
            return time.perf_counter() - started


class Rsync:
    """Brings a tree by `rsync -a`."""

    _COPY = "/root/copy"

    def __init__(self, tree: Path, ssh: MultiplexedSsh) -> None:
        self._tree = tree
        self._ssh = ssh

    def bring(self) -> float:
        """Return the seconds, to a machine that has nothing of it."""
        self._ssh.run(f"rm -rf {self._COPY}")
        return self.bring_again()

    def bring_again(self) -> float:
        """Return the seconds, where all is there as it should be."""
        self._ssh.run("sync")
        command = [
            "rsync",
            "-a",
            "-e",
            self._ssh.command,
            f"{self._tree}/",
            f"{self._ssh.target}:{self._COPY}/",
        ]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
