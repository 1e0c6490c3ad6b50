"""The end of a run on disk: its end is noted, and every test that has no final record gets one."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from atex_executor import FolderSink, SinkError, unstarted_record
from atex_fmf import Test

from atex_orchestrator.events import now
from atex_orchestrator.results import RunFolder
from atex_orchestrator.summary import Summary, summarize

_log = logging.getLogger(__name__)


def close_books(
    folder: RunFolder,
    tests: Mapping[str, Sequence[Test]],
    stopped: str | None,
    unanswered: Mapping[tuple[str, int], str],
) -> Summary:
    """Complete a run folder that nobody else writes to any more, and return what it says.

    `tests` are those of each platform, and of ANY. `stopped` is why the run was stopped, if it was. `unanswered` names
    the machine of each test, by platform and serial, that was running on one that did not answer at the end.
    """
    folder.info.ended = now()
    folder.info.stopped = stopped
    try:
        folder.write_info()
        summary = summarize(folder.path)
        if not summary.missing:
            return summary
        with FolderSink(folder.path) as sink:
            sink.records(_missing_records(summary, tests, unanswered))
    except (OSError, SinkError):
        _log.exception("the run folder is not complete")
    return summarize(folder.path)


def _missing_records(
    summary: Summary,
    tests: Mapping[str, Sequence[Test]],
    unanswered: Mapping[tuple[str, int], str],
) -> list[dict[str, Any]]:
    by_key = {(name, test.serial): test for name, some in tests.items() for test in some}
    machines = {summary.info.key(*test): machine for test, machine in unanswered.items()}
    records = []
    for platform, serial, _name in summary.missing:
        note = summary.stopped or "its record was lost"
        if machine := machines.get((platform, serial)):
            note += f"; {machine} did not answer in time, the test may still be running there"
        records.append(unstarted_record(by_key[platform, serial], platform, "infra", note))
    return records
