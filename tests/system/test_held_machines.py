"""`--hold-failed`: somebody gets into a machine on which a test failed, uses it again, and gives it back."""

import subprocess

from atex_orchestrator import summarize
from atex_orchestrator.events import MachineKept

from tests.cli.command import LIMIT
from tests.system.fleet import Fleet

# Fails on a machine that it has not been on, and on one that was prepared twice.
TREE = """
/plan:
    discover: {how: fmf}
    execute: {how: tmt}
    prepare: {how: shell, script: echo prepared >>/root/witness}
    finish: {how: shell, script: rm /root/witness}
/test:
    test: |
        echo tested >>/root/witness
        [ "$(cat /root/witness)" = "$(printf 'prepared\\ntested\\ntested')" ]
"""


def test_it_is_seen_used_and_given_back(fleet: Fleet) -> None:
    atex = fleet.atex
    atex.write("main.fmf", TREE)
    ended = atex.run("--hold-failed", *fleet.pools())
    assert ended.code == 1, ended
    kept = summarize(atex.results).kept
    assert {machine.platform for machine in kept} == {"containers", "hosts"}
    for machine in kept:
        assert machine.login in ended.out
        assert look(fleet, machine) == ["prepared", "tested"]
    assert atex("gc").code == 0  # it is left alone
    for machine in kept:
        atex.results = atex.folder / machine.lease
        again = atex.run("--on", f"lease:{machine.lease}")
        assert again.code == 0, again
        assert fleet.verdicts() == {(machine.platform, "/test"): "pass"}
    ended = atex("gc", *(machine.lease for machine in kept))
    assert ended.code == 0, ended
    fleet.check_nothing_is_left()


def look(fleet: Fleet, machine: MachineKept) -> list[str]:
    """Get in as it was said, and look."""
    shell = subprocess.run(
        machine.login,
        shell=True,
        input="cat /root/witness\nexit\n",
        capture_output=True,
        text=True,
        env=fleet.atex.environment,
        timeout=LIMIT,
        check=False,
    )
    lines = [line.removeprefix("# ") for line in shell.stdout.splitlines()]  # a shell's prompt
    return [line for line in lines if line in {"prepared", "tested"}]
