"""What a result may be: one JSON object, checked here before the host sees it.

Limits are those of spec/CONTROL_FILE.md. The common result is small and plain, and there may be millions: the
checks that cost something are made only where a cheap look at the text says that they are needed.
"""

import json
import math

from .names import file_name_error

MAX_RESULT = 1024 * 1024  # bytes of JSON
MAX_DEPTH = 64
_CLOSER_LOOK = frozenset(("files", "testout", "partial"))
_INT64 = (-(2**63), 2**64 - 1)


class GrammarError(Exception):
    """What came through a door breaks its rules; the message is the reason that everybody is told."""


def _integer(text):
    value = int(text) if len(text) <= 20 else _INT64[1] + 1
    if not _INT64[0] <= value <= _INT64[1]:
        raise GrammarError("an integer does not fit into 64 bits")
    return value


def _number(text):
    value = float(text)
    if not math.isfinite(value):
        raise GrammarError("a number is not finite")
    return value


def _constant(text):
    raise GrammarError("{} is no JSON".format(text))


_scan = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_constant).scan_once


def decode_result(text, start=0):
    """Return the object in `text` (str) from `start` to its end. Raises GrammarError with the reason."""
    while text[start : start + 1] in (" ", "\t", "\r", "\n"):
        start += 1
    try:
        value, end = _scan(text, start)
    except (StopIteration, ValueError) as error:
        raise GrammarError("a result is not JSON: {}".format(error or "it ends too early"))
    except RecursionError:
        raise GrammarError("a result is nested deeper than {}".format(MAX_DEPTH))
    if end != len(text) and text[end:].strip(" \t\r\n"):
        raise GrammarError("a result is followed by something else on its line")
    if text.count("[", start) + text.count("{", start) > MAX_DEPTH:
        _check_depth(value)
    if "\\u" in text:
        _check_surrogates(value)
    _check_result(value)
    return value


def count_plain(lines):
    """Return how many of `lines` (str, `result {...}` each) from the first on are beyond doubt plain and valid.

    Plain: no files, no testout, nothing partial. This is the fast way for the millions; the first line that asks
    for a closer look ends it, and `decode_result` and `files_of` decide about that one.
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
                or not _CLOSER_LOOK.isdisjoint(value)
                or get("status") == "infra"
                or not (
                    type(get("name")) in string and type(get("status")) in string and type(get("note")) in string
                )
                or line.count("[") + line.count("{") > MAX_DEPTH
                or "\\u" in line
            ):
                break
            count += 1
    except (StopIteration, ValueError, RecursionError, GrammarError):
        pass
    return count


def _check_depth(value):
    level = [value]
    for _ in range(MAX_DEPTH):
        inner = []
        for item in level:
            if isinstance(item, dict):
                inner.extend(item.values())
            elif isinstance(item, list):
                inner.extend(item)
        if not inner:
            return
        level = inner
    if any(isinstance(item, (dict, list)) for item in level):
        raise GrammarError("a result is nested deeper than {}".format(MAX_DEPTH))


def _check_surrogates(value):
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise GrammarError("a result holds half of a surrogate pair")


def _check_result(value):
    if type(value) is not dict:
        raise GrammarError("a result is not an object")
    for key in ("status", "name", "note", "testout"):
        text = value.get(key)
        if text is not None and type(text) is not str:
            raise GrammarError("a result's {} is not a string".format(key))
    if value.get("status") == "infra":
        raise GrammarError("status 'infra' is the runner's word alone")
    if value.get("partial"):
        raise GrammarError("partial results are not supported yet")
    if value.get("testout") is not None:
        reason = file_name_error(value["testout"])
        if reason:
            raise GrammarError("testout: " + reason)


def files_of(value):
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
        name = entry.get("name")
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
