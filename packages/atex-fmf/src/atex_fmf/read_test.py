"""Reads a test."""

from .duration import parse_duration
from .errors import MetadataError
from .model import DEFAULT_DURATION, DEFAULT_SECONDS, Test
from .node import Node


def read_test(node: Node) -> Test:
    """The test that a node defines. Raises MetadataError."""
    script = node.string("test", "")
    if not script:
        raise node.error("test is empty", key="test")
    duration = _duration_text(node)
    try:
        return Test(
            name=node.name,
            test=script,
            path=node.string("path", node.folder),
            # tmt, too, multiplies its default where there was nothing to inherit (`*2`).
            duration=parse_duration(duration, base=DEFAULT_SECONDS),
            duration_text=duration,
            environment=node.environment(),
            require=node.dependencies("require"),
            recommend=node.dependencies("recommend"),
            tag=node.strings("tag"),
            framework=node.string("framework", "shell"),
            tty=node.boolean("tty", False),
            metadata=dict(node.data),
        )
    except MetadataError as error:
        if error.file:
            raise
        # What Test and parse_duration() raise knows the key, but no place.
        raise node.error(error.problem, key=error.path) from error


def _duration_text(node: Node) -> str:
    value = node.get("duration", DEFAULT_DURATION)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return node.string("duration", DEFAULT_DURATION)
