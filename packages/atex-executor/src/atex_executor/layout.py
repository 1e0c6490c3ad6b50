"""Names of files and folders below `files/` of a run folder. Pure.

    PLATFORM/TEST/@SERIAL.ATTEMPT/FILE                  of the test itself, output.txt among them
    PLATFORM/TEST/@SERIAL.ATTEMPT/subtests/NAME/FILE    of a named result; NAME is one folder
    PLATFORM/@prepare.MACHINE/PHASE.txt                 output of a phase; also @finish

Platforms, tests, results and files have names that people chose, and some of them come from machines that nobody
trusts. One escaping makes folder and file names of them; docs/results.md describes it for readers. It guarantees:

- Two names never meet: different names give different paths (over-long ones but for a collision of sha256).
- No name leaves its folder: `.`, `..` and separators are escaped, an empty component is `%`.
- No component is longer than 255 bytes, no path below `files/` longer than about 2600.
- `@` at the beginning of a folder is ours, so that no test can be taken for an attempt of another.
- Only characters that file systems and artifact stores take.

The escape is `%XX`, a byte in hexadecimal. Names that need none of this, nearly all, stay as they are.
"""

import hashlib
import re

MAX_COMPONENT = 255  # bytes, of a file or folder name on all file systems in use
MAX_PATH = 1024  # bytes of a test's folders, and of a file's path in its folder

# What the runner itself puts beside the files of the test.
_OUTPUT = "output.txt"
_SUBTESTS = "subtests"

# Separators, control characters, what artifact stores and Windows refuse, what is not UTF-8, and the escape itself.
_UNSAFE = re.compile('[%/\\\\:*?"<>|\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_HASH_LENGTH = 32  # hexadecimal digits of a sha256
_CUT_MARK = "%~"  # no escape looks like this


def folder_of_test(test: str) -> str:
    """Return the folders that stand for the name of a test, which is counted from "/", also where it does not begin so.

    They are the name itself, without the "/", where nothing in it needs escaping.
    """
    names = test.removeprefix("/").split("/") if test not in ("", "/") else []
    folders = [component(name, reserve_at=True) for name in names]
    if len("/".join(folders).encode()) > MAX_PATH:
        folders = [_cut(folders[0] + "%2F", MAX_COMPONENT, test)]
    return "/".join(folders)


def attempt_folder(platform: str, test: str, serial: int, attempt: int) -> str:
    """Return the folder of one attempt at a test."""
    folders = [component(platform, reserve_at=True), folder_of_test(test), f"@{serial}.{attempt}"]
    return "/".join(folder for folder in folders if folder)


def output_file(folder: str) -> str:
    """Return the path of a test's stdout and stderr, in its attempt's `folder`."""
    return f"{folder}/{_OUTPUT}"


def subtest_folder(folder: str, name: str) -> str:
    """Return the folder of the result `name` in its attempt's `folder`."""
    return f"{folder}/{_SUBTESTS}/{component(name)}"


def result_file(folder: str, name: str, file: str) -> str:
    """Return the path of a file of the result `name`, in its attempt's `folder`; "" is the test itself."""
    if not name:
        return f"{folder}/{_file(file, reserved=(_OUTPUT, _SUBTESTS))}"
    return f"{subtest_folder(folder, name)}/{_file(file)}"


def phase_file(platform: str, step: str, machine: str, phase: str) -> str:
    """Return the path of the output of a phase of `step`, which is "prepare" or "finish"."""
    prefix, suffix = f"@{step}.", ".txt"
    where = prefix + component(machine, MAX_COMPONENT - len(prefix))
    return f"{component(platform, reserve_at=True)}/{where}/{component(phase, MAX_COMPONENT - len(suffix))}{suffix}"


def _file(file: str, reserved: tuple[str, ...] = ()) -> str:
    first, *others = [component(name) for name in file.split("/")]
    if first in reserved:
        first = _percent(first[0]) + first[1:]
    path = "/".join([first, *others])
    return path if len(path.encode()) <= MAX_PATH else _cut(first + "%2F", MAX_COMPONENT, file)


def component(name: str, limit: int = MAX_COMPONENT, *, reserve_at: bool = False) -> str:
    """Return the file or folder name, at most `limit` bytes, that stands for `name`, and for no other."""
    if not name:
        return "%"
    escaped = _UNSAFE.sub(lambda match: _percent(match[0]), name)
    if escaped[-1] in ". ":  # Windows drops them; "." and ".." are among these
        escaped = escaped[:-1] + _percent(escaped[-1])
    if reserve_at and escaped[0] == "@":
        escaped = _percent("@") + escaped[1:]
    return escaped if len(escaped.encode()) <= limit else _cut(escaped, limit, name)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _cut(escaped: str, limit: int, name: str) -> str:
    """Return the beginning of `escaped`, marked as cut, with a hash of the whole `name`."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    room = limit - len(_CUT_MARK) - len(digest)
    kept = escaped.encode()[:room].decode("utf-8", "ignore")
    return f"{kept}{_CUT_MARK}{digest}"
