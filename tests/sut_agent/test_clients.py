"""Clients of the control file's socket, many at once: replies to them, and how much of their streams is held."""

import json
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from atex_sut_agent.sut.results import MAX_RESULT
from atex_sut_agent.sut.shares import MAX_HELD
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sut_agent.crowd import Crowd, crowd_in
from tests.sut_agent.test_control import BROKEN

NewClient = Callable[[], socket.socket]


@pytest.fixture
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    with crowd_in(tmp_path_factory.mktemp("c")) as crowd:
        yield crowd


@pytest.fixture
def new_client(crowd: Crowd) -> Iterator[NewClient]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(crowd.client())


def result(size: int, **keys: object) -> bytes:
    """A control line with a result of `size` bytes of JSON."""
    empty = json.dumps({**keys, "x": ""})
    return b"result " + json.dumps({**keys, "x": "x" * (size - len(empty))}).encode() + b"\n"


# Errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stream", "reason"), BROKEN)
def test_an_error_closes_the_clients_door_and_no_other(
    crowd: Crowd, new_client: NewClient, stream: bytes, reason: str
) -> None:
    """On both doors, and whatever came before it stays."""
    other, client = new_client(), new_client()
    other.send(b'result {"name":"before')
    crowd.write(b'result {"name":"pipe"}\n')
    with suppress(BrokenPipeError):
        crowd.send({client: b'result {"name":"client"}\n' + stream})
    with suppress(OSError):
        client.shutdown(socket.SHUT_WR)
    reply = crowd.read(client)
    assert crowd.errors == [reply.decode()[len("error ") : -1]]
    assert reply.startswith(b"error ")
    assert reply.endswith(b"\n")
    assert reason in reply.decode()
    other.send(b'"}\n')
    crowd.settle()
    with suppress(BrokenPipeError):
        crowd.write(stream)
    if "ends inside" not in reason:
        crowd.settle()
        with pytest.raises(BrokenPipeError):
            crowd.write(b"noop\n")
    other.send(b'result {"name":"behind"}\n')
    crowd.doors.shut()
    assert crowd.errors[1:] == crowd.errors[:1]
    assert [value["name"] for value in crowd.results_seen] == ["pipe", "client", "before", "behind"]
    assert not any(crowd.files_seen.values())


def test_hundreds_fail_at_once(crowd: Crowd, new_client: NewClient) -> None:
    """Each is told so, more than are accepted at once."""
    clients = [new_client() for _ in range(500)]
    for client in clients:
        client.send(b"result {}\nbad\n")
    crowd.until(lambda: len(crowd.errors) == 500)
    assert {client.recv(100) for client in clients} == {b"error unknown word 'bad'\n"}
    assert len(crowd.results_seen) == 500


# Replies -------------------------------------------------------------------------------------------------------


def test_a_reply_comes_when_it_is_given(crowd: Crowd, new_client: NewClient) -> None:
    client = new_client()
    client.send(b"sync 1\nsync\nnoop\n")
    crowd.until(lambda: len(crowd.words) == 3)
    with pytest.raises(BlockingIOError):
        client.recv(10)
    crowd.reply()
    client.send(b"noop\n")
    crowd.until(lambda: len(crowd.words) == 4)
    crowd.settle()
    assert client.recv(100) == b"ok 1\nok\n"


def test_who_has_shut_its_writing_side_stays_until_it_has_its_reply(
    crowd: Crowd, new_client: NewClient
) -> None:
    client = new_client()
    client.send(b"sync here\n")
    client.shutdown(socket.SHUT_WR)
    crowd.until(lambda: crowd.syncs)
    crowd.settle()
    with pytest.raises(BlockingIOError):
        client.recv(10)
    crowd.reply()
    assert crowd.read(client) == b"ok here\n"
    assert crowd.errors == []


def test_who_went_away_gets_no_reply(crowd: Crowd, new_client: NewClient) -> None:
    for stays in (True, False):
        client = new_client()
        client.send(b"sync here\n")
        crowd.until(lambda: crowd.syncs)
        client.close()
        if stays:
            crowd.settle()
        crowd.reply()
        crowd.settle()
    assert crowd.errors == []


