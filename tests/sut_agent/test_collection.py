"""What a test leaves in TMT_TEST_DATA becomes files of its own record."""

import os
import resource
from pathlib import Path

import pytest
from atex_sut_agent.protocol import Again, Cancel, Clock, Cut, Lengths
from atex_sut_agent.sut.framing import MAX_CHUNK

from tests.sut_agent.driver import Agent, Host, is_alive, wait_until
from tests.sut_agent.record import RunRecord

AGAIN = Again(clock=Clock(used=0, limit=60), results=0, output=0)


def files_of(run: RunRecord) -> dict[str, bytes]:
    """The test's own files; each was listed by a result, with its length."""
    files = {file: bytes(data) for (name, file), data in run.files.items() if not name}
    listed = [entry for result in run.results for entry in result.get("files", ())]
    assert {entry["name"]: entry["length"] for entry in listed} == {
        name: len(data) for name, data in files.items()
    }
    return files


def test_files_and_folders(host: Host) -> None:
    script = """\
cd $TMT_TEST_DATA
echo hello >a.txt; touch empty; mkdir -p b/c d; echo deep >b/c/e; echo 'odd' >'b/o d\"d \\'
echo é >é
"""
    run = host.run(script)
    assert files_of(run) == {
        "a.txt": b"hello\n",
        "empty": b"",
        "b/c/e": b"deep\n",
        'b/o d"d \\': b"odd\n",
        "é": "é\n".encode(),
    }
    assert all(set(result) == {"files"} for result in run.results)
    assert run.notes == []
    assert run.exited.error is None


def test_nothing_is_nothing(host: Host) -> None:
    assert host.run("true").results == []
    assert host.run("rm -r $TMT_TEST_DATA").results == []
    assert host.run("rm -r $TMT_TEST_INVOCATION_PATH").results == []


def test_a_phase_collects_nothing(host: Host) -> None:
    host.run("echo x >$TMT_TEST_DATA/x; :")
    assert host.run("true", test="").results == []


def test_however_it_ended(host: Host) -> None:
    for script in ("exit 3", "kill -9 $$", "kill -9 0"):
        assert files_of(host.run(f"echo x >$TMT_TEST_DATA/x; {script}")) == {"x": b"x\n"}


def test_when_its_time_was_up(host: Host) -> None:
    run = host.run("echo x >$TMT_TEST_DATA/x; sleep 1000", limit=0.5, grace=5)
    assert run.exited.ended_by == "limit"
    assert files_of(run) == {"x": b"x\n"}


def test_it_comes_behind_what_was_sent(host: Host) -> None:
    """A file of the same name is appended to, as always."""
    script = """\
printf 'result {"files":[{"name":"x","length":2}]}\\n1\\n' >&$ATEX_TEST_CONTROL
echo 2 >$TMT_TEST_DATA/x
"""
    assert bytes(host.run(script).files["", "x"]) == b"1\n2\n"


