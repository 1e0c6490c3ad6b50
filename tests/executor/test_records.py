"""The runner's own lines: spec/RESULTS.md, "What lands on disk"."""

import json
from typing import Any

from atex_executor import unstarted_record
from atex_executor.records import final_record, record_head, timestamp
from atex_fmf import Test

TEST = Test(name="/kernel/syscalls", test="true", serial=17)


def test_the_keys_have_the_order_of_the_specification() -> None:
    others: dict[str, Any] = {"mine": None, "z": [1]}
    record = final_record(
        record_head(TEST, "rhel-9.6@x86_64", 1),
        machine="podman-3",
        started="2026-11-20T15:04:05.123Z",
        seconds=12.48249,
        exit_code=1,
        status="fail",
        note="...",
        files=["rhel/output.txt"],
        others=others,
    )
    assert json.dumps(record) == (
        '{"test": "/kernel/syscalls", "platform": "rhel-9.6@x86_64", "serial": 17, "attempt": 1, "final": true,'
        ' "machine": "podman-3", "started": "2026-11-20T15:04:05.123Z", "seconds": 12.482, "exit_code": 1,'
        ' "status": "fail", "note": "...", "files": ["rhel/output.txt"], "mine": null, "z": [1]}'
    )


def test_keys_without_a_value_are_left_out() -> None:
    record = unstarted_record(TEST, "p", "infra", "no machine", attempt=2)
    assert record == {
        "test": "/kernel/syscalls",
        "platform": "p",
        "serial": 17,
        "attempt": 2,
        "final": True,
        "status": "infra",
        "note": "no machine",
    }


def test_an_exit_code_of_0_is_a_value() -> None:
    assert final_record({}, exit_code=0, seconds=0.0, status="pass") == {
        "final": True,
        "seconds": 0.0,
        "exit_code": 0,
        "status": "pass",
    }


def test_times_are_utc_to_the_millisecond() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1795187045.1239) == "2026-11-20T15:04:05.123Z"
