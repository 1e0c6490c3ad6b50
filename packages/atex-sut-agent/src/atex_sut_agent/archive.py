"""The agent as one file: a zip archive that any Python 3.6 or newer runs.

It holds a single module, which carries the sources of all of `sut/` as they are (`sut/carried.py` says why).
"""

import functools
import hashlib
import io
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
            yield path, entry.read_text(encoding="utf-8")