def test_links_and_oddities_are_left_out(host: Host, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    script = f"""\
cd $TMT_TEST_DATA
ln -s {tmp_path}/secret link; ln -s {tmp_path} folder; mkfifo fifo; echo kept >kept
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("socket")'
printf x >$'bad\\xff'
ln -s nowhere dangling
"""
    run = host.run(script)
    assert files_of(run) == {"kept": b"kept\n"}
    assert len(run.notes) == 6
    assert all("not collected" in note for note in run.notes)
    assert any("UTF-8" in note for note in run.notes)
    assert run.exited.error is None


def test_a_link_instead_of_the_folder(host: Host, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "secret").write_text("secret")
    (tmp_path / "secret").write_text("secret")
    for link in ("$TMT_TEST_DATA", "$TMT_TEST_INVOCATION_PATH"):
        run = host.run(f"rm -r {link}; ln -s {tmp_path} {link}")
        assert run.files == {}
        assert run.exited.exit_code == 0


def test_a_file_in_the_place_of_the_folder(host: Host) -> None:
    assert host.run("rmdir $TMT_TEST_DATA; echo x >$TMT_TEST_DATA").files == {}
    assert host.run("exit 3").exited.exit_code == 3


def test_many_remarks_are_few(host: Host) -> None:
    run = host.run("cd $TMT_TEST_DATA; for i in $(seq 100); do ln -s x l$i; done")
    assert 10 < len(run.notes) < 30


def test_too_deep(host: Host) -> None:
    script = "cd $TMT_TEST_DATA; for i in $(seq 80); do mkdir d; cd d; echo $i >f; done"
    run = host.run(script)
    assert len(files_of(run)) == 64
    assert "deeper" in run.notes[0]
    assert host.run("true").exited.exit_code == 0


def test_too_long_names(host: Host) -> None:
    script = "cd $TMT_TEST_DATA; for i in 1 2 3 4 5; do d=$(printf %0250d $i); mkdir $d; cd $d; done; echo x >f"
    run = host.run(script)
    assert files_of(run) == {}
    assert "1024" in run.notes[0]


def test_many_small_files(host: Host) -> None:
    run = host.run("cd $TMT_TEST_DATA; for i in $(seq 3000); do echo $i >f$i; done")
    assert files_of(run) == {f"f{n}": b"%d\n" % n for n in range(1, 3001)}


def test_a_restart_sends_only_what_is_new(host: Host) -> None:
    first = host.run("echo 1 >$TMT_TEST_DATA/log; echo same >$TMT_TEST_DATA/same")
    assert set(files_of(first)) == {"log", "same"}
    # What the host has of the first start: its lengths are told before the second one.
    host.send(
        Lengths(
            files=(
                Cut(name="", file="log", length=2),
                Cut(name="", file="same", length=5),
            )
        )
    )
    run = host.agent.runs[host.agent.order + 1]
    run.files.update(first.files)
    run.listed.update(first.listed)
    host.run("echo 2 >>$TMT_TEST_DATA/log; echo 3 >$TMT_TEST_DATA/new", again=AGAIN)
    assert {file: bytes(data) for (_, file), data in run.files.items()} == {
        "log": b"1\n2\n",
        "same": b"same\n",
        "new": b"3\n",
    }


# While it lasts --------------------------------------------------------------------------------------------


def test_a_large_file_takes_no_memory_and_waits_for_the_host(agent: Agent) -> None:
    host = agent.attach()
    host.acknowledging = False
    size = 64 * 1024 * 1024
    run = host.start(f"truncate -s {size} $TMT_TEST_DATA/large")
    record = agent.runs[run]
    host.until(lambda: len(record.files["", "large"]) >= 3 * 1024 * 1024)
    peak = int(status_of(agent.pid)["VmHWM"].split()[0])
    host.acknowledging = True
    host.acknowledge()
    host.wait(run)
    assert len(record.files["", "large"]) == size
    assert int(status_of(agent.pid)["VmHWM"].split()[0]) < peak + 12 * 1024
    assert record.exited.exit_code == 0


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_cancel_ends_one_that_takes_long(agent: Agent) -> None:
    host = agent.attach()
    host.acknowledging = False
    run = host.start("truncate -s 1G $TMT_TEST_DATA/large; echo up")
    record = agent.runs[run]
    host.until(lambda: len(record.files["", "large"]) >= MAX_CHUNK)
    host.send(Cancel(run=run, grace=0.1))
    host.wait(run)
    assert record.exited.ended_by == "itself"  # it was over already
    assert record.files["", "large"] == b""  # an unfinished file is cut back
    assert any("cancelled" in note for note in record.notes)


def test_after_the_limit_it_takes_no_longer_than_the_grace(agent: Agent) -> None:
    host = agent.attach()
    script = "echo x >$TMT_TEST_DATA/x; truncate -s 1T $TMT_TEST_DATA/core; sleep 1000"
    run = host.start(script, limit=0.3, grace=0.3)
    host.acknowledging = False  # else it would all be sent as fast as that goes
    record = host.wait(run)
    assert record.exited.ended_by == "limit"
    assert len(record.files.get(("", "core"), b"")) == 0  # an unfinished file is cut back
    assert any("its time was up" in note for note in record.notes)


def test_a_cancelled_test_has_five_seconds_for_it(agent: Agent) -> None:
    host = agent.attach()
    run = host.start("echo x >$TMT_TEST_DATA/x; echo up; sleep 1000")
    host.wait_for_output(run, b"up\n")
    host.send(Cancel(run=run, grace=0))
    assert files_of(host.wait(run)) == {"x": b"x\n"}


def test_linger_ends_it(agent: Agent) -> None:
    host = agent.attach(linger=0.3)
    host.acknowledging = False
    run = host.start("truncate -s 1G $TMT_TEST_DATA/large; echo up")
    host.until(lambda: len(agent.runs[run].files["", "large"]) >= MAX_CHUNK)
    host.drop()
    wait_until(lambda: not is_alive(agent.pid), "the end of a session that nobody came back to")


def test_a_file_that_becomes_shorter_meanwhile(agent: Agent) -> None:
    host = agent.attach()
    host.acknowledging = False
    run = host.start("truncate -s 1G $TMT_TEST_DATA/large; echo x >$TMT_TEST_DATA/x")
    record = agent.runs[run]
    host.until(lambda: len(record.files["", "large"]) >= MAX_CHUNK)
    os.truncate(agent.folder / "test/data/large", 10)
    host.acknowledging = True
    host.acknowledge()
    host.wait(run)
    assert any("shorter" in note for note in record.notes)
    assert record.exited.error is None
    assert bytes(record.files["", "x"]) == b"x\n"


def test_no_descriptor_stays_open(host: Host) -> None:
    host.run("true")
    before = sorted(os.listdir(f"/proc/{host.hello.pid}/fd"))
    host.run("cd $TMT_TEST_DATA; mkdir -p a/b; echo x >a/b/x; mkfifo f; mkdir no; ln -s x no/x")
    wait_until(
        lambda: sorted(os.listdir(f"/proc/{host.hello.pid}/fd")) == before, "closed descriptors"
    )
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > len(before)


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_what_is_mounted_there_is_not_collected(host: Host, tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    try:
        mount = f"mkdir $TMT_TEST_DATA/m; mount --bind {tmp_path} $TMT_TEST_DATA/m"
        run = host.run(f"{mount}; echo x >$TMT_TEST_DATA/x")
        assert files_of(run) == {"x": b"x\n"}
        assert "mounted" in run.notes[0]
        run = host.run(f"mount --bind {tmp_path} $TMT_TEST_DATA")
        assert files_of(run) == {}
        assert "mounted" in run.notes[0]
    finally:
        host.run(f"umount {host.hello.folder}/test*/data/m {host.hello.folder}/test*/data")
