"""What a test finds around it: variables, folders, the plan's environment file, a terminal."""

import os
from pathlib import Path

import pytest
from atex_sut_agent.protocol import Again, Clock, Failed
from atex_sut_agent.sut.surroundings import parse_variables

from tests.sut_agent.driver import Agent, Host, wait_until

AGAIN = Again(clock=Clock(used=0, limit=60), results=0, output=0)


def environment_of(output: bytearray) -> dict[str, str]:
    return dict(entry.decode().split("=", 1) for entry in output.split(b"\0")[:-1])


# Variables -------------------------------------------------------------------------------------------------


def test_the_agents_variables(host: Host) -> None:
    found = environment_of(host.run("env -0").output)
    folder = host.hello.folder
    assert {name: found[name] for name in found if name.startswith(("TMT_", "ATEX_"))} == {
        "ATEX_CONTROL_FILE": f"{folder}/control",
        "ATEX_TEST_CONTROL": "3",
        "TMT_PLAN_DATA": f"{folder}/plan",
        "TMT_PLAN_ENVIRONMENT_FILE": f"{folder}/plan/variables.env",
        "TMT_TEST_METADATA": f"{folder}/test/metadata.yaml",
        "TMT_TEST_DATA": f"{folder}/test/data",
        "TMT_TEST_INVOCATION_PATH": f"{folder}/test",
        "TMT_TEST_SUBMITTED_FILES": f"{folder}/test/submitted-files.log",
    }
    assert "BEAKERLIB_DIR" not in found
    assert "TERM" not in found


def test_a_phase_has_no_variables_of_a_test(host: Host) -> None:
    found = environment_of(host.run("env -0", test="").output)
    assert not [name for name in found if name.startswith("TMT_TEST_")]
    assert {"TMT_PLAN_DATA", "TMT_PLAN_ENVIRONMENT_FILE", "ATEX_CONTROL_FILE"} < set(found)


def test_beakerlib_gets_its_folder_where_it_takes_part(host: Host) -> None:
    found = environment_of(host.run("env -0", environment={"TESTID": "3"}).output)
    assert found["BEAKERLIB_DIR"] == found["TMT_TEST_INVOCATION_PATH"]


def test_nobody_wins_over_the_agents_own(host: Host) -> None:
    wishes = {"ATEX_TEST_CONTROL": "9", "TMT_TEST_DATA": "/nowhere", "PATH": "/usr/bin:/bin"}
    found = environment_of(host.run("env -0", defaults=wishes, environment=wishes).output)
    assert found["ATEX_TEST_CONTROL"] == "3"
    assert found["TMT_TEST_DATA"] == f"{host.hello.folder}/test/data"
    assert found["PATH"] == f"{host.hello.folder}/bin:/usr/bin:/bin"


def test_the_metadata_file(host: Host) -> None:
    text = 'name: "/the/test"\nduration: "1h *2"\n'
    run = host.run('cat "$TMT_TEST_METADATA"; echo junk >"$TMT_TEST_METADATA"', metadata=text)
    assert run.output.decode() == text
    run = host.run('cat "$TMT_TEST_METADATA"', metadata="name: \u00e9\n")
    assert run.output.decode() == "name: \u00e9\n"


# The plan's environment file -------------------------------------------------------------------------------


def test_it_stands_between_the_test_and_the_plan(host: Host) -> None:
    host.run('printf "A=file\\nB=file\\n" >>$TMT_PLAN_ENVIRONMENT_FILE', test="")
    run = host.run("echo $A $B $C", defaults={"A": "test", "C": "test"}, environment={"B": "plan"})
    assert run.output == b"file plan test\n"
    host.run("echo A=later >>$TMT_PLAN_ENVIRONMENT_FILE")
    assert host.run("echo $A").output == b"later\n"
    assert host.run("echo $A", test="").output == b"later\n"


