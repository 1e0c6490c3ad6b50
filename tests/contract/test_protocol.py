"""The agent has no Structs and the host has: here both are held to the same messages, by driving the real agent.

Strictly, both ways: each key that the agent sends is a field of the Struct and of its type, each field is sent where it
has no default, each kind is seen at least once, and each message of the host does what it says.
"""

import json
import os
import signal
import typing

import msgspec
import pytest
from atex_sut_agent.protocol import (
    PROTOCOL,
    Acknowledge,
    Again,
    AgentMessage,
    Alive,
    Bye,
    Cancel,
    Clock,
    Cut,
    End,
    Exited,
    FrameError,
    GoingDown,
    HangUp,
    Hello,
    HostMessage,
    Lengths,
    Settings,
    Start,
    Superseded,
    decode_agent_message,
    encode_host_message,
)
from atex_sut_agent.sut.framing import FrameReader
from atex_sut_agent.sut.settings import Settings as AgentSettings

from tests.sut_agent.driver import Agent, Host, Lost, SlotTaken

AGENT_KINDS = {kind.__struct_config__.tag: kind for kind in typing.get_args(AgentMessage)}
HOST_KINDS = {kind.__struct_config__.tag: kind for kind in typing.get_args(HostMessage)}

EVERYTHING = """\
echo output
echo 'mark a=b' >&3; echo 'addtest /a B=c' >&3; echo duration save >&3
echo 'result {"name":"part","files":[{"name":"log","length":3}]}' >&3; printf abc >&3
echo 'result {"files":[{"name":"log","length":100}]}' >&3; printf abc >&3
python3 -c 'import os, socket
with socket.socket(socket.AF_UNIX) as control:
    control.connect(os.environ["ATEX_CONTROL_FILE"])
    control.sendall(b"sync\\nrestart 5\\n")
    while control.recv(10):
        pass'
"""


def produce_everything(agent: Agent) -> list[bytes]:
    """Make the agent say all that it can say; return the heads as they came."""
    first = agent.attach(beat=0.05)
    first.until(Alive)
    first.run(EVERYTHING)  # the restart cuts a result short: dropped, noted
    first.run("true", folder="/no/such/folder")
    run = first.start("echo up; while :; do sleep 0.01; done", environment={"A": "b"})
    first.wait_for_output(run, b"up\n")
    second = agent.attach()
    first.until(Superseded)
    os.kill(agent.pid, signal.SIGTERM)
    second.until(GoingDown)
    second.send(Cancel(run=run, grace=0))
    with pytest.raises(Lost):
        second.wait(run)
    second.drop()
    agent.order = 0
    third = agent.attach()
    with (
        Agent(agent.python, work=agent.work, settings=agent.settings) as another,
        pytest.raises(SlotTaken) as taken,
    ):
        another.attach()
    third.send(End())
    third.until(Bye)
    return [taken.value.head, *(head for host in (first, second, third) for head in host.heads)]


def test_every_message_of_the_agent_is_what_the_struct_says(agent: Agent) -> None:
    seen = set()
    for head in produce_everything(agent):
        message = json.loads(head)
        kind = AGENT_KINDS[message.pop("kind")]
        seen.add(kind)
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        assert set(message) <= set(fields), f"{kind.__name__} has no such field"
        required = {name for name, field in fields.items() if field.required}
        assert required <= set(message), f"{kind.__name__} lacks a field"
        assert isinstance(
            msgspec.convert(message | {"kind": kind.__struct_config__.tag}, kind), kind
        )
        assert isinstance(decode_agent_message(head), kind)
    assert seen == set(AGENT_KINDS.values())


def test_hello(host: Host) -> None:
    """All of it is sent, also what has a default."""
    sent = json.loads(host.heads[0])
    assert set(sent) == {"kind", *(field.name for field in msgspec.structs.fields(Hello))}
    assert sent["protocol"] == PROTOCOL
    assert host.hello.boot_id
    assert host.hello.uptime > 0
    assert host.hello.missing == ()


def test_exited(host: Host) -> None:
    host.run("exit 3")
    assert set(json.loads(host.heads[-1])) == {
        "kind",
        *(field.name for field in msgspec.structs.fields(Exited)),
    }


