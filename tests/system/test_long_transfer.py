"""Much data through one ssh connection, whose keys are exchanged again and again meanwhile."""

import hashlib
from pathlib import Path

import pytest
from atex_executor import Executor, FolderSink
from atex_fmf import Plan, Suite, Test
from atex_provision import SshConnection

from tests.machines import Sshd
from tests.machines.login import ssh_to
from tests.waits import Background

GIGABYTES = 3
SIZE = GIGABYTES * 10**9
LINE = b"0123456789abcdef" * 64  # a kilobyte
STALL = 60.0  # seconds without a byte
LIMIT = 600.0  # seconds for all


@pytest.mark.nightly
def test_gigabytes_both_ways(sshd: Sshd, own_home: Path, tmp_path: Path) -> None:
    """Up through a channel, down as the output of a test, and channels that come and go beside them.

    paramiko exchanges keys every 512 MiB, and stalls now and then if channels close just then; ours must not.
    """
    (tmp_path / "tree").mkdir()
    script = f"set +o pipefail; yes {LINE.decode()} | tr -d '\\n' | head -c {SIZE}"
    suite = Suite(
        root=str(tmp_path / "tree"), tests=(Test(name="/down", test=script),), plan=Plan()
    )
    with (
        FolderSink(tmp_path / "run") as sink,
        ssh_to(sshd) as connection,
        Executor(connection, suite) as executor,
    ):
        transport = vars(connection)["_transport"]
        (down,) = executor.suite.tests
        running = Background(lambda: executor.run(down, sink))
        sending = Background(lambda: send(connection))
        short = 0
        while running.waiting or sending.waiting:
            ended = connection.run("head -c 100000 /dev/zero; cat", stdin=b"x", timeout=STALL)
            assert len(ended.stdout) == 100_001
            short += 1
        assert sending.result(LIMIT).split()[0] == digest().hexdigest()
        outcome = running.result(LIMIT)
        assert (outcome.status, outcome.note) == ("pass", None)
        assert vars(connection)["_transport"] is transport, "the connection was lost on the way"
    output = tmp_path / "run/files" / outcome.record["files"][0]
    with output.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").digest() == digest().digest()
    output.unlink()  # pytest keeps the folder
    assert short > 10


def send(connection: SshConnection) -> str:
    """Send SIZE bytes; return what sha256sum says of them."""
    with connection.open("sha256sum") as channel:
        block = LINE * 1000
        for _ in range(SIZE // len(block)):
            channel.send(block, STALL)
        channel.send((LINE * 1000)[: SIZE % len(block)], STALL)
        channel.close_stdin()
        return channel.receive(1000, STALL).decode()


def digest() -> "hashlib._Hash":
    """Of what goes either way."""
    sha = hashlib.sha256()
    block = LINE * 1000
    for _ in range(SIZE // len(block)):
        sha.update(block)
    sha.update(block[: SIZE % len(block)])
    return sha
