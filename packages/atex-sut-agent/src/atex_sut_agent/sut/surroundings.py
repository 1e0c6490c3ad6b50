"""What a test finds around it: tools on its PATH, folders of its own, and the variables that name them.

    SESSION/bin/                 tools, first on PATH (`tools/`)
    SESSION/plan/                TMT_PLAN_DATA, from the first script of prepare to the last of finish
    SESSION/plan/variables.env   TMT_PLAN_ENVIRONMENT_FILE
    SESSION/test/                TMT_TEST_INVOCATION_PATH and BEAKERLIB_DIR, new for each test
    SESSION/test/metadata.yaml   TMT_TEST_METADATA
    SESSION/test/data/           TMT_TEST_DATA; what is left there is collected (`collection.py`)

Their names stay the same for a whole session, so that they are the same behind a reboot. A test has the same rights to
all of them as we: nothing there is believed, and what it removed is made again. docs/variables.md has all variables in
one table.
"""

import os
import shlex
import stat

from .paths import clear, discard
from .tools import TOOLS

TYPE_CHECKING = False  # as mypy knows it; typing stays out of the agent
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_MAX_PLAN_VARIABLES = 128 * 1024  # bytes of the plan's environment file
_SUBMITTED = "submitted-files.log"  # written by the tools

# Each tool is a link to this; it runs the agent's own code, on the agent's own interpreter.
_TOOL = """\
#!/bin/sh
exec {python} -IS {archive} tool "${{0##*/}}" "$@"
"""


class Surroundings:
    """The surroundings of all runs of one session, in its `folder`; tools are run from `archive` by `python`."""

    def __init__(
        self, folder: str, archive: str, python: str, environment: "Mapping[str, str]"
    ) -> None:
        self.data = os.path.join(folder, "test", "data")
        """What TMT_TEST_DATA names."""
        self._test = os.path.join(folder, "test")
        self._bin = os.path.join(folder, "bin")
        self._plan = os.path.join(folder, "plan")
        self._plan_file = os.path.join(self._plan, "variables.env")
        self._tool = _TOOL.format(python=shlex.quote(python), archive=shlex.quote(archive))
        self._environment = environment
        self._read = b""  # the plan's environment file, as it was last time
        self._plan_variables: "dict[str, str]" = {}  # in it
        self._ours = {
            "ATEX_CONTROL_FILE": os.path.join(folder, "control"),
            "ATEX_TEST_CONTROL": "3",
            "TMT_PLAN_DATA": self._plan,
            "TMT_PLAN_ENVIRONMENT_FILE": self._plan_file,
        }
        self._ours_in_tests = {
            "TMT_TEST_METADATA": os.path.join(self._test, "metadata.yaml"),
            "TMT_TEST_DATA": self.data,
            "TMT_TEST_INVOCATION_PATH": self._test,
            "TMT_TEST_SUBMITTED_FILES": os.path.join(self._test, _SUBMITTED),
        }

    def make(self, order: "dict[str, Any]") -> "tuple[dict[str, str], str]":
        """Make ready for the run that `order` starts; return its environment, and a remark for the log or "".

        Raises OSError.
        """
        if not os.path.exists(self._bin):
            self._make_tools()
        plan_variables, remark = self._read_plan_variables()
        variables = dict(self._environment)
        if order.get("tty"):
            variables["TERM"] = "vt100"
        variables.update(order.get("defaults", {}))
        variables.update(plan_variables)
        variables.update(order["environment"])
        variables["PATH"] = "{}:{}".format(self._bin, variables["PATH"])
        variables.update(self._ours)
        if order.get("test"):
            self._make_test_folder(order)
            variables.update(self._ours_in_tests)
            if "TESTID" in variables:  # BeakerLib is to report to us
                variables["BEAKERLIB_DIR"] = self._test
        return variables, remark

    def _make_tools(self) -> None:
        clear(self._bin)
        os.mkdir(self._bin)
        first, *others = [os.path.join(self._bin, name) for name in TOOLS]
        with open(first, "wb") as file:
            file.write(self._tool.encode("utf-8", "surrogateescape"))
        os.chmod(first, 0o755)
        for path in others:
            os.symlink(os.path.basename(first), path)

    def _make_test_folder(self, order: "dict[str, Any]") -> None:
        if order.get("again"):
            os.makedirs(self.data, exist_ok=True)
        elif not self._is_as_new():
            discard(self._test)
            os.makedirs(self.data)
        path = self._ours_in_tests["TMT_TEST_METADATA"]
        clear(path)
        with open(path, "wb", buffering=0) as file:
            file.write(order.get("metadata", "").encode("utf-8", "surrogateescape"))

    def _is_as_new(self) -> bool:
        """Has the last test left nothing? Looking is cheaper than making the folders again."""
        try:
            folders = [os.lstat(folder).st_mode for folder in (self._test, self.data)]
            return (
                all(stat.S_ISDIR(mode) for mode in folders)
                and set(os.listdir(self._test)) <= {"data", "metadata.yaml"}
                and not os.listdir(self.data)
            )
        except OSError:
            return False

    def _read_plan_variables(self) -> "tuple[Mapping[str, str], str]":
        """Return the variables in the plan's environment file, and a remark where it has none that can be read."""
        try:
            text = _read_small(self._plan_file)
        except FileNotFoundError:
            os.makedirs(self._plan, exist_ok=True)
            open(self._plan_file, "wb").close()
            text = b""
        except OSError as error:
            return {}, "{}: {}".format(self._plan_file, error.strerror or error)
        remark = ""
        if text != self._read:
            try:
                self._plan_variables = parse_variables(text.decode("utf-8", "surrogateescape"))
            except ValueError as error:
                self._plan_variables = {}
                remark = "{} has no NAME=VALUE lines: {}".format(self._plan_file, error)
            self._read = b"" if remark else text
        return self._plan_variables, remark


def parse_variables(text: str) -> "dict[str, str]":
    """Return the variables in `text`: NAME=VALUE, quoted as in a shell, `#` begins a comment. Raises ValueError.

    As tmt reads such a file: it is not run by a shell, and nothing in it is expanded.
    """
    variables = {}
    for entry in shlex.split(text, comments=True):
        name, equals, value = entry.partition("=")
        if not name or not equals or "\0" in entry:
            raise ValueError("{!r} is none".format(entry[:80]))
        variables[name] = value
    return variables


def _read_small(path: str) -> bytes:
    """Return what a file holds; whatever is there, this neither blocks nor takes much memory. Raises OSError."""
    if os.stat(path).st_size == 0:
        return b""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError("is no file")
        text = os.read(fd, _MAX_PLAN_VARIABLES + 1)
    finally:
        os.close(fd)
    if len(text) > _MAX_PLAN_VARIABLES:
        raise OSError("is larger than {} bytes".format(_MAX_PLAN_VARIABLES))
    return text
