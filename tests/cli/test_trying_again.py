"""`atex run` that runs tests again, on another machine where there is one."""

from collections.abc import Callable, Sequence

from atex_orchestrator.results import FinalRecord, read_finals

from tests.cli.command import Atex, end, wait_for
from tests.machines import LightHost


def attempts(atex: Atex, test: str) -> list[FinalRecord]:
    return [record for record in read_finals(atex.results) if record.test == test]


def statuses(atex: Atex, test: str) -> list[tuple[int, str]]:
    return [(record.attempt, record.status) for record in attempts(atex, test)]


def on(hosts: Sequence[LightHost]) -> list[object]:
    addresses = ",".join(f"root@{host.address}" for host in hosts)
    return ["--on", f"ssh:{addresses}", "--identity", hosts[0].identity]


def test_a_test_that_passes_on_another_machine_is_flaky(atex: Atex) -> None:
    """It does not decide about the exit code."""
    (atex.folder / "in-the-way").mkdir()
    atex.write(
        "a.fmf",
        f"""
        test: |
            cd {atex.folder}
            until [ -e b ]; do sleep 0.05; done
            mkdir in-the-way || {{ rmdir in-the-way; exit 7; }}
        """,
    )
    atex.write("b.fmf", f"test: touch {atex.folder}/b\n")
    ended = atex.run("--on", "2xlocal", "--order", "plan", "--reruns", "1")
    assert ended.code == 0, ended
    assert statuses(atex, "/a") == [(1, "fail"), (2, "pass")]
    assert len({record.machine for record in attempts(atex, "/a")}) == 2
    [passed] = [line for line in ended.lines if line.startswith("pass  /a")]
    assert passed.endswith("  attempt 2")
    assert "flaky /a  (passed in attempt 2)" in ended.lines
    assert "    attempt 1: fail  (exit code 7)" in ended.lines
    assert "2 tests: 2 pass; 1 flaky" in ended.lines


def test_a_test_that_fails_each_time(atex: Atex) -> None:
    """Where there is one machine, there. What passes is run once."""
    atex.write("a.fmf", "test: exit 3\n")
    atex.write("b.fmf", "test: 'true'\n")
    ended = atex.run("--on", "local", "--reruns", "2")
    assert ended.code == 1, ended
    assert statuses(atex, "/a") == [(1, "fail"), (2, "fail"), (3, "fail")]
    assert statuses(atex, "/b") == [(1, "pass")]
    assert "fail /a  (exit code 3; attempt 3)" in ended.lines
    assert "2 tests: 1 fail, 1 pass" in ended.lines


def test_a_machine_that_dies_costs_no_verdict(
    atex: Atex, light_hosts: Callable[[int], list[LightHost]]
) -> None:
    """Its test is run again, without any --reruns."""
    hosts = light_hosts(2)
    atex.write("a.fmf", "test: '[ -e /root/go ] || { touch /root/started; sleep 60; }'\n")
    process = atex.start_run(*on(hosts))
    started = [host.folder / "root/started" for host in hosts]
    wait_for(lambda: any(file.exists() for file in started), "the test")
    [dying] = [host for host in hosts if (host.folder / "root/started").exists()]
    for host in hosts:
        (host.folder / "root/go").touch()
    dying.crash()
    dying.boot()
    ended = end(process)
    assert ended.code == 0, ended
    lost, passed = attempts(atex, "/a")
    assert (lost.status, passed.status, passed.attempt) == ("infra", "pass", 2)
    assert f"retried root@{dying.address}: {lost.note}" in ended.lines
    assert "1 test: 1 pass" in ended.lines


def test_nothing_is_retried(atex: Atex, light_host: LightHost) -> None:
    atex.write("a.fmf", "test: touch /root/started; sleep 60\n")
    process = atex.start_run(*on([light_host]), "--infra-retries", "0")
    wait_for((light_host.folder / "root/started").exists, "the test")
    light_host.crash()
    light_host.boot()
    ended = end(process)
    assert (ended.code, statuses(atex, "/a")) == (75, [(1, "infra")]), ended
