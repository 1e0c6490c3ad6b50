"""tmt in a process of its own: a request per line on stdin, an answer per line on stdout, both JSON.

    {"tree": "/t", "plan": "/p", "context": ["arch=x86_64"], "workdir": "/w"}
    {"tests": [...], "environment": {...}}
    {"error": "..."}

It imports tmt once, which takes seconds, and answers each request in a fork: so every run finds tmt's global state as
it is after importing. What runs in there is tmt's own command line, `tmt run discover plan --name`, up to the end of
the step. Left out is only what costs time and decides nothing: the state files, the facts about this machine, and the
scripts for later steps; and the plan's copy of the tree is a symlink.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any, NoReturn, cast

import tmt.__main__
import tmt.base.plan
import tmt.base.run
import tmt.cli._root
import tmt.log
import tmt.steps
import tmt.steps.discover
import tmt.utils
from tmt._compat.pathlib import Path

SCHEMAS = ("plan.yaml", "test.yaml", "story.yaml")
OWN_VARIABLES = "TMT_"  # what tmt's variables begin with; they are about this very run
BROKEN = 70  # exit status of a fork that could not even answer


def main() -> None:
    """Answer requests until stdin ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    _import()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _answer(json.loads(line), answers)
        _, status = os.waitpid(child, 0)
        if status:
            _say(
                answers, {"error": f"tmt's process ended with {os.waitstatus_to_exitcode(status)}"}
            )


def _import() -> None:
    tmt.__main__.import_cli_commands()
    for schema in SCHEMAS:
        tmt.utils.load_schema(Path(schema))  # which remembers it
    for owner, method, instead in (
        (tmt.log.Logger, "debug", _nothing),
        (tmt.base.run.Run, "show_runner", _nothing),
        (tmt.base.run.Run, "copy_scripts", _nothing),
        (tmt.base.run.Run, "write_state", _nothing),
        (tmt.base.plan.Plan, "_initialize_worktree", _link_worktree),
    ):
        getattr(owner, method)  # it is still there
        setattr(owner, method, instead)


def _nothing(*arguments: Any, **options: Any) -> None:
    pass


def _link_worktree(plan: Any) -> None:
    plan.worktree = plan.plan_workdir / "tree"
    plan.worktree.symlink_to(plan.node.root)


def _answer(request: Mapping[str, Any], answers: IO[str]) -> NoReturn:
    """Run tmt, answer, and end this fork."""
    status = BROKEN
    try:
        os.chdir(request["tree"])
        _after_discovery(lambda step: _say(answers, _selection(step)))
        context = [word for value in request["context"] for word in ("--context", value)]
        step = ["discover", "plan", "--name", f"^{re.escape(request['plan'])}$"]
        arguments = [*context, "run", "--id", request["workdir"], *step]
        tmt.cli._root.main(arguments, standalone_mode=False)
        raise RuntimeError("tmt ended without discovering anything")
    except BaseException as error:
        _say(answers, {"error": _words(error)})
        status = 0
    finally:
        os._exit(status)


def _after_discovery(call: Callable[[Any], None]) -> None:
    """End this fork once the step is through and `call` has looked at it."""
    go = tmt.steps.discover.Discover.go

    def go_and_end(step: Any, force: bool = False) -> None:
        go(step, force)
        call(step)
        os._exit(0)

    cast(Any, tmt.steps.discover.Discover).go = go_and_end


def _selection(step: Any) -> dict[str, Any]:
    variables = step.plan.environment.to_fmf_spec()
    return {
        "tests": [_describe(origin.test) for origin in step.tests(enabled=True)],
        "environment": {
            name: value for name, value in variables.items() if not name.startswith(OWN_VARIABLES)
        },
    }


def _describe(test: Any) -> dict[str, Any]:
    data = test._export(include_internal=True)
    return {
        "name": data["name"],
        "serial": data["serial-number"],
        "test": data["test"],
        "path": _within_tree(data["path"]),
        "duration": str(data["duration"]),
        "seconds": tmt.utils.duration_to_seconds(
            data["duration"], tmt.base.core.DEFAULT_TEST_DURATION_L1
        ),
        "environment": data["environment"],
        "require": data["original-require"],  # the others are sorted
        "recommend": data["original-recommend"],
        "tag": data["tag"],
        "framework": data["framework"],
        "tty": data["tty"],
        "order": data["order"],
        "enabled": data["enabled"],
    }


def _within_tree(path: str) -> str:
    """From `/default-0/tests/some/folder` what counts from the top of the tree."""
    return "/" + "/".join(path.split("/")[3:])


def _words(error: BaseException) -> str:
    """What tmt's errors say, those that caused them included."""
    causes = [*getattr(error, "causes", []), *([error.__cause__] if error.__cause__ else [])]
    words = f"{type(error).__name__}: {error}"
    return "\n".join([words, *(_words(cause) for cause in causes)])


def _say(answers: IO[str], answer: Mapping[str, Any]) -> None:
    answers.write(json.dumps(answer, default=str) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
