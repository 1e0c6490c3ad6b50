"""examples/every-word: two tests that say everything a test can say, on machines that really restart."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.machines import LightHost
from tests.workspace.readme import ROOT

PATIENCE = 60.0  # seconds


@pytest.fixture
def folder(light_hosts: Callable[[int], list[LightHost]], tmp_path: Path, own_home: Path) -> Path:
    """The run folder of `atex run examples/every-word`."""
    hosts = light_hosts(2)
    pool = "ssh:" + ",".join(f"{host.user}@{host.address}:{host.port}" for host in hosts)
    words = ["run", str(ROOT / "examples/every-word"), "--on", pool]
    words += ["--identity", str(hosts[0].identity), "--output", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "atex_cli", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert sorted(done.stderr.splitlines()) == sorted(
        f"atex: root@{host.address}:22 takes no more tests: every word was said" for host in hosts
    )
    return tmp_path / "run"


def test_every_word(folder: Path) -> None:
    lines = (folder / "results.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    finals = [record for record in records if record.get("final")]
    assert {record["test"] for record in finals} == {"/tests/bash", "/tests/later", "/tests/python"}
    said = [final for final in finals if final["test"] != "/tests/later"]
    assert len({final["machine"] for final in said}) == 2
    for final in said:
        check([record for record in records if record["test"] == final["test"]], folder)


def check(records: list[dict[str, Any]], folder: Path) -> None:
    """All that one of the two tests has left."""
    *subtests, final = records
    path = f"ssh{final['test']}/@{final['serial']}.1"
    assert (final["status"], final["note"], final["exit_code"]) == (
        "error",
        "every word was said",
        7,
    )
    assert final["files"] == [f"{path}/output.txt"]
    output = (folder / "files" / path / "output.txt").read_text()
    assert output.splitlines() == ["start 0", "ok done", "start 1", "start 2", "cleaned up"]
    assert [subtest["n"] for subtest in subtests] == sorted(subtest["n"] for subtest in subtests)
    assert sorted((subtest["name"], subtest["status"]) for subtest in subtests) == [
        ("by its length", "info"),
        ("live", "pass"),
        ("on the line", "pass"),
        ("upload", "pass"),
    ]
    contents = {
        name: (folder / "files" / path / "subtests" / name).read_text()
        for subtest in subtests
        for name in [file.partition("/subtests/")[2] for file in subtest.get("files", ())]
    }
    assert contents == {
        "on the line/seen.txt": output,
        "upload/upload.txt": "the bytes of a file\n",
        "live/log.txt": "one\ntwo\n",
    }
