"""Whatever is wrong with the request: a message that names the thing and the way out, and nothing left behind."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cli.command import Atex, Ended, end, wait_for
from tests.machines import LightHost, Sshd
from tests.machines.light_host import PATH


def refused(atex: Atex, ended: Ended, *words: str) -> None:
    """Assert a usage error: these words in one line, and no trace of a run."""
    assert ended.code == 64
    assert ended.out == ""
    assert ended.err.startswith("atex: ")
    assert ended.err.count("\n") == 1, ended.err
    for word in words:
        assert word in ended.err
    assert not atex.results.exists()
    assert not (atex.folder / "atex-runs").exists()


def without_verdict(atex: Atex, ended: Ended, *words: str) -> None:
    """Assert a failure of infrastructure that is told in these words, with a record for each test."""
    assert ended.code == 75, ended
    assert "Traceback" not in ended.out + ended.err
    for word in words:
        assert word in ended.err, ended.err
    finals = atex.finals()
    assert {record["status"] for record in finals.values()} == {"infra"}
    assert words[0] in finals["/t"]["note"]


def test_no_tree(atex: Atex, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(atex, atex("run", empty, "--on", "local"), str(empty))


def test_no_folder(atex: Atex, tmp_path: Path) -> None:
    refused(atex, atex("run", tmp_path / "nowhere", "--on", "local"), "nowhere")


def test_an_unreadable_tree(atex: Atex) -> None:
    atex.write("t.fmf", "test: 'true'")
    atex.write(".fmf/version", "not a number")
    refused(atex, atex.run("--on", "local"), str(atex.tree))


def test_a_plan_that_is_not_there(atex: Atex) -> None:
    for name in ("one", "two"):
        atex.write(f"plans/{name}.fmf", "discover: {how: fmf}\nexecute: {how: tmt}\n")
    refused(
        atex,
        atex.run("--on", "local", "--plan", "/plans/three"),
        "/plans/three",
        "/plans/one, /plans/two",
    )


def test_a_plan_that_is_not_supported(atex: Atex) -> None:
    atex.write(
        "plan.fmf",
        "discover: {how: fmf}\nexecute: {how: tmt}\nprepare: {how: ansible, playbook: x}\n",
    )
    refused(atex, atex("run", atex.tree, "--on", "local"), "/plan", "ansible")


def test_bad_yaml(atex: Atex) -> None:
    atex.write("t.fmf", "test: 'true'\nduration: [5m\n")
    refused(atex, atex.run("--on", "local"), "t.fmf", "line 3")


def test_a_pattern_that_is_none(atex: Atex) -> None:
    refused(atex, atex.run("--on", "local", "--test", "("), "(")


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        ("fedora", ["fedora", "local", "ssh:"]),
        ("libvirt:fedora", ["libvirt", "not supported yet"]),
        ("ssh:a:b:c", ["a:b:c", "USER@HOST"]),
        ("0xlocal", ["0xlocal"]),
    ],
)
def test_an_unknown_pool(atex: Atex, pool: str, words: list[str]) -> None:
    refused(atex, atex.run("--on", pool), *words)


def test_no_pool_names_the_choices(atex: Atex) -> None:
    refused(atex, atex.run(), "--on", "local", "ssh:")


@pytest.mark.parametrize("option", ["-e", "--secret"])
def test_a_variable_that_is_not_set(atex: Atex, option: str) -> None:
    refused(atex, atex.run("--on", "local", option, "ATEX_NOT_SET"), "ATEX_NOT_SET")


@pytest.mark.parametrize("value", ["arch", "=x86_64", "arch="])
def test_a_context_that_is_none(atex: Atex, value: str) -> None:
    refused(atex, atex.run("--on", "local", "-c", value), value)


def test_an_identity_that_is_not_there(atex: Atex) -> None:
    refused(atex, atex.run("--on", "ssh:a", "--identity", "no-such-key"), "no-such-key")


def test_a_lease_of_more_than_a_year(atex: Atex) -> None:
    refused(atex, atex.run("--on", "local", "--for", "4000000d"), "--for", "365 d at most")


def test_results_are_never_overwritten(atex: Atex) -> None:
    atex.write("t.fmf", "test: 'true'")
    mine = atex.results / "mine"
    mine.parent.mkdir()
    mine.write_text("precious")
    ended = atex.run("--on", "local")
    assert ended.code == 64
    assert str(atex.results) in ended.err
    assert [file.name for file in atex.results.iterdir()] == ["mine"]
    assert mine.read_text() == "precious"


def test_verbose_shows_where_it_happened(atex: Atex) -> None:
    atex.write("t.fmf", "test: 'true'\nduration: [5m\n")
    ended = atex.run("--on", "local", "-v")
    assert ended.code == 64
    assert "Traceback" in ended.err


# What is wrong with a machine.


@pytest.fixture
def one_test(atex: Atex) -> Atex:
    atex.write("t.fmf", "test: 'true'")
    return atex


def pool(server: Sshd | LightHost) -> list[object]:
    where = f"ssh:{server.user}@{server.address}:{server.port}"
    return ["--on", where, "--identity", server.identity]


def test_a_host_that_refuses(one_test: Atex, sshd: Sshd) -> None:
    sshd.stop()
    without_verdict(one_test, one_test.run(*pool(sshd)), sshd.address, "refused", "sshd")


@contextmanager
def silent_port() -> Iterator[tuple[str, int]]:
    """A port that does not even answer: its queue is full, and the kernel drops who else comes."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()


