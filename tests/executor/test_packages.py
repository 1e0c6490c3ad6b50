"""The script that installs packages, run by bash: which tools it calls and with what.

The tools are scripts that say so; what the real ones do is in test_preparation.py.
"""

import subprocess
from pathlib import Path

import pytest
from atex_executor.packages import install_script, recommended_by, required_by
from atex_fmf import Test
from hypothesis import given
from hypothesis import strategies as st

# Prints its arguments. `rpm` knows what $HAVE names; the others fail as often as $FAILURES says.
TOOL = """\
#!/bin/bash
tool=${0##*/}
[ "$tool" = rpm ] || printf '<%s>' "$tool" "$@"
[ "$tool" = rpm ] || echo
if [ "$tool" = rpm ]; then
    printf '<%s>' "$tool" "$@" >>"$QUERIES"; echo >>"$QUERIES"
    shift; [ "$1" != --whatprovides ] || shift
    for name; do case " $HAVE " in *" $name "*) ;; *) exit 1 ;; esac; done
elif [ "$tool" = sudo ]; then
    [ "$1" = -n ] && [ -n "$SUDO" ] && shift && exec "$@"
elif [ "$2" = install ] && ! mkdir "$QUERIES.failed" 2>/dev/null; then
    echo complete
elif [ "$2" = install ]; then
    [ -z "$FAILS" ]
fi
"""


class Box:
    """A folder of tools, and the script's result with nothing else on PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queries: list[str] = []
        folder.mkdir()
        for tool in ("bash", "mkdir"):
            (folder / tool).symlink_to(f"/bin/{tool}")
        (folder / "id").write_text('#!/bin/bash\n[ "$1" = -u ] && echo $OWN_UID || echo joe\n')
        (folder / "id").chmod(0o755)

    def add(self, *tools: str) -> None:
        for tool in tools:
            (self.folder / tool).write_text(TOOL)
            (self.folder / tool).chmod(0o755)

    def run(
        self, script: str, *, have: str = "", uid: int = 0, fails: bool = False, sudo: bool = False
    ) -> tuple[int, list[str]]:
        """Return the exit code and the lines that are printed; keep the queries of rpm."""
        queries = self.folder / "queries"
        queries.write_text("")
        environment = {
            "PATH": str(self.folder),
            "HAVE": have,
            "QUERIES": str(queries),
            "OWN_UID": str(uid),
            "FAILS": "yes" if fails else "",
            "SUDO": "yes" if sudo else "",
        }
        ended = subprocess.run(
            ["/bin/bash", "-c", f"set -eo pipefail\n{script}"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.queries = queries.read_text().splitlines()
        if (self.folder / "queries.failed").exists():
            (self.folder / "queries.failed").rmdir()
        return ended.returncode, ended.stdout.decode(errors="surrogateescape").splitlines()


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(tmp_path / "box")
    box.add("rpm")
    return box


def test_what_is_installed_is_one_query(box: Box) -> None:
    assert box.run(install_script(["a", "b"]), have="a b") == (0, ["installed already: a b"])
    assert box.queries == ["<rpm><-q><--whatprovides><a><b>"]


def test_only_what_is_missing_is_installed(box: Box) -> None:
    box.add("dnf")
    code, lines = box.run(install_script(["a", "b", "c"], exclude=["d"]), have="b")
    assert code == 0
    assert lines == [
        "missing: a c",
        "+ dnf install a c",
        "<dnf><-y><install><--exclude=d><a><c>",
    ]


@pytest.mark.parametrize(
    ("there", "install", "skip"),
    [
        (("dnf5", "dnf", "yum"), "dnf5", ["--skip-broken", "--skip-unavailable"]),
        (("dnf", "yum"), "dnf", ["--skip-broken"]),
        (("yum",), "yum", ["--skip-broken"]),
    ],
)
def test_whichever_is_there(
    box: Box, there: tuple[str, ...], install: str, skip: list[str]
) -> None:
    box.add(*there)
    _, lines = box.run(install_script(["a"], skip_missing=True))
    options = "".join(f"<{option}>" for option in skip)
    assert lines[-1] == f"<{install}><-y><install>{options}<a>"


def test_yum_itself_is_told_to_be_strict(box: Box) -> None:
    box.add("yum")
    _, lines = box.run(install_script(["a"]))
    assert lines[-1] == "<yum><-y><install><--setopt=skip_missing_names_on_install=0><a>"


def test_nobody_to_install_anything(box: Box) -> None:
    code, lines = box.run(install_script(["a"]))
    assert (code, lines[-1]) == (1, "there is no dnf5, dnf or yum")


def test_without_rpm_all_is_missing(box: Box) -> None:
    (box.folder / "rpm").unlink()
    box.add("dnf")
    assert box.run(install_script(["a"]))[1][-1] == "<dnf><-y><install><a>"


def test_a_failure_is_tried_again_with_new_metadata(box: Box) -> None:
    box.add("dnf")
    code, lines = box.run(install_script(["a"]), fails=True)
    assert (code, lines[1:]) == (
        0,
        [
            "+ dnf install a",
            "<dnf><-y><install><a>",
            "once more, with metadata of now",
            "<dnf><clean><expire-cache>",
            "+ dnf install a",
            "<dnf><-y><install><a>",
            "complete",
        ],
    )
    code, lines = box.run(install_script(["a"], refresh=False), fails=True)
    assert (code, lines[-1]) == (1, "<dnf><-y><install><a>")


def test_who_is_not_root_uses_sudo(box: Box) -> None:
    box.add("dnf", "sudo")
    (box.folder / "true").symlink_to("/bin/true")
    code, lines = box.run(install_script(["a"]), uid=1000, sudo=True)
    assert (code, lines[1:]) == (
        0,
        [
            "<sudo><-n><true>",
            "+ dnf install a",
            f"<sudo><-n><{box.folder}/dnf><-y><install><a>",
            "<dnf><-y><install><a>",
        ],
    )


def test_who_may_not_use_sudo_is_told(box: Box) -> None:
    box.add("dnf", "sudo")
    code, lines = box.run(install_script(["a"]), uid=1000)
    assert code == 1
    assert lines[-1] == "packages are for root to install, and joe has no sudo without a password"
    assert box.run(install_script(["a"]), uid=1000, have="a")[0] == 0


@pytest.mark.parametrize("name", ["-x", "--installroot=/x", "-", ""])
def test_a_name_is_never_an_option(box: Box, name: str) -> None:
    box.add("dnf")
    code, lines = box.run(install_script(["a", name]))
    assert (code, lines) == (1, [f"'{name}' can be no package"])
    assert box.queries == []


@given(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1))
def test_names_are_words_whatever_is_in_them(names: list[str]) -> None:
    names = [f"p{name}" for name in names]
    rpm = "exec 3>&1; rpm() { printf '%s\\0' \"$@\" >&3; exit; }\n"
    script = rpm + install_script(names, exclude=names)
    words = subprocess.run(["/bin/bash", "-c", script], stdout=subprocess.PIPE, check=True).stdout
    assert words.decode().split("\0") == ["-q", "--whatprovides", *names, ""]


def test_what_tests_want() -> None:
    test = Test(
        name="/t",
        test="true",
        require=("a", {"type": "file", "pattern": ["/x"]}, "b", "a"),
        recommend=("c", "c"),
    )
    assert required_by(test) == ("a", "b")
    assert recommended_by(test) == ("c",)
    assert required_by(Test(name="/t", test="true", framework="beakerlib")) == ("beakerlib",)
