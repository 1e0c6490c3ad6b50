"""`atex run` on machines of several kinds: each discovers its tests with its own context."""

import json

from tests.cli.command import Atex
from tests.machines import Sshd

TESTS = """
test: 'true'
/everywhere:
    check: avc
/not-here:
    adjust: {when: distro != no-such-one, enabled: false}
"""


def test_each_platform_has_its_context_and_a_notice_is_told_once(atex: Atex, sshd: Sshd) -> None:
    """Of `local` it is known which distro it has; of machines by ssh it is not, unless somebody says so."""
    atex.write("tests.fmf", TESTS)
    ssh = ["--on", f"ssh:{sshd.user}@{sshd.address}:{sshd.port}", "--identity", sshd.identity]
    ended = atex.run("--on", "local", *ssh)
    assert ended.code == 0, ended
    where = sorted(line.split()[1] for line in ended.lines if line.startswith("pass"))
    assert where == ["/tests/everywhere", "/tests/everywhere", "/tests/not-here"]
    assert ended.err.count("ignored keys of tests") == 1
    [notice] = [line for line in ended.err.splitlines() if "has no distro" in line]
    assert notice.startswith("atex: on ssh: the context has no distro")
    local, remote = json.loads((atex.results / "run.json").read_text())["platforms"]
    assert list(local["tests"].values()) == ["/tests/everywhere"]
    assert list(remote["tests"].values()) == ["/tests/everywhere", "/tests/not-here"]
    assert (local["context"].keys() >= {"distro"}, remote.get("context")) == (True, None)


def test_the_context_of_the_plan_is_above_that_of_this_machine(atex: Atex) -> None:
    """And `-c` above both; the plan's own rules do not see it."""
    plan = "execute: {how: tmt}\ndiscover: {how: fmf}\ncontext: {distro: no-such-one}\n"
    atex.write("plan.fmf", f"{plan}adjust: {{when: distro == no-such-one, enabled: false}}\n")
    atex.write("tests.fmf", TESTS)
    ended = atex.run("--on", "local")
    assert (ended.code, "2 tests: 2 pass" in ended.lines) == (0, True), ended
    ended = atex.run("--on", "local", "-c", "distro=another", "--output", "again")
    assert (ended.code, "1 test: 1 pass" in ended.lines) == (0, True), ended


def test_what_is_said_on_the_command_line_is_for_all(atex: Atex, sshd: Sshd) -> None:
    atex.write("tests.fmf", TESTS)
    ssh = ["--on", f"ssh:{sshd.user}@{sshd.address}:{sshd.port}", "--identity", sshd.identity]
    ended = atex.run("--on", "local", *ssh, "-c", "distro=no-such-one")
    assert (ended.code, "has no distro" in ended.err) == (0, False), ended
    assert "4 tests: 4 pass" in ended.lines
