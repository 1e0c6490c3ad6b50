"""Nothing that the agent accepted is lost while it lives, and nothing comes twice: connections come and go."""

import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from atex_sut_agent.protocol import Alive, Bye, Cancel, End, Failed, Settings, Superseded
from atex_sut_agent.sut.framing import MAX_CHUNK, MAX_HEAD

from tests.sut_agent.driver import Agent, Host, Lost, is_alive, wait_until, write_fifo

MEMORY = Settings().memory
NUMBERED = 'for i in $(seq 20000); do echo "result {\\"i\\":$i}"; done >&3; exit 3'


def lose(host: Host, how: str) -> None:
    if how == "killed bridge":
        host.kill_bridge()
    else:
        host.drop()


@pytest.mark.parametrize("how", ["hang-up", "killed bridge"])
def test_results_survive_connections_that_are_cut(agent: Agent, how: str) -> None:
    host = agent.attach()
    run = host.start(NUMBERED)
    record = agent.runs[run]
    for goal in (500, 4000, 8000, 12000, 16000):
        host.acknowledging = goal % 8000 == 0  # what was applied and not acknowledged comes again
        host.until(lambda goal=goal: len(record.results) >= goal)  # type: ignore[misc]
        lose(host, how)
        host = agent.attach()
        assert host.hello.run == run
        assert host.hello.order == run
    host.wait(run)
    assert [value["i"] for value in record.results] == list(range(1, 20001))
    assert record.exited.exit_code == 3


def test_a_run_that_ended_meanwhile_is_told_on_return(agent: Agent) -> None:
    host = agent.attach()
    run = host.start("echo $$ >pid; mkfifo go; echo up; read x <go; echo more; exit 5")
    host.wait_for_output(run, b"up\n")
    host.drop()
    write_fifo(agent.folder / "go", b"on\n")
    wait_until(
        lambda: not Path("/proc", (agent.folder / "pid").read_text().strip()).exists(), "its end"
    )
    again = agent.attach()
    assert again.hello.run == run  # nobody knows yet that it is over
    assert again.hello.incarnation == host.hello.incarnation
    record = again.wait(run)
    assert (bytes(record.output), record.exited.exit_code) == (b"up\nmore\n", 5)


def test_a_run_is_known_until_its_end_is_acknowledged(agent: Agent) -> None:
    host = agent.attach()
    assert (host.hello.run, host.hello.key) == (None, "")
    host.acknowledging = False
    run = host.start("exit 5", key="this one")
    host.wait(run)
    host.drop()
    host = agent.attach()
    assert (host.hello.run, host.hello.key) == (run, "this one")
    host.acknowledge()
    run = host.start("true", key="another", folder="/no/such/folder")
    host.until(Failed)
    host.drop()
    assert agent.attach().hello.run is None


def test_also_one_that_never_started(agent: Agent) -> None:
    host = agent.attach()
    host.acknowledging = False
    run = host.start("true", key="this one", folder="/no/such/folder")
    host.wait(run)
    host.drop()
    again = agent.attach()
    assert (again.hello.run, again.hello.key) == (run, "this one")


def test_what_is_not_acknowledged_comes_again_and_what_is_does_not(agent: Agent) -> None:
    host = agent.attach()
    host.run("echo one")
    host.acknowledging = False
    host.run("echo two")
    acknowledged = host.agent.applied - 3  # started, output, exited
    host.drop()
    again = agent.attach()
    run = again.start("echo three")
    again.wait(run)
    assert again.numbers == list(range(acknowledged + 1, agent.applied + 1))
    assert bytes(agent.runs[2].output) == b"two\n"


def test_orders_that_were_seen_are_not_carried_out_again(agent: Agent) -> None:
    host = agent.attach()
    host.run("echo x >>ran")
    agent.order = 0
    assert host.start("echo x >>ran") == 1
    agent.order = 1
    assert host.run("cat ran").output == b"x\n"


def test_orders_are_read_while_the_host_reads_nothing(agent: Agent) -> None:
    host = agent.attach()
    run = host.start("yes | head -c 20000000; exit 7")
    host.until(lambda: len(agent.runs[run].output) > 0)
    host.send(Cancel(run=run, grace=0))  # we stop reading now
    started = agent.runs[run].started
    assert started
    wait_until(lambda: not is_alive(started.pid), "the test's death")
    assert host.wait(run).exited.ended_by == "cancel"


def test_a_host_that_does_not_acknowledge_blocks_the_test(agent: Agent) -> None:
    host = agent.attach()
    host.acknowledging = False
    size = 20_000_000
    run = host.start(f"head -c {size} /dev/urandom >data; cat data; echo result {{}} >&3; exit 7")
    record = agent.runs[run]
    # Full are the outbox and the pipe, which has room for a megabyte.
    host.until(lambda: len(record.output) >= MEMORY - MAX_CHUNK)
    assert record.last is None
    host.drop()
    again = agent.attach()
    again.wait(run)
    assert bytes(record.output) == (agent.folder / "data").read_bytes()
    assert (record.results, record.exited.exit_code) == ([{}], 7)
    # While nobody acknowledged, no more was taken from the test than the limit says.
    assert len(host.numbers) * MAX_CHUNK < 2 * MEMORY


