"""Tests as people have written them for tmt, for restraint and BeakerLib, and for the older atex, unmodified."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from atex_executor import Executor
from atex_fmf import Test
from atex_provision import LocalConnection, SshConnection

from tests.executor.conftest import Execute, Run, suite_of
from tests.machines import LightHost
from tests.machines.login import ssh_to


@pytest.fixture
def local(own_home: Path) -> LocalConnection:
    return LocalConnection()


@pytest.fixture
def far(light_host: LightHost, own_home: Path) -> Iterator[SshConnection]:
    """A machine that may be restarted."""
    with ssh_to(light_host) as connection:
        yield connection


def results_of(run: Run) -> list[tuple[str | None, str | None]]:
    return [(record.get("name"), record.get("status")) for record in run.records()]


def files_of(run: Run, record: dict[str, Any]) -> dict[str, bytes]:
    """The files of a record by what follows the attempt's folder; the test's output is left out."""
    return {
        path.partition("@1.1/")[2]: run.file(path)
        for path in record.get("files", ())
        if not path.endswith("/output.txt")
    }


# tmt -------------------------------------------------------------------------------------------------------

TMT = """\
tmt-report-result -o $TMT_TEST_DATA/check.log good PASS
echo details >bad.log
tmt-report-result --outputfile bad.log /bad/worse WARN
tmt-report-result odd INFO
cp bad.log "other log"
tmt-file-submit -l "other log"
mkdir $TMT_TEST_DATA/logs
grep '^duration: "1h"$' $TMT_TEST_METADATA >$TMT_TEST_DATA/logs/metadata
echo "FROM_FIRST='a b'" >>$TMT_PLAN_ENVIRONMENT_FILE
exit 1
"""


def test_tmt(local: LocalConnection, execute: Execute, run: Run) -> None:
    script = "echo checked >$TMT_TEST_DATA/check.log\n" + TMT
    executor = execute(
        local,
        Test(name="/first", test=script, duration=3600, duration_text="1h"),
        Test(name="/second", test='[ "$FROM_FIRST" = "a b" ]; [ -z "$(ls $TMT_TEST_DATA)" ]'),
    )
    first, second = (executor.run(test, run.sink).record for test in executor.suite.tests)
    assert (first["status"], first["exit_code"]) == ("warn", 1)
    assert second["status"] == "pass"
    good, bad, odd, _, _ = run.records()
    assert [(record["name"], record["status"]) for record in (good, bad, odd)] == [
        ("good", "pass"),
        ("bad/worse", "warn"),
        ("odd", "info"),
    ]
    assert files_of(run, good) == {"subtests/good/check.log": b"checked\n"}
    assert files_of(run, bad) == {"subtests/bad%2Fworse/bad.log": b"details\n"}
    assert files_of(run, first) == {
        "other log": b"details\n",
        "check.log": b"checked\n",
        "logs/metadata": b'duration: "1h"\n',
    }


@pytest.mark.parametrize(
    ("reports", "status"),
    [
        ("PASS", "pass"),
        ("SKIP", "skip"),
        ("PASS SKIP", "pass"),
        ("PASS INFO", "pass"),
        ("WARN PASS", "warn"),
        ("FAIL WARN", "fail"),
        ("fail Error PASS", "error"),
    ],
)
def test_the_worst_that_was_reported_decides(
    local: LocalConnection, execute: Execute, run: Run, reports: str, status: str
) -> None:
    script = f"for result in {reports}; do tmt-report-result $result $result; done; exit 1"
    outcome = execute(local, script).run(Test(name="/test", test=script, serial=1), run.sink)
    assert outcome.status == status


TMT_REBOOT = """\
echo "start $TMT_REBOOT_COUNT" | tee -a $TMT_TEST_DATA/log
if [ "$TMT_REBOOT_COUNT" -eq 0 ]; then
    tmt-report-result before PASS
    tmt-reboot -t 600
    echo never
elif [ "$TMT_REBOOT_COUNT" -eq 1 ]; then
    tmt-reboot -c reboot
fi
[ "$TMT_TEST_RESTART_COUNT" = 2 ]
tmt-report-result after PASS
"""


def test_tmt_reboot(far: SshConnection, run: Run, tree: Path) -> None:
    with Executor(far, suite_of(tree, TMT_REBOOT)) as executor:
        record = executor.run(executor.suite.tests[0], run.sink).record
    assert record["status"] == "pass", record
    assert run.output(record) == "start 0\nstart 1\nstart 2\n"
    assert files_of(run, record) == {"log": b"start 0\nstart 1\nstart 2\n"}
    assert results_of(run) == [("before", "pass"), ("after", "pass"), (None, "pass")]


def test_tmt_abort(local: LocalConnection, execute: Execute, run: Run) -> None:
    executor = execute(local, "echo x >$TMT_TEST_DATA/x; tmt-abort; echo never")
    record = executor.run(executor.suite.tests[0], run.sink).record
    assert (record["status"], record["note"]) == ("error", "tmt-abort")
    assert run.output(record) == ""
    assert files_of(run, record) == {"x": b"x\n"}
    assert not executor.alive


# restraint, and its predecessor ----------------------------------------------------------------------------

RESTRAINT = """\
OUTPUTFILE=$(mktemp)
export OUTPUTFILE
echo "--- start ---" | tee -a $OUTPUTFILE
if [ $REBOOTCOUNT -eq 0 ]; then
    rstrnt-report-result $RSTRNT_TASKNAME/setup PASS 100
    rhts-reboot
