"""Runs fmf tests on one machine, through the agent."""

from atex_executor.attempts import RunOutcome, close_attempt
from atex_executor.errors import (
    AgentUnavailable,
    ExecutorError,
    FileRefused,
    MachineBusy,
    MachineLost,
    PackFailed,
    PhaseFailed,
    ProtocolBroken,
    SessionGone,
    SinkError,
    SinkFull,
    UnsupportedPhase,
    UploadFailed,
)
from atex_executor.executor import Executor
from atex_executor.folder import FolderSink
from atex_executor.journal import AddedTest
from atex_executor.layout import folder_of_test
from atex_executor.leftover import discard
from atex_executor.masking import Mask
from atex_executor.pack import Pack
from atex_executor.phases import check_plan
from atex_executor.records import unstarted_record
from atex_executor.resume import OpenAttempt, read_journal
from atex_executor.sink import Sink
from atex_executor.times import Times

__version__ = "0.1.0"

__all__ = [
    "AddedTest",
    "AgentUnavailable",
    "Executor",
    "ExecutorError",
    "FileRefused",
    "FolderSink",
    "MachineBusy",
    "MachineLost",
    "Mask",
    "OpenAttempt",
    "Pack",
    "PackFailed",
    "PhaseFailed",
    "ProtocolBroken",
    "RunOutcome",
    "SessionGone",
    "Sink",
    "SinkError",
    "SinkFull",
    "Times",
    "UnsupportedPhase",
    "UploadFailed",
    "check_plan",
    "close_attempt",
    "discard",
    "folder_of_test",
    "read_journal",
    "unstarted_record",
]
