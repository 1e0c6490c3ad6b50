"""What a test asks of those who run it, beyond its own results: marks on its machine, further runs of tests."""

from collections.abc import Callable, Container

from atex_sut_agent.protocol import Marked as MarkedMessage
from atex_sut_agent.protocol import TestAdded

from atex_executor.errors import ProtocolBroken
from atex_executor.journal import AddedTest, Journal, Marked
from atex_executor.masking import Mask
from atex_executor.resume import OpenAttempt

MAX_WISHES = 1024 * 1024  # bytes of names, values and variables, of one run
TOO_MANY = f"more than {MAX_WISHES // 2**20} MiB of marks and added tests"
_MAX_WISH = 16 * 1024  # bytes; a control line has 4096
_ENTRY_COST = 100  # bytes

OnMark = Callable[[str, str], None]
"""Takes the name and the value of a mark."""
OnAddTest = Callable[[AddedTest], None]


def ignore_mark(name: str, value: str) -> None:
    """Nobody wants to know."""


def ignore_addtest(added: AddedTest) -> None:
    """Nobody wants to know."""


class Bounds:
    """What the marks and added tests of one run may take up. `taken`: bytes that they do already."""

    def __init__(self, taken: int = 0) -> None:
        self._taken = taken

    def admit_mark(self, message: MarkedMessage) -> bool:
        """Count a mark; return whether there is room for it. Raises ProtocolBroken for what can be none."""
        if not message.name or "=" in message.name:
            raise ProtocolBroken(f"a mark can not be called {message.name[:100]!r}")
        return self.admit(message.name, message.value)

    def admit(self, *words: str) -> bool:
        """Count a wish; return whether there is room for it. Raises ProtocolBroken for one that is too large."""
        size = _size(*words)
        if size > _MAX_WISH:
            raise ProtocolBroken(f"a mark or an added test of {size} bytes")
        self._taken += size
        return self._taken <= MAX_WISHES


class Wishes:
    """Journals the marks and added tests of one attempt, and hands them on. Each is handed on once by one process.

    `tests` are the names that may be added. What `mask` hides is in no variable that is written down. `fail` takes in
    words what the test does wrong.
    """

    def __init__(
        self,
        journal: Journal,
        attempt: OpenAttempt,
        *,
        tests: Container[str],
        mask: Mask,
        on_mark: OnMark,
        on_addtest: OnAddTest,
        fail: Callable[[str], None],
    ) -> None:
        self.added = attempt.added[-1].number if attempt.added else 0
        """How many runs it has asked for."""
        self._journal = journal
        self._resumed = attempt.resumed
        self._tests = tests
        self._mask = mask
        self._on_mark = on_mark
        self._on_addtest = on_addtest
        self._fail = fail
        taken = sum(_size(name, value) for name, value in attempt.marks.items())
        taken += sum(_size(added.test, *_words(added)) for added in attempt.added)
        self._bounds = Bounds(taken)

    def mark(self, message: MarkedMessage) -> None:
        """The machine gets a mark. Raises ProtocolBroken and SinkError."""
        if self._has_room(self._bounds.admit_mark(message)):
            self._journal.add(Marked(name=message.name, value=message.value))
            self._on_mark(message.name, message.value)

    def add(self, message: TestAdded) -> None:
        """One more run of a test is asked for. Raises ProtocolBroken and SinkError."""
        if self._resumed and 0 < message.number <= self.added:
            return  # it comes again
        if message.number != self.added + 1 and not (self._resumed and message.number > self.added):
            raise ProtocolBroken(f"an added test has the number {message.number}")
        added = AddedTest(number=message.number, test=message.test, environment=message.environment)
        if any(not _is_variable(*pair) for pair in added.environment.items()):
            raise ProtocolBroken("an added test has a variable that can not be")
        if self._has_room(self._bounds.admit(message.test, *_words(added))):
            reason = self._refusal(added)
            if reason is None:
                self._journal.add(added)
                self._on_addtest(added)
            else:
                self._fail(f"addtest: {reason}")
        self.added = message.number

    def _refusal(self, added: AddedTest) -> str | None:
        if added.test not in self._tests:
            return f"there is no test {added.test[:500]!r} on this platform"
        for name, value in added.environment.items():
            if self._mask(name) != name or self._mask(value) != value:
                return (
                    f"the variable {self._mask(name[:500])} has a secret in it, and would be stored: leave it out, the "
                    f"added run has the secrets of this run as well"
                )
        return None

    def _has_room(self, admitted: bool) -> bool:
        if not admitted:
            self._fail(TOO_MANY)
        return admitted


def _is_variable(name: str, value: str) -> bool:
    return bool(name) and "=" not in name and "\0" not in name + value


def _size(*words: str) -> int:
    return _ENTRY_COST + sum(len(word) for word in words)


def _words(added: AddedTest) -> list[str]:
    return [word for pair in added.environment.items() for word in pair]
