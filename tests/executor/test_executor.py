"""Tests and phases on a machine, by the real agent, on this machine and over a real ssh."""

from pathlib import Path

import msgspec
import pytest
from atex_executor import (
    AgentUnavailable,
    Executor,
    ExecutorError,
    PhaseFailed,
    UnsupportedPhase,
    UploadFailed,
)
from atex_executor import executor as executors
from atex_fmf import Phase, Plan, Test
from atex_provision import Channel, Connection, LocalConnection

from tests.executor.conftest import Execute, Run, suite_of
from tests.waits import Background, eventually


@pytest.fixture
def local(own_home: Path) -> LocalConnection:
    """For what the kind of connection makes no difference to."""
    return LocalConnection()


def shell(name: str, *script: str) -> Phase:
    return Phase(name=name, how="shell", script=script)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# Tests -----------------------------------------------------------------------------------------------


def test_pass_fail_and_where_a_test_runs(
    connection: Connection, execute: Execute, run: Run, tree: Path
) -> None:
    (tree / "sub").mkdir()
    (tree / "sub" / "data").write_text("of the tree\n")
    passing = Test(name="/sub/pass", path="/sub", test='cat data; [ "$PWD" = "$TMT_TREE/sub" ]')
    failing = Test(name="/fail", test="echo out; echo err >&2; exit 3")
    executor = execute(connection, passing, failing, platform="p", machine="m")
    assert executor.alive
    first, second = (executor.run(test, run.sink) for test in executor.suite.tests)
    assert (first.status, first.exit_code, first.note) == ("pass", 0, None)
    assert (second.status, second.exit_code, second.note) == ("fail", 3, None)
    assert not first.machine_lost
    assert run.records() == [first.record, second.record]
    assert first.record["files"] == ["p/sub/pass/@1.1/output.txt"]
    assert (first.record["machine"], first.record["serial"]) == ("m", 1)
    assert run.output(first.record) == "of the tree\n"
    assert run.output(second.record) == "out\nerr\n"


def test_a_second_attempt_has_a_folder_of_its_own(
    local: Connection, execute: Execute, run: Run
) -> None:
    executor = execute(local, "echo again")
    for attempt in (1, 2):
        record = executor.run(executor.suite.tests[0], run.sink, attempt=attempt).record
        assert record["attempt"] == attempt
        assert record["files"] == [f"local/test/@1.{attempt}/output.txt"]


@pytest.mark.parametrize(("framework", "status"), [("shell", "fail"), ("beakerlib", "pass")])
def test_shell_tests_stop_at_the_first_failure(
    local: Connection,
    execute: Execute,
    run: Run,
    all_installed: dict[str, str],
    framework: str,
    status: str,
) -> None:
    test = Test(name="/test", test="false | true; echo on", framework=framework)
    executor = execute(local, test, environment=all_installed)
    assert executor.run(test, run.sink).status == status


def test_variables(local: Connection, execute: Execute, run: Run) -> None:
    test = Test(
        name="/test",
        serial=4,
        test='echo "$A $B $C $SECRET $TMT_TEST_NAME $TMT_TEST_SERIAL_NUMBER $TMT_REBOOT_COUNT"',
        environment={"A": "test", "B": "test"},
    )
    executor = execute(
        local,
        test,
        plan=Plan(environment={"B": "plan", "C": "plan"}),
        environment={"C": "run"},
        secrets={"SECRET": "s3cret"},
    )
    record = executor.run(test, run.sink).record
    assert run.output(record) == "test plan run s3cret /test 4 0\n"
    assert b"s3cret" not in (run.sink.folder / "results.jsonl").read_bytes()


def test_a_signal(local: Connection, execute: Execute, run: Run) -> None:
    outcome = execute(local, "kill -SEGV $$").run(
        Test(name="/test", test="kill -SEGV $$"), run.sink
    )
    assert (outcome.status, outcome.exit_code, outcome.note) == ("fail", 139, "killed by SIGSEGV")


