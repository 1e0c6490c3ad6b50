"""Marks and added tests: handed on, noted, and only what the suite has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from atex_executor import AddedTest, FolderSink, read_journal
from atex_executor.ending import Ending
from atex_executor.errors import ProtocolBroken
from atex_executor.masking import Mask
from atex_executor.recorder import Recorder
from atex_sut_agent.protocol import Marked, TestAdded

from tests.executor.told import PASSED, Teller, attempt_at

SECRET = "hunter2"


class Wishing(Teller):
    """An attempt whose marks and added tests are collected."""

    def __init__(self, sink: FolderSink) -> None:
        begun = attempt_at()
        self.marked: list[tuple[str, str]] = []
        self.asked: list[AddedTest] = []
        self.recorder = Recorder(
            sink,
            begun,
            tests={"/t", "/other"},
            mask=Mask([SECRET]),
            on_mark=lambda *mark: self.marked.append(mark),
            on_addtest=self.asked.append,
        )
        super().__init__(begun.folder, self.recorder.apply)

    def ends(self) -> dict[str, Any]:
        return self.recorder.close(PASSED, seconds=1.0)


@pytest.fixture
def wishing(tmp_path: Path) -> Iterator[Wishing]:
    with FolderSink(tmp_path) as sink:
        yield Wishing(sink)


def test_they_are_handed_on_in_order(wishing: Wishing) -> None:
    wishing.marks("snapshot", "clean")
    wishing.adds("/other", {"A": "1 2"})
    wishing.marks("snapshot")
    wishing.adds("/t", {})
    assert wishing.marked == [("snapshot", "clean"), ("snapshot", "")]
    assert wishing.asked == [
        AddedTest(number=1, test="/other", environment={"A": "1 2"}),
        AddedTest(number=2, test="/t", environment={}),
    ]
    assert wishing.ends()["status"] == "pass"


def test_they_are_in_the_journal_until_the_attempt_is_closed(
    wishing: Wishing, tmp_path: Path
) -> None:
    wishing.marks("snapshot", "clean")
    wishing.adds("/other", {"A": "1"})
    (attempt,) = read_journal(tmp_path)
    assert attempt.marks == {"snapshot": "clean"}
    assert attempt.added == wishing.asked
    wishing.ends()
    assert read_journal(tmp_path) == []


def test_a_test_that_is_not_of_this_platform_is_an_error(wishing: Wishing) -> None:
    wishing.adds("/elsewhere", {})
    final = wishing.ends()
    assert wishing.asked == []
    assert (final["status"], final["note"]) == (
        "error",
        "control file: addtest: there is no test '/elsewhere' on this platform",
    )


@pytest.mark.parametrize("variable", [("TOKEN", SECRET), ("URL", f"https://me:{SECRET}@host/")])
def test_a_secret_is_not_stored(
    wishing: Wishing, tmp_path: Path, variable: tuple[str, str]
) -> None:
    """The added run has it anyway, from the run."""
    wishing.adds("/other", dict([("A", "1"), variable]))
    journal = (tmp_path / "partial.jsonl").read_text()
    final = wishing.ends()
    assert wishing.asked == []
    assert final["status"] == "error"
    assert final["note"] == (
        f"control file: addtest: the variable {variable[0]} has a secret in it, and would be stored: leave it out, the "
        f"added run has the secrets of this run as well"
    )
    assert SECRET not in journal + (tmp_path / "results.jsonl").read_text()


def test_wishes_without_end_are_an_error(wishing: Wishing) -> None:
    for number in range(200):
        wishing.marks(f"m{number}", "x" * 4000)
        wishing.adds("/other", {"A": "x" * 4000})
    assert len(wishing.marked) + len(wishing.asked) < 300
    final = wishing.ends()
    assert (final["status"], "1 MiB of marks" in final["note"]) == ("error", True)


@pytest.mark.parametrize(
    "message",
    [
        Marked(run=1, name="", value=""),
        Marked(run=1, name="a=b", value=""),
        Marked(run=1, name="a", value="x" * 100_000),
        TestAdded(run=1, number=2, test="/other", environment={}),
        TestAdded(run=1, number=0, test="/other", environment={}),
        TestAdded(run=1, number=1, test="/other", environment={"": "x"}),
        TestAdded(run=1, number=1, test="/other", environment={"A=B": "x"}),
        TestAdded(run=1, number=1, test="/other", environment={"A": "\0"}),
        TestAdded(run=1, number=1, test="/other", environment={"A": "x" * 100_000}),
    ],
    ids=str,
)
def test_what_no_agent_sends(wishing: Wishing, message: Marked | TestAdded) -> None:
    with pytest.raises(ProtocolBroken):
        wishing.tell(message, b"")
    assert (wishing.marked, wishing.asked) == ([], [])
    wishing.recorder.close(Ending(ended_by="infra", note="broken"), seconds=1.0)
