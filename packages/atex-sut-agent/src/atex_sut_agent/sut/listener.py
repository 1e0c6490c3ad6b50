"""Who listens to what comes through the doors of the control file: a run implements this."""

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from .control import Door


class Listener:
    """What the doors of a run tell it."""

    test = ""  # the test's name, by which names of results are shortened

    # What a Door tells, from within `Door.feed`.

    def results(self, lines: bytes, count: int) -> None:
        """`count` complete results without files, `lines` is their JSON, a line each (bytes)."""

    def claim(self, door: "Door", name: str, files: "list[str]") -> bool:
        """May `door` write to these files of result `name` now? Where not, `door.feed(b"")` is called later."""
        raise NotImplementedError

    def file(self, door: "Door", name: str, file: str, data: bytes) -> None:
        """The next bytes of a file that `door` has claimed."""

    def commit(self, door: "Door", line: bytes) -> None:
        """The result that `door` made its claim for is complete, all its files have come; `line` is its JSON."""

    def cut_back(self, door: "Door") -> None:
        """The result that `door` made its claim for is dropped: its files are what they were before."""

    def word(self, door: "Door", word: str, argument: str) -> None:
        """A control line that is no result (strings). Raises GrammarError."""

    # What Doors tell and ask besides.

    @property
    def breaking_off(self) -> bool:
        """Does the agent end what goes on, by signals or for a restart? Then what stays unfinished is no error."""
        raise NotImplementedError

    @property
    def full(self) -> bool:
        """Is the host so far behind that nothing more should be read in this turn of the loop?"""
        raise NotImplementedError

    def flush(self) -> None:
        """A piece has been read: nothing more comes at this moment."""
        raise NotImplementedError

    def door_failed(self, reason: str) -> None:
        """A client broke the grammar, and its door is closed."""
        raise NotImplementedError

    def cut_short(self, what: str) -> None:
        """A client was broken off in the middle of `what`."""
        raise NotImplementedError
