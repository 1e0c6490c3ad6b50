"""Brings a tree to a machine, as one tar stream; nothing is copied or packed on disk here.

Left out are `.git`, sockets, pipes and devices, and run folders (which hold `results.jsonl` and `files/`): results
often lie in the tree whose tests they are of, and grow while it is being read. All else arrives with its modes and
symbolic links, and belongs to whoever the agent runs as.
"""

import contextlib
import tarfile
from pathlib import Path
from typing import IO, cast

from atex_provision import Channel, ConnectionLost

from atex_executor.errors import UploadFailed

_STALL_LIMIT = 60.0  # seconds without progress
_END_LIMIT = 60.0  # seconds for the machine to have stored it all, or to say why it has not
_BLOCK = 256 * 1024  # bytes


class _NotSent(Exception):
    """The machine takes no more; apart from OSError, which is about a file here."""


def upload(channel: Channel, root: Path, machine: str) -> None:
    """Feed what is in `root` to the command of `channel`, which unpacks it and prints "ok"; `machine` is for messages.

    Raises UploadFailed for a file that can not be read here or written there, and ConnectionLost.
    """
    try:
        _send(channel, root.resolve(strict=True))
        channel.close_stdin()
        answer = channel.receive(_BLOCK, _END_LIMIT)
    except (_NotSent, ConnectionLost, TimeoutError) as error:
        reason = _failure(channel)
        if reason is None:
            raise ConnectionLost(f"{machine}: lost while the tree was sent") from error
        raise UploadFailed(f"{machine}: {reason}") from error
    except OSError as error:
        raise UploadFailed(f"the tree for {machine} can not be read: {error}") from error
    if answer.strip() != b"ok":
        raise UploadFailed(f"{machine}: {_failure(channel) or repr(answer[:200])}")


class _Stream:
    """What tarfile writes to; after a failure it swallows the rest, which tarfile's own clean-up still flushes."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._failed = False

    def write(self, data: bytes) -> int:
        """Send `data`. Raises _NotSent, once."""
        if not self._failed:
            try:
                self._channel.send(data, _STALL_LIMIT)
            except (ConnectionLost, TimeoutError) as error:
                self._failed = True
                raise _NotSent from error
        return len(data)


def _send(channel: Channel, root: Path) -> None:
    with tarfile.open(
        fileobj=cast("IO[bytes]", _Stream(channel)),
        mode="w|",
        bufsize=_BLOCK,
        format=tarfile.PAX_FORMAT,
        encoding="utf-8",
    ) as tar:
        _add(tar, root, ".")


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    """Add `path` and what is below it as `name`. Raises OSError for what can not be read, and _NotSent."""
    if not (path.is_symlink() or path.is_file() or path.is_dir()):
        return  # a socket, a pipe, a device
    member = tar.gettarinfo(path, name)
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    if member.isreg():
        with path.open("rb") as file:
            tar.addfile(member, file)
    else:
        tar.addfile(member)
    if member.isdir():
        for entry in sorted(path.iterdir()):
            if entry.name != ".git" and not _is_run_folder(entry):
                _add(tar, entry, f"{name}/{entry.name}")


def _is_run_folder(path: Path) -> bool:
    return (path / "results.jsonl").is_file() and (path / "files").is_dir()


def _failure(channel: Channel) -> str | None:
    """Return why the machine's end of it failed; None where it did not, or where nothing is heard of it any more."""
    with contextlib.suppress(ConnectionLost, TimeoutError):
        if channel.wait(_END_LIMIT) != 0:
            said = channel.stderr_tail().decode("utf-8", "replace").strip()
            return f"the tree can not be stored there: {said[-1000:] or 'no reason given'}"
    return None
