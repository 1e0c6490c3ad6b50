"""What is written to the terminal: lines that a test can not use to control it, colours where they are wanted."""

import os
import sys
from collections.abc import Callable
from typing import IO

import click

COLOURS = {
    "pass": "green",
    "info": "green",
    "skip": "cyan",
    "warn": "yellow",
    "fail": "red",
    "error": "red",
    "infra": "magenta",
    "retried": "magenta",
    "flaky": "yellow",
}
WIDTH = 300  # characters that are shown of a line of output, or of a note


class Terminal:
    """Writes lines to stdout and complaints to stderr. A reader that went away is no reason to stop a run."""

    def __init__(self, mask: Callable[[str], str] = str) -> None:
        """`mask` hides the secrets in what tests and machines say."""
        self._mask = mask
        self._colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def say(self, text: str = "") -> None:
        """Write lines to stdout."""
        _write(text, sys.stdout)

    def complain(self, text: str) -> None:
        """Write lines to stderr."""
        _write(text, sys.stderr)

    def status(self, word: str, width: int = 0) -> str:
        """Return a status in its colour, padded to a width."""
        padded = word.ljust(width)
        return click.style(padded, fg=COLOURS.get(word), bold=True) if self._colours else padded

    def quote(self, text: str, limit: int = WIDTH) -> str:
        """Return what a test or a machine said, in one line of so many characters that is safe to show."""
        text = printable(" ".join(self._mask(text).splitlines()))
        return text if len(text) <= limit else text[:limit] + "..."


def printable(text: str) -> str:
    """Return `text` with what could move a cursor or ring a bell spelled out."""
    return "".join(c if c.isprintable() else " " if c == "\t" else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def _write(text: str, stream: IO[str]) -> None:
    try:
        stream.write(text + "\n")
        stream.flush()
    except OSError:  # the reader went away, or what it is redirected to is full
        # What follows goes nowhere, the interpreter's own flush at exit too.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
