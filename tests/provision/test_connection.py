"""What every connection keeps, whatever it is made of."""

import hashlib
import os
import stat
import time
from pathlib import Path

import pytest
from atex_provision import Channel, Connection, ConnectionLost, ProvisionError

from tests.waits import Background

PATIENCE = 10.0  # seconds
MEGABYTE = 1_000_000


def receive_all(channel: Channel) -> bytes:
    found = bytearray()
    while chunk := channel.receive(MEGABYTE, PATIENCE):
        found += chunk
    return bytes(found)


def test_run_says_all_about_a_command(connection: Connection) -> None:
    done = connection.run("cat; echo oops >&2; exit 7", stdin=b"given")
    assert (done.exit_code, done.stdout, done.stderr) == (7, b"given", b"oops\n")


def test_a_signal_is_an_exit_code(connection: Connection) -> None:
    assert connection.run("kill -KILL $$").exit_code == 128 + 9


def test_run_has_a_limit(connection: Connection) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError, match="sleep 1000"):
        connection.run("sleep 1000", timeout=0.1)
    assert time.monotonic() - started < PATIENCE


def test_run_does_not_swallow_everything(connection: Connection) -> None:
    with pytest.raises(ProvisionError, match="more than 16 MiB"):
        connection.run("cat /dev/zero")
    assert connection.run("echo still here").stdout == b"still here\n"


def test_a_channel_talks_both_ways(connection: Connection) -> None:
    with connection.open("cat; echo done") as channel:
        channel.send(b"ping")
        assert channel.receive(100, PATIENCE) == b"ping"
        channel.close_stdin()
        assert receive_all(channel) == b"done\n"
        assert channel.receive(100, PATIENCE) == b""
        assert channel.wait(PATIENCE) == 0


def test_receive_and_wait_time_out_and_lose_nothing(connection: Connection) -> None:
    with connection.open("read line; echo $line") as channel:
        with pytest.raises(TimeoutError):
            channel.receive(100, 0.01)
        with pytest.raises(TimeoutError):
            channel.receive(100, 0)
        with pytest.raises(TimeoutError):
            channel.wait(0.01)
        channel.send(b"late\n")
        assert receive_all(channel) == b"late\n"
        assert channel.wait(PATIENCE) == 0


def test_ten_megabytes_come_back_whole(connection: Connection) -> None:
    data = os.urandom(10 * MEGABYTE)
    with connection.open("cat") as channel:

        def send() -> None:
            channel.send(data, PATIENCE)
            channel.close_stdin()

        sender = Background(send)
        assert hashlib.sha256(receive_all(channel)).digest() == hashlib.sha256(data).digest()
        sender.result()
        assert channel.wait(PATIENCE) == 0


def test_stderr_cannot_wedge_stdout(connection: Connection) -> None:
    with connection.open("head -c 10000000 /dev/zero >&2; echo last >&2; echo out") as channel:
        assert receive_all(channel) == b"out\n"
        assert channel.wait(PATIENCE) == 0
        tail = channel.stderr_tail()
    assert len(tail) == 64 << 10
    assert tail.endswith(b"\0last\n")


def test_stderr_cannot_wedge_a_sender_or_a_waiter(connection: Connection) -> None:
    flood = "head -c 10000000 /dev/zero >&2"
    with connection.open(f"{flood}; cat >/dev/null") as channel:
        channel.send(bytes(10 * MEGABYTE), PATIENCE)
    with connection.open(flood) as channel:
        assert channel.wait(PATIENCE) == 0


def test_a_sender_is_held_back_not_lost(connection: Connection) -> None:
    with connection.open("sleep 1000") as channel, pytest.raises(TimeoutError):
        channel.send(bytes(20 * MEGABYTE), 0.05)


def test_who_reads_a_little_now_and_then_does_not_hold_a_sender(connection: Connection) -> None:
    slowly = 'while [ "$(head -c 65536 | wc -c)" -gt 0 ]; do sleep 0.02; done'
    with connection.open(slowly) as channel, pytest.raises(TimeoutError):
        channel.send(bytes(200 * MEGABYTE), 0.5)


