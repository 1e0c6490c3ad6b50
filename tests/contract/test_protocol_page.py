"""docs/protocol.md tells of every message and every field, and its example bytes are real ones."""

import re
import typing
from pathlib import Path

import msgspec
import pytest
from atex_sut_agent import BOOT_MAGIC
from atex_sut_agent.protocol import MAGIC, AgentMessage, HostMessage, decode_agent_message
from atex_sut_agent.sut.framing import HEADER

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


@pytest.mark.parametrize("kind", [*typing.get_args(AgentMessage), *typing.get_args(HostMessage)])
def test_each_message_and_field_is_there(kind: type[msgspec.Struct]) -> None:
    assert f"`{kind.__struct_config__.tag}`" in PAGE
    for field in msgspec.structs.fields(kind):
        assert f"`{field.name}`" in PAGE


@pytest.mark.parametrize("magic", [BOOT_MAGIC, MAGIC])
def test_the_magics_are_as_written(magic: bytes) -> None:
    assert len(magic) == 16
    shown = repr(magic)[2:-1].replace("\\x00", "\\0")
    assert f"`{shown}`" in PAGE


def test_the_example_bytes() -> None:
    examples = re.findall(
        r"^ {4}((?:[0-9a-f]{2} +)+[0-9a-f]{2})\n {4}(\{.*\})(.*)$", PAGE, re.MULTILINE
    )
    assert len(examples) == 3
    for number, (header, head, tail) in enumerate(examples):
        head_size, tail_size, _ = HEADER.unpack(bytes.fromhex(header))
        assert (head_size, tail_size) == (len(head), len(tail.replace("\\n", "\n")))
        if number:
            decode_agent_message(head.encode())
