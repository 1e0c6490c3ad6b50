"""The commands on a test's PATH, used as people use them in scripts for ATEX, tmt, restraint and the older atex."""

import os
from pathlib import Path
from typing import Any
from unittest.mock import ANY

from atex_sut_agent.protocol import HangUp, Restarting
from atex_sut_agent.sut.tools import TOOLS

from tests.sut_agent.driver import Host
from tests.sut_agent.record import TEST, RunRecord

NAMED = {"TMT_TEST_NAME": TEST}


def run_ok(host: Host, script: str, **options: Any) -> RunRecord:
    """Run a script all of whose commands have to work, and in which nothing may be wrong."""
    run = host.run(f"set -e\n{script}", environment=NAMED, **options)
    assert run.exited.exit_code == 0, bytes(run.output).decode()
    assert run.exited.error is None
    assert run.notes == []
    return run


def file(run: RunRecord, name: str, file: str) -> bytes:
    return bytes(run.files[name, file])


# atex-control ----------------------------------------------------------------------------------------------


def test_control_sends_a_line(host: Host) -> None:
    run = host.run("atex-control duration +60 && atex-control exitcode 7")
    assert run.exited.exit_code == 7
    assert run.exited.limit == 120


def test_control_prints_what_comes_back(host: Host) -> None:
    assert run_ok(host, "atex-control sync; atex-control sync a b").output == b"ok\nok a b\n"


def test_control_fails_where_an_error_comes_back(host: Host) -> None:
    run = host.run("atex-control frobnicate; echo $?; atex-control duration soon; echo $?")
    assert run.output.decode().splitlines() == [
        "atex-control: unknown word 'frobnicate'",
        "1",
        "atex-control: 'soon' is no duration like '5m' or '1h 30m'",
        "1",
    ]
    assert run.exited.error == "unknown word 'frobnicate'"


def test_control_sends_results(host: Host) -> None:
    script = """\
atex-control result '{"name": "a", "status": "pass"}'
atex-control result '
    {"name": "b", "n": 18446744073709551615}'
"""
    assert run_ok(host, script).results == [
        {"name": "a", "status": "pass"},
        {"name": "b", "n": 2**64 - 1},
    ]


def test_control_sends_files(host: Host, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(3_000_000))
    script = f"""\
mkdir d; echo hello >d/log.txt; : >empty
atex-control result '{{"name": "a", "x": [1.5]}}' d/log.txt empty {tmp_path}/large
rm -r d empty
"""
    run = run_ok(host, script)
    (result,) = run.results
    assert result == {
        "name": "a",
        "x": [1.5],
        "files": [
            {"name": "log.txt", "length": 6},
            {"name": "empty", "length": 0},
            {"name": "large", "length": 3_000_000},
        ],
    }
    assert file(run, "a", "log.txt") == b"hello\n"
    assert file(run, "a", "large") == (tmp_path / "large").read_bytes()


def test_control_sends_what_has_no_length(host: Host) -> None:
    run = run_ok(
        host, "atex-control result '{}' /proc/version; echo x | atex-control result '{}' /dev/stdin"
    )
    assert file(run, "", "version").startswith(b"Linux")
    assert file(run, "", "stdin") == b"x\n"


def test_control_used_badly(host: Host) -> None:
    for arguments in (
        "",
        "'noop\nnoop'",
        """result '{"files": [{"name": "x", "length": 1}]}' script""",
        "result '{' script",
    ):
        run = host.run(f"atex-control {arguments}; echo $?")
        assert run.output.endswith(b"\n2\n")
        assert b"usage: atex-control WORD" in run.output
        assert run.exited.error is None


def test_control_and_a_file_that_is_not_there(host: Host) -> None:
    run = host.run("atex-control result '{}' nowhere; echo $?")
    assert run.output == b"atex-control: nowhere: No such file or directory\n1\n"
    assert run.results == []
    assert run.exited.error is None


# Where they work -------------------------------------------------------------------------------------------


def test_with_nothing_but_the_two_variables(host: Host) -> None:
    script = """\
bin=$(dirname "$(command -v atex-control)")
cd /
env -i ATEX_CONTROL_FILE=$ATEX_CONTROL_FILE ATEX_TEST_CONTROL=3 $bin/atex-control sync x
env -i ATEX_CONTROL_FILE=$ATEX_CONTROL_FILE ATEX_TEST_CONTROL=3 $bin/tmt-report-result a PASS
echo x >/tmp/$$; env -i ATEX_CONTROL_FILE=$ATEX_CONTROL_FILE $bin/tmt-file-submit -l /tmp/$$; rm /tmp/$$
"""
    run = run_ok(host, script)
    assert run.output == b"ok x\n"
    assert run.results[0] == {"name": "a", "status": "pass"}