# What the host says ----------------------------------------------------------------------------------------


def test_settings_are_the_same_for_both() -> None:
    """What is not given is what the host takes for it, and what is given arrives."""
    assert vars(AgentSettings("{}")) == msgspec.to_builtins(Settings())
    given = Settings(
        slot="s", owner="o", take_over=True, linger=1.0, beat=2.0, silence=3.0, memory=4, spool=5
    )
    told = AgentSettings(msgspec.json.encode(given).decode())
    assert vars(told) == msgspec.to_builtins(given)
    assert not vars(told).items() & vars(AgentSettings("{}")).items()


def examples() -> list[HostMessage]:
    """Each message of the host, all its fields set to something else than their defaults."""
    return [
        Acknowledge(frame=7),
        Alive(left=1.5),  # which only an agent has reason to say
        Lengths(files=(Cut(name="x", file="f", length=3),)),
        Start(
            script="x",
            folder="/",
            environment={"A": "b"},
            limit=1.5,
            grace=2.5,
            test="/t",
            key="k",
            defaults={"C": "d"},
            metadata="m",
            tty=True,
            again=Again(
                clock=Clock(used=1.0, limit=2.0, saved=((0.5, 2.0),)), results=1, output=2, added=3
            ),
        ),
        Cancel(run=1, grace=0.5),
        HangUp(run=1, grace=0.5),
        End(),
    ]


def test_the_examples_are_complete() -> None:
    assert {type(message) for message in examples()} == set(HOST_KINDS.values())
    for message in examples():
        fields = {field.name for field in msgspec.structs.fields(type(message))}
        ((_, head, _),) = FrameReader().feed(encode_host_message(message, 1))
        assert set(json.loads(head)) == fields | {"kind"}


def test_every_message_of_the_host_does_what_it_says(agent: Agent) -> None:
    host = agent.attach()
    host.acknowledging = False
    # Start: script, folder, environment, test
    record = host.run('echo "$PWD $A"; echo \'result {"name":"/the/test/x","files":[{"name":"f","length":0}]}\' >&3',
                      folder="/tmp", environment={"A": "b"})  # fmt: skip
    assert bytes(record.output) == b"/tmp b\n"
    assert list(record.files) == [("x", "f")]
    # Start: limit, grace
    record = host.run("trap '' INT; while :; do sleep 0.01; done", limit=0.25, grace=0.125)
    assert (record.exited.ended_by, record.exited.limit) == ("limit", 0.25)
    assert record.exited.seconds >= 0.375
    # Acknowledge: what it names is not sent again
    host.send(Acknowledge(frame=agent.applied - 1))
    host.send(Alive())
    host.drop()
    again = agent.attach()
    # Cancel: run, grace
    run = again.start("trap '' INT; echo up; while :; do sleep 0.01; done")
    again.wait_for_output(run, b"up\n")
    again.send(Cancel(run=run - 1, grace=0))  # another run
    again.send(Cancel(run=run, grace=0.125))
    assert again.wait(run).exited.ended_by == "cancel"
    assert again.numbers[0] == agent.applied - len(again.numbers) + 1
    again.send(End())
    assert isinstance(again.until(Bye), Bye)


def test_defaults_are_the_same_on_both_ends(host: Host) -> None:
    """encode_host_message leaves out what is the default, so the agent has to fill in the same."""
    run = host.send(
        Start(script="trap '' INT; echo up; while :; do sleep 0.01; done",
              folder="/", environment={}, limit=60, grace=60)
    )  # fmt: skip
    host.wait_for_output(run, b"up\n")
    host.send(Cancel(run=run))
    host.send(Cancel(run=run, grace=0))
    host.wait(run)


# What an agent of another mind says -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"[]",
        b"{}",
        b'{"kind":"unheard of"}',
        b'{"kind":"started","run":1}',
        b'{"kind":"started","run":"1","pid":2}',
        b'{"kind":"bye","reason":"\xff"}',
        b'{"kind":"bye","reason":"\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_a_frame_error(head: bytes) -> None:
    with pytest.raises(FrameError, match="a message that is none"):
        decode_agent_message(head)
