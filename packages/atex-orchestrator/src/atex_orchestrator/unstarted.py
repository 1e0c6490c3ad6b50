"""Final records of tests that no machine started. Used by the run's owner thread alone."""

from collections.abc import Sequence
from typing import Any

import msgspec
from atex_executor import Sink, SinkError, unstarted_record
from atex_fmf import Test

from atex_orchestrator.chronicle import Chronicle
from atex_orchestrator.events import MachineReleased, TestFinished, TestsGivenUp
from atex_orchestrator.faults import Faults
from atex_orchestrator.policy import Policy
from atex_orchestrator.results import FinalRecord
from atex_orchestrator.scheduling import GiveUp

Records = Sequence[tuple[Test, dict[str, Any]]]


class LeftOpen(msgspec.Struct, frozen=True):
    """An attempt that nobody saw the end of."""

    platform: str
    test: Test
    attempt: int
    machine: str | None = None
    """That did not answer in time; None: it was not the machine's fault."""


class Unstarted:
    """Writes them, says so, and hands them out by the policy."""

    def __init__(self, sink: Sink, chronicle: Chronicle, policy: Policy, faults: Faults) -> None:
        """Write them to `sink`; what goes wrong is not raised, but stops the run."""
        self._sink = sink
        self._chronicle = chronicle
        self._policy = policy
        self._faults = faults

    def give_up(self, decision: GiveUp) -> None:
        """Write that these tests were not started."""
        platform, status, reason = decision.platform, decision.status, decision.reason
        records = [
            (test, unstarted_record(test, platform, status, reason)) for test in decision.tests
        ]
        try:
            self._sink.records([record for _, record in records])
        except SinkError as error:
            self._faults.report(error)
        serials = tuple(test.serial for test in decision.tests)
        self._chronicle.tell(
            TestsGivenUp(platform=platform, serials=serials, reason=reason, status=status)
        )
        self.hand_out(records)

    def not_taken(self, left: LeftOpen, released: MachineReleased) -> None:
        """Write that a worker ended without taking the test that it was told to run, and say so."""
        machine = released.machine or ""
        note = f"{machine} was given back before it began"
        record = unstarted_record(left.test, left.platform, "infra", note, left.attempt)
        try:
            self._sink.records([record])
        except SinkError as error:
            self._faults.report(error)
        self._chronicle.tell(
            TestFinished(
                worker=released.worker,
                platform=left.platform,
                machine=machine,
                test=left.test.name,
                serial=left.test.serial,
                attempt=left.attempt,
                status="infra",
                seconds=0.0,
                note=note,
                unstarted=True,
            )
        )
        self.hand_out([(left.test, record)])

    def hand_out(self, records: Records) -> None:
        """Hand out records that are written."""
        try:
            for test, record in records:
                self._policy.output_result(test, msgspec.convert(record, FinalRecord))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._faults.report(error, "output_result()")
