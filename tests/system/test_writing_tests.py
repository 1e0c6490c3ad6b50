"""Each example of docs/writing-tests.md, run as it stands there: what it says becomes of it does."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from atex_executor import Executor, FolderSink, RunOutcome
from atex_fmf import Suite, Test
from atex_provision import Connection, LocalConnection

from tests.machines.login import ssh_to
from tests.workspace.readme import ROOT

PAGE = (ROOT / "docs" / "writing-tests.md").read_text()
LANGUAGES = ["bash", "python"]
RUN: set[str] = set()  # the sections whose examples a test below runs


def sections() -> dict[str, dict[str, str]]:
    """Of each section its examples, by language."""
    found: dict[str, dict[str, str]] = {}
    for heading, text in re.findall(
        r"^##+ ([^\n]*)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL
    ):
        blocks = re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        assert len(dict(blocks)) == len(blocks), f"two of a kind below {heading!r}"
        if blocks:
            found[heading] = dict(blocks)
    return found


EXAMPLES = sections()


class Ended(msgspec.Struct):
    """How an example ended as a test."""

    outcome: RunOutcome
    results: list[dict[str, Any]]  # those with a name
    final: dict[str, Any]
    files: dict[str, bytes]  # below the test's own folder
    executor: Executor

    @property
    def output(self) -> str:
        return self.files["output.txt"].decode()

    @property
    def verdict(self) -> tuple[str, str | None]:
        return self.outcome.status, self.outcome.note

    @property
    def named(self) -> list[tuple[str, str | None]]:
        return [(result["name"], result.get("status")) for result in self.results]


@pytest.fixture
def ended(request: pytest.FixtureRequest, tmp_path: Path, own_home: Path) -> Iterator[Ended]:
    """The example that the mark `example` asks for, after its run."""
    section, language, restarts, options = request.param
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "control.py").write_text(EXAMPLES["Two doors"]["python"])
    (tree / "test").write_text(EXAMPLES[section][language])
    interpreter = {"bash": "bash", "python": "python3"}[language]
    test = Test(name="/example", test=f"{interpreter} ./test", **{"duration": 60.0, **options})
    connection = ssh_to(request.getfixturevalue("light_host")) if restarts else None
    with ExitStack() as stack:
        sink = stack.enter_context(FolderSink(tmp_path / "run"))
        connected: Connection = stack.enter_context(connection or LocalConnection())
        suite = Suite(root=str(tree), tests=(test, Test(name="/tests/deep", test="true")))
        executor = stack.enter_context(Executor(connected, suite, grace=10.0))
        outcome = executor.run(suite.tests[0], sink)
        lines = (tmp_path / "run/results.jsonl").read_bytes().splitlines()
        *results, final = map(msgspec.json.decode, lines)
        folder = tmp_path / "run/files/local/example/@1.1"
        paths = [path for path in folder.rglob("*") if path.is_file()]
        files = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
        yield Ended(outcome, results, final, files, executor)


def example(
    section: str, *, restarts: bool = False, **options: Any
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The test gets `ended` once for each language of that section; `options` are those of `Test`."""
    RUN.add(section)
    params = [
        pytest.param((section, language, restarts, options), id=language)
        for language in LANGUAGES
        if language in EXAMPLES[section]
    ]
    return pytest.mark.parametrize("ended", params, indirect=True)


def test_every_example_is_run() -> None:
    assert set(EXAMPLES) == RUN
    assert {language for blocks in EXAMPLES.values() for language in blocks} == set(LANGUAGES)


