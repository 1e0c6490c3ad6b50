"""Results as a test might write them: each text valid as a whole, or with something in it that may not be.

Made from a `random.Random`, so that ten thousand take seconds.
"""

import random

from tests.sut_agent.listening import TEST

_NUMBERS = [
    *("0", "-0", "7", "-1", "9223372036854775807", "9223372036854775808", "18446744073709551615"),
    *("-9223372036854775808", "-0.0", "0.1", "1E+5", "1e-400", "5e-324", "0e999999", "0.1e-7"),
    *("1.7976931348623157e308", "1.7976931348623158e308", "2.2250738585072011e-308", "1" * 25 + ".0"),
    *("9" * 300 + ".5", "0." + "0" * 500 + "1", "9007199254740993.0", "123e-310", "1e0000000000001"),
]  # fmt: skip
_NO_NUMBERS = [
    *("18446744073709551616", "-9223372036854775809", "9" * 100, "-" + "9" * 100, "1" * 400 + ".5"),
    *("1e400", "-1e400", "1.7976931348623159e308", "1e999999999999", "NaN", "Infinity", "-Infinity"),
    *("01", "-01", "+1", "1.", ".5", "1e", "1e1.5", "0x1", "1_000", "\u0661", "--1", "-", "\uff11", "1.e5"),
]  # fmt: skip
_CHARACTERS = [
    *("a", " ", "/", ":", ",", "{", "}", "[", "]", "'", "\x7f", "\x85", "\u00e9", "\u0301", "\u2028"),
    *("\ufeff", "\uffff", "\U0001f600", "\U0010ffff", '\\"', "\\\\", "\\/", "\\b\\f\\n\\r\\t", "\\u0000"),
    *("\\u00E9", "\\ud83d\\ude00", "\\uD83D\\uDE00", "\\udbff\\udfff", "\\u2028", "\\\\u", "result {", "\\ufffe"),
]  # fmt: skip
_NO_CHARACTERS = [
    *("\x00", "\x01", "\x1f", "\n", "\r", "\t", '"', "\\", "\\x41", "\\'", "\\u12", "\\uzzzz", "\\U00000041"),
    *("\\ud800", "\\udc00\\ud800", "\\ud83d\\u0041", "\\ud83d\ude00", "\\ud800x", "\\u 123", "\\u+123"),
    *("\ud800", "\udcff", "\udcc0\udc80", "\udcf5\udc80\udc80\udc80"),
]  # fmt: skip
_BLANKS = ["", "", "", " ", "\t", "\r", "\n", " \r\n\t "]
_NO_BLANKS = ["\x0b", "\x0c", "\u00a0", "\ufeff", "/**/", "#", "\x00", "\u3000"]
_RUNNERS_KEYS = [
    "test",
    "platform",
    "plan",
    "serial",
    "attempt",
    "n",
    "final",
    "machine",
    "started",
    "seconds",
    "exit_code",
]
_NAMES = [
    "",
    "/",
    TEST,
    f"{TEST}/part",
    f"{TEST}/",
    "part",
    "a/b",
    "/syscalls/x",
    "..",
    "\\u0000",
    "\U0001f600",
]
_FILES = [
    "log",
    "a/b.txt",
    "...",
    "\u00e9" * 127,
    "/".join(["x" * 204] * 5),
    "line\\nbreak",
    "\\ud83d\\ude00",
]
_NO_FILES = [
    "",
    "/etc/passwd",
    "..",
    "a/../b",
    "./a",
    "a//b",
    "a/",
    "a\\u0000b",
    "x" * 256,
    "/".join(["x" * 204] * 5) + "x",
]
_NO_LENGTHS = [
    "-1",
    "1.0",
    "true",
    "null",
    '"1"',
    "1e0",
    "-0.0",
    "[]",
    "18446744073709551616",
    "0.0",
]
_DEEPEST = 62  # levels of lists inside a list inside the object