def test_a_limit_leaves_time_to_clean_up(
    connection: Connection, execute: Execute, run: Run
) -> None:
    script = "trap 'echo cleaned; exit 0' INT; echo ready; while :; do sleep 0.1; done"
    test = Test(name="/test", test=script, duration=0.5)
    outcome = execute(connection, test).run(test, run.sink)
    assert (outcome.status, outcome.note) == ("error", "ran longer than 0.5s")
    assert run.output(outcome.record) == "ready\ncleaned\n"


def test_a_limit_may_be_moved_below_zero(local: Connection, execute: Execute, run: Run) -> None:
    test = Test(name="/test", test="echo duration -1h >&3; sleep 60", duration=20.0)
    executor = execute(local, test)
    outcome = executor.run(test, run.sink)
    assert (outcome.status, outcome.note) == ("error", "ran longer than 0s")
    assert executor.alive


def test_after_the_grace_it_is_killed(local: Connection, execute: Execute, run: Run) -> None:
    test = Test(name="/test", test="trap '' INT; sleep 60 & echo $!; wait", duration=0.2)
    outcome = execute(local, test, grace=0.2).run(test, run.sink)
    assert (outcome.status, outcome.exit_code) == ("error", 137)
    assert not is_running(int(run.output(outcome.record)))


def test_what_is_no_text_is_not_started(local: Connection, execute: Execute, run: Run) -> None:
    executor = execute(local, "true", environment={"A": "half of a pair: \ud800"})
    outcome = executor.run(executor.suite.tests[0], run.sink)
    assert outcome.status == "infra"
    assert "not everything in it is UTF-8" in (outcome.note or "")
    assert executor.alive


def test_a_script_that_is_too_large_is_not_started(
    local: Connection, execute: Execute, run: Run
) -> None:
    executor = execute(local, "#" * 5_000_000)
    outcome = executor.run(executor.suite.tests[0], run.sink)
    assert outcome.status == "infra"
    assert "4194304 are allowed" in (outcome.note or "")
    assert executor.run(Test(name="/next", test="true"), run.sink).status == "pass"


def test_a_folder_that_is_not_there_is_infra(local: Connection, execute: Execute, run: Run) -> None:
    test = Test(name="/test", test="true", path="/none")
    outcome = execute(local, test).run(test, run.sink)
    assert outcome.status == "infra"
    assert "could not be started" in (outcome.note or "")
    assert not outcome.machine_lost
    assert run.records() == [outcome.record]


# Results ---------------------------------------------------------------------------------------------

SENDS_RESULTS = r"""
python3 - <<'END'
import os, socket, sys
with socket.socket(socket.AF_UNIX) as control:
    control.connect(os.environ["ATEX_CONTROL_FILE"])
    control.sendall(b'result {"name": "socket", "status": "fail", "files": [{"name": "a/log", "length": 6}]}\nsocket')
    control.sendall(b'result {"name": "/elsewhere/x", "status": "odd", "mine": [1]}\n')
END
json='{"name": "pipe", "files": [{"name": "log", "length": 4}], "testout": "out.txt"}'
printf 'result %s\n%spipe' ${#json} "$json" >&$ATEX_TEST_CONTROL
echo 'result {"status": "warn", "note": "own", "extra": {"a": 1}}' >&$ATEX_TEST_CONTROL
echo printed
exit 1
"""


def test_results_with_files_through_both_doors(
    connection: Connection, execute: Execute, run: Run
) -> None:
    executor = execute(connection, SENDS_RESULTS)
    outcome = executor.run(executor.suite.tests[0], run.sink)
    assert (outcome.status, outcome.note, outcome.exit_code) == ("warn", "own", 1)
    *results, final = run.records()
    assert final == outcome.record
    assert final["extra"] == {"a": 1}
    assert run.output(final) == "printed\n"
    named = {record["name"]: record for record in results}
    assert set(named) == {"socket", "/elsewhere/x", "pipe"}
    assert named["/elsewhere/x"]["mine"] == [1]
    folder = "local/test/@1.1/subtests"
    assert named["socket"]["files"] == [f"{folder}/socket/a/log"]
    assert run.file(f"{folder}/socket/a/log") == b"socket"
    assert named["pipe"]["files"] == [f"{folder}/pipe/log", f"{folder}/pipe/out.txt"]
    assert run.file(f"{folder}/pipe/log") == b"pipe"
    assert run.file(f"{folder}/pipe/out.txt") == b"printed\n"


