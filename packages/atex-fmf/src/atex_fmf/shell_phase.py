"""Phases of discover with `how: shell`: tests that stand in the plan itself."""

from collections.abc import Iterator

from .found import Found
from .model import DEFAULT_ORDER
from .node import Keys
from .select import is_automatic
from .source import Source, Trees, source_of
from .step import StepPhase, refuse_other_keys

_DURATION = "1h"  # of a test in a plan, as in tmt
# `path` is not among them: tmt has it for trees only. `keep-git-metadata` is about what tmt copies.
_KEYS = frozenset({"url", "ref", "url-content-type", "require-test", "tests"})


def shell_tests(step_phase: StepPhase, trees: Trees) -> list[Found]:
    """The tests of a phase, sorted by their `order`. Raises MetadataError."""
    phase = step_phase.keys
    refuse_other_keys(phase, _KEYS)
    if phase.get("ref") and not phase.get("url"):
        raise phase.error("ref: it is of no effect without url", key="ref")
    source = source_of(step_phase, trees.own)
    listed = phase.mappings("tests")
    names = [keys.string("name", "") for keys in listed]
    for keys, name in zip(listed, names, strict=True):
        if not name:
            raise keys.error("a test needs a name")
        if names.count(name) > 1:
            raise keys.error(f"two tests are called {name}", key="name")
    tests = [keys for keys in listed if is_automatic(keys)]
    tests.sort(key=lambda keys: keys.integer("order", DEFAULT_ORDER))
    return [_found(keys, keys.string("name", ""), source) for keys in tests]


def script_tests(execute: Keys, source: Source) -> Iterator[Found]:
    """The tests that `execute: script` stands for: /script-00, /script-01, ... Raises MetadataError."""
    duration = execute.get("duration", _DURATION)
    for index, script in enumerate(execute.strings("script")):
        keys = execute.replaced({"test": script, "duration": duration})
        yield _found(keys, f"script-{index:02}", source)


def _found(test: Keys, name: str, source: Source) -> Found:
    """A test with the duration that tmt gives those in plans."""
    data = {key: value for key, value in test.data.items() if key != "name"}
    keys = test.replaced({**data, "duration": test.get("duration", _DURATION)})
    return Found(name if name.startswith("/") else f"/{name}", keys, source)