def test_who_reads_no_more_is_lost_for_a_sender(connection: Connection) -> None:
    with connection.open("exit 0") as channel:
        assert channel.wait(PATIENCE) == 0
        assert receive_all(channel) == b""
        with pytest.raises(ConnectionLost):
            channel.send(bytes(20 * MEGABYTE), PATIENCE)
    assert connection.run("true", stdin=bytes(MEGABYTE)).exit_code == 0


@pytest.mark.parametrize("whole", [False, True], ids=["channel", "connection"])
@pytest.mark.parametrize("call", ["receive", "send", "wait"])
def test_close_wakes_who_waits(connection: Connection, call: str, whole: bool) -> None:
    with connection.open("sleep 1000") as channel:
        calls = {
            "receive": lambda: channel.receive(1),
            "send": lambda: channel.send(bytes(20 * MEGABYTE)),
            "wait": lambda: channel.wait(None),
        }
        waiter = Background(calls[call])
        with pytest.raises(AssertionError):
            waiter.result(0.05)
        started = time.monotonic()
        (connection if whole else channel).close()
        with pytest.raises(ConnectionLost):
            waiter.result()
        assert time.monotonic() - started < 1


def test_a_closed_channel_is_lost(connection: Connection) -> None:
    channel = connection.open("echo something; cat")
    assert channel.receive(9, PATIENCE)
    channel.close()
    channel.close()
    for call in (
        lambda: channel.receive(1, 0),
        lambda: channel.send(b"x", 0),
        lambda: channel.wait(0),
        channel.close_stdin,
    ):
        with pytest.raises(ConnectionLost):
            call()
    assert channel.stderr_tail() == b""
    assert connection.run("true").exit_code == 0


def test_a_closed_connection_is_lost_and_may_be_connected_again(connection: Connection) -> None:
    connection.close()
    connection.close()
    with pytest.raises(ConnectionLost, match="not connected"):
        connection.open("true")
    connection.connect()
    connection.connect()
    assert connection.run("true").exit_code == 0


def test_two_threads_use_two_channels(connection: Connection) -> None:
    def count() -> bytes:
        return connection.run("for n in $(seq 100); do echo $n; done").stdout

    threads = [Background(count) for _ in range(4)]
    assert len({thread.result() for thread in threads}) == 1


def test_a_daemon_outlives_its_channel(connection: Connection, tmp_path: Path) -> None:
    reins = tmp_path / "reins"
    os.mkfifo(reins)
    daemon = f"setsid sh -c 'exec <{reins}; echo up; read line' &"
    with connection.open(f"{daemon} sleep 1000") as channel, reins.open("w") as hold:
        assert channel.receive(10, PATIENCE) == b"up\n"
        channel.close()
        hold.write("still there?\n")  # a broken pipe if nobody is


@pytest.mark.parametrize("size", [0, 5, 3 * MEGABYTE])
def test_files_go_both_ways(connection: Connection, tmp_path: Path, size: int) -> None:
    source, target, back = tmp_path / "source", tmp_path / "it's the target", tmp_path / "back"
    source.write_bytes(os.urandom(size))
    source.chmod(0o750)
    target.write_text("old")
    connection.upload(source, str(target))
    assert target.read_bytes() == source.read_bytes()
    assert stat.S_IMODE(target.stat().st_mode) == 0o750
    connection.download(str(target), back)
    assert back.read_bytes() == source.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} >= {source.name, target.name, back.name}
    assert not list(tmp_path.glob(".back*"))
    assert not list(tmp_path.glob("it's the target.*"))


def test_files_that_cannot_be_copied(connection: Connection, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(20 * MEGABYTE))
    with pytest.raises(
        ProvisionError, match=r"cannot write /nowhere/at all: .*nonexistent|No such"
    ):
        connection.upload(source, "/nowhere/at all")
    with pytest.raises(ProvisionError, match=r"cannot read /nowhere: .*No such file"):
        connection.download("/nowhere", tmp_path / "target")
    with pytest.raises(FileNotFoundError):
        connection.upload(tmp_path / "missing", "/tmp/x")
    assert [path for path in tmp_path.iterdir() if path.is_file()] == [source]