def test_it_is_empty_at_first_and_made_again(host: Host) -> None:
    assert host.run("wc -c <$TMT_PLAN_ENVIRONMENT_FILE").output == b"0\n"
    host.run("echo A=1 >$TMT_PLAN_ENVIRONMENT_FILE; touch $TMT_PLAN_DATA/x")
    assert host.run("echo $A; ls $TMT_PLAN_DATA").output == b"1\nvariables.env\nx\n"
    host.run("rm -r $TMT_PLAN_DATA")
    assert host.run("echo $A; ls $TMT_PLAN_DATA").output == b"\nvariables.env\n"


def test_what_can_not_be_read_is_a_remark_and_no_failure(host: Host) -> None:
    for spoil in (
        "echo nonsense >F",
        'echo "A=\'" >F',
        "rm F; mkdir F; touch F/x",
        "head -c 200000 /dev/zero | tr '\\0' '#' >F",
    ):
        host.run("rm -rf F; echo A=1 >F".replace("F", "$TMT_PLAN_ENVIRONMENT_FILE"))
        host.run(spoil.replace("F", "$TMT_PLAN_ENVIRONMENT_FILE"))
        run = host.run("echo [$A]")
        assert run.output == b"[]\n"
        assert "variables.env" in run.notes[0]


def test_what_has_no_end_is_empty(host: Host) -> None:
    for spoil in ("mkfifo F", "ln -s /dev/zero F"):
        host.run(f"rm -f F; {spoil}".replace("F", "$TMT_PLAN_ENVIRONMENT_FILE"))
        run = host.run("echo [$A]")
        assert (bytes(run.output), run.notes) == (b"[]\n", [])


def test_lines_are_read_as_tmt_reads_them() -> None:
    text = "A=1\nB='a b' # comment\nC=\"$HOME \\\" x\"\n\nD=a=b E=\nF='1\n2'\n"
    assert parse_variables(text) == {
        "A": "1",
        "B": "a b",
        "C": '$HOME " x',
        "D": "a=b",
        "E": "",
        "F": "1\n2",
    }
    for wrong in ("export A=1", "=1", "A='"):
        with pytest.raises(ValueError, match=r"none|quotation"):
            parse_variables(wrong)


# Folders ---------------------------------------------------------------------------------------------------


def test_each_test_finds_its_folder_empty(host: Host) -> None:
    host.run("touch $TMT_TEST_DATA/x $TMT_TEST_INVOCATION_PATH/y; mkdir -p $TMT_TEST_DATA/a/b")
    list_both = "ls -A $TMT_TEST_DATA; ls -A $TMT_TEST_INVOCATION_PATH"
    assert host.run(list_both).output == b"data\nmetadata.yaml\n"
    host.run("rm -r $TMT_TEST_INVOCATION_PATH")
    assert host.run(list_both).output == b"data\nmetadata.yaml\n"


def test_it_is_kept_over_a_restart(host: Host) -> None:
    host.run("echo first >$TMT_TEST_DATA/log")
    assert host.run("cat $TMT_TEST_DATA/log", again=AGAIN).output == b"first\n"
    assert host.run("ls $TMT_TEST_DATA").output == b""


@pytest.mark.parametrize("link", ["$TMT_TEST_DATA", "$TMT_TEST_INVOCATION_PATH"])
def test_a_link_in_its_place_is_not_followed(host: Host, tmp_path: Path, link: str) -> None:
    (tmp_path / "metadata.yaml").touch()
    (tmp_path / "precious").touch()
    host.run(f"rm -r {link}; ln -s {tmp_path} {link}")
    assert host.run("ls -A $TMT_TEST_DATA").output == b""
    assert (tmp_path / "precious").exists()