def test_an_error_is_the_last_reply(crowd: Crowd, new_client: NewClient) -> None:
    client = new_client()
    client.send(b"sync 1\nsync 2\n")
    crowd.until(lambda: len(crowd.syncs) == 2)
    (first, second), crowd.syncs = crowd.syncs, []
    crowd.doors.reply(*first)
    client.send(b"bad\nsync 3\n")
    assert crowd.read(client) == b"ok 1\nerror unknown word 'bad'\n"
    crowd.doors.reply(*second)
    with pytest.raises(BrokenPipeError):
        client.send(b"noop\n")


def test_an_error_reaches_who_is_still_sending(crowd: Crowd, new_client: NewClient) -> None:
    """Its end of file is one, and no reset connection, whatever is unread."""
    client = new_client()
    data = b"bad\n" + bytes(10**6)
    with pytest.raises(BrokenPipeError):
        crowd.send({client: data})
    assert crowd.read(client) == b"error unknown word 'bad'\n"


def test_ten_thousand_replies_that_are_read_all_come(crowd: Crowd, new_client: NewClient) -> None:
    client = new_client()
    stream = b"".join(b"sync %d\n" % number for number in range(10_000))
    received = b""
    left = {client: stream}
    while received.count(b"\n") < 10_000:
        left = crowd.send(left) if left else {}
        crowd.reply()
        crowd.settle()
        with suppress(BlockingIOError):
            received += client.recv(1 << 20)
    assert received == stream.replace(b"sync", b"ok")
    assert crowd.errors == []


def test_few_replies_are_promised_at_a_time(crowd: Crowd, new_client: NewClient) -> None:
    """Each is remembered until it is given, however short it is."""
    client = new_client()
    left = crowd.send({client: b"sync\n" * 5400})
    crowd.settle()
    pending = len(crowd.syncs)
    assert 10 < pending < 1000
    given = 0
    while given < 5400:
        given += len(crowd.syncs)
        crowd.reply()
        left = crowd.send(left) if left else {}
        crowd.settle()
        with suppress(BlockingIOError):
            client.recv(1 << 20)
        assert len(crowd.syncs) < 1000
    assert crowd.errors == []


def test_who_reads_no_replies_loses_its_door(crowd: Crowd, new_client: NewClient) -> None:
    client = new_client()
    other = new_client()
    left = {client: b"sync 12345678\n" * 100_000}
    while not crowd.errors:
        try:
            left = crowd.send(left)
        except BrokenPipeError:
            break
        crowd.reply()
    assert crowd.errors == ["replies are not read"]
    other.send(b"sync still here\n")
    crowd.until(lambda: crowd.syncs)
    crowd.reply()
    crowd.settle()
    assert other.recv(100) == b"ok still here\n"


def test_a_promise_does_not_keep_the_doors_open(crowd: Crowd, new_client: NewClient) -> None:
    client = new_client()
    client.send(b"sync 1\n" * 5000 + b"noop\n")
    crowd.until(lambda: crowd.syncs)
    crowd.doors.shut()
    assert crowd.words[-1] == ("noop", "")
    assert len(crowd.words) == 5001
    assert client.recv(10) == b""
    crowd.reply()


# The doors close while the run goes on -------------------------------------------------------------------------


def test_doors_that_break_off_take_what_is_complete(crowd: Crowd, new_client: NewClient) -> None:
    one, two, three = new_client(), new_client(), new_client()
    crowd.settle()
    one.send(b'result {"name":"whole"}\nresult {"name":"ha')
    two.send(b'result {"files":[{"name":"log","length":5}]}\nabc')
    crowd.settle()
    three.send(b"noop\n")
    crowd.breaking_off = True
    crowd.doors.shut()
    assert crowd.results_seen == [{"name": "whole"}]
    assert crowd.words == [("noop", "")]
    assert sorted(crowd.broken_off) == ["a control line", "a result"]
    assert crowd.errors == []
    assert crowd.files_seen == {("", "log"): b""}
    for client in (one, two, three):
        assert client.recv(10) == b""
        with pytest.raises(BrokenPipeError):
            client.send(b"noop\n")
    with pytest.raises(OSError, match=r"No such file|refused"):
        new_client()
    crowd.doors.shut()
    crowd.doors.pause()
    crowd.doors.resume()


# Memory --------------------------------------------------------------------------------------------------------


