"""Receives the trees of a session, whole or not at all: a pack becomes folders.

What is said, in lines of ASCII:

    the agent   packs NAME...       the packs that it has: any of them may be named
    the host    NAME                unpack that one; answered by `ok`, or by `packs` again where it turns out damaged
                new                 and then the pack itself; answered by `ok`
    the agent   busy                every few seconds while it has to do

What goes wrong stands on stderr, as with all commands of the agent.
"""

import os
import time

from .packs import Copy, Packs, is_name
from .removal import remove_tree
from .unpack import Damaged, Folders, Stream, unpack

_SIGN = 5.0  # seconds
_LONGEST_LINE = 80  # bytes
# The suite's own is the last one to be moved to its place, so that where it is, all are.
_TREE = b"tree"
_MORE_TREES = b"trees"


def receive_trees(session: str) -> None:
    """Talk to the host at stdin and stdout, until the trees are in a session's folder. Raises OSError."""
    session = os.path.abspath(session)
    packs = Packs(os.path.dirname(os.path.dirname(session)))
    if os.path.lexists(os.path.join(os.fsencode(session), _TREE)):
        raise OSError("the session has its tree already")
    os.umask(0)
    while True:
        _say(" ".join(["packs", *packs.names()]))
        name = _line()
        if not is_name(name):
            break
        if _unpack_kept(session, packs, name):
            _say("ok")
            return
    if name != "new":
        raise OSError("the host neither names a pack nor sends one")
    copy = Copy(os.path.join(session, "pack.partial"), packs)
    try:
        copy.keep(_unpack_into(session, 0, copy))
    except Damaged as error:
        raise OSError("the tree did not arrive: {}".format(error))
    finally:
        copy.drop()
    _say("ok")


def _unpack_kept(session: str, packs: Packs, name: str) -> bool:
    """Unpack a pack that is kept; return False, and remove it, where it is none or can not be unpacked."""
    try:
        fd = packs.open(name)
    except OSError:
        packs.remove(name)
        return False
    try:
        return _unpack_into(session, fd, None, name) == name
    except (Damaged, OSError):  # damage may ask for what can not be made, a name twice for instance
        packs.remove(name)
        return False
    finally:
        os.close(fd)


def _unpack_into(session: str, fd: int, copy: "Copy | None", name: str = "") -> str:
    """Unpack what comes from `fd` into the session's folder; return its name. Raises Damaged and OSError."""
    signs = _Signs()

    def consumed(data: memoryview) -> None:
        signs.give()
        if copy is not None:
            copy.write(data)

    partial = os.path.join(session, "tree.partial")
    _remove(partial)
    os.mkdir(partial, 0o700)
    try:
        # From inside: where the session ends meanwhile and removes it, nothing is made anew below a path of it.
        os.chdir(partial)
        folders, found = unpack(Stream(fd, consumed))
        if name and name != found:
            raise Damaged("it is another pack")
        _settle_in(folders)
    finally:
        os.chdir("/")
        _remove(partial)
    return found


def _settle_in(folders: Folders) -> None:
    """Move the trees from the current folder one up. Raises Damaged and OSError."""
    tops = sorted(name for name in folders.modes if b"/" not in name)
    if tops not in ([_TREE], [_TREE, _MORE_TREES]):
        raise Damaged("it holds other folders than those of trees")
    for top in reversed(tops):
        os.rename(top, os.path.join(b"..", top))
    os.chdir("..")
    folders.finish()


def _remove(folder: str) -> None:
    try:
        remove_tree(folder)
    except OSError:
        pass  # it is not there, or goes with its session


class _Signs:
    """Tells the host every few seconds that there is something to do."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _SIGN

    def give(self) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _SIGN
            _say("busy")


def _say(words: str) -> None:
    os.write(1, words.encode() + b"\n")


def _line() -> str:
    """Return the next line from the host, without its end. Raises OSError where none comes."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)  # what follows the line may be a pack
        if not byte or len(line) > _LONGEST_LINE:
            raise OSError("the connection ended before the tree came")
        line += byte
    return line[:-1].decode("ascii", "replace")
