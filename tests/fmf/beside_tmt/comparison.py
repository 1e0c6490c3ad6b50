"""What a plan selects, asked of tmt and of ATEX, in one form that can be compared."""

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from atex_fmf import Test, discover
from atex_fmf.model import DEFAULT_ORDER

Context = Mapping[str, Sequence[str]]
Outcome = dict[str, Any]
"""`tests`: a mapping for each, in order; `environment`: the plan's variables."""

PATIENCE = 60.0  # seconds that tmt may take for an answer; the first includes importing it
DRIVER = Path(__file__).with_name("driver.py")


class TmtRefuses(Exception):
    """tmt discovers nothing and says why."""


class Tmt:
    """The process of `driver.py`. Not to be shared by threads; close it, or use it as a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="tmt-")
        settings = {"TMT_CONFIG_DIR": self._folder, "NO_COLOR": "1"}
        with open(f"{self._folder}/output", "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(DRIVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, **settings},
            )
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()
        shutil.rmtree(self._folder)

    def selects(self, tree: Path, plan: str, context: Context) -> Outcome:
        """Raises TmtRefuses."""
        workdir = f"{self._folder}/run"
        shutil.rmtree(workdir, ignore_errors=True)
        dimensions = [f"{name}={','.join(values)}" for name, values in context.items()]
        request = {"tree": str(tree), "plan": plan, "context": dimensions, "workdir": workdir}
        outcome: Outcome = json.loads(self._answer(json.dumps(request)))
        if "error" in outcome:
            raise TmtRefuses(outcome["error"])
        return outcome

    def _answer(self, request: str) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(request.encode() + b"\n")
        self._process.stdin.flush()
        deadline = time.monotonic() + PATIENCE
        answers = self._process.stdout.fileno()
        while b"\n" not in self._unread:
            ready, _, _ = select.select([answers], [], [], deadline - time.monotonic())
            chunk = os.read(answers, 1 << 16) if ready else b""
            assert chunk, f"no answer from tmt:\n{Path(self._folder, 'output').read_text()}"
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line


def atex_selects(tree: Path, plan: str, context: Context) -> Outcome:
    """Raises FmfError."""
    suite = discover(tree, plan=plan, context=context)
    return {
        "tests": [_describe(test) for test in suite.tests],
        "environment": suite.plan.environment,
    }


def _describe(test: Test) -> dict[str, Any]:
    return {
        "name": test.name,
        "serial": test.serial,
        "test": test.test,
        "path": test.path,
        "duration": test.duration_text,
        "seconds": test.duration,
        "environment": test.environment,
        "require": [_dependency(entry) for entry in test.require],
        "recommend": [_dependency(entry) for entry in test.recommend],
        "tag": list(test.tag),
        "framework": test.framework,
        "tty": test.tty,
        "order": test.metadata.get("order", DEFAULT_ORDER),
        "enabled": test.metadata.get("enabled", True),
    }


def _dependency(entry: Any) -> Any:
    """As tmt has it: the patterns of `type: file` are a list."""
    if isinstance(entry, dict) and isinstance(entry.get("pattern"), str):
        return {**entry, "pattern": [entry["pattern"]]}
    return entry