fi
echo "--- again ---" | tee -a $OUTPUTFILE
dmesg=$(mktemp -d)/dmesg.log
echo messages >$dmesg
rstrnt-report-log -S "$RESULT_SERVER" -T $RSTRNT_TASKID -l $dmesg
rhts-submit-log -l $OUTPUTFILE
rstrnt-report-result --disable 10_avc_check --server http://lab.example.com "$RSTRNT_TASKNAME" SKIP
rm $OUTPUTFILE
exit 0
"""


def test_restraint(far: SshConnection, run: Run, tree: Path) -> None:
    test = Test(name="/kernel/filesystems/x", test=RESTRAINT, environment={"RSTRNT_TASKID": "7"})
    with Executor(far, suite_of(tree, test)) as executor:
        record = executor.run(executor.suite.tests[0], run.sink).record
    assert (record["status"], record["exit_code"]) == ("pass", 0), record
    assert results_of(run) == [("setup", "pass"), (None, "pass")]
    output = b"--- start ---\n--- again ---\n"  # sent twice, by name and by $OUTPUTFILE: appended
    assert sorted(files_of(run, record).values()) == [output * 2, b"messages\n"]


# What BeakerLib does at the end of a phase and of a test, with its own variable names (src/testing.sh, rlReport and
# rlFileSubmit; src/journal.sh for the folder).
BEAKERLIB = """\
[ -d "$BEAKERLIB_DIR" ] && [ -n "$TESTID" ]
echo "journal" >$BEAKERLIB_DIR/journal.txt
for phase in Setup Test Test; do
    log=$(mktemp); echo "$phase" >$log
    result=PASS; [ $phase = Setup ] || result=FAIL
    $BEAKERLIB_COMMAND_REPORT_RESULT "$TMT_TEST_NAME/$phase" "$result" "$log" "1"
    rm $log
done
$BEAKERLIB_COMMAND_SUBMIT_LOG -l $BEAKERLIB_DIR/journal.txt
exit 0
"""


def test_beakerlib(
    local: LocalConnection, execute: Execute, run: Run, all_installed: dict[str, str]
) -> None:
    test = Test(name="/test", test=BEAKERLIB, framework="beakerlib")
    executor = execute(local, test, environment=all_installed)
    record = executor.run(executor.suite.tests[0], run.sink).record
    assert (record["status"], record["exit_code"]) == ("fail", 0)
    assert results_of(run)[:-1] == [("Setup", "pass"), ("Test", "fail"), ("Test", "fail")]
    assert run.file("local/test/@1.1/subtests/Test/resultoutputfile.log") == b"Test\nTest\n"
    assert files_of(run, record) == {"journal.txt": b"journal\n"}


# The older atex --------------------------------------------------------------------------------------------

OLDER_ATEX = """\
function report { printf 'result %d\\n%s' "${#1}" "$1" >&$ATEX_TEST_CONTROL; }
if [ "$TMT_REBOOT_COUNT" = 0 ]; then
    report '{"status": "pass", "name": "first"}'
    echo "duration save" >&$ATEX_TEST_CONTROL
    trap '' PIPE
    echo disconnect >&$ATEX_TEST_CONTROL
    while :; do
        echo noop >&$ATEX_TEST_CONTROL || break
        sleep 0.1
    done 2>/dev/null
    sync
    reboot
    sleep inf
fi
echo "duration restore" >&$ATEX_TEST_CONTROL
log=report.html; echo "<p>" >$log
size=$(stat -L -c '%s' $log)
report "{\\"partial\\": true, \\"files\\": [{\\"name\\": \\"$log\\", \\"length\\": $size}]}"
head -c $size $log >&$ATEX_TEST_CONTROL
atex-report-result second FAIL $log
atex-file-submit -l $log
report '{"status": "pass", "note": "the last word"}'
echo 'exitcode 3' >&$ATEX_TEST_CONTROL
"""


def test_the_older_atex(far: SshConnection, run: Run, tree: Path) -> None:
    with Executor(far, suite_of(tree, OLDER_ATEX)) as executor:
        record = executor.run(executor.suite.tests[0], run.sink).record
    assert (record["status"], record["exit_code"]) == ("fail", 3), record
    assert record["note"] == "the last word"
    assert results_of(run)[:-1] == [("first", "pass"), ("second", "fail")]
    assert files_of(run, record) == {"report.html": b"<p>\n<p>\n"}
    assert run.file("local/test/@1.1/subtests/second/report.html") == b"<p>\n"
