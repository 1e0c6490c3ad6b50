"""What the tests of atex-executor share: connections, a run folder, and an executor on this machine or over ssh."""

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from atex_executor import Executor, FolderSink
from atex_fmf import Plan, Suite, Test
from atex_provision import Connection, LocalConnection

from tests.machines.login import ssh_to


class Run:
    """A run folder, and what is in it."""

    def __init__(self, sink: FolderSink) -> None:
        self.sink = sink

    def records(self) -> list[dict[str, Any]]:
        """All lines of results.jsonl."""
        with (self.sink.folder / "results.jsonl").open("rb") as file:
            return [json.loads(line) for line in file]

    def file(self, path: str) -> bytes:
        """A file below files/."""
        return (self.sink.folder / "files" / path).read_bytes()

    def output(self, record: dict[str, Any]) -> str:
        """The output of the attempt that a final record closes."""
        return self.file(record["files"][0]).decode()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """An empty run folder."""
    with FolderSink(tmp_path / "run") as sink:
        yield Run(sink)


@pytest.fixture
def work() -> Iterator[str]:
    """A work folder for the agent; its path has to be short."""
    with tempfile.TemporaryDirectory(prefix="atex-work-") as folder:
        yield f"{folder}/w"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """An empty tree."""
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder


Tools = Callable[..., dict[str, str]]


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    """`tools(dnf="exit 1")`: variables with which these commands are found first, scripts of sh."""

    def tools(**scripts: str) -> dict[str, str]:
        folder = tmp_path / "tools"
        folder.mkdir()
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        return {"PATH": f"{folder}:{os.environ['PATH']}"}

    return tools


@pytest.fixture
def all_installed(tools: Tools) -> dict[str, str]:
    """Variables with which this machine has all packages that anybody may require."""
    return tools(rpm="exit 0")


@pytest.fixture
def ctrl_c() -> Iterator[str]:
    """A script that does to this very process what Ctrl-C does, and goes on."""

    def interrupt(signum: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    yield f"kill -ALRM {os.getpid()}; sleep 60"
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=["local", "ssh"])
def connection(request: pytest.FixtureRequest, own_home: Path) -> Iterator[Connection]:
    """A connection of each kind, not connected yet."""
    if request.param == "ssh":
        connection: Connection = ssh_to(request.getfixturevalue("sshd"))
    else:
        connection = LocalConnection()
    yield connection
    connection.close()


Execute = Callable[..., Executor]


@pytest.fixture
def execute(tree: Path, work: str) -> Iterator[Execute]:
    """`execute(connection, *scripts or tests, plan=..., ...)`: a started executor.

    It is closed after the test, and `connection` as well.
    """
    with ExitStack() as stack:

        def execute(
            connection: Connection, *tests: Test | str, plan: Plan | None = None, **options: Any
        ) -> Executor:
            stack.callback(connection.close)
            suite = suite_of(tree, *tests, plan=plan)
            return stack.enter_context(Executor(connection, suite, **{"work": work, **options}))

        yield execute


OnHost = Callable[..., Executor]


@pytest.fixture
def on_host(execute: Execute, own_home: Path) -> OnHost:
    """`on_host(light_host, *scripts or tests, plan=..., ...)`: `execute` there, in the usual work folder."""
    return lambda host, *tests, **options: execute(ssh_to(host), *tests, work=None, **options)


def suite_of(tree: Path, *tests: Test | str, plan: Plan | None = None) -> Suite:
    """A suite of `tests`; a text is the script of a test called "/test"."""
    return Suite(
        root=str(tree),
        tests=tuple(
            Test(name="/test", test=test) if isinstance(test, str) else test for test in tests
        ),
        plan=plan or Plan(),
    )


def first_test(executor: Executor) -> Test:
    """The first test of its suite."""
    return executor.suite.tests[0]
