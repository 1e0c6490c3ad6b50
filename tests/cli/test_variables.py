import pytest
from atex_cli.commands.variables import read_environment, read_secrets
from atex_cli.errors import Refused

CALLER = {"HERE": "from here", "TOKEN": "s3cr3t"}


def test_values_from_both_sides() -> None:
    assert read_environment(["A=1", "B=", "C=x=y", "HERE"], CALLER) == {
        "A": "1",
        "B": "",
        "C": "x=y",
        "HERE": "from here",
    }


def test_a_variable_that_is_not_set() -> None:
    with pytest.raises(Refused, match="NOPE is not set"):
        read_environment(["NOPE"], CALLER)
    with pytest.raises(Refused, match="NOPE is not set"):
        read_secrets(["NOPE"], CALLER)


def test_a_secret_that_is_not_set_is_not_asked_for_on_the_command_line() -> None:
    with pytest.raises(Refused) as caught:
        read_secrets(["NOPE"], CALLER)
    assert "NAME=VALUE" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "=value"])
def test_a_variable_without_a_name(text: str) -> None:
    with pytest.raises(Refused, match="needs a name"):
        read_environment([text], CALLER)


def test_a_secret_on_the_command_line_is_refused_and_not_repeated() -> None:
    assert read_secrets(["TOKEN"], CALLER) == {"TOKEN": "s3cr3t"}
    with pytest.raises(Refused) as caught:
        read_secrets(["TOKEN=hunter2"], CALLER)
    assert "hunter2" not in str(caught.value)
