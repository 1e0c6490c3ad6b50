"""The run folder: what is written there besides results and files, and reading all of it back.

`results.jsonl` and `files/` are written by the executor's sink, nowhere else.
"""

from atex_executor.line_file import whole_lines

from atex_orchestrator.events import ANY
from atex_orchestrator.results.folder import (
    EVENTS,
    FILES,
    LOG,
    RESULTS,
    PlatformInfo,
    PoolInfo,
    RunFolder,
    RunInfo,
    read_run,
)
from atex_orchestrator.results.reader import (
    FinalRecord,
    find_final,
    read_events,
    read_finals,
    read_records,
)

__all__ = [
    "ANY",
    "EVENTS",
    "FILES",
    "LOG",
    "RESULTS",
    "FinalRecord",
    "PlatformInfo",
    "PoolInfo",
    "RunFolder",
    "RunInfo",
    "find_final",
    "read_events",
    "read_finals",
    "read_records",
    "read_run",
    "whole_lines",
]
