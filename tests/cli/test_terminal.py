import pytest
from atex_cli.terminal import WIDTH, Terminal, printable
from atex_executor import Mask


def test_a_test_can_not_control_the_terminal() -> None:
    assert printable("a\x1b[2Jb\x07\x9b\u202e") == "a\\x1b[2Jb\\x07\\x9b\\u202e"
    assert printable("tab\there, žluť, 測試") == "tab here, žluť, 測試"
    assert printable("\udcff") == "\\udcff"


def test_quotes_are_one_line_of_bounded_length() -> None:
    terminal = Terminal()
    assert terminal.quote("one\ntwo\r\nthree") == "one two three"
    assert terminal.quote("x" * 1000) == "x" * WIDTH + "..."


def test_secrets_are_not_quoted() -> None:
    terminal = Terminal(Mask(["token", "token-and-more", ""]))
    assert terminal.quote("a token, a token-and-more") == "a ***, a ***"


def test_a_secret_of_many_lines_is_hidden_line_by_line() -> None:
    terminal = Terminal(Mask(["-----BEGIN KEY-----\n  c3VwZXI=\n\n"]))
    assert terminal.quote("it is c3VwZXI=") == "it is ***"
    assert terminal.quote("-----BEGIN KEY-----\nc3VwZXI=") == "*** ***"


def test_no_colours_where_nobody_sees_them(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.say(terminal.status("fail", 6) + "|")
    assert capsys.readouterr().out == "fail  |\n"
