"""What is remembered of how long tests take, by several processes at once."""

import subprocess
import sys
from pathlib import Path

import pytest
from atex_orchestrator.durations import OLD_LINES, Durations
from hypothesis import given
from hypothesis import strategies as st

LEARNER = """
import select, sys
from pathlib import Path
from atex_orchestrator.durations import Durations

durations, count = Durations(Path(sys.argv[1])), 0
while not select.select([sys.stdin], [], [], 0.001)[0]:
    durations.learn("p", f"/{sys.argv[2]}/{count}", 1.5)
    count += 1
    print(count, flush=True)
durations.learn("p", f"/{sys.argv[2]}/{count}", 1.5)
"""


def lines(folder: Path) -> list[bytes]:
    return (folder / "p.jsonl").read_bytes().splitlines()


def test_it_is_in_the_users_state_folder(tmp_path: Path) -> None:
    durations = Durations()
    assert durations.folder == tmp_path / "state/atex/durations"
    assert durations.seconds("p", "/t") is None
    assert not (tmp_path / "state").exists()


def test_what_was_measured_is_known_to_the_next_run(tmp_path: Path) -> None:
    Durations(tmp_path).learn("fedora@x86_64", "/t", 12.3456)
    later = Durations(tmp_path)
    assert later.seconds("fedora@x86_64", "/t") == 12.346
    assert later.seconds("fedora@x86_64", "/other") is None
    assert later.seconds("rhel@x86_64", "/t") is None


def test_it_learns_while_it_is_used(tmp_path: Path) -> None:
    durations = Durations(tmp_path)
    assert durations.seconds("p", "/t") is None
    durations.learn("p", "/t", 2)
    assert durations.seconds("p", "/t") == 2


def test_one_short_attempt_does_not_make_a_test_short(tmp_path: Path) -> None:
    durations = Durations(tmp_path)
    for seconds in (3600, 1, 3600):
        durations.learn("p", "/t", seconds)
    assert durations.seconds("p", "/t") == 2700.25
    assert Durations(tmp_path).seconds("p", "/t") == 2700.25


@given(platform=st.text(st.characters()), test=st.text(st.characters()))
def test_names_of_all_kinds(
    platform: str, test: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("durations")
    Durations(folder).learn(platform, test, 1)
    assert Durations(folder).seconds(platform, test) == 1


def test_what_is_no_measurement_is_skipped(tmp_path: Path) -> None:
    Durations(tmp_path).learn("p", "/t", 3)
    with (tmp_path / "p.jsonl").open("ab") as file:
        file.write(b'\0\0\n[]\n{"test":"/t","seconds":-1}\n')
        file.write(b'{"test":"/\xc3","seconds":1}\n' + b"[" * 100_000 + b"\n")
        file.write(b'{"test":"/\xc3')
    Durations(tmp_path).learn("p", "/u", 5)  # the torn line takes nothing with it
    durations = Durations(tmp_path)
    assert (durations.seconds("p", "/t"), durations.seconds("p", "/u")) == (3, 5)


def test_a_file_of_old_lines_is_written_anew(tmp_path: Path) -> None:
    first = Durations(tmp_path)
    for number in range(OLD_LINES + 2):
        first.learn("p", "/t", 1 + number % 2)
    known = first.seconds("p", "/t")
    assert len(lines(tmp_path)) == OLD_LINES + 2
    assert Durations(tmp_path).seconds("p", "/t") == known
    assert lines(tmp_path) == [f'{{"test":"/t","seconds":{known}}}'.encode()]
    first.learn("p", "/t", 1)  # its file is another one now
    assert len(lines(tmp_path)) == 2


def test_a_folder_that_can_not_be_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    durations = Durations(tmp_path / "file/durations")
    for seconds in (1, 1):
        durations.learn("p", "/t", seconds)
    assert durations.seconds("p", "/t") == 1
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "how long tests take is not known",
        "how long tests take is not kept",
    ]


class Learner:
    """Another process: learns how long `/NAME/0`, `/NAME/1` and so on take, until it is told to end."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-c", LEARNER, folder, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.count = 0
        self.read()

    def read(self) -> str:
        """Read how many it learned, and return the line; "" when it has ended."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line.endswith("\n"):  # the last one of a killed process may be torn
            self.count = int(line)
        return line

    def end(self, *, kill: bool = False) -> None:
        with self._process as process:
            if kill:
                process.kill()
            assert process.stdin is not None
            process.stdin.close()
            while self.read():
                pass

    def has_taught(self, folder: Path) -> bool:
        durations = Durations(folder)
        return all(durations.seconds("p", f"/{self.name}/{n}") == 1.5 for n in range(self.count))


def test_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    """While somebody writes the file anew, again and again."""
    learners = [Learner(tmp_path, "a"), Learner(tmp_path, "b")]
    old = b'{"test":"/old","seconds":1.5}\n' * 2 * OLD_LINES
    written_anew = 0
    for _ in range(10):
        with (tmp_path / "p.jsonl").open("ab") as file:
            file.write(old)
        Durations(tmp_path).seconds("p", "/old")
        written_anew += (tmp_path / "p.jsonl").stat().st_size < len(old)
        for learner in learners:
            learner.read()
    for learner in learners:
        learner.end()
        assert learner.has_taught(tmp_path)
    assert written_anew


def test_a_process_that_is_killed_has_written_what_it_measured(tmp_path: Path) -> None:
    learner = Learner(tmp_path, "a")
    for _ in range(20):
        learner.read()
    learner.end(kill=True)
    assert learner.count > 20
    assert learner.has_taught(tmp_path)