def test_a_broken_door_is_an_error(local: Connection, execute: Execute, run: Run) -> None:
    script = """
    echo 'result {"name": "before"}' >&$ATEX_TEST_CONTROL
    json='{"name": "a", "files": [{"name": "log", "length": 100}]}'
    printf 'result %s\\n%shalf' ${#json} "$json" >&$ATEX_TEST_CONTROL
    """
    executor = execute(local, script)
    outcome = executor.run(executor.suite.tests[0], run.sink)
    assert outcome.status == "error"
    assert (outcome.note or "").startswith("control file: ")
    assert [record.get("name") for record in run.records()] == ["before", None]
    assert not list((run.sink.folder / "files").rglob("log"))


def test_many_results_arrive_in_order(local: Connection, execute: Execute, run: Run) -> None:
    script = """
    for n in {1..20000}; do echo "result {\\"name\\": \\"$n\\"}"; done >&$ATEX_TEST_CONTROL
    """
    executor = execute(local, script)
    executor.run(executor.suite.tests[0], run.sink)
    *results, _ = run.records()
    assert [(record["n"], record["name"]) for record in results] == [
        (n, str(n)) for n in range(1, 20_001)
    ]


# Cancelling ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [False, True])
def test_cancel(connection: Connection, execute: Execute, run: Run, at_once: bool) -> None:
    script = "trap 'echo cleaned; exit 0' INT; echo $$; while :; do sleep 0.1; done"
    executor = execute(connection, script)
    test = executor.suite.tests[0]
    output = run.sink.folder / "files/local/test/@1.1/output.txt"
    running = Background(lambda: executor.run(test, run.sink))
    eventually(lambda: output.exists() and output.read_text().endswith("\n"))
    executor.cancel("interrupted", at_once=at_once)
    outcome = running.result()
    assert (outcome.status, outcome.note, outcome.machine_lost) == ("infra", "interrupted", False)
    pid, *cleaned = output.read_text().split()
    assert cleaned == ([] if at_once else ["cleaned"])
    assert not is_running(int(pid))
    assert not executor.alive
    refused = executor.run(test, run.sink, attempt=2)
    assert (refused.status, refused.note, refused.started) == ("infra", "interrupted", "")
    assert run.records() == [outcome.record, refused.record]


def test_a_second_cancel_makes_it_sooner(
    local: Connection, execute: Execute, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "_CANCEL_GRACE", 600.0)
    executor = execute(local, "trap '' INT; echo ready; sleep 60 & wait; sleep 60")
    output = run.sink.folder / "files/local/test/@1.1/output.txt"
    running = Background(lambda: executor.run(executor.suite.tests[0], run.sink))
    eventually(output.exists)
    executor.cancel("first")
    executor.cancel("second", at_once=True)
    outcome = running.result()
    assert (outcome.status, outcome.note) == ("infra", "first")


def test_one_run_is_cancelled_and_the_machine_goes_on(
    local: Connection, execute: Execute, run: Run
) -> None:
    executor = execute(local, "echo ready; sleep 60")
    test = executor.suite.tests[0]
    output = run.sink.folder / "files/local/test/@1.2/output.txt"
    running = Background(lambda: executor.run(test, run.sink, attempt=2))
    eventually(output.exists)
    executor.cancel_run(test, "not even begun", attempt=3)
    executor.cancel_run(test, "not wanted", attempt=2, at_once=True)
    outcome = running.result()
    assert (outcome.status, outcome.note, outcome.machine_usable) == ("infra", "not wanted", True)
    assert executor.run(test, run.sink, attempt=3).note == "not even begun"
    test = msgspec.structs.replace(test, test="true")
    assert executor.run(test, run.sink, attempt=4).status == "pass"


def test_finish_runs_after_cancel(local: Connection, execute: Execute, run: Run) -> None:
    plan = Plan(finish=(shell("bye", "echo finished"),))
    executor = execute(local, "true", plan=plan)
    executor.cancel("enough")
    executor.finish(run.sink, limit=60)
    assert run.file("local/@finish.local/bye.txt") == b"finished\n"


