"""Reads a test."""

from textwrap import dedent

from .duration import parse_duration
from .errors import MetadataError
from .found import Found
from .model import DEFAULT_DURATION, DEFAULT_SECONDS, Test
from .node import Keys
from .require import dependencies


def read_test(found: Found) -> Test:
    """The test that was found. Raises MetadataError."""
    keys, source = found.keys, found.source
    script = keys.string("test", "")
    if not script:
        raise keys.error("test is empty", key="test")
    duration = _duration_text(keys)
    try:
        return Test(
            name=found.name,
            test=dedent(script),  # as tmt has it
            path=_path(found),
            tree=source.name,
            # tmt, too, multiplies its default where there was nothing to inherit (`*2`).
            duration=parse_duration(duration, base=DEFAULT_SECONDS),
            duration_text=duration,
            environment=keys.environment(),
            require=dependencies(keys, "require"),
            recommend=dependencies(keys, "recommend"),
            tag=keys.strings("tag"),
            framework=keys.string("framework", "shell"),
            tty=keys.boolean("tty", False),
            metadata=dict(keys.data),
        )
    except MetadataError as error:
        if error.file:
            raise
        # What Test and parse_duration() raise knows the key, but no place.
        raise keys.error(error.problem, key=error.path) from error


def _path(found: Found) -> str:
    """The folder of a test within what is brought to a machine."""
    path = found.keys.string("path", found.folder)
    return path if not path.startswith("/") else found.source.top.rstrip("/") + path


def _duration_text(keys: Keys) -> str:
    value = keys.get("duration", DEFAULT_DURATION)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return keys.string("duration", DEFAULT_DURATION)
