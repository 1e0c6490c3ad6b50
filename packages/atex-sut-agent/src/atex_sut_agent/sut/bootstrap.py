"""The first thing that runs on a machine: finds a work folder, takes the agent's archive, and becomes it.

Its source goes to `python3 -c` of a machine that has nothing of ours yet, so this module stands alone: standard
library only, no other module of ours, Python 3.6. (`launch.py`, on the host, makes the command.)

It runs on every attach, before an interpreter that takes its place: hashlib, json and base64 (for its `re`) would
double the time that this one needs, so what is rarely used is imported where it is used.
"""

import binascii
import errno
import os
import stat
import sys

BOOT_MAGIC = b"\x00\xffATEX boot  1\r\n"
_LONGEST_ROOT = 57  # bytes; the control file's socket below it has to fit into sun_path's 107


def candidates(given: str) -> "list[str]":
    """Return the folders that may become the work folder, best first; `given` is the only one where it is set.

    /var/lib survives reboots, also on image-mode systems that clean /var/tmp.
    """
    if given:
        return [given]
    uid = os.getuid()
    folders = ["/var/lib/atex"] if uid == 0 else []
    return [*folders, os.path.expanduser("~/.local/state/atex"), "/var/tmp/atex-{}".format(uid)]


def choose_root(given: str) -> str:
    """Return the first folder that is ours alone and from which a file can be executed.

    Raises OSError with what was wrong with each.
    """
    reasons = []
    for folder in candidates(given):
        try:
            _prepare(folder)
            return folder
        except OSError as error:
            reasons.append("{}: {}".format(folder, error.strerror or error))
    raise OSError("no work folder for the agent: " + "; ".join(reasons))


def _prepare(folder: str) -> None:
    if len(os.fsencode(folder)) > _LONGEST_ROOT or not os.path.isabs(folder):
        raise OSError("not an absolute path of at most {} bytes".format(_LONGEST_ROOT))
    os.makedirs(os.path.dirname(folder), 0o700, exist_ok=True)
    make_private(folder)
    mounted = os.statvfs(folder).f_flag
    if mounted & os.ST_NOEXEC:
        raise OSError("nothing can be executed there (noexec)")
    if mounted & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), folder)
    agents = _agents(folder)
    if not os.path.isdir(agents):
        _check_execution(os.path.join(folder, "probe.{}".format(os.getpid())))
        os.makedirs(agents, 0o700, exist_ok=True)


def make_private(folder: str) -> None:
    """Make `folder` where it is not there. Raises OSError, also where it is anything but a 0700 folder of ours.

    Others can write to /var/tmp: what lies there may be a trap, a symbolic link for instance.
    """
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise OSError(
            errno.EPERM, "exists, but is not a private folder (0700) of this user", folder
        )


def _check_execution(probe: str) -> None:
    # Mount options are not all: fapolicyd and SELinux refuse too.
    try:
        with open(probe, "wb") as file:
            file.write(b"#!/bin/sh\n")
        os.chmod(probe, 0o700)
        if os.spawnv(os.P_WAIT, probe, [probe]) != 0:
            raise OSError("nothing can be executed there")
    finally:
        if os.path.exists(probe):
            os.unlink(probe)


def _agents(root: str) -> str:
    return os.path.join(root, "agents")


def receive_archive(path: str, size: int, digest: str) -> None:
    """Read the archive from stdin and put it at `path`, whole or not at all. Raises OSError."""
    chunks = []
    missing = size
    while missing > 0:
        chunk = os.read(0, min(missing, 65536))
        if not chunk:
            raise OSError("the connection ended inside the agent's archive")
        chunks.append(chunk)
        missing -= len(chunk)
    data = b"".join(chunks)
    import hashlib  # noqa: PLC0415  # see above

    if hashlib.sha256(data).hexdigest() != digest:
        raise OSError("the agent's archive arrived damaged")
    partial = "{}.{}".format(path, os.getpid())
    try:
        with open(partial, "wb") as file:
            file.write(data)
        os.rename(partial, path)
    except OSError as error:
        if os.path.exists(partial):
            os.unlink(partial)
        raise OSError(error.errno, "{}: {}".format(path, error.strerror))


def explain(error: OSError) -> str:
    """Return what went wrong in words, and with which file."""
    words = error.strerror or str(error)
    return "{}: {}".format(error.filename, words) if error.filename else words


def boot(session: str, digest: str, size: str, given: str, settings: str) -> None:
    """Become the agent's bridge for `session`; `settings` are its own business, in base64."""
    asked = False
    os.umask(0o077)
    try:
        root = choose_root(given)
        path = os.path.join(_agents(root), digest + ".pyz")
        # A power cut may have left an empty file; all else was written before it got its name.
        need = not os.path.exists(path) or os.path.getsize(path) != int(size)
        _answer(b'{"need": true}' if need else b'{"need": false}')
        asked = True
        if need:
            receive_archive(path, int(size), digest)
        agent = [sys.executable, "-IS", path, "attach", session]
        os.execv(
            sys.executable,
            [*agent, binascii.a2b_base64(settings).decode(), root],
        )
    except OSError as error:
        if not asked:
            import json  # noqa: PLC0415  # see above

            _answer(json.dumps({"error": explain(error)}).encode())
        sys.stderr.write("atex agent: {}\n".format(explain(error)))
        sys.exit(1)


def _answer(message: bytes) -> None:
    os.write(1, BOOT_MAGIC + message + b"\n")