def test_a_crowd_of_unfinished_lines_is_held_only_in_part(
    crowd: Crowd, new_client: NewClient
) -> None:
    line = result(900_000)
    clients = [new_client() for _ in range(100)]
    left = crowd.send(dict.fromkeys(clients, line[:-1]))
    unread = sum(map(len, left.values()))
    assert len(left) > 90
    kernel = 100 * 250_000  # what the sockets may hold
    assert 100 * len(line) - unread - kernel < MAX_HELD

    # Words and small results get through beside them, and nobody was forgotten.
    other = new_client()
    assert crowd.send({other: b'noop\nresult {"name":"small"}\n' * 1000}) == {}
    crowd.until(lambda: len(crowd.results_seen) == 1000)
    for client in clients:
        left[client] = left.get(client, b"") + b"\n"
    assert crowd.send(left) == {}
    crowd.until(lambda: len(crowd.results_seen) == 1100)
    assert crowd.errors == []


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chance=st.randoms(use_true_random=True), number=st.integers(5, 25))
def test_whatever_a_crowd_sends_all_of_it_is_taken_in_little_memory(
    tmp_path_factory: pytest.TempPathFactory, chance: random.Random, number: int
) -> None:
    """In any order and in pieces of any size; each has results of all sizes, some with files that others write to."""
    with crowd_in(tmp_path_factory.mktemp("c")) as crowd, ExitStack() as stack:
        left = {}
        for name in map(str, range(number)):
            lines = [_line(chance, name) for _ in range(chance.randrange(1, 5))]
            left[stack.enter_context(crowd.client())] = b"".join(lines)
        sent = sum(stream.count(b"result {") for stream in left.values())
        for largest in (600_000, 10_000, 200_000, 10**9, 10**9):
            pieces = {client: chance.randrange(largest) for client in left}
            unread = crowd.send({client: left[client][:size] for client, size in pieces.items()})
            assert crowd.held <= MAX_HELD
            for client, size in pieces.items():
                left[client] = unread.get(client, b"") + left[client][size:]
        assert crowd.send(left) == {}
        crowd.until(lambda: len(crowd.results_seen) == sent)
        assert crowd.errors == []
        assert crowd.held == 0


def _line(chance: random.Random, name: str) -> bytes:
    size = chance.choice((100, 3000, 5000, 60_000, 300_000, MAX_RESULT))
    length = chance.choice((0, 0, 3, 5000, 300_000))
    if not length:
        return result(size, name=name)
    file = chance.choice((name, "shared"))
    return result(size, name="n", files=[{"name": file, "length": length}]) + bytes(length)


def test_files_pass_through_a_crowd_of_unfinished_lines(
    crowd: Crowd, new_client: NewClient
) -> None:
    crowd.send({new_client(): result(MAX_RESULT)[:-1] for _ in range(10)})
    head = b'result {"files":[{"name":"log","length":2000000}]}\n'
    assert crowd.send({new_client(): head + bytes(2_000_000) for _ in range(3)}) == {}
    crowd.until(lambda: len(crowd.results_seen) == 3)
    assert crowd.files_seen == {("", "log"): bytes(6_000_000)}


def test_one_that_needs_most_waits_for_a_file_of_another(
    crowd: Crowd, new_client: NewClient
) -> None:
    """The favoured one waits, then, and those behind it do: until the file's owner, which is small, is through."""
    files = [{"name": "log", "length": 3}]
    owner = new_client()
    crowd.send({owner: result(100, files=files) + b"a"})
    large = result(MAX_RESULT - 100, files=files) + b"bbb"
    left = crowd.send({new_client(): large for _ in range(20)})
    assert left
    assert crowd.send({owner: b"aa"}) == {}
    assert crowd.send(left) == {}
    crowd.until(lambda: len(crowd.results_seen) == 21)
    assert crowd.files_seen == {("", "log"): b"aaa" + b"bbb" * 20}


def test_the_end_takes_what_a_crowd_has_sent(crowd: Crowd, new_client: NewClient) -> None:
    """Also of those that were waiting for memory: what is complete is recorded, each of the others is an error."""
    whole, half = result(150_000), result(MAX_RESULT)[:150_000]
    crowd.send({new_client(): result(MAX_RESULT)[:-1] for _ in range(8)})
    assert crowd.send({new_client(): whole for _ in range(20)}) == {}
    assert crowd.send({new_client(): half for _ in range(20)}) == {}
    crowd.doors.shut()
    assert len(crowd.results_seen) == 20
    assert crowd.errors == ["the stream ends inside a control line"] * 28
