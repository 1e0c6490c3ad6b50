"""Hosts that are reset or rebooted before each lease."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from atex_provision import (
    Aborted,
    BadHost,
    Completed,
    Connection,
    Host,
    HostPool,
    LocalConnection,
    NoMachine,
    Provisioner,
    SshConnection,
)
from atex_provision.provisioner.reboot import reboot

from tests.machines import LightHost, Sshd
from tests.machines.login import host_of
from tests.waits import PATIENCE, Background, eventually, still_waiting


def reboots(light_host: LightHost, **options: object) -> Host:
    return host_of(light_host, reboot="/run/machine/bin/reboot", **options)


def quickly(host: Host) -> Connection:
    return SshConnection(host, timeout=4)


def succeeds(pool: HostPool) -> bool:
    try:
        with pool.provisioner():
            return True
    except NoMachine:
        return False


def begins(
    provisioner: Provisioner, words: str, then: Callable[[], None] = lambda: None
) -> threading.Event:
    """An event: the reservation has said so; `then` is done before it goes on."""
    begun = threading.Event()

    def listen(moment: str, said: str) -> None:
        if moment == "boot" and words in said and not begun.is_set():
            then()
            begun.set()

    provisioner.on_progress = listen
    return begun


def test_a_host_is_reset_before_each_lease(sshd: Sshd, tmp_path: Path) -> None:
    log = tmp_path / "log"
    told = "$ATEX_HOST $ATEX_ADDRESS $ATEX_PORT $ATEX_USER"
    pool = HostPool([host_of(sshd, name="box", reset=f"echo {told} >>{log}")])
    for count in (1, 2):
        with pool.provisioner():
            lines = log.read_text().splitlines()
            assert lines == [f"box {sshd.address} {sshd.port} {sshd.user}"] * count


def test_a_host_may_come_up_some_time_after_its_reset(light_host: LightHost) -> None:
    light_host.cut()
    host = host_of(light_host, reset="true", reset_time=30)
    provisioner = HostPool([host], connection=quickly).provisioner()
    begun = begins(provisioner, "no answer")
    waiting = Background(provisioner.reserve)
    assert begun.wait(PATIENCE)
    light_host.heal()
    waiting.result()
    provisioner.release()


def test_only_a_host_that_was_reset_gets_time_to_come_up(sshd: Sshd) -> None:
    sshd.stop()
    host = host_of(sshd, reset="true", reset_time=3)
    provisioner = HostPool([host, Host(address="127.0.0.1", port=1)]).provisioner()
    said: list[str] = []
    provisioner.on_progress = lambda moment, words: said.append(words)
    with pytest.raises(NoMachine):
        provisioner.reserve()
    again = [words for words in said if "trying again" in words]
    assert len(again) == 1
    assert again[0].startswith(f"{sshd.address}:{sshd.port}: connection refused")


def test_why_a_reset_failed(sshd: Sshd) -> None:
    bad = host_of(sshd, name="bad", reset="echo no such domain; exit 1")
    slow = host_of(sshd, name="slow", slots=("1",), reset="sleep 1000", reset_time=0.2)
    with pytest.raises(NoMachine) as caught:
        HostPool([bad, slow]).provisioner().reserve()
    assert str(caught.value).splitlines()[1:] == [
        "  bad: the reset failed with exit code 1; it said: no such domain",
        "  slow: the reset was not done after 0.2 s; it said nothing",
    ]


@pytest.mark.parametrize("end", ["abort", "release"])
def test_abort_ends_a_reset(sshd: Sshd, tmp_path: Path, end: str) -> None:
    begun, once = tmp_path / "begun", tmp_path / "once"
    reset = f"[ -e {once} ] || {{ touch {once} {begun}; sleep 1000; }}"
    pool = HostPool([host_of(sshd, reset=reset)])
    provisioner = pool.provisioner()
    waiting = Background(provisioner.reserve)
    eventually(begun.exists)
    with still_waiting(waiting):
        getattr(provisioner, end)()
        with pytest.raises(Aborted):
            waiting.result()
    with pool.provisioner():  # it was not the host's fault
        pass


def test_a_host_is_rebooted_before_each_lease(light_host: LightHost) -> None:
    """Also where it takes its time to go down."""
    slowly = "setsid sh -c 'sleep 1.5; /run/machine/bin/reboot' >/dev/null 2>&1 </dev/null &"
    boots = [light_host.boot_id]
    for host in (reboots(light_host), host_of(light_host, reboot=slowly)):
        with HostPool([host]).provisioner() as machine:
            there = machine.connection.run("cat /proc/sys/kernel/random/boot_id").stdout
            boots.append(there.decode().strip())
    assert len(set(boots)) == 3


def test_the_shutdown_may_end_whatever_asks_for_the_boot() -> None:
    """Before an answer, or in the middle of one."""

    class Script(LocalConnection):
        def run(self, command: str, *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
            exit_code, stdout = answers.pop(0)
            return Completed(exit_code=exit_code, stdout=stdout, stderr=b"")

    answers = [
        (0, b"an-id\n17\n"),
        (0, b""),  # to the order
        (0, b"an-id\n17\n"),
        (143, b""),
        (0, b"another-id\n"),
        (0, b"another-id\n18\n"),
    ]
    waits: list[str] = []
    with Script() as connection:
        reboot(connection, "reboot", 1000, lambda why, seconds: waits.append(why))
    assert answers == []
    assert len(waits) == 4
    assert "cannot tell its boots apart" in waits[2]


def test_a_host_that_cannot_say_which_boot_it_is_is_not_rebooted(
    sshd: Sshd, tmp_path: Path
) -> None:
    class Mute(SshConnection):
        def run(self, command: str, *, stdin: bytes = b"", timeout: float = 60.0) -> Completed:
            if "boot_id" in command:
                command = "exit 3"
            return super().run(command, stdin=stdin, timeout=timeout)

    host = host_of(sshd, reboot=f"touch {tmp_path}/rebooted")
    with pytest.raises(NoMachine, match="cannot tell its boots apart"):
        HostPool([host], connection=Mute).provisioner().reserve()
    assert not (tmp_path / "rebooted").exists()


def test_a_host_that_does_not_come_back(light_host: LightHost) -> None:
    """It is waited for, but not for ever."""
    host = reboots(light_host, reboot_time=9)
    pool = HostPool([host], connection=quickly, pause=0.1)
    provisioner = pool.provisioner()
    begun = begins(provisioner, "trying again", light_host.cut)
    waiting = Background(provisioner.reserve)
    assert begun.wait(PATIENCE)
    with pytest.raises(NoMachine, match=r"not back 9 s after its reboot: .*no answer in 4 s"):
        waiting.result()
    light_host.heal()
    eventually(lambda: succeeds(pool))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("no-such-command", "the reboot failed with exit code 127; it said: .*not found"),
        ("echo it is frozen; exit 1", "with exit code 1; it said: it is frozen"),
        ("true", r"not back 2 s after its reboot: it has not gone down yet"),
    ],
)
def test_why_a_reboot_failed(sshd: Sshd, command: str, says: str) -> None:
    pool = HostPool([host_of(sshd, reboot=command, reboot_time=2)])
    with pytest.raises(NoMachine, match=says):
        pool.provisioner().reserve()


def test_abort_ends_a_reboot(light_host: LightHost) -> None:
    pool = HostPool([reboots(light_host)], connection=quickly, pause=0.1)
    provisioner = pool.provisioner()
    begun = begins(provisioner, "trying again", light_host.cut)
    waiting = Background(provisioner.reserve)
    assert begun.wait(PATIENCE)
    with still_waiting(waiting):
        provisioner.abort()
        with pytest.raises(Aborted):
            waiting.result()
    light_host.heal()
    eventually(lambda: succeeds(pool))  # it may be on its way down or up


@pytest.mark.parametrize("what", ["reset", "reboot"])
def test_no_test_is_hit_by_what_is_done_for_another(sshd: Sshd, what: str) -> None:
    with pytest.raises(BadHost, match=f"{what} before a test would hit"):
        host_of(sshd, slots=("0", "1"), **{what: "reboot"})