class Generator:
    """Makes one result; `hostile`: with things that are no result, or none that is allowed."""

    def __init__(self, chance: random.Random, *, hostile: bool) -> None:
        self._chance = chance
        self._hostile = hostile

    def result(self) -> bytes:
        """The text of a result; where it is not hostile, it is a valid one."""
        if self._spoils():
            return self._string("[" * 70).encode()
        keys = [self._own_key() for _ in range(self._chance.choice((0, 0, 1, 2, 5)))]
        keys += self._known_keys()
        self._chance.shuffle(keys)
        text = self._blank() + self._object(keys) + self._blank()
        if self._hostile and self._chance.random() < 0.1:
            at = self._chance.randrange(len(text))
            text = (
                text[:at] + self._chance.choice(("", "\x00", "}", '"', "\ud800")) + text[at + 1 :]
            )
        return text.encode() if text.isascii() else b"".join(map(_encoded, text))

    def _spoils(self) -> bool:
        """Put in something wrong at this point? Seldom enough that the rest is looked at, too."""
        return self._hostile and self._chance.random() < 0.01

    def _pick(self, good: list[str], bad: list[str]) -> str:
        return self._chance.choice(bad if self._spoils() else good)

    # JSON ------------------------------------------------------------------------------------------------

    def _value(self, depth: int = 0) -> str:
        kind = self._chance.randrange(8 if depth < 3 else 6)
        if kind < 2:
            return self._pick(_NUMBERS, _NO_NUMBERS)
        if kind == 2:
            return str(self._chance.uniform(-1, 1) * 10.0 ** self._chance.randrange(-320, 308))
        if kind == 3:
            return self._pick(["true", "false", "null"], ["True", "nul", "undefined", ""])
        if kind < 6:
            return self._string()
        if kind == 6:
            return self._list([self._value(depth + 1) for _ in range(self._chance.randrange(4))])
        return self._object([self._own_key(depth + 1) for _ in range(self._chance.randrange(4))])

    def _string(self, inside: str | None = None) -> str:
        if inside is None:
            size = self._chance.choice((0, 1, 3, 10))
            inside = "".join(self._pick(_CHARACTERS, _NO_CHARACTERS) for _ in range(size))
        return self._pick([f'"{inside}"'], [f"'{inside}'", f'"{inside}', inside])

    def _list(self, items: list[str]) -> str:
        separator = self._blank() + "," + self._blank()
        return (
            self._pick(["["], ["", "[,"])
            + self._blank()
            + separator.join(items)
            + self._pick(["]"], [",]", "", "}"])
        )

    def _object(self, items: list[str]) -> str:
        separator = self._blank() + "," + self._blank()
        return (
            self._pick(["{"], ["", "{,"])
            + self._blank()
            + separator.join(items)
            + self._pick(["}"], [",}", "", "]"])
        )

    def _item(self, key: str, value: str) -> str:
        colon = self._pick([":"], ["", "=", "::"])
        return self._spelled(key) + self._blank() + colon + self._blank() + value

    def _spelled(self, key: str) -> str:
        if key and self._chance.random() < 0.05:
            key = f"\\u{ord(key[0]):04x}" + key[1:]
        return self._string(key)

    def _blank(self) -> str:
        return self._pick(_BLANKS, _NO_BLANKS)

    # Results ---------------------------------------------------------------------------------------------

    def _own_key(self, depth: int = 0) -> str:
        key = self._chance.choice(["x", "", "\u00e9", "Name", *_RUNNERS_KEYS])
        if self._chance.random() < 0.03:
            levels = (
                _DEEPEST
                - depth
                - self._chance.randrange(2)
                + (self._chance.randrange(5) if self._spoils() else 0)
            )
            return self._item(key, "[" * levels + "]" * levels)
        return self._item(key, self._value(depth))

    def _known_keys(self) -> list[str]:
        """Items of the keys that mean something; a key may come twice, and its last value counts."""
        makers = [self._status, self._note, self._partial, self._file_keys]
        chosen = [make() for make in makers for _ in range(self._chance.choice((0, 0, 0, 1, 1, 2)))]
        items = [item for items in chosen for item in items]
        names = list(_NAMES)
        if self._hostile or not chosen:
            names += ["n" * 4096, "n" * 4097, "\u00e9" * 2049, "n" * 5000]
        if self._chance.random() < 0.8:
            items.append(self._item("name", self._text_or(f'"{self._chance.choice(names)}"')))
        return items

    def _text_or(self, text: str) -> str:
        return self._pick(
            [text, text, text, "null"], ["5", "true", "[]", "{}", "-0.5", '"\\ud800"']
        )

    def _status(self) -> list[str]:
        words = [
            "pass",
            "fail",
            "info",
            "warn",
            "skip",
            "error",
            "own word",
            "Infra",
            "infr\\u0061 ",
        ]
        word = self._pick(words, ["infra", "infr\\u0061"])
        return [self._item("status", self._text_or(f'"{word}"'))]

    def _note(self) -> list[str]:
        return [self._item("note", self._text_or(self._string()))]

    def _partial(self) -> list[str]:
        value = self._pick(["true", "false", "null"], ["1", "0", '"true"', "[]", "{}", "0.0", "-0"])
        return [self._item("partial", value)]

    def _file_keys(self) -> list[str]:
        files = self._list([self._file() for _ in range(self._chance.randrange(4))])
        items = [
            self._item(
                "files", self._pick([files, files, "null"], ["{}", "5", '"log"', "true", "[[]]"])
            )
        ]
        if self._chance.random() < 0.3:
            names = ["out", "d/out.txt", *(_FILES if self._hostile else ())]
            items.append(self._item("testout", self._text_or(f'"{self._pick(names, _NO_FILES)}"')))
        return items

    def _file(self) -> str:
        name = self._text_or_not(f'"{self._pick(_FILES, _NO_FILES)}"')
        length = self._pick([str(self._chance.randrange(6))], _NO_LENGTHS)
        items = [self._item("name", name), self._item("length", length)]
        if self._chance.random() < 0.2:
            items.append(self._own_key(2))
        if self._spoils():
            items.pop(self._chance.randrange(len(items)))
        return self._object(items)

    def _text_or_not(self, text: str) -> str:
        return self._pick([text], ["5", "null", "[]", '"\\udfff"'])


def _encoded(character: str) -> bytes:
    """A surrogate U+DC80 to U+DCFF stands for a byte that is no UTF-8, as Python has it; others are spelled out."""
    is_byte = "\udc80" <= character <= "\udcff"
    return character.encode("utf-8", "surrogateescape" if is_byte else "surrogatepass")
