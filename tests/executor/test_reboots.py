"""Tests that take their machine down and say so: real reboots, and what only looks like one."""

import pytest
from atex_executor import Executor, PhaseFailed, RunOutcome, Times
from atex_fmf import Phase, Plan, Test

from tests.executor.conftest import OnHost, Run
from tests.machines import LightHost
from tests.waits import Background, eventually

# Says that it goes down, and waits until the host has noted that.
SAY = """
trap '' PIPE
echo {word} >&$ATEX_TEST_CONTROL
while echo noop >&$ATEX_TEST_CONTROL; do sleep 0.01; done 2>/dev/null
"""
RESTART = SAY.format(word="restart")
DISCONNECT = SAY.format(word="disconnect")


def outcome_of(executor: Executor, run: Run) -> RunOutcome:
    return executor.run(executor.suite.tests[0], run.sink)


SEVERAL = f"""
n=$TMT_REBOOT_COUNT
[ $n = $TMT_TEST_RESTART_COUNT ]
echo "start $n"
echo "result {{\\"name\\": \\"part $n\\", \\"status\\": \\"pass\\"}}" >&$ATEX_TEST_CONTROL
echo "result {{\\"name\\": \\"whole\\", \\"partial\\": true, \\"starts\\": [$n]}}" >&$ATEX_TEST_CONTROL
printf 'result {{"name": "log", "files": [{{"name": "log", "length": 8}}]}}\\nround %d\\n' $n >&$ATEX_TEST_CONTROL
echo 'duration save' >&$ATEX_TEST_CONTROL
if [ $n -lt 3 ]; then
    {RESTART}
    reboot
    sleep 60
fi
for i in 0 1 2 3; do echo 'duration restore' >&$ATEX_TEST_CONTROL; done
"""


def test_a_test_that_reboots_three_times(light_host: LightHost, on_host: OnHost, run: Run) -> None:
    executor = on_host(light_host, SEVERAL)
    boots = {light_host.boot_id}
    outcome = outcome_of(executor, run)
    boots.add(light_host.boot_id)
    assert (outcome.status, outcome.note, outcome.exit_code) == ("pass", None, 0)
    assert len(boots) == 2
    assert run.output(outcome.record) == "start 0\nstart 1\nstart 2\nstart 3\n"
    *results, final = run.records()
    assert final == outcome.record
    named = [record["name"] for record in results]
    assert [name for name in named if name.startswith("part")] == [f"part {n}" for n in range(4)]
    (whole,) = [record for record in results if record["name"] == "whole"]
    assert whole["starts"] == [0, 1, 2, 3]
    assert run.file("local/test/@1.1/subtests/log/log").decode() == "".join(
        f"round {n}\n" for n in range(4)
    )
    assert executor.alive


def restarted(executor: Executor) -> bool:
    """Whether the present run has announced a restart of which nothing has come yet."""
    run = executor._session._state.run
    return run is not None and run.restart is not None


def test_patience_does_not_count_and_the_time_away_does(
    light_host: LightHost, on_host: OnHost, run: Run
) -> None:
    script = f"""
[ $TMT_REBOOT_COUNT = 0 ] || exec sleep 60
{RESTART}
reboot
sleep 60
"""
    times = Times(patience=0.1)
    executor = on_host(light_host, Test(name="/test", test=script, duration=6), times=times)
    outcome = outcome_of(executor, run)
    assert (outcome.status, outcome.note) == ("error", "ran longer than 6s")
    assert outcome.seconds < 50
    assert executor.alive


def test_a_machine_whose_network_goes_first(
    light_host: LightHost, on_host: OnHost, run: Run
) -> None:
    script = f"""
[ $TMT_REBOOT_COUNT = 0 ] || exit 0
{DISCONNECT}
until [ -e /root/go ]; do sleep 0.05; done
reboot
sleep 60
"""
    times = Times(patience=1.0, silence=1.0, beat=0.3)
    executor = on_host(light_host, script, times=times)
    before = light_host.boot_id
    running = Background(lambda: outcome_of(executor, run))
    eventually(lambda: restarted(executor))
    light_host.cut()
    eventually(lambda: not executor._session._state.attached)
    (light_host.folder / "root/go").touch()
    eventually(lambda: light_host.boot_id != before)
    light_host.heal()
    outcome = running.result(60)
    assert (outcome.status, outcome.note) == ("pass", None)


def test_a_connection_that_breaks_and_the_same_agent(
    light_host: LightHost, on_host: OnHost, run: Run
) -> None:
    script = f"""
[ $TMT_REBOOT_COUNT = 0 ] || exit 0
trap 'echo hung up; exit 7' HUP
{RESTART}
echo said
while :; do sleep 0.05; done
"""
    executor = on_host(light_host, script, times=Times(settle=0.5))
    running = Background(lambda: outcome_of(executor, run))
    eventually(lambda: restarted(executor))
    before = light_host.boot_id
    light_host.kill_sessions()
    outcome = running.result()
    assert (outcome.status, outcome.note, outcome.exit_code) == ("pass", None, 0)
    assert run.output(outcome.record).endswith("hung up\n")
    assert light_host.boot_id == before


