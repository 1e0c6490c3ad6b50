"""What a run is made of: tests, the phases around them, and the suite that holds both.

Plain values: `discover()` makes them from an fmf tree, and they are as good when built by hand,
so that tests which are not fmf run as well. They are frozen and may be shared by any threads.
"""

import math
import os
from typing import Any

import msgspec

from .errors import MetadataError

DEFAULT_DURATION = "5m"  # of a test that says nothing, as in tmt
DEFAULT_SECONDS = 300.0  # the same in seconds
DEFAULT_ORDER = 50  # of tests and of phases, as in tmt


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """One test, as often as it was selected: a test selected twice is two, apart in `serial`.

    Raises MetadataError if `name` or `path` do not begin with "/", if `path` leads out of the tree,
    or if `duration` is not a positive number.
    """

    name: str
    """Like "/tests/smoke"."""
    test: str
    """The script; /bin/bash runs it."""
    path: str = "/"
    """The folder it runs in, counted from the top of its tree: begins with "/"."""
    tree: str = ""
    """Which tree it lives in: a key of `Suite.trees`; empty: the suite's root."""
    duration: float = DEFAULT_SECONDS
    """Seconds it may take."""
    duration_text: str = ""
    """The same as the metadata has it, or made from `duration` where there is none."""
    environment: dict[str, str] = {}
    """Variables of this test. Those of the plan win over them."""
    overrides: dict[str, str] = {}
    """Variables of this selection alone, as `addtest` asks for them. They win over those of the plan and of the run."""
    require: tuple[Any, ...] = ()
    """What must be installed for it: names of packages, or mappings such as `{type: file}`."""
    recommend: tuple[Any, ...] = ()
    """What is installed for it where that is possible."""
    tag: tuple[str, ...] = ()
    framework: str = "shell"
    tty: bool = False
    """Whether it wants a terminal."""
    metadata: dict[str, Any] = {}
    """The whole node as fmf has it, inherited and adjusted, with `extra-*` and unknown keys."""
    serial: int = 0
    """Number of this selection within its suite; 0: its position, which the suite fills in."""

    def __post_init__(self) -> None:
        if not self.name.startswith("/"):
            raise self._error("the name of a test begins with '/'", key="name")
        if not 0 < self.duration < math.inf:
            raise self._error(
                f"duration must be more than 0 seconds, not {self.duration}", key="duration"
            )
        if self.serial < 0:
            raise self._error(f"serial must not be negative, like {self.serial}", key="serial")
        msgspec.structs.force_setattr(self, "path", self._plain_path())
        if not self.duration_text:
            usual = self.duration == DEFAULT_SECONDS
            text = DEFAULT_DURATION if usual else f"{self.duration:.10g}s"
            msgspec.structs.force_setattr(self, "duration_text", text)

    def _plain_path(self) -> str:
        """`path` without `.`, `..` and needless slashes."""
        if not self.path.startswith("/"):
            raise self._error(
                f"path {self.path!r} must begin with '/', the top of the tree", key="path"
            )
        parts: list[str] = []
        for part in self.path.split("/"):
            if part == "..":
                if not parts:
                    raise self._error(f"path {self.path!r} leaves the tree", key="path")
                parts.pop()
            elif part not in {"", "."}:
                parts.append(part)
        return "/" + "/".join(parts)

    def _error(self, problem: str, *, key: str) -> MetadataError:
        return MetadataError(problem, name=self.name, path=(key,))


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do on each machine before the first or after the last test."""

    name: str
    """Unique within `prepare` and within `finish`."""
    how: str
    """`shell` runs `script`, `install` brings `package`."""
    script: tuple[str, ...] = ()
    """Of `shell`: scripts, run one after another."""
    package: tuple[str, ...] = ()
    """Of `install`: what the package manager is asked for, names as well as files."""
    exclude: tuple[str, ...] = ()
    """Of `install`: packages that must not come along."""
    missing: str = "fail"
    """Of `install`: what happens where there is no such package, "fail" or "skip"."""
    order: int = DEFAULT_ORDER
    metadata: dict[str, Any] = {}
    """The whole phase as the plan has it."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What surrounds the tests. Phases stand in the order in which they run."""

    name: str = ""
    """Like "/plans/smoke"; empty where there is no plan."""
    prepare: tuple[Phase, ...] = ()
    finish: tuple[Phase, ...] = ()
    environment: dict[str, str] = {}
    """Variables of all tests and phases; they win over those of a test."""


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """Tests in the order to run them, their plan, and the folder they live in.

    Tests whose serial is 0 get their position, counted from 1.

    Raises MetadataError if `root` or one of `trees` is not absolute, if a test is of no tree, or if two tests have
    the same serial.
    """

    root: str
    """Absolute path of the folder that is brought to each machine: the top of the fmf tree."""
    tests: tuple[Test, ...]
    trees: dict[str, str] = {}
    """Absolute paths of the further trees that tests come from, by the names that `Test.tree` uses: names of phases of
    `discover`."""
    plan: Plan = Plan()
    notices: tuple[str, ...] = ()
    """What was ignored in the metadata, and what that means: a sentence each, none twice."""

    def __post_init__(self) -> None:
        for root in (self.root, *self.trees.values()):
            if not os.path.isabs(root):
                raise MetadataError(f"the root of a tree must be an absolute path, not {root!r}")
        for test in self.tests:
            if test.tree and test.tree not in self.trees:
                raise MetadataError(f"the suite has no tree {test.tree!r}", name=test.name)
        msgspec.structs.force_setattr(self, "tests", _numbered(self.tests))


def _numbered(tests: tuple[Test, ...]) -> tuple[Test, ...]:
    owners: dict[int, Test] = {}
    for position, test in enumerate(tests, start=1):
        serial = test.serial or position
        if serial in owners:
            raise MetadataError(
                f"two tests have the serial {serial}: {owners[serial].name} and {test.name}"
            )
        owners[serial] = test if test.serial else msgspec.structs.replace(test, serial=serial)
    return tuple(owners.values())