def test_outside_of_a_test(host: Host) -> None:
    for tool in TOOLS:
        argument = "" if "reboot" in tool else "script PASS"
        run = host.run(f"env -u ATEX_CONTROL_FILE {tool} {argument}; echo $?")
        assert run.output.decode() == (
            f"{tool}: this works only in a test that ATEX runs: ATEX_CONTROL_FILE is not set\n1\n"
        )


def test_when_the_doors_are_closed(host: Host) -> None:
    run = host.run("ATEX_CONTROL_FILE=/nowhere atex-control noop; echo $?")
    assert run.output.endswith(b"/nowhere: No such file or directory\n1\n")


def test_help(host: Host) -> None:
    usages = run_ok(host, "; ".join(f"{tool} --help" for tool in TOOLS)).output.decode()
    assert [tool for tool in TOOLS if f"usage: {tool} " not in usages] == []


# Results as for tmt, restraint, BeakerLib and the older atex -----------------------------------------------


def test_a_part_and_the_test(host: Host) -> None:
    for tool in ("tmt-report-result", "rstrnt-report-result"):
        for status in ("PASS", "fail", "Warn", "ERROR", "INFO", "SKIP"):
            run = run_ok(host, f"{tool} part/one {status}")
            assert run.results == [
                {"name": "part/one", "status": status.lower()},
                {"status": status.lower()},
            ]


def test_names_of_parts(host: Host) -> None:
    for name, part in (
        ("smoke", "smoke"),
        ("/smoke", "smoke"),
        ("smoke:", "smoke"),
        ("$TMT_TEST_NAME/sub/x", "sub/x"),
        ('odd \\"name\\" ä \\\\', 'odd "name" ä \\'),
    ):
        run = run_ok(host, f'tmt-report-result "{name}" PASS')
        assert [result.get("name") for result in run.results] == [part, None]


def test_the_test_itself(host: Host) -> None:
    for name in ("/", "$TMT_TEST_NAME", "''"):
        run = run_ok(host, f"echo x >log; tmt-report-result -o log {name} FAIL; rm log")
        assert run.results == [{"status": "fail", "files": [{"name": "log", "length": 2}]}]
        assert file(run, "", "log") == b"x\n"


def test_options_of_the_originals(host: Host) -> None:
    for arguments in (
        "-o log part PASS 100",
        "--outputfile log part PASS 100",
        "--outputFile=log part PASS 100",
        "part PASS 100 -o log",
        "part PASS 100 --outputfile=log",
        "part PASS --outputfile log 100",
        "-s http://server --port 8081 -p 10_avc_check --disable-plugin=x -olog part PASS 100",
        "--server=http://server --disable 10_avc_check --no-plugins -o log -- part PASS 100",
    ):
        run = run_ok(host, f"echo x >log; rstrnt-report-result {arguments}; rm log")
        assert run.results == [
            {
                "name": "part",
                "status": "pass",
                "score": "100",
                "files": [{"name": "log", "length": 2}],
            },
            {"status": "pass"},
        ]


def test_a_message_is_the_note(host: Host) -> None:
    run = run_ok(host, "rstrnt-report-result -t 'more than one word' part WARN")
    assert run.results[0]["note"] == "more than one word"


def test_the_log_as_an_argument(host: Host) -> None:
    for command, log in (
        ("rhts-report-result part PASS log 3", "resultoutputfile.log"),
        ("rstrnt-report-result --rhts part PASS log 3", "log"),
        ("atex-report-result part pass log 3", "log"),
        ("rstrnt-report-result part PASS log 3", "log"),
        ("OUTPUTFILE=log rhts-report-result part PASS '' 3", "resultoutputfile.log"),
        ("OUTPUTFILE=log rstrnt-report-result part PASS 3", "log"),
    ):
        run = run_ok(host, f"echo x >log; {command}; rm log")
        assert run.results[0] == {
            "name": "part",
            "status": "pass",
            "score": "3",
            "files": [{"name": log, "length": 2}],
        }


def test_a_log_that_is_not_there_costs_no_result(host: Host) -> None:
    run = run_ok(
        host, "tmt-report-result -o nowhere part PASS; rhts-report-result part FAIL nowhere"
    )
    assert [result["status"] for result in run.results] == ["pass", "pass", "fail", "fail"]
    assert b"nowhere: No such file" in run.output


def test_reported_badly(host: Host) -> None:
    for arguments in ("", "part", "-x part PASS", "part infra", "part ''", "part PASS -o"):
        run = host.run(f"tmt-report-result {arguments}; echo $?")
        assert run.output.endswith(b"\n2\n")
        assert b"usage: tmt-report-result " in run.output
        assert run.results == []
        assert run.exited.error is None


