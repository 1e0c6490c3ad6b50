"""What a result may be: one JSON object, checked here before the host sees it.

Limits are those of spec/CONTROL_FILE.md. The common result is small and plain, and there may be millions: the
checks that cost something are made only where a cheap look at the text says that they are needed.
"""

import json
import math
import re
from itertools import accumulate

from .names import MAX_RESULT_NAME, file_name_error

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

MAX_RESULT = 1024 * 1024  # bytes of JSON
MAX_DEPTH = 64
_CLOSER_LOOK = frozenset(("files", "testout", "partial"))
_BESIDE_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[^]["{}]+')
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]|(?P<lone>u[dD][89a-fA-F])|.)")
_INT64 = (-(2**63), 2**64 - 1)


class GrammarError(Exception):
    """What came through a door breaks its rules; the message is the reason that everybody is told."""


def _integer(text: str) -> int:
    value = int(text) if len(text) <= 20 else _INT64[1] + 1
    if not _INT64[0] <= value <= _INT64[1]:
        raise GrammarError("an integer does not fit into 64 bits")
    return value


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise GrammarError("a number is not finite")
    return value


def _constant(text: str) -> "NoReturn":
    raise GrammarError("{} is no JSON".format(text))


_decoder = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_constant)
_scan: "Callable[[str, int], tuple[Any, int]]" = _decoder.scan_once  # type: ignore[attr-defined]


def decode_result(text: str) -> "dict[str, Any]":
    """Return the object that `text` is. Raises GrammarError with the reason."""
    start = 0
    while text[start : start + 1] in (" ", "\t", "\r", "\n"):
        start += 1
    try:
        value, end = _scan(text, start)
    except StopIteration:
        raise GrammarError("a result is not JSON: a value is missing")
    except ValueError as error:
        raise GrammarError("a result is not JSON: {}".format(error))
    except RecursionError:
        raise GrammarError("a result is nested deeper than {}".format(MAX_DEPTH))
    if end != len(text) and text[end:].strip(" \t\r\n"):
        raise GrammarError("a result is followed by something else on its line")
    _check_text(text)
    return _check_result(value)


def count_plain(lines: "list[str]") -> int:
    """Return how many of `lines` (str, `result {...}` each) from the first on are beyond doubt plain and valid.

    Plain: no files, no testout. This is the fast way for the millions; the first line that asks for a closer look ends
    it, and `decode_result` and `files_of` decide about that one.
    """
    count = 0
    scan = _scan
    string = (str, type(None))
    try:
        for line in lines:
            value, end = scan(line, 7)
            get = value.get
            if (
                end != len(line)
                or get("status") == "infra"
                or not (
                    type(get("name")) in string
                    and type(get("status")) in string
                    and type(get("note")) in string
                )
                or not (_CLOSER_LOOK.isdisjoint(value) or _is_plain(value))
            ):
                break
            if "\\u" in line or line.count("[") + line.count("{") > MAX_DEPTH:
                _check_text(line)
            count += 1
    except (StopIteration, ValueError, RecursionError, GrammarError):
        pass
    return count


def _is_plain(value: "dict[str, Any]") -> bool:
    """Is a result plain that has one of these keys, and a string for a name if it has one?"""
    return (
        value.get("files") in (None, [])
        and value.get("testout") is None
        and type(value.get("partial")) in (bool, type(None))
        and len(value.get("name") or "") <= MAX_RESULT_NAME // 4  # bytes a character
    )


def _check_text(text: str) -> None:
    """Look at JSON and not at what came of it: a value whose key comes again is in it, and a host reads that too."""
    if text.count("[") + text.count("{") > MAX_DEPTH:
        brackets = _BESIDE_BRACKETS.sub("", text)
        depths = accumulate(1 if bracket in "[{" else -1 for bracket in brackets)
        if max(depths, default=0) > MAX_DEPTH:  # none of them where all are in one string
            raise GrammarError("a result is nested deeper than {}".format(MAX_DEPTH))
    if "\\u" in text and any(match.group("lone") for match in _ESCAPE.finditer(text)):
        raise GrammarError("a result holds half of a surrogate pair")


def _check_result(value: object) -> "dict[str, Any]":
    if not isinstance(value, dict):
        raise GrammarError("a result is not an object")
    for key in ("status", "name", "note", "testout"):
        text = value.get(key)
        if text is not None and type(text) is not str:
            raise GrammarError("a result's {} is not a string".format(key))
    if value.get("status") == "infra":
        raise GrammarError("status 'infra' is the runner's word alone")
    if type(value.get("partial")) not in (bool, type(None)):
        raise GrammarError("a result's partial is neither true nor false")
    if value.get("testout") is not None:
        reason = file_name_error(value["testout"])
        if reason:
            raise GrammarError("testout: " + reason)
    return value


def check_name(name: str) -> None:
    """Raise GrammarError where a result that is partial or has a file or a testout may not have this name."""
    if len(name.encode("utf-8")) > MAX_RESULT_NAME:
        raise GrammarError(
            "the name of a result that is partial or has files is longer than {} bytes".format(
                MAX_RESULT_NAME
            )
        )


def files_of(value: "dict[str, Any]") -> "list[tuple[str, int]]":
    """Return the files of a result as a list of (name, length). Raises GrammarError with the reason."""
    listed = value.get("files")
    if listed is None:
        return []
    if type(listed) is not list:
        raise GrammarError("a result's files are not a list")
    files = []
    for entry in listed:
        if type(entry) is not dict:
            raise GrammarError("one of a result's files is not an object")
        name: "Any" = entry.get("name")
        reason = file_name_error(name)
        if reason:
            raise GrammarError(reason)
        length = entry.get("length")
        if type(length) is not int or length < 0:
            raise GrammarError("file {!r} has no length".format(name))
        if name == value.get("testout"):
            raise GrammarError("file {!r} is the testout of the same result".format(name))
        files.append((name, length))
    return files
