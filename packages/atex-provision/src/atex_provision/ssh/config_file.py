"""Which options ~/.ssh/config has for a host, read as ssh_config(5) has it.

The first value of an option holds, and IdentityFile collects. An Include within a Host block is for
that host only, and the block goes on after it. Match knows all, host, originalhost, user, localuser,
final and canonical (which never matches: names are not made canonical); another criterion is refused
where it would decide.
"""

import getpass
import glob
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from atex_provision.errors import BadConfiguration

DEEPEST_INCLUDE = 16  # as in OpenSSH

_LINE = re.compile(r"(\w+)(?:\s*=\s*|\s+)(\S.*)")
_WORD = re.compile(r"""" ([^"]*) " | ' ([^']*) ' | (\S+)""", re.VERBOSE)


class Setting(msgspec.Struct, frozen=True):
    """What one line of a config says."""

    option: str
    """In small letters."""
    text: str
    """All that follows the option."""
    path: Path
    line: int

    @property
    def words(self) -> list[str]:
        """The words of the text, without quotes, up to a comment."""
        words = []
        for quoted, also_quoted, plain in _WORD.findall(self.text):
            if plain.startswith("#"):
                break
            words.append(quoted or also_quoted or plain)
        return words

    @property
    def word(self) -> str:
        """The only word. Raises BadConfiguration."""
        words = self.words
        if len(words) != 1:
            raise self.error("takes one value")
        return words[0]

    def error(self, problem: str) -> BadConfiguration:
        """The error that names this line."""
        return BadConfiguration(
            f"{self.path}, line {self.line}: {self.option} {self.text!r} {problem};"
            " correct it and try again"
        )


Options = dict[str, list[Setting]]
"""By option, in the order in which they were found. Only IdentityFile has several settings."""


def read_options(path: Path, name: str, user: str | None) -> Options:
    """What `path` says about the host `name`; a file that is not there says nothing.

    `user` is whom the caller wants to log in as, None for whomever the config names. Raises
    BadConfiguration.
    """
    reader = _Reader(path.parent, name, user)
    if path.exists():
        reader.read(path)
        if reader.wants_final:
            reader.final = True
            reader.read(path)
    return reader.options


class _Reader:
    """Reads the files for one host; where they ask for it, twice: "Match final" holds only then."""

    def __init__(self, folder: Path, name: str, user: str | None) -> None:
        self._folder = folder
        self._name = name
        self._user = user
        self.options: Options = {}
        self.final = self.wants_final = False

    def read(self, path: Path, depth: int = 0) -> None:
        """Takes what holds for the host from this file and those that it includes."""
        active = True
        for setting in _settings(path):
            match setting.option:
                case "host":
                    active = _is_in(self._name, setting.words)
                case "match":
                    active = self._matches(setting)
                case "include" if active:
                    if depth == DEEPEST_INCLUDE:
                        raise setting.error("is too deep; does a file include itself?")
                    for file in self._included(setting):
                        self.read(file, depth + 1)
                case option if active:
                    self._take(option, setting)

    def _take(self, option: str, setting: Setting) -> None:
        known = self.options.setdefault(option, [])
        if not known or (option == "identityfile" and setting not in known):
            known.append(setting)

    def _included(self, setting: Setting) -> Iterator[Path]:
        for word in setting.words:
            pattern = self._folder / os.path.expanduser(word)
            yield from filter(Path.is_file, map(Path, sorted(glob.glob(str(pattern)))))

    def _matches(self, setting: Setting) -> bool:
        """Whether all criteria hold. Later ones are not looked at when one does not."""
        criteria = iter(setting.words)
        for criterion in criteria:
            positive = criterion.lower().removeprefix("!")
            if self._holds(positive, criteria, setting) == criterion.startswith("!"):
                return False
        return True

    def _holds(self, criterion: str, words: Iterator[str], setting: Setting) -> bool:
        match criterion:
            case "all":
                return True
            case "canonical":
                return False
            case "final":
                self.wants_final = True
                return self.final
            case "host":
                subject = self._known("hostname", self._name).replace("%h", self._name)
            case "originalhost":
                subject = self._name
            case "user":
                subject = self._user or self._known("user", getpass.getuser())
            case "localuser":
                subject = getpass.getuser()
            case _:
                raise setting.error(f"decides by {criterion!r}, which atex does not support")
        patterns = next(words, None)
        if patterns is None:
            raise setting.error(f"lacks what {criterion!r} should be")
        return _is_in(subject, patterns.split(","))

    def _known(self, option: str, default: str) -> str:
        return self.options[option][0].word if option in self.options else default


def _settings(path: Path) -> Iterator[Setting]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError) as error:  # UnicodeDecodeError is a ValueError
        raise BadConfiguration(f"cannot read {path}: {error}; correct it and try again") from error
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        parts = _LINE.fullmatch(line)
        if parts is None:
            raise BadConfiguration(
                f"{path}, line {number}: {line!r} should be an option and a value;"
                " correct it and try again"
            )
        yield Setting(parts[1].lower(), parts[2], path, number)


def _is_in(subject: str, patterns: list[str]) -> bool:
    """Whether a list of patterns means `subject`. A negated one that matches has the last word."""
    found = False
    for pattern in patterns:
        # Only * and ? are special.
        if fnmatchcase(subject.lower(), pattern.lower().removeprefix("!").replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            found = True
    return found
