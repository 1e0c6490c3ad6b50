"""The agent as one file: a zip archive that any Python 3.6 or newer runs.

It holds a single module, which carries the sources of all of `sut/` (`sut/carried.py` says why).

Comments, and the docstrings of functions and classes, stay at home: they are for readers, and a third of it. What is
left keeps its line numbers, by which an agent says what it died of.
"""

import ast
import functools
import hashlib
import io
import tokenize
import zipfile
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable

import msgspec

_MAIN = """\
{importer}
sys.meta_path.insert(0, Carried({sources!r}))

from sut.__main__ import main

sys.exit(main())
"""
_EPOCH = (
    1980,
    1,
    1,
    0,
    0,
    0,
)  # the oldest time a zip archive can hold: the same sources, the same bytes


class Archive(msgspec.Struct, frozen=True):
    """The agent's archive: its bytes, and their sha256 in hexadecimal, which names it on a machine."""

    data: bytes
    digest: str


@functools.cache
def agent_archive() -> Archive:
    """Return the agent's archive, packed once per process. Any thread may call it."""
    sources = dict(sorted(_sources(resources.files("atex_sut_agent.sut"), "sut")))
    main = _MAIN.format(importer=sources.pop("sut/carried.py"), sources=sources)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py", _EPOCH), main, zipfile.ZIP_DEFLATED)
    data = buffer.getvalue()
    return Archive(data, hashlib.sha256(data).hexdigest())


def _sources(folder: Traversable, name: str) -> Iterator[tuple[str, str]]:
    """Yield (name, source) of each Python file in `folder` and below."""
    for entry in folder.iterdir():
        path = f"{name}/{entry.name}"
        if entry.is_dir():
            yield from _sources(entry, path)
        elif entry.name.endswith(".py"):
            yield path, _bare(entry.read_bytes())


def _bare(source: bytes) -> str:
    """Return `source` without its comments, and with empty docstrings but for the module's, which a tool may print."""
    lines = source.splitlines(keepends=True)
    for first, last in _docstrings(source):
        indent = lines[first - 1][: -len(lines[first - 1].lstrip())]
        lines[first - 1 : last] = [indent + b'""\n', *[b"\n"] * (last - first)]
    text = b"".join(lines).decode()
    kept = text.splitlines(keepends=True)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            kept[line - 1] = kept[line - 1][:column].rstrip() + "\n"
    return "".join(kept)


def _docstrings(source: bytes) -> Iterator[tuple[int, int]]:
    """Yield the first and the last line of each docstring of a function or class."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            text = node.body[0]
            yield text.lineno, text.end_lineno or text.lineno
