"""What a phase leaves on disk."""

import logging

import pytest
from atex_executor.errors import ProtocolBroken
from atex_executor.masking import Mask
from atex_executor.output_file import KEPT, TAIL_CHARACTERS, OutputFile
from atex_sut_agent.protocol import FileChunk, Marked, Noted, Output, Results

from tests.executor.conftest import Run

NO_SECRETS = Mask(())


def test_scripts_follow_each_other_in_one_file(run: Run) -> None:
    output = OutputFile(run.sink, "p/@prepare.m/a.txt")
    output.next_script()
    assert run.file(output.path) == b""
    output.apply(Output(run=1, offset=0), b"one\n")
    output.next_script()
    output.apply(Output(run=2, offset=0), b"two")
    output.apply(Output(run=2, offset=3), b"!\n")
    assert run.file(output.path) == b"one\ntwo!\n"


def test_the_last_lines_are_those_of_the_present_script(run: Run) -> None:
    output = OutputFile(run.sink, "f")
    output.next_script()
    output.apply(Output(run=1, offset=0), b"of the first\n")
    output.next_script()
    assert not output.tail(NO_SECRETS)
    for offset, data in ((0, b"be"), (2, b"gin\n\xff\n"), (8, b"end")):
        output.apply(Output(run=2, offset=offset), data)
    assert output.tail(NO_SECRETS) == ("begin", "\ufffd", "end")


def test_of_much_output_few_whole_lines_are_kept(run: Run) -> None:
    output = OutputFile(run.sink, "f")
    many = b"".join(b"%d\n" % number for number in range(10_000))
    output.apply(Output(run=1, offset=0), many)
    assert output.tail(NO_SECRETS) == tuple(str(number) for number in range(9_990, 10_000))
    output.next_script()
    output.apply(Output(run=2, offset=0), b"x" * 1990 + b"\nthe end, a whole line\n")
    assert output.tail(NO_SECRETS) == ("the end, a whole line",)
    output.next_script()
    output.apply(Output(run=3, offset=0), b"x" * 10_000)
    assert output.tail(NO_SECRETS) == ("x" * TAIL_CHARACTERS,)
    output.apply(Output(run=3, offset=10_000), b"x" * 10_000)
    assert output.tail(NO_SECRETS) == ("x" * TAIL_CHARACTERS,)


@pytest.mark.parametrize("kept", [TAIL_CHARACTERS, KEPT])
@pytest.mark.parametrize("secret", ["o", "correct-horse", "zlatý kůň", "0123456789" * 20])
@pytest.mark.parametrize("repeated", [False, True])
def test_a_secret_is_not_seen_wherever_it_is_cut(
    run: Run, kept: int, secret: str, repeated: bool
) -> None:
    """Also where it is followed by others, which are shorter when they are masked: what was cut comes into sight."""
    output = OutputFile(run.sink, "f")
    mask = Mask([secret, "rr"])
    said = secret.encode()
    for after in range(kept - len(said), kept + 1):
        others = said * (after // len(said)) if repeated else b""
        output.next_script()
        data = b"." * 300 + said + others + b"." * (after - len(others))
        output.apply(Output(run=1, offset=0), data)
        (line,) = output.tail(mask)
        assert set(line) <= {".", "*"}


@pytest.mark.parametrize("offset", [-1, 1, 5])
def test_offsets_are_checked(run: Run, offset: int) -> None:
    output = OutputFile(run.sink, "f")
    output.next_script()
    with pytest.raises(ProtocolBroken):
        output.apply(Output(run=1, offset=offset), b"x")


def test_results_of_a_phase_are_dropped_with_one_warning(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    output = OutputFile(run.sink, "f")
    output.apply(FileChunk(run=1, name="a", file="x", offset=0), b"data")
    output.apply(Results(run=1, first=1), b"{}\n")
    output.apply(Noted(run=1, note="x"), b"")
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert run.records() == []


@pytest.mark.parametrize(("name", "value"), [("", ""), ("a=b", ""), ("a", "x" * 100_000)])
def test_a_mark_that_can_not_be(run: Run, name: str, value: str) -> None:
    output = OutputFile(run.sink, "f", lambda *mark: pytest.fail(f"marked {mark!r:.50}"))
    with pytest.raises(ProtocolBroken):
        output.apply(Marked(run=1, name=name, value=value), b"")


def test_marks_without_end(run: Run) -> None:
    output = OutputFile(run.sink, "f")
    mark = Marked(run=1, name="a", value="x" * 16_000)
    for _ in range(65):
        output.apply(mark, b"")
    with pytest.raises(ProtocolBroken, match="1 MiB of marks"):
        output.apply(mark, b"")
    output.next_script()
    output.apply(mark, b"")