def test_a_host_that_times_out(one_test: Atex) -> None:
    one_test.ssh_config.parent.mkdir()
    one_test.ssh_config.write_text("ConnectTimeout 2\n")
    with silent_port() as (address, port):
        ended = one_test.run("--on", f"ssh:root@{address}:{port}")
    without_verdict(one_test, ended, f"{address}:{port}", "no answer", "is the machine up")


def test_a_host_that_changed_its_key(one_test: Atex, sshd: Sshd) -> None:
    assert one_test.run(*pool(sshd)).code == 0
    sshd.restart(new_host_key=True)
    one_test.results = one_test.folder / "again"
    without_verdict(one_test, one_test.run(*pool(sshd)), sshd.address, "key", "known_hosts")


def test_a_rejected_login(one_test: Atex, sshd: Sshd) -> None:
    sshd.reject_logins()
    without_verdict(
        one_test,
        one_test.run(*pool(sshd)),
        sshd.address,
        "rejected the login of user",
        "another user or key",
    )


def test_a_machine_without_python(one_test: Atex, light_host: LightHost) -> None:
    hide = (
        f"for p in {' '.join(f'{d}/*python*' for d in PATH.split(':'))} /usr/libexec/*python*; do"
    )
    light_host.run(f"{hide} [ ! -f $p ] || mount --bind /dev/null $p; done")
    ended = one_test.run(*pool(light_host))
    without_verdict(one_test, ended, light_host.address, "python3 >= 3.6", "looked at")


def test_no_room_for_the_work_folder(one_test: Atex, light_host: LightHost) -> None:
    # A file system with one inode, which is its root.
    full = "for d in /var/lib /var/tmp /root; do mount -t tmpfs -o nr_inodes=1 full $d; done"
    light_host.run(full)
    ended = one_test.run(*pool(light_host))
    without_verdict(one_test, ended, light_host.address, "/var/lib/atex", "No space left on device")


def test_one_bad_host_of_two(one_test: Atex, sshd: Sshd) -> None:
    one_test.write("u.fmf", "test: 'true'")
    where = f"ssh:{sshd.user}@{sshd.address}:1,{sshd.user}@{sshd.address}:{sshd.port}"
    ended = one_test.run("--on", where, "--identity", sshd.identity)
    assert ended.code == 0, ended
    assert f"{sshd.address}:1: connection refused" in ended.err
    machine = f"{sshd.user}@{sshd.address}:{sshd.port}"
    assert {record["machine"] for record in one_test.finals().values()} == {machine}


@pytest.fixture
def somebody(one_test: Atex) -> Iterator[Atex]:
    """Somebody else, whose test runs on this machine."""
    somebody = Atex(one_test.folder / "somebody", one_test.environment)
    started = somebody.folder / "started"
    somebody.write("a.fmf", f"test: touch {started}; sleep 60\n")
    somebody.start_run("--on", "local", "--infra-retries", "0")
    wait_for(started.exists, "the test to start")
    yield somebody
    somebody.kill()


def test_a_machine_that_somebody_uses(one_test: Atex, somebody: Atex) -> None:
    """One is told at once whom one waits for."""
    waiting = one_test.start_run("--on", "local")
    assert waiting.stderr is not None
    told = waiting.stderr.readline()
    assert told.startswith("atex: local: the machine is in use by ")
    assert "for '/a'" in told
    assert "waiting for it up to 10m" in told
    somebody.interrupt()
    assert end(waiting).code == 0


def test_a_machine_that_is_taken_over(one_test: Atex, somebody: Atex) -> None:
    ended = one_test.run("--on", "local", "--take-over")
    assert ended.code == 0, ended
    assert somebody.wait().code == 75
    (final,) = somebody.finals().values()
    assert final["note"] == "the agent ended the session: its slot was taken over"