def test_who_only_talks_of_a_restart(light_host: LightHost, on_host: OnHost, run: Run) -> None:
    executor = on_host(light_host, f"{RESTART}\nexit 3", times=Times(exit_wait=0.3))
    outcome = outcome_of(executor, run)
    assert (outcome.status, outcome.exit_code) == ("fail", 3)
    assert outcome.note == "it announced a restart, and the machine did not go down"
    assert outcome.seconds < 5
    assert executor.alive


def test_a_machine_that_takes_longer_than_the_test_gives_it(
    light_host: LightHost, on_host: OnHost, run: Run
) -> None:
    script = SAY.format(word="restart 2") + "\nsleep 60"
    executor = on_host(light_host, script, times=Times(silence=0.5, beat=0.1, farewell=0.3))
    running = Background(lambda: outcome_of(executor, run))
    eventually(lambda: restarted(executor))
    light_host.cut()
    outcome = running.result()
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    note = outcome.note or ""
    assert note.startswith("the machine did not come back from an announced restart within 2s;")
    assert "what it runs may go on until 20" in note
    assert not executor.alive


def test_a_machine_that_is_away_when_the_time_is_up(
    light_host: LightHost, on_host: OnHost, run: Run
) -> None:
    test = Test(name="/test", test=f"{RESTART}\nsleep 60", duration=2)
    executor = on_host(light_host, test, times=Times(silence=0.5, beat=0.1, farewell=0.3))
    running = Background(lambda: outcome_of(executor, run))
    eventually(lambda: restarted(executor))
    light_host.cut()
    outcome = running.result()
    assert (outcome.status, outcome.note) == ("error", "ran longer than 2s")
    assert outcome.machine_lost


def test_a_crash_without_a_word(light_host: LightHost, on_host: OnHost, run: Run) -> None:
    executor = on_host(light_host, "echo begun; sleep 60", times=Times(silence=0.5, beat=0.1))
    output = run.sink.folder / "files/local/test/@1.1/output.txt"
    running = Background(lambda: outcome_of(executor, run))
    eventually(output.exists)
    light_host.crash()
    light_host.boot()
    outcome = running.result()
    assert (outcome.status, outcome.note) == ("infra", "the machine went down during this test")
    assert executor.alive


def test_a_machine_that_comes_back_without_the_tree(
    light_host: LightHost, on_host: OnHost, run: Run
) -> None:
    script = f'{RESTART}\ncd /; rm -r "$TMT_TREE"; reboot; sleep 60'
    executor = on_host(light_host, script)
    outcome = outcome_of(executor, run)
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    assert "its work folder" in (outcome.note or "")


def test_an_error_before_a_restart_stays_one(
    light_host: LightHost, on_host: OnHost, run: Run
) -> None:
    script = f"""
[ $TMT_REBOOT_COUNT = 0 ] || exit 0
python3 -c 'import os, socket
with socket.socket(socket.AF_UNIX) as control:
    control.connect(os.environ["ATEX_CONTROL_FILE"])
    control.sendall(b"nonsense\\n")
    control.recv(100)'
{RESTART}
while :; do sleep 0.05; done
"""
    executor = on_host(light_host, script, times=Times(settle=0.3))
    running = Background(lambda: outcome_of(executor, run))
    eventually(lambda: restarted(executor))
    light_host.kill_sessions()
    outcome = running.result()
    assert outcome.status == "error"
    assert "unknown word 'nonsense'" in (outcome.note or "")


def test_phases_reboot_too(light_host: LightHost, on_host: OnHost, run: Run) -> None:
    script = f"""
echo "start $TMT_REBOOT_COUNT"
[ $TMT_REBOOT_COUNT = 0 ] || exit $CODE
{RESTART}
reboot
sleep 60
"""
    phase = Phase(name="boot", how="shell", script=("echo first", script, "echo last"))
    plan = Plan(prepare=(phase,), finish=(phase,), environment={"CODE": "0"})
    executor = on_host(light_host, "true", plan=plan)
    executor.prepare(run.sink)
    expected = b"first\nstart 0\nstart 1\nlast\n"
    assert run.file("local/@prepare.local/boot.txt") == expected
    assert outcome_of(executor, run).status == "pass"
    executor.finish(run.sink)
    assert run.file("local/@finish.local/boot.txt") == expected


def test_a_phase_that_fails_after_its_reboot(
    light_host: LightHost, on_host: OnHost, run: Run
) -> None:
    script = f"[ $TMT_REBOOT_COUNT = 0 ] || exit 4\n{RESTART}\nreboot\nsleep 60"
    plan = Plan(prepare=(Phase(name="boot", how="shell", script=(script,)),))
    executor = on_host(light_host, "true", plan=plan)
    with pytest.raises(PhaseFailed, match="exit code 4"):
        executor.prepare(run.sink)
