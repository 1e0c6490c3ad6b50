import re
import signal
from pathlib import Path

import click
import pytest
from atex_cli import main as atex_main

from tests.cli.command import Atex


def test_version(atex: Atex) -> None:
    ended = atex("--version")
    assert (ended.code, ended.out) == (0, "atex 0.1.0\n")


def test_help_names_the_commands(atex: Atex) -> None:
    ended = atex("--help")
    assert ended.code == 0
    commands = [line.split()[0] for line in ended.lines if re.match("  [a-z]+  ", line)]
    assert commands == ["gc", "lint", "ls", "reserve", "run"]


def test_without_a_command_there_is_help(atex: Atex) -> None:
    ended = atex()
    assert ended.code == 64
    assert "Usage: atex" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [["walk"], ["--nope"], ["run", "--nope"], ["ls", "a", "b"], ["run", "--grace", "x"]],
)
def test_what_click_finds_wrong_is_a_usage_error_in_one_line(
    atex: Atex, arguments: list[str]
) -> None:
    ended = atex(*arguments)
    assert ended.code == 64
    assert ended.out == ""
    assert ended.err.startswith("atex: ")
    assert ended.err.count("\n") == 1


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    @click.pass_obj
    def command(invocation: object) -> None:
        raise KeyError("what nobody thought of")

    monkeypatch.setattr(atex_main._Commands, "get_command", lambda *_: command)


@pytest.mark.usefixtures("broken")
def test_a_bug_is_a_line_and_a_code_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert atex_main.run(["run"]) == 70
    error = capsys.readouterr().err
    assert error.startswith("atex: this is a bug in atex: KeyError: 'what nobody thought of'")
    assert error.count("\n") == 1


def test_ctrl_c_before_there_is_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def get_command(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(atex_main._Commands, "get_command", get_command)
    assert atex_main.run(["run"]) == 130


def test_a_bug_in_the_middle_of_a_run_is_in_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def print_summary(*_: object) -> None:
        raise KeyError("what nobody thought of")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("atex_cli.commands.execution.print_summary", print_summary)
    (tmp_path / ".fmf").mkdir()
    (tmp_path / ".fmf/version").write_text("1\n")
    assert atex_main.run(["run", "--on", "local"]) == 70
    [log] = tmp_path.glob("atex-runs/*/log.txt")
    assert "in print_summary" in log.read_text()
    error = capsys.readouterr().err
    assert str(log.relative_to(tmp_path)) in error
    assert "Traceback" not in error
