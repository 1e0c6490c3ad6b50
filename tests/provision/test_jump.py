"""Connections through jump hosts."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from atex_provision import (
    CannotConnect,
    ConnectionLost,
    ConnectTimeout,
    Host,
    HostKeyChanged,
    LoginRejected,
    SshConnection,
)

from tests.machines import LightHost, Sshd
from tests.machines.login import host_of
from tests.provision.conftest import say
from tests.waits import PATIENCE, Background, eventually


def say_keys(home: Path, *servers: Sshd | LightHost, config: str = "") -> None:
    """What each hop takes its key from."""
    keys = "".join(f"IdentityFile {server.identity}\n" for server in servers)
    say(home, f"{config}Host *\nUser root\n{keys}")


def through(jump: Sshd | LightHost, target: Sshd | LightHost) -> SshConnection:
    return SshConnection(host_of(target, jump=f"{jump.user}@{jump.address}:{jump.port}"))


def test_a_chain_to_where_nobody_else_gets(sshd: Sshd, light_host: LightHost, home: Path) -> None:
    """The last hop is the light host's own 127.0.0.1, as itself sees it."""
    say_keys(
        home,
        sshd,
        light_host,
        config=f"Host inside\n HostName 127.0.0.1\n HostKeyAlias inside\n"
        f" ProxyJump {sshd.user}@{sshd.address}:{sshd.port},{light_host.address}\n",
    )
    before = threading.active_count()
    with SshConnection(Host(address="inside")) as connection:
        assert connection.run("hostname").stdout.decode().strip() == light_host.name
        assert threading.active_count() == before + 3  # one per connection
    assert threading.active_count() == before
    known = (home / ".local/state/atex/known_hosts").read_text()
    names = [line.split()[0] for line in known.splitlines()]
    assert names == [f"[{sshd.address}]:{sshd.port}", light_host.address, "inside"]


def test_much_data_both_ways(sshd: Sshd, light_host: LightHost, home: Path) -> None:
    say_keys(home, sshd)
    data = bytes(range(256)) * 40_000
    with through(sshd, light_host) as connection:
        (home / "file").write_bytes(data)
        connection.upload(home / "file", "/root/file")
        connection.download("/root/file", home / "copy")
        assert (home / "copy").read_bytes() == data


@pytest.mark.parametrize("closer", ["close", "jump", "target"])
def test_whoever_ends_it_no_thread_is_left(
    sshd: Sshd, light_host: LightHost, home: Path, closer: str
) -> None:
    say_keys(home, sshd)
    before = threading.active_count()
    connection = through(sshd, light_host)
    connection.connect()
    waiting = Background(lambda: connection.run("sleep 1000"))
    with pytest.raises(AssertionError):
        waiting.result(0.1)
    ends = {
        "close": connection.close,
        "jump": sshd.kill_sessions,
        "target": light_host.kill_sessions,
    }
    ends[closer]()
    with pytest.raises(ConnectionLost):
        waiting.result()
    eventually(lambda: threading.active_count() == before)
    connection.close()


def test_a_target_that_vanishes_behind_a_living_jump_host(
    sshd: Sshd, light_host: LightHost, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sends anything, and the connection to the jump host is fine."""
    monkeypatch.setattr("atex_provision.ssh.transport.SILENCE", 0.5)
    monkeypatch.setattr("atex_provision.ssh.transport.PROBE", 0.2)
    say_keys(home, sshd)
    with through(sshd, light_host) as connection, connection.open("cat") as channel:
        with pytest.raises(TimeoutError):
            channel.receive(1, 1.0)  # it answers all the time
        light_host.cut()
        with pytest.raises(ConnectionLost, match="the server has not answered for"):
            channel.receive(1, PATIENCE)


def test_a_target_that_vanishes_while_much_is_sent(
    sshd: Sshd, light_host: LightHost, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes would wait for ever, and whoever asks for an answer would wait for the writer."""
    monkeypatch.setattr("atex_provision.ssh.transport.SILENCE", 1.0)
    monkeypatch.setattr("atex_provision.ssh.transport.PROBE", 0.2)
    say_keys(home, sshd)
    with through(sshd, light_host) as connection, connection.open("cat >/dev/null") as channel:
        sending = Background(lambda: channel.send(bytes(1 << 30)))
        with pytest.raises(AssertionError):
            sending.result(0.5)
        light_host.cut()
        with pytest.raises(ConnectionLost):
            sending.result()


def test_what_the_jump_host_says(sshd: Sshd, home: Path) -> None:
    say_keys(home, sshd)
    jump = f"{sshd.user}@{sshd.address}:{sshd.port}"
    refused = SshConnection(Host(address="127.0.0.1", port=1, jump=jump))
    with pytest.raises(
        CannotConnect,
        match=rf"127\.0\.0\.1:1: jump host {sshd.address}:{sshd.port} cannot reach it: .*refused",
    ):
        refused.connect()
    sshd.reject_logins()
    with pytest.raises(
        LoginRejected, match=rf"127\.0\.0\.1:1: its jump host fails: {sshd.address}"
    ):
        refused.connect()
    sshd.accept_logins()
    sshd.restart(new_host_key=True)
    with pytest.raises(HostKeyChanged) as caught:
        refused.connect()
    assert caught.value.permanent


def test_a_target_that_the_jump_host_cannot_reach_in_time(
    sshd: Sshd, light_host: LightHost, home: Path
) -> None:
    say_keys(home, sshd)
    light_host.cut()
    host = Host(address=light_host.address, jump=f"{sshd.user}@{sshd.address}:{sshd.port}")
    with pytest.raises(ConnectTimeout, match=r"has not reached it in 0\.5 s; is the machine up"):
        SshConnection(host, timeout=0.5).connect()


@contextmanager
def closed_meanwhile() -> Iterator[None]:
    """What goes on in there ends well, or says that the connection was closed meanwhile."""
    try:
        yield
    except CannotConnect as error:
        if "closed while it was being made" not in str(error):
            raise


def test_close_at_any_moment(sshd: Sshd, light_host: LightHost, home: Path) -> None:
    """At moments spread over the whole of a connect()."""
    say_keys(home, sshd)
    started = time.monotonic()
    with through(sshd, light_host):
        whole = time.monotonic() - started
    before = threading.active_count()
    moments = 15
    for moment in range(moments):
        connection = through(sshd, light_host)
        connecting = Background(connection.connect)
        with contextlib.suppress(AssertionError):
            connecting.result(1.2 * whole * moment / moments)
        began = time.monotonic()
        connection.close()
        with closed_meanwhile():
            connecting.result()
        assert time.monotonic() - began < 20
        connection.close()
        eventually(lambda: threading.active_count() == before)
