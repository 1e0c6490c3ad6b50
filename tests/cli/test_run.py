"""`atex run` on this machine, and on light hosts: what it prints, stores and exits with."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from atex_orchestrator import summarize

from tests.cli.command import Atex, end, wait_for
from tests.machines import LightHost, Sshd

PASS = "test: 'true'\n"


def test_all_pass(atex: Atex) -> None:
    atex.write("a.fmf", PASS)
    atex.write("b.fmf", PASS)
    ended = atex.run("--on", "local")
    assert ended.code == 0, ended
    assert ended.err == ""
    first, second, *rest = ended.lines
    assert re.fullmatch(r"pass  /a +\d+\.\d\d s  local", first)
    assert re.fullmatch(r"pass  /b +\d+\.\d\d s  local", second)
    assert rest == ["", "2 tests: 2 pass", f"Results: {atex.results}"]
    names = {"run.json", "results.jsonl", "partial.jsonl", "events.jsonl", "files", "log.txt"}
    assert {file.name for file in atex.results.iterdir()} == names


def test_a_failure_is_told_with_its_last_lines_and_its_log(atex: Atex) -> None:
    atex.write("good.fmf", PASS)
    atex.write("bad.fmf", "test: seq 100; printf 'the \\033[2Jend'; exit 3\n")
    ended = atex.run("--on", "local")
    assert ended.code == 1, ended
    start = ended.lines.index("fail /bad  (exit code 3)") + 1
    assert ended.lines[start : start + 10] == [
        *(f"    {number}" for number in range(92, 101)),
        "    the \\x1b[2Jend",
    ]
    log = Path(ended.lines[start + 10].strip())
    assert log.read_text().startswith("1\n2\n3\n")
    assert "2 tests: 1 fail, 1 pass" in ended.lines


def test_an_error_weighs_more_than_a_failure(atex: Atex) -> None:
    atex.write("bad.fmf", "test: 'false'\n")
    atex.write("slow.fmf", "test: sleep 60\nduration: 1s\n")
    ended = atex.run("--on", "2xlocal", "--grace", "1s")
    assert ended.code == 2, ended
    assert ended.lines.index("fail /bad  (exit code 1)") > next(
        place for place, line in enumerate(ended.lines) if line.startswith("error /slow  (")
    )
    assert "1s" in atex.finals()["/slow"]["note"]


def test_nothing_to_run(atex: Atex) -> None:
    ended = atex.run("--on", "local")
    assert (ended.code, ended.lines[-2:]) == (
        3,
        ["There was nothing to run.", f"Results: {atex.results}"],
    )


def test_quiet_leaves_out_what_passed(atex: Atex) -> None:
    atex.write("a.fmf", PASS)
    ended = atex.run("--on", "local", "-q")
    assert ended.lines == ["", "1 test: 1 pass", f"Results: {atex.results}"]


def test_verbose_says_what_happens(atex: Atex) -> None:
    atex.write("a.fmf", PASS)
    ended = atex.run("--on", "local", "-v")
    assert ended.code == 0
    assert "worker-1" in ended.err


def test_notices_are_told_once(atex: Atex) -> None:
    atex.write("a.fmf", PASS + "check: avc\n")
    ended = atex.run("--on", "local", "-c", "arch=riscv64")
    assert ended.err.count("check") == 1
    assert ended.err.startswith("atex: ")


def test_the_results_go_somewhere_new_by_default(atex: Atex) -> None:
    atex.write("a.fmf", PASS)
    processes = [atex.start("run", atex.tree, "--on", "local") for _ in range(3)]
    ends = [end(process) for process in processes]
    assert [ended.code for ended in ends] == [0, 0, 0], ends
    folders = {ended.lines[-1].removeprefix("Results: ") for ended in ends}
    assert len(folders) == 3
    for folder in folders:
        assert re.match(r"atex-runs/\d{4}-\d\d-\d\d-\d\d\.\d\d\.\d\d(-\d)?$", folder)
        assert len((atex.folder / folder / "results.jsonl").read_text().splitlines()) == 1


def test_two_at_a_time_on_this_machine(atex: Atex) -> None:
    meet = "touch {me}; until [ -e {other} ]; do sleep 0.01; done"
    one, other = atex.folder / "one", atex.folder / "other"
    atex.write("one.fmf", f"test: {meet.format(me=one, other=other)}\nduration: 30s\n")
    atex.write("other.fmf", f"test: {meet.format(me=other, other=one)}\nduration: 30s\n")
    ended = atex.run("--on", "2xlocal")
    assert ended.code == 0, ended
    assert {record["machine"] for record in atex.finals().values()} == {"local", "local-2"}


def test_context_of_this_machine_and_of_the_command_line(atex: Atex) -> None:
    arch = os.uname().machine
    atex.write(
        "here.fmf", f"{PASS}enabled: false\nadjust: {{when: arch == {arch}, enabled: true}}\n"
    )
    atex.write(
        "there.fmf", f"{PASS}enabled: false\nadjust: {{when: arch == pdp11, enabled: true}}\n"
    )
    atex.run("--on", "local")
    assert list(atex.finals()) == ["/here"]
    atex.results = atex.folder / "again"
    atex.run("--on", "local", "-c", "arch=pdp11")
    assert list(atex.finals()) == ["/there"]


def test_variables(atex: Atex) -> None:
    atex.environment["FROM_CALLER"] = "calling"
    atex.write("a.fmf", 'test: \'[ "$GIVEN $FROM_CALLER" = "a=b calling" ]\'\n')
    ended = atex.run("--on", "local", "-e", "GIVEN=a=b", "-e", "FROM_CALLER")
    assert ended.code == 0, ended


def test_what_is_dropped_of_a_result_is_said_in_the_log_alone(atex: Atex) -> None:
    result = """echo 'result {"name": "x", "serial": 5}' >&$ATEX_TEST_CONTROL"""
    atex.write("a.fmf", f"test: |\n  {result}\n")
    ended = atex.run("--on", "local")
    assert (ended.code, ended.err) == (0, ""), ended
    assert "'serial' of a result is the runner's" in (atex.results / "log.txt").read_text()


def test_a_secret_is_stored_and_printed_nowhere(atex: Atex) -> None:
    secret = "correct-horse-battery-staple"
    atex.environment["TOKEN"] = secret
    atex.write("good.fmf", f'test: \'[ "$TOKEN" = {secret[:7]}"{secret[7:]}" ]\'\n')
    atex.write("bad.fmf", "test: 'false'\n")
    ended = atex.run("--on", "local", "--secret", "TOKEN", "-v")
    assert ended.code == 1, ended
    assert atex.finals()["/good"]["status"] == "pass"
    assert secret not in ended.out + ended.err
    stored = [file for file in atex.results.rglob("*") if file.is_file()]
    assert len(stored) > 4
    assert [file for file in stored if secret.encode() in file.read_bytes()] == []
    assert json.loads((atex.results / "run.json").read_text())["secrets"] == ["TOKEN"]


def test_a_secret_that_a_test_prints_is_not_shown(atex: Atex) -> None:
    atex.environment["TOKEN"] = "correct-horse-battery-staple"
    atex.write("bad.fmf", 'test: echo "token is $TOKEN"; false\n')
    ended = atex.run("--on", "local", "--secret", "TOKEN")
    assert "    token is ***" in ended.lines


def test_preparation_that_fails(atex: Atex) -> None:
    atex.environment["TOKEN"] = "correct-horse-battery-staple"
    atex.write("tests/a.fmf", PASS)
    atex.write("tests/b.fmf", PASS)
    script = r"echo $TOKEN; printf '\033[2J'; exit 7"
    atex.write(
        "plan.fmf",
        "discover: {how: fmf}\nexecute: {how: tmt}\n"
        f"prepare: {{how: shell, name: setup, script: {json.dumps(script)}}}\n",
    )
    ended = atex.run("--on", "local", "--secret", "TOKEN")
    assert ended.code == 75, ended
    told = [
        "local: prepare phase 'setup' failed: exit code 7",
        "    ***",
        "    \\x1b[2J",
        f"  {atex.results}/files/local/@prepare.local/setup.txt",
    ]
    assert ended.err.splitlines() == [f"atex: {told[0]}", *told[1:]]
    assert ended.lines == [
        "infra 2 tests of local not started",
        "",
        *told,
        "",
        "infra not started: no machine of platform local is left",
        "    /tests/a, /tests/b",
        "",
        "2 tests: 2 infra",
        f"Results: {atex.results}",
    ]
    for record in atex.finals().values():
        assert record["status"] == "infra"
        assert "phase 'setup' failed: exit code 7" in record["note"]
        assert "\n    ***\n" in record["note"]


def test_two_light_hosts_share_the_tests(
    atex: Atex, light_hosts: Callable[[int], list[LightHost]]
) -> None:
    for name in "abcdef":
        atex.write(f"{name}.fmf", "test: sleep 0.5; hostname\n")
    hosts = light_hosts(2)
    where = ",".join(f"root@{host.address}" for host in hosts)
    ended = atex.run("--on", f"ssh:{where}", "--identity", hosts[0].identity)
    assert ended.code == 0, ended
    machines = [record["machine"] for record in atex.finals().values()]
    assert set(machines) == {f"root@{host.address}" for host in hosts}
    assert min(machines.count(machine) for machine in set(machines)) >= 2


def test_a_reader_that_goes_away_does_not_stop_the_run(atex: Atex) -> None:
    atex.write("a.fmf", PASS)
    go = atex.folder / "go"
    atex.write("b.fmf", f"test: until [ -e {go} ]; do sleep 0.01; done\n")
    with atex.start_run("--on", "local") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("pass  /a")
        process.stdout.close()
        process.stdout = None
        go.touch()
        assert process.wait(60) == 0
    wait_for(lambda: len(atex.finals()) == 2, "both records")


def on(sshd: Sshd) -> list[object]:
    return ["--on", f"ssh:{sshd.user}@{sshd.address}:{sshd.port}", "--identity", sshd.identity]


def test_a_full_disk_is_nobodys_failure(atex: Atex, sshd: Sshd) -> None:
    atex.write("a.fmf", "test: head -c 1000000 /dev/zero\n")
    atex.write("b.fmf", PASS)
    atex.prefix = ["prlimit", "--fsize=20000"]  # bytes that a file of atex can have
    ended = atex.run(*on(sshd))
    assert ended.code == 75, ended
    assert "Traceback" not in ended.err
    finals = atex.finals()
    assert set(finals) == {"/a", "/b"}
    assert finals["/a"]["status"] == "infra"
    assert "File too large" in finals["/a"]["note"]


def test_when_results_can_not_be_written_the_run_stops(atex: Atex, sshd: Sshd) -> None:
    for number in range(100, 300):
        atex.write(f"t{number}.fmf", PASS)
    atex.prefix = ["prlimit", "--fsize=20000"]
    ended = atex.run(*on(sshd))
    assert ended.code == 75, ended
    assert "Traceback" not in ended.err
    assert "File too large" in ended.err
    assert "without a record" in ended.out
    results = (atex.results / "results.jsonl").read_bytes()
    assert results.endswith(b"\n")
    assert len(results) <= 20000


@pytest.mark.leaves_leases
def test_the_folder_of_a_killed_run_can_be_read(atex: Atex, sshd: Sshd) -> None:
    atex.write("a.fmf", PASS)
    go = atex.folder / "go"
    atex.write("b.fmf", f"test: touch {go}; sleep 60\n")
    process = atex.start_run(*on(sshd))
    wait_for(go.exists, "the second test")
    process.kill()
    process.wait(60)
    summary = summarize(atex.results)
    assert summary.counts == {"pass": 1}
    assert summary.missing == (("ssh", 2, "/b"),)
    assert summary.info.ended is None
