"""The end of a run on disk: its end is noted; every test, and every attempt that was begun, gets its final record."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from atex_executor import FolderSink, SinkError, unstarted_record
from atex_fmf import Test

from atex_orchestrator.events import now
from atex_orchestrator.results import RunFolder, read_finals
from atex_orchestrator.summary import Summary, summarize
from atex_orchestrator.unstarted import LeftOpen, Records

_log = logging.getLogger(__name__)


def close_books(
    folder: RunFolder,
    tests: Mapping[str, Sequence[Test]],
    stopped: str | None,
    left_open: Sequence[LeftOpen],
    output: Callable[[Records], None],
) -> Summary:
    """Complete a run folder that nobody else writes to any more, and return what it says.

    `tests` are those of each platform, and of ANY, as far as `folder.info` has them or running tests added them.
    `stopped` is why the run was stopped, if it was. `output` gets the records that are written here.
    """
    folder.info.ended = now()
    folder.info.stopped = stopped
    try:
        folder.write_info()
        summary = summarize(folder.path)
        records = [*_closing(summary, left_open), *_missing(summary, tests, left_open)]
        if not records:
            return summary
        with FolderSink(folder.path) as sink:
            sink.records([record for _, record in records])
    except (OSError, SinkError):
        _log.exception("the run folder is not complete")
    else:
        output(records)
    return summarize(folder.path)


def _closing(
    summary: Summary, left_open: Sequence[LeftOpen]
) -> Iterator[tuple[Test, dict[str, Any]]]:
    """Yield a record for each attempt that has none."""
    if not left_open:
        return
    closed = {
        (final.platform, final.serial, final.attempt) for final in read_finals(summary.folder)
    }
    for left in left_open:
        platform, test, attempt = left.platform, left.test, left.attempt
        if (platform, test.serial, attempt) not in closed:
            note = summary.stopped or "its record was lost"
            if left.machine is not None:
                note += (
                    f"; {left.machine} did not answer in time, the test may still be running there"
                )
            yield test, unstarted_record(test, platform, "infra", note, attempt)


def _missing(
    summary: Summary, tests: Mapping[str, Sequence[Test]], left_open: Sequence[LeftOpen]
) -> Iterator[tuple[Test, dict[str, Any]]]:
    """Yield a record for each test that was not even begun and has none."""
    begun = {summary.info.key(left.platform, left.test.serial) for left in left_open}
    by_key = {(name, test.serial): test for name, some in tests.items() for test in some}
    for platform, serial, _name in summary.missing:
        if (platform, serial) not in begun:
            note = summary.stopped or "its record was lost"
            test = by_key[platform, serial]
            yield test, unstarted_record(test, platform, "infra", note)