def test_a_host_that_reads_nothing_blocks_the_test(agent: Agent) -> None:
    host = agent.attach(spool=0)
    size = 20_000_000
    run = host.start(f"echo $$ >pid; head -c {size} /dev/zero; exit 7")
    wait_until(lambda: is_blocked(agent), "the agent's patience")
    assert agent.runs[run].last is None
    record = host.wait(run)
    assert len(record.output) == size
    assert record.exited.exit_code == 7


def is_blocked(agent: Agent) -> bool:
    """Has the test written more than anybody read? Its writer sleeps in pipe_write."""
    for stat in Path("/proc").glob("[0-9]*/wchan"):
        try:
            if "head" in (stat.parent / "comm").read_text() and in_session(stat.parent, agent):
                return (stat.parent / "stat").read_text().rpartition(")")[2].split()[0] == "S"
        except OSError:
            continue
    return False


def in_session(process: Path, agent: Agent) -> bool:
    leader = (agent.folder / "pid").read_text().strip()
    return bool(leader) and os.getsid(int(process.name)) == int(leader)


# Who is attached ------------------------------------------------------------------------------------------


def test_the_newest_attachment_wins(agent: Agent) -> None:
    first = agent.attach()
    run = first.start("echo up; while :; do sleep 0.01; done")
    first.wait_for_output(run, b"up\n")
    second = agent.attach()
    first.until(Superseded)
    with pytest.raises(Lost):
        first.receive()
    assert first.bridge.wait(10) == 0
    second.send(Cancel(run=run, grace=0))
    assert second.wait(run).exited.ended_by == "cancel"


def test_an_attachment_that_is_stuck_in_a_frame_is_superseded_too(agent: Agent) -> None:
    stuck = agent.attach()
    run = stuck.start("echo $$ >pid; head -c 3000000 /dev/zero; exit 2")
    wait_until(lambda: not is_alive(agent_child(agent)), "the test's end")
    second = agent.attach()
    assert second.wait(run).exited.exit_code == 2
    stuck.applying = False
    stuck.until(Superseded)
    with pytest.raises(Lost):
        stuck.receive()


def agent_child(agent: Agent) -> int:
    path = agent.folder / "pid"
    wait_until(lambda: path.exists() and path.read_text().strip(), "the test's begin")
    return int(path.read_text())


def test_bridges_that_start_at_once_find_one_daemon(agent: Agent) -> None:
    with ThreadPoolExecutor() as pool:
        attaching = [pool.submit(agent.attach) for _ in range(4)]
    found = [future.result().hello for future in attaching]
    assert len({hello.pid for hello in found}) == 1
    assert len({hello.incarnation for hello in found}) == 1


def test_a_host_that_sends_what_is_no_frame_is_hung_up(agent: Agent) -> None:
    host = agent.attach()
    host.write(b"\xff" * 100)
    with pytest.raises(Lost):
        host.receive()
    host.drop()
    assert agent.attach().run("exit 3").exited.exit_code == 3


def test_a_long_order(agent: Agent) -> None:
    """As long as a frame's head may be, almost."""
    host = agent.attach()
    script = "#" * (MAX_HEAD - 10_000) + "\nexit 6"
    assert host.run(script).exited.exit_code == 6


# The end of the session ------------------------------------------------------------------------------------


def test_end(agent: Agent) -> None:
    host = agent.attach()
    host.run("mkdir -p a/b; echo x >a/b/c")
    assert host.end() == Bye(reason="the host ended the session")
    assert not agent.folder.exists()
    wait_until(lambda: not is_alive(agent.pid), "the daemon's end")


def test_end_kills_what_runs_and_says_so_before_bye(agent: Agent) -> None:
    host = agent.attach()
    run = host.start(
        "trap '' INT TERM; head -c 3000000 /dev/zero; echo up; while :; do sleep 0.01; done"
    )
    host.wait_for_output(run, b"up\n")
    host.send(End())
    host.until(Bye)
    assert agent.runs[run].exited.signal == signal.SIGKILL
    with pytest.raises(Lost):
        host.receive()


def test_no_run_starts_in_a_session_that_ends(agent: Agent) -> None:
    host = agent.attach()
    host.start("trap '' TERM HUP; kill -TERM $$; mkfifo f; read <f")
    host.send(End())
    late = host.start("echo never")
    host.until(Bye)
    assert isinstance(agent.runs[late].last, Failed)


def test_a_session_may_begin_again(agent: Agent) -> None:
    first = agent.attach()
    first.end()
    second = agent.attach()
    assert second.hello.incarnation != first.hello.incarnation
    agent.order = 0
    agent.runs.clear()
    assert second.run("echo fine").output == b"fine\n"