def test_files_of_the_test(host: Host) -> None:
    for command in (
        "tmt-file-submit -l d/log",
        "tmt-file-submit d/log",
        "atex-file-submit -l d/log",
        "rhts-submit-log -l d/log --port=8081",
        "rhts_submit_log -l d/log",
        "rhts-submit-log -T 123 -l d/log",
        "rstrnt-report-log -S server -T 5 -l d/log",
        "rstrnt-report-log --server http://server --port 77 --filename d/log",
        "rstrnt-report-log --filename=d/log",
    ):
        run = run_ok(host, f"mkdir d; echo x >d/log; {command}; rm -r d")
        assert run.results == [{"files": [{"name": "log", "length": 2}]}]
        assert file(run, "", "log") == b"x\n"


def test_files_that_were_submitted_are_listed(host: Host) -> None:
    run = run_ok(host, "tmt-file-submit script; cat $TMT_TEST_SUBMITTED_FILES")
    assert run.output == b"script\n"


def test_what_is_collected_anyway_comes_once(host: Host) -> None:
    run = run_ok(host, "echo x >$TMT_TEST_DATA/log; tmt-file-submit -l $TMT_TEST_DATA/log")
    assert file(run, "", "log") == b"x\n"


def test_a_file_that_is_not_there(host: Host) -> None:
    run = host.run("tmt-file-submit -l nowhere; echo $?; tmt-file-submit; echo $?")
    first, *_, last = run.output.decode().splitlines()
    assert (first, last) == ("tmt-file-submit: nowhere: No such file or directory", "2")


def test_many_at_once(host: Host) -> None:
    script = "for i in $(seq 20); do tmt-report-result part$i PASS & done; wait"
    run = run_ok(host, script)
    assert {result.get("name") for result in run.results} == {
        None,
        *(f"part{number}" for number in range(1, 21)),
    }


# Going down ------------------------------------------------------------------------------------------------


def test_reboot(host: Host) -> None:
    """It does not come back: the test is where it was when the machine goes down."""
    run = host.start("tmt-reboot -c 'echo going down; echo $ATEX_CONTROL_FILE'; echo never")
    host.wait_for_output(run, b"control\n")
    host.send(HangUp(run=run))
    record = host.wait(run)
    assert record.said == [Restarting(run=run, clock=ANY, patience=None)]
    assert record.output.startswith(b"going down\n")
    assert b"never" not in record.output
    assert record.exited.ended_by == "restart"


def test_reboot_with_options(host: Host) -> None:
    for command, patience in (
        ("tmt-reboot -t 120 -c false", 120),
        ("rstrnt-reboot -c false", None),
        ("rhts-reboot -e -c false", None),
        ("atex-reboot -s -c false", None),
    ):
        record = host.run(f"{command}; echo $?")
        assert record.said == [Restarting(run=ANY, clock=ANY, patience=patience)]
        failure = f"{command.split()[0]}: 'false' failed, the machine is not restarted\n1\n"
        assert record.output.decode().endswith(failure)


def test_what_reboot_runs(host: Host) -> None:
    """The real commands would do it: these come from a folder of their own, and fail."""
    script = """\
mkdir fakes
for fake in reboot systemctl; do echo 'echo fake $0 $*; exit 1' >fakes/$fake; chmod +x fakes/$fake; done
PATH=$PWD/fakes:$PATH
[ "$(command -v reboot)" = $PWD/fakes/reboot ] && [ "$(command -v systemctl)" = $PWD/fakes/systemctl ] || exit 9
tmt-reboot OPTIONS
rm -r fakes
"""
    for options, command in (("", "reboot"), ("-s", "systemctl soft-reboot")):
        run = host.run(script.replace("OPTIONS", options))
        assert f"fake {host.hello.folder}/fakes/{command}" in run.output.decode()


def test_no_reboot_before_the_host_knows(host: Host) -> None:
    host.acknowledging = False
    run = host.start("tmt-reboot -c 'echo going down; false' || :")
    host.until(Restarting)
    assert b"going down" not in host.agent.runs[run].output
    host.acknowledging = True
    host.acknowledge()
    assert host.wait(run).output.startswith(b"going down\n")


def test_reboot_used_badly(host: Host) -> None:
    for arguments in ("-x", "now", "-t soon", "-t", "-c"):
        run = host.run(f"tmt-reboot {arguments}; echo $?")
        assert run.output.endswith(b"\n2\n")
        assert run.said == []


def test_abort(host: Host) -> None:
    for command in ("tmt-abort", "rstrnt-abort -t recipe", "rhts-abort", "rstrnt-abort --server x"):
        run = host.run(f"{command}; echo never")
        assert run.exited.ended_by == "abort"
        assert run.output == b""
        assert run.exited.note == command