def test_much_that_is_left_is_removed_by_the_way(agent: Agent) -> None:
    host = agent.attach()
    host.run(
        "mkdir -p $TMT_TEST_INVOCATION_PATH/many; cd $TMT_TEST_INVOCATION_PATH/many; seq 5000 | xargs touch"
    )
    assert host.run("ls $TMT_TEST_INVOCATION_PATH").output == b"data\nmetadata.yaml\n"
    wait_until(lambda: not list(agent.folder.glob("test.*")), "the removal of the first one's")


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_what_is_mounted_there_is_not_removed(host: Host, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    folder = Path(host.hello.folder)
    try:
        host.run(f"mkdir $TMT_TEST_DATA/m && mount --bind {tmp_path} $TMT_TEST_DATA/m")
        assert host.run("ls -A $TMT_TEST_DATA").output == b""
        assert (tmp_path / "precious").exists()
    finally:
        for mounted in folder.glob("test*/data/m"):
            host.run(f"umount {mounted}")


# Tools -----------------------------------------------------------------------------------------------------


def test_the_tools_come_first_and_come_back(host: Host) -> None:
    assert host.run("command -v atex-control").output.decode() == (
        f"{host.hello.folder}/bin/atex-control\n"
    )
    host.run("rm -r $(dirname $(command -v tmt-abort))")
    assert host.run("command -v rhts_submit_log >/dev/null").exited.exit_code == 0


# A terminal ------------------------------------------------------------------------------------------------


def test_without_one_stdin_is_empty(host: Host) -> None:
    run = host.run("test -t 0 || test -t 1 || readlink /proc/self/fd/0; tty; ps -o tty= -p $$")
    assert run.output.split() == [b"/dev/null", b"not", b"a", b"tty", b"?"]


def test_a_terminal(host: Host) -> None:
    script = """\
test -t 0 && test -t 1 && test -t 2 && echo three
stty size
echo $TERM
tty
ps -o tty=,sid=,pid= -p $$
echo through >/dev/tty
"""
    run = host.run(script, tty=True)
    three, size, term, tty, ps, through = run.output.decode().splitlines()
    assert (three, size, term, through) == ("three", "24 80", "vt100", "through")
    name, sid, pid = ps.split()
    assert f"/dev/{name}" == tty
    assert sid == pid  # the leader leads its session, as without one
    assert run.exited.exit_code == 0
    assert b"\r\n" in run.output


def test_term_can_be_set(host: Host) -> None:
    assert host.run("echo $TERM", tty=True, defaults={"TERM": "xterm"}).output == b"xterm\r\n"


def test_job_control(host: Host) -> None:
    script = """\
trap : INT
set -m
ps -o tpgid=,pid= -p $$ | { read group pid; [ $group -ne $pid ] && echo a pipe has the terminal; }
sleep 1000 &
jobs %1 | grep -o Running
(until [ "$(ps -o stat= -p $! | tr -dc +)" ]; do :; done; kill -INT -$!) &
fg %1
echo $?
"""
    lines = host.run(script, tty=True).output.decode().splitlines()
    assert lines[:2] == ["a pipe has the terminal", "Running"]
    assert lines[-2:] == ["sleep 1000", "130"]


def test_the_test_has_the_terminal_in_front(host: Host) -> None:
    script = "python3 -c 'import os; print(os.tcgetpgrp(0) == os.getpgrp() == os.getsid(0))'"
    assert host.run(script, tty=True).output == b"True\r\n"


def test_the_last_output_is_not_lost(host: Host) -> None:
    for _ in range(5):
        run = host.run("seq 30000; printf end", tty=True)
        assert run.output == b"".join(b"%d\r\n" % n for n in range(1, 30001)) + b"end"


def test_a_terminal_that_nobody_has_open_for_a_while(host: Host) -> None:
    script = "exec 0<&- 1>&- 2>&-; sleep 0.2; exec >/dev/tty; seq 30000; printf end"
    assert host.run(script, tty=True).output.endswith(b"30000\r\nend")


def test_who_reads_from_it_waits_until_the_limit(host: Host) -> None:
    run = host.run("read line", tty=True, limit=0.3, grace=5)
    assert run.exited.ended_by == "limit"


def test_a_terminal_and_a_folder_that_is_not_there(host: Host) -> None:
    before = len(os.listdir(f"/proc/{host.hello.pid}/fd"))
    assert isinstance(host.run("true", tty=True, folder="/nowhere").last, Failed)
    assert host.run("exit 3", tty=True).exited.exit_code == 3
    wait_until(lambda: len(os.listdir(f"/proc/{host.hello.pid}/fd")) == before, "closed files")