def test_close_from_another_thread_ends_the_run(
    local: Connection, execute: Execute, run: Run
) -> None:
    executor = execute(local, "echo $$; sleep 60")
    output = run.sink.folder / "files/local/test/@1.1/output.txt"
    running = Background(lambda: executor.run(executor.suite.tests[0], run.sink))
    eventually(lambda: output.exists() and output.read_text().endswith("\n"))
    executor.close()
    assert running.result().status == "infra"
    assert executor.left is None
    assert not is_running(int(output.read_text()))


def test_cancel_before_start(local: Connection, tree: Path, work: str) -> None:
    executor = Executor(local, suite_of(tree, "true"), work=work)
    executor.cancel("not now")
    with pytest.raises(ExecutorError, match="local: not now"):
        executor.start()
    assert not Path(work).exists()


def test_cancel_cuts_a_start_off(
    local: Connection, tree: Path, work: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = tree.parent / "begun"
    unpack = f"touch {begun}; exec sleep 60"  # a machine that takes its time
    monkeypatch.setattr("atex_executor.executor.unpack_command", lambda hello, become: unpack)
    executor = Executor(local, suite_of(tree, "true"), work=work)
    starting = Background(executor.start)
    eventually(begun.exists)
    executor.cancel("stop it")
    with pytest.raises(ExecutorError, match="local: stop it"):
        starting.result()
    assert executor.left is None
    assert not list(Path(work).glob("sessions/*"))
    local.close()


# Phases ----------------------------------------------------------------------------------------------


def test_phases_run_in_the_tree(connection: Connection, execute: Execute, run: Run) -> None:
    plan = Plan(
        prepare=(shell("first", "echo $A >made", "cat made; pwd"), shell("second", "cat made")),
        finish=(shell("last", "rm made; echo gone"),),
        environment={"A": "a"},
    )
    executor = execute(connection, "cat made", plan=plan, platform="p", machine="m")
    executor.prepare(run.sink)
    assert executor.run(executor.suite.tests[0], run.sink).status == "pass"
    executor.finish(run.sink)
    assert executor.run(executor.suite.tests[0], run.sink, attempt=2).status == "fail"
    first, folder = run.file("p/@prepare.m/first.txt").decode().split()
    assert (first, folder.endswith("/tree")) == ("a", True)
    assert run.file("p/@prepare.m/second.txt") == b"a\n"
    assert run.file("p/@finish.m/last.txt") == b"gone\n"


def test_a_failing_prepare_names_its_output(local: Connection, execute: Execute, run: Run) -> None:
    plan = Plan(prepare=(shell("bad", "echo oh; false; echo no", "echo never"),))
    executor = execute(local, "true", plan=plan)
    with pytest.raises(PhaseFailed) as caught:
        executor.prepare(run.sink)
    assert str(caught.value) == (
        "local: prepare phase 'bad' failed: exit code 1; its output is in files/local/@prepare.local/bad.txt"
    )
    assert caught.value.reason == "local: prepare phase 'bad' failed: exit code 1"
    assert caught.value.output == "local/@prepare.local/bad.txt"
    assert caught.value.tail == ("oh",)
    assert run.file(caught.value.output) == b"oh\n"
    assert executor.alive


def test_all_of_finish_runs_also_where_something_fails(
    local: Connection, execute: Execute, run: Run
) -> None:
    plan = Plan(finish=(shell("bad", "exit 2"), shell("good", "echo good")))
    executor = execute(local, "true", plan=plan)
    with pytest.raises(PhaseFailed, match="'bad' failed: exit code 2"):
        executor.finish(run.sink)
    assert run.file("local/@finish.local/good.txt") == b"good\n"


def test_finish_has_a_limit(local: Connection, execute: Execute, run: Run) -> None:
    plan = Plan(finish=(shell("slow", "sleep 60"), shell("late", "echo late")))
    executor = execute(local, "true", plan=plan)
    with pytest.raises(PhaseFailed, match="'slow' failed: ran longer than"):
        executor.finish(run.sink, limit=0.3)


def test_cancel_ends_finish(local: Connection, execute: Execute, run: Run) -> None:
    plan = Plan(finish=(shell("slow", "echo begun; sleep 60"), shell("next", "echo next")))
    executor = execute(local, "true", plan=plan)
    output = run.sink.folder / "files/local/@finish.local/slow.txt"
    finishing = Background(lambda: executor.finish(run.sink))
    eventually(lambda: output.exists() and output.read_bytes())
    executor.cancel("enough", at_once=True)
    with pytest.raises(PhaseFailed, match="'slow' failed: enough"):
        finishing.result()
    assert not (output.parent / "next.txt").exists() or not run.file("local/@finish.local/next.txt")


@pytest.mark.parametrize(("step", "how"), [("prepare", "ansible"), ("finish", "install")])
def test_unsupported_phases_are_refused_before_anything_is_done(
    tree: Path, work: str, step: str, how: str
) -> None:
    plan = Plan(**{step: (Phase(name="packages", how=how),)})  # type: ignore[arg-type]
    executor = Executor(LocalConnection(), suite_of(tree, "true", plan=plan), work=work)
    with pytest.raises(UnsupportedPhase, match=f"'packages'.*{how}"):
        executor.start()
    assert not Path(work).exists()
    assert not executor.alive


# The beginning and the end ---------------------------------------------------------------------------


def test_nothing_is_left_on_the_machine(
    connection: Connection, tree: Path, work: str, run: Run
) -> None:
    with Executor(connection, suite_of(tree, "true"), work=work) as executor:
        assert list(Path(work).glob("sessions/*"))
        executor.run(executor.suite.tests[0], run.sink)
    assert executor.left is None
    assert not executor.alive
    assert not list(Path(work).glob("sessions/*"))
    executor.close()
    assert executor.run(executor.suite.tests[0], run.sink, attempt=2).status == "infra"


def test_close_without_start(local: Connection, tree: Path) -> None:
    executor = Executor(local, suite_of(tree, "true"))
    executor.close()
    assert executor.left is None


def test_a_machine_without_a_python(local: Connection, tree: Path, work: str) -> None:
    executor = Executor(local, suite_of(tree, "true"), work=work, python="/nowhere/python3")
    with pytest.raises(AgentUnavailable, match=r"local: .*no python3 >= 3.6.*/nowhere/python3"):
        executor.start()
    assert executor.left is None
    local.close()


def test_a_machine_without_a_work_folder(local: Connection, tree: Path) -> None:
    executor = Executor(local, suite_of(tree, "true"), work="/proc/atex")
    with pytest.raises(AgentUnavailable, match=r"local: .*/proc/atex"):
        executor.start()
    local.close()


def test_a_tree_that_is_not_there_leaves_no_agent(local: Connection, tree: Path, work: str) -> None:
    tree.rmdir()
    executor = Executor(local, suite_of(tree, "true"), work=work)
    with pytest.raises(UploadFailed, match="tree"):
        executor.start()
    assert executor.left is None
    assert not list(Path(work).glob("sessions/*"))
    local.close()


def test_an_interrupted_host_still_closes_the_record(
    local: Connection, execute: Execute, run: Run, ctrl_c: str
) -> None:
    executor = execute(local, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        executor.run(executor.suite.tests[0], run.sink)
    (record,) = run.records()
    assert (record["status"], record["note"]) == ("infra", "interrupted on the host")
    assert not executor.alive


class InterruptedOnce(LocalConnection):
    """Ctrl-C comes just when the first order has been sent."""

    def open(self, command: str, timeout: float | None = None) -> Channel:
        channel = super().open(command, timeout)
        send = channel.send

        def interrupted(data: bytes, timeout: float | None = None) -> None:
            send(data, timeout)
            if b'"start"' in data:
                raise KeyboardInterrupt

        channel.send = interrupted  # type: ignore[method-assign]
        return channel


def test_an_interrupt_while_an_order_is_sent_leaves_nothing_behind(
    own_home: Path, execute: Execute, run: Run
) -> None:
    executor = execute(InterruptedOnce(), "sleep 60")
    with pytest.raises(KeyboardInterrupt):
        executor.run(executor.suite.tests[0], run.sink)
    executor.close()
    assert executor.left is None
