"""What `atex run` says at its end, of tests that were run more than once or not at all."""

from pathlib import Path
from typing import Any

import pytest
from atex_cli.closing import print_summary
from atex_cli.terminal import Terminal
from atex_orchestrator import summarize

from tests.orchestrator.run_folders import final, write_folder


class Closing:
    """Writes run folders, and returns what is said of them, in paragraphs."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder / "run"
        self._capsys = capsys

    def __call__(self, records: list[dict[str, Any]]) -> list[str]:
        names = sorted({record["test"] for record in records})
        write_folder(self.folder, tests=names, records=records)
        print_summary(summarize(self.folder), Terminal())
        return self._capsys.readouterr().out.strip().split("\n\n")


@pytest.fixture
def closing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Closing:
    return Closing(tmp_path, capsys)


def test_a_flaky_test_says_how_it_failed(closing: Closing) -> None:
    output = closing.folder / "files/p/t1/@1.1/output.txt"
    output.parent.mkdir(parents=True)
    output.touch()
    [flaky, counts] = closing(
        [
            final(1, "fail", machine="a", exit_code=3, files=["p/t1/@1.1/output.txt"]),
            final(1, "error", attempt=2, machine="b", note="ran longer than 5m"),
            final(1, "pass", attempt=3, machine="a"),
            final(2, "pass", machine="b"),
        ]
    )
    assert flaky.splitlines() == [
        "flaky /t1  (passed in attempt 3)",
        "    attempt 1: fail  (exit code 3)",
        f"  {output}",
        "    attempt 2: error  (ran longer than 5m)",
    ]
    assert counts.splitlines() == ["2 tests: 2 pass; 1 flaky", f"Results: {closing.folder}"]


def test_a_test_that_failed_again_is_shown_as_it_failed_last(closing: Closing) -> None:
    paragraphs = closing(
        [
            final(1, "fail", machine="a", exit_code=1),
            final(1, "fail", attempt=2, machine="b", exit_code=2),
            final(2, "fail", attempt=2, machine="b"),
        ]
    )
    assert paragraphs[:-1] == ["fail /t1  (exit code 2; attempt 2)", "fail /t2  (attempt 2)"]


def test_what_was_not_started_after_failures(closing: Closing) -> None:
    reason = "1 test failed: nothing more is started (--fail-fast 1)"
    records = [final(1, "fail", machine="a", exit_code=1)]
    records += [final(serial, "skip", note=reason) for serial in range(2, 10)]
    [_, skipped, counts] = closing(records)
    assert skipped == f"skip not started: {reason}\n    /t2, /t3, /t4, /t5, /t6 and 3 more"
    assert counts.startswith("9 tests: 1 fail, 8 skip\n")


def test_attempts_that_infrastructure_cost(closing: Closing) -> None:
    """By machine and cause; of many, the first."""
    records = [final(serial, "infra", machine="m1", note="m1 is gone") for serial in (1, 2)]
    records += [
        final(serial, "infra", machine=f"m{serial}", note="gone") for serial in range(3, 15)
    ]
    records += [final(serial, "pass", attempt=2, machine="a") for serial in range(1, 15)]
    paragraphs = closing(records)
    assert paragraphs[0] == "retried m1: m1 is gone\n    /t1, /t2"
    assert len(paragraphs) == 12
    assert paragraphs[-2] == f"retried 3 more: see {closing.folder / 'results.jsonl'}"
    assert paragraphs[-1].startswith("14 tests: 14 pass\n")
