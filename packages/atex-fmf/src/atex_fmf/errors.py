"""What can be wrong with a tree, a plan or a test. Everything atex_fmf raises is an `FmfError`."""


class FmfError(Exception):
    """The root: catch this one for all that `discover()` and the Structs can raise.

    The message says what is wrong, in which test or plan and in which file, and what to do.
    """


class TreeError(FmfError):
    """There is no fmf tree where one was looked for, or it cannot be read.

    Also for YAML that does not parse; the message then has the file and the line.
    """

    def __init__(self, problem: str, *, file: str = "", line: int = 0) -> None:
        place = f"{file}, line {line}" if line else file
        super().__init__(f"{place}: {problem}" if place else problem)
        self.problem = problem
        """What is wrong, without the place."""
        self.file = file
        """Absolute path of the file that cannot be read; empty where it is not about one."""
        self.line = line
        """Where in the file, counted from 1; 0 where it is not known."""


class PlanNotFound(FmfError):
    """No plan has exactly the name asked for, or it is disabled. Names the plans that exist."""


class AmbiguousPlan(FmfError):
    """No plan was asked for and the tree has several. Names them."""


class MetadataError(FmfError):
    """A value of a test or a plan that has no meaning, or one that ATEX does not honour yet and
    must not ignore. Names the test or plan, the key, the file and the line.

    Also raised by `Test`, `Suite` and `parse_duration()` when they are used by hand.
    """

    def __init__(
        self,
        problem: str,
        *,
        name: str = "",
        file: str = "",
        line: int = 0,
        path: tuple[str | int, ...] = (),
    ) -> None:
        place = f"{file}, line {line}" if line else file
        super().__init__((f"{name}: " if name else "") + problem + (f" ({place})" if place else ""))
        self.problem = problem
        """What is wrong, without the place."""
        self.name = name
        """Of the test or plan; empty where it is not known."""
        self.file = file
        """Absolute path of the metadata; empty where there is none."""
        self.line = line
        """Where in the file, counted from 1; 0 where it is not known."""
        self.path = path
        """The keys, and positions in lists, that lead to the value; empty where it is about none."""


class PatternError(FmfError):
    """One of the regular expressions in the `tests` argument of `discover()` is none."""


class ContextError(FmfError):
    """What `parse_context()` was given is no context. Names the word, or the file and what is wrong in it."""