def test_a_mounted_folder_is_not_removed(agent: Agent) -> None:
    """It may be the machine's own disk, bound below the tree."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount")
    host = agent.attach()
    precious = agent.work / "precious"
    precious.mkdir()
    (precious / "file").write_text("keep me")
    inside = "a mount"
    host.run(f"mkdir '{inside}'; mount --bind {precious} '{inside}'")
    try:
        bye = host.end()
    finally:
        subprocess.run(["umount", agent.folder / inside], check=True)
    assert f"{agent.folder / inside} is mounted" in bye.reason
    assert (precious / "file").read_text() == "keep me"


# Signs of life -------------------------------------------------------------------------------------------


def test_the_agent_gives_signs_of_life(agent: Agent) -> None:
    host = agent.attach(beat=0.05)
    for _ in range(3):
        host.until(Alive)


def test_a_silent_host_is_gone_and_may_come_back(agent: Agent) -> None:
    host = agent.attach(beat=0.05, silence=1.0)
    run = host.start("echo up; while :; do sleep 0.01; done")
    with pytest.raises(Lost):
        host.wait(run)
    assert agent.attach().hello.run == run


def test_a_host_that_speaks_is_not_silent(agent: Agent) -> None:
    host = agent.attach(beat=0.05, silence=2.0)
    enough = time.monotonic() + 2.5
    while time.monotonic() < enough:
        host.send(Alive())
        host.until(Alive)


def test_nobody_comes_back(agent: Agent) -> None:
    host = agent.attach(linger=0.3)
    run = host.start(
        "trap 'echo cleaned >../../cleaned; exit' INT; echo up; while :; do sleep 0.01; done"
    )
    host.wait_for_output(run, b"up\n")
    host.drop()
    wait_until(lambda: not is_alive(agent.pid), "the daemon's end")
    assert not agent.folder.exists()
    assert (agent.work / "cleaned").read_text() == "cleaned\n"


def test_an_agent_to_which_nobody_spoke_has_nothing_to_wait_for(agent: Agent) -> None:
    """Its host died while it was started, and `discard()` may have been here already."""
    agent.speaking = False
    agent.attach().drop()
    wait_until(lambda: not is_alive(agent.pid), "the daemon's end")
    assert not agent.folder.exists()


def test_after_a_restart_it_waits_for_who_spoke_before(agent: Agent) -> None:
    agent.attach()
    (agent.folder / "tree").mkdir()
    os.kill(agent.pid, signal.SIGKILL)
    agent.speaking = False
    host = agent.attach()
    host.drop()
    assert agent.attach().hello.incarnation == host.hello.incarnation


def test_who_comes_back_in_time_stops_the_clock(agent: Agent) -> None:
    host = agent.attach(linger=1.0)
    host.drop()
    again = agent.attach()
    assert again.run("sleep 1.2; exit 4").exited.exit_code == 4


# Imports ---------------------------------------------------------------------------------------------------

WATCHED = """\
import sys
from sut import bridge, daemon, settings

class Watched(daemon.Daemon):
    def _hello(self):
        self.before = getattr(self, "before", set(sys.modules))
        return super()._hello()

    def serve(self):
        super().serve()
        with open(sys.argv[5], "w") as file:
            file.write(" ".join(sorted(set(sys.modules) - self.before)))

daemon.Daemon = Watched
bridge.attach(sys.argv[2], sys.argv[3], sys.argv[1], settings.Settings(sys.argv[4]))
"""


WORDS = """\
mark a=b
addtest /a B=c
duration save
duration 1h
duration restore
result {"name":"p","partial":true}
"""


def test_nothing_is_imported_after_hello(agent: Agent) -> None:
    """The archive and the Python below it may be replaced while the daemon lives."""
    seen = agent.work / "imported"
    agent.settings = Settings(slot=agent.session, memory=1, beat=0.05)
    host = agent.attach_by_source(WATCHED, str(seen))
    host.run(f"echo '{WORDS}' >&3; tty; echo x >$TMT_TEST_DATA/file", tty=True, metadata="a: b")
    host.run("tmt-abort; echo restart >&3; sleep 1000")
    run = host.start("for i in 1 2 3 4 5; do echo $i; done; exec sleep 1000")
    host.wait_for_output(run, b"5")
    host.drop()  # what comes now is spooled
    host = agent.attach()
    host.send(Cancel(run=run, grace=0))
    host.wait(run)
    host.run(
        'echo "result {\\"files\\":[{\\"name\\":\\"\u00e9\\",\\"length\\":1}]}" >&3; printf x >&3; exit 3'
    )
    host.run("(echo nonsense; echo result '{\\udc00}') >&3; exit 3")
    host.run("kill -9 $$", limit=0.1)
    host.run("sleep 10", limit=0.1)
    host.run("true", folder="/no/such/folder")
    host.end()
    wait_until(lambda: not is_alive(agent.pid), "the daemon's end")
    assert seen.read_text() == ""


def test_the_archive_may_vanish(agent: Agent) -> None:
    host = agent.attach()
    for archive in (agent.work / "agents").iterdir():
        archive.unlink()
    assert host.run("echo result {} >&3; exit 3").results == [{}]
    host.drop()
    assert agent.attach().run("exit 4").exited.exit_code == 4
