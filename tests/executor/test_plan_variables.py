"""Which variables win, all of them at once, and how they pass from script to script, over a restart of the machine.

tmt 1.78 prints the same for such a plan (its `local` has no restart).
"""

from atex_fmf import Phase, Plan, Test

from tests.executor.conftest import OnHost, Run
from tests.machines import LightHost

LEVELS = ("TEST", "FILE", "PLAN", "RUN", "TMT_TREE")  # from the weakest; the last is set by ATEX

SHOW = 'echo "$TEST $FILE $PLAN $RUN ${TMT_TREE##*/} $FROM_TEST" $TMT_REBOOT_COUNT\n'
SET = "".join(f"echo {level}=file >>$TMT_PLAN_ENVIRONMENT_FILE\n" for level in LEVELS[1:])
REBOOT = "[ $TMT_REBOOT_COUNT = 1 ] || tmt-reboot\n"


def from_here_on(level: str, value: str) -> dict[str, str]:
    """What somebody says who sets variables of its own level and of all that are stronger."""
    return dict.fromkeys(LEVELS[LEVELS.index(level) :], value)


def test_which_variables_win(light_host: LightHost, on_host: OnHost, run: Run) -> None:
    show = Phase(name="show", how="shell", script=(SHOW,))
    plan = Plan(
        prepare=(
            Phase(name="first", how="shell", script=(SHOW + SET + SHOW, SHOW)),
            Phase(name="reboot", how="shell", script=(SHOW + REBOOT,)),
            show,
        ),
        finish=(show,),
        environment=from_here_on("PLAN", "plan"),
    )
    test = Test(
        name="/test",
        test=SHOW + "echo FROM_TEST=yes >>$TMT_PLAN_ENVIRONMENT_FILE\n" + REBOOT,
        environment=from_here_on("TEST", "test"),
    )
    executor = on_host(light_host, test, plan=plan, environment=from_here_on("RUN", "run"))
    executor.prepare(run.sink)
    outcome = executor.run(test, run.sink)
    executor.finish(run.sink)

    prepare, finish = "local/@prepare.local", "local/@finish.local"
    assert run.file(f"{prepare}/first.txt").decode().splitlines() == [
        "  plan run tree  0",
        "  plan run tree  0",
        " file plan run tree  0",
    ]
    assert run.file(f"{prepare}/reboot.txt").decode().splitlines() == [
        " file plan run tree  0",
        " file plan run tree  1",
    ]
    assert run.file(f"{prepare}/show.txt").decode() == " file plan run tree  0\n"
    assert (outcome.status, outcome.note) == ("pass", None)
    assert run.output(outcome.record).splitlines() == [
        "test file plan run tree  0",
        "test file plan run tree yes 1",
    ]
    assert run.file(f"{finish}/show.txt").decode() == " file plan run tree yes 0\n"
