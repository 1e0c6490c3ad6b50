"""The first thing that runs on a machine: finds a work folder, takes the agent's archive, and becomes it.

Its source goes to `python3 -c` of a machine that has nothing of ours yet, so this module stands alone: standard
library only, no other module of ours, Python 3.6. (`launch.py`, on the host, makes the command.)
"""

import json
import os
import sys

BOOT_MAGIC = b"\x00\xffATEX boot  1\r\n"
_LONGEST_ROOT = 57  # bytes; the control file's socket below it has to fit into sun_path's 107


def candidates(given: str) -> "list[str]":
    """Return the folders that may become the work folder, best first; `given` is the only one where it is set.

    /var/lib survives reboots, also on image-mode systems that clean /var/tmp.
    """
    if given:
        return [given]
    folders = [os.path.expanduser("~/.local/state/atex"), "/var/tmp/atex-{}".format(os.getuid())]
    return (["/var/lib/atex"] if os.getuid() == 0 else []) + folders


def choose_root(given: str) -> str:
    """Return the first folder that is ours alone and from which a file can be executed.

    Raises OSError with what was wrong with each.
    """
    reasons = []
    for folder in candidates(given):
        try:
            _check(folder)
            return folder
        except OSError as error:
            reasons.append("{}: {}".format(folder, error.strerror or error))
    raise OSError("no work folder for the agent: " + "; ".join(reasons))


def _check(folder: str) -> None:
    if len(os.fsencode(folder)) > _LONGEST_ROOT or not os.path.isabs(folder):
        raise OSError("not an absolute path of at most {} bytes".format(_LONGEST_ROOT))
    if not os.path.isdir(os.path.dirname(folder)):
        os.makedirs(os.path.dirname(folder), 0o700)
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    status = os.lstat(folder)
    if status.st_uid != os.getuid() or status.st_mode & 0o170077 != 0o040000:
        raise OSError("exists, but is not a private folder (0700) of this user")
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise OSError("nothing can be executed there (noexec)")
    agents = os.path.join(folder, "agents")
    if not os.path.isdir(agents):
        os.mkdir(agents, 0o700)
        _check_execution(os.path.join(agents, "probe"))


def _check_execution(probe: str) -> None:
    # Mount options are not all: fapolicyd and SELinux refuse too.
    try:
        with open(probe, "w") as file:
            file.write("#!/bin/sh\n")
        os.chmod(probe, 0o700)
        if os.spawnv(os.P_WAIT, probe, [probe]) != 0:
            raise OSError("nothing can be executed there")
        os.unlink(probe)
    except OSError:
        os.system("rm -rf '{}'".format(os.path.dirname(probe)))
        raise


def receive_archive(path: str, size: int, digest: str) -> None:
    """Read the archive from stdin and put it at `path`, whole or not at all. Raises OSError."""
    import hashlib

    chunks = []
    while size > 0:
        chunk = os.read(0, min(size, 65536))
        if not chunk:
            raise OSError("the connection ended inside the agent's archive")
        chunks.append(chunk)
        size -= len(chunk)
    data = b"".join(chunks)
    if hashlib.sha256(data).hexdigest() != digest:
        raise OSError("the agent's archive arrived damaged")
    partial = "{}.{}".format(path, os.getpid())
    try:
        with open(partial, "wb") as file:
            file.write(data)
        os.rename(partial, path)
    except OSError:
        if os.path.exists(partial):
            os.unlink(partial)
        raise


def answer(message: "dict[str, object]") -> None:
    """Tell the host where we are."""
    os.write(1, BOOT_MAGIC + json.dumps(message).encode() + b"\n")


def boot(session: str, digest: str, size: str, given: str) -> None:
    """Become the agent's bridge for `session`."""
    try:
        root = choose_root(given)
        path = os.path.join(root, "agents", digest + ".pyz")
        present = os.path.exists(path)
        answer({"need": not present})
        if not present:
            receive_archive(path, int(size), digest)
        os.execv(sys.executable, [sys.executable, "-IS", path, "attach", session, "--work", root])
    except OSError as error:
        answer({"error": error.strerror or str(error)})
        sys.exit(1)