@example("A script with an exit code")
def test_a_script(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert ended.output.startswith("ID=") or not ended.output


@example("Two doors")
def test_two_doors(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)


@example("Parts of a test")
def test_parts_of_a_test(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert len(ended.named) == 2
    assert {status for _, status in ended.named} <= {"pass", "skip"}


@example("The test itself")
def test_the_test_itself(ended: Ended) -> None:
    assert ended.verdict == ("warn", "slower than last week")
    assert (ended.results, ended.final["exit_code"], ended.final["rate"]) == ([], 0, 12.5)


@example("Files")
def test_files(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert ended.named == [("machine", "info")]
    assert "Linux" in ended.files["subtests/machine/kernel.txt"].decode()
    assert len(ended.results[0]["files"]) == 2


@example("A folder that is collected")
def test_a_folder_that_is_collected(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert ended.files["summary.txt"] == b"nothing else to do\n"
    listed = [path.split("@1.1/")[1] for path in ended.final["files"]]
    assert set(listed) == set(ended.files)


@example("A live log")
def test_a_live_log(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert ended.named == [("build", "pass")]
    log = b"configure: done\ncompile: done\ninstall: done\n"
    assert ended.files["subtests/build/build.log"] == log
    (record,) = ended.results
    assert record["files"] == ["local/example/@1.1/subtests/build/build.log"]
    assert record.get("steps", ["configure", "compile", "install"]) == [
        "configure",
        "compile",
        "install",
    ]
    assert "note" not in record
    assert "partial" not in record


@example("The output as a file")
def test_the_output_as_a_file(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert ended.files["subtests/part one/log.txt"] == b"this is printed\n"


@example("More time")
def test_more_time(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)


@example("A watchdog", duration=1.5)
def test_a_watchdog(ended: Ended) -> None:
    """It takes longer than its limit."""
    assert ended.verdict == ("pass", None)
    assert ended.final["seconds"] > 1.5


@example("What should cost no time")
def test_what_should_cost_no_time(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert ended.files["subtests/core dump/core.img"] == bytes(100_000)


@example("When the time is up", duration=2.0)
def test_when_the_time_is_up(ended: Ended) -> None:
    assert ended.verdict == ("error", "ran longer than 2s")
    assert ended.named == [("clean-up", "info")]
    assert ended.final["seconds"] < 10


@example("Background processes")
def test_background_processes(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert ended.output == "done, and the sleep dies with me\n"
    assert ended.final["seconds"] < 100


@example("A daemon")
def test_a_daemon(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert ended.output == "done, and the sleep goes on\n"
    assert ended.final["seconds"] < 2


@example("Safe on the other side")
def test_safe_on_the_other_side(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert ended.output.endswith("safe\n")


@example("Restarting the machine", restarts=True)
def test_restarting_the_machine(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert ended.named == [("before", "pass"), ("after", "pass")]


@example("By tmt-reboot", restarts=True)
def test_by_tmt_reboot(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert ended.output.endswith("start number 1\n")
    assert "number 0" not in ended.output


@example("Another exit code")
def test_another_exit_code(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)


@example("Giving a machine up")
def test_giving_a_machine_up(ended: Ended) -> None:
    status, note = ended.verdict
    assert status == "error"
    assert "the disk is dying" in (note or "")
    assert not ended.executor.alive
    assert ended.final["seconds"] < 100


@example("Marks, and further runs")
def test_marks_and_further_runs(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)


@example("A terminal", tty=True)
def test_a_terminal(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert re.findall(r"\d+", ended.output) in (["24", "80"], ["80", "24"])


@example("Tests written for tmt")
def test_tests_written_for_tmt(ended: Ended) -> None:
    assert ended.outcome.status == "warn"
    assert ended.named == [("first", "pass"), ("second", "warn")]
    assert b"something\n" in ended.files.values()


@example("Tests written for the older atex", restarts=True)
def test_tests_written_for_the_older_atex(ended: Ended) -> None:
    assert ended.verdict == ("pass", None)
    assert ended.named == [("one", "pass")]


@example("Mistakes")
def test_mistakes(ended: Ended) -> None:
    status, note = ended.verdict
    assert (status, "unknown word 'nonsense'" in (note or "")) == ("error", True)
    assert "unknown word 'nonsense'" in ended.output
