"""Packs made by hand, also such as no host makes."""

import hashlib
import stat
import subprocess
from pathlib import Path

from atex_sut_agent.sut.packing import END, ENTRY, MAGIC

FILE, FOLDER, LINK = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK
TIME = 1_500_000_000_123_456_789  # ns

Entry = tuple[int, str | bytes, bytes]
"""Mode, name, contents."""


def stream_of(*entries: Entry, magic: bytes = MAGIC, end: bytes = END) -> bytes:
    """All of a pack but its sha256."""
    return b"".join([magic, *(_entry(*entry) for entry in entries), end])


def pack_of(*entries: Entry) -> bytes:
    """A whole pack."""
    stream = stream_of(*entries)
    return stream + hashlib.sha256(stream).digest()


def name_of(pack: bytes) -> str:
    """The name of a whole pack."""
    return pack[-32:].hex()


def _entry(mode: int, name: str | bytes, contents: bytes) -> bytes:
    name = name.encode() if isinstance(name, str) else name
    return ENTRY.pack(mode, len(name), len(contents), TIME) + name + contents


TREE = pack_of(
    (FOLDER | 0o755, "tree", b""),
    (FOLDER | 0o555, "tree/a", b""),
    (FILE | 0o755, "tree/a/script", b"#!/bin/sh\n"),
    (FILE | 0o644, "tree/plain", b"x" * 5000),
    (FILE | 0o600, "tree/\u00fc", b""),
    (FILE | 0o644, b"tree/\xff", b""),
    (LINK | 0o777, "tree/link", b"a/script"),
    (LINK | 0o777, "tree/nowhere", b"/no/where"),
)


class Receiver:
    """`agent.pyz unpack` for sessions of a work folder."""

    def __init__(self, python: str, archive: Path, work: Path) -> None:
        self._command = [python, "-IS", str(archive), "unpack"]
        self.work = work

    def session(self, name: str) -> Path:
        """The folder of a session, which is made where it is not there."""
        folder = self.work / "sessions" / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def start(self, session: str) -> subprocess.Popen[bytes]:
        """Start it."""
        command = [*self._command, str(self.session(session))]
        return subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1)

    def receive(self, session: str, said: bytes) -> subprocess.CompletedProcess[bytes]:
        """Let it hear something, and return what it said."""
        with self.start(session) as process:
            out, error = process.communicate(said, timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)

    def kept(self) -> set[str]:
        """The names of the packs that are kept."""
        return {path.name for path in (self.work / "packs").iterdir()}
