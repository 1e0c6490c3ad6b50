"""Both doors of the control file, with the real agent on the other side."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from atex_sut_agent.protocol import Started

from tests.sut_agent.driver import Agent, Host, is_alive, wait_until, write_fifo

# What a test may have at hand to speak to the socket: connects, sends its stdin, prints what comes back.
CLIENT = """\
import os, socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(os.environ["ATEX_CONTROL_FILE"])
try:
    client.sendall(sys.stdin.buffer.read())
    client.shutdown(socket.SHUT_WR)
except OSError:
    pass
sys.stdout.write(client.makefile().read())
"""


@pytest.fixture
def client(agent: Agent) -> str:
    """A shell command that sends its stdin to the socket and prints the replies."""
    path = agent.work / "client.py"
    path.write_text(CLIENT)
    return f"{sys.executable} -IS {path}"


def resident(pid: int) -> int:
    """Bytes of memory that a process has now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_results_through_both_doors(host: Host, client: str) -> None:
    run = host.run(
        f"""\
printf 'result {{"name":"a"}}\\n' >&$ATEX_TEST_CONTROL
printf 'result 19\\n{{"name":"b",\\n"x":1}}' >&3
printf 'result {{"name":"c"}}\\nresult {{"name":"d"}}\\nnoop\\n' | {client}
"""
    )
    assert run.exited.error is None
    assert sorted(run.results, key=str) == [
        {"name": "a"},
        {"name": "b", "x": 1},
        {"name": "c"},
        {"name": "d"},
    ]


def test_order_holds_within_a_client(host: Host, client: str) -> None:
    many = 'for i in $(seq 3000); do echo "result {\\"$1\\":$i}"; done'
    run = host.run(
        f"send() {{ {many}; }}\nsend pipe >&3 & send one | {client} & send two | {client}; wait"
    )
    for name in ("pipe", "one", "two"):
        assert [value[name] for value in run.results if name in value] == list(range(1, 3001))


def test_files_of_three_megabytes(host: Host, client: str) -> None:
    size = 3_000_000
    head = json.dumps({"name": "/the/test/part", "files": [{"name": "a/big", "length": size}]})
    run = host.run(
        f"head -c {size} /dev/urandom >big; (echo 'result {head}'; cat big) | {client}; md5sum <big"
    )
    ((key, contents),) = run.files.items()
    assert key == ("part", "a/big")
    assert bytes(contents) == Path(host.hello.folder, "big").read_bytes()
    assert run.results == [json.loads(head)]


def test_a_file_grows_over_several_results(host: Host) -> None:
    one = 'result {"files":[{"name":"log","length":3},{"name":"log","length":2}]}\nabcde'
    two = 'result {"files":[{"name":"log","length":2}]}\nfg'
    run = host.run(f"cat >&3 <<'END'\n{one}{two}result {{}}\nEND")
    assert run.exited.error is None
    assert run.files == {("", "log"): b"abcdefg"}
    assert len(run.results) == 3


def test_two_clients_on_one_file_follow_each_other(host: Host, client: str) -> None:
    head = 'result {"name":"n","files":[{"name":"log","length":6}]}'
    run = host.run(
        f"""\
mkfifo first
(echo '{head}'; printf aaa; cat first) | {client} &
exec 9>first
for i in $(seq 40); do (echo '{head}'; printf bbbbbb) | {client} & done
(echo 'result {{"name":"others go on"}}') | {client}
printf ccc >&9
exec 9>&-
wait
"""
    )
    assert run.exited.error is None
    log = bytes(run.files["n", "log"])
    assert sorted(log[i : i + 6] for i in range(0, len(log), 6)) == [b"aaaccc"] + [b"bbbbbb"] * 40
    assert len(run.results) == 42


def test_hundreds_of_clients_that_wait_for_one_file_at_the_end(host: Host, agent: Agent) -> None:
    """They are all there when the leader ends, and what they sent is complete."""
    script = agent.work / "many.py"
    script.write_text(
        """\
import os, socket
clients = []
head = b'result {"files":[{"name":"log","length":6}]}\\n'
for number in range(700):  # more than are accepted at once
    client = socket.socket(socket.AF_UNIX)
    client.connect(os.environ["ATEX_CONTROL_FILE"])
    clients.append(client)
    client.sendall(head + (b"a" if number else b"aaaaaa"))
for client in clients[1:]:
    client.sendall(b"aaaaa")
os._exit(0)
"""
    )
    run = host.run(f"ulimit -n 1024; exec {sys.executable} -IS {script}")
    assert run.exited.error is None
    assert len(run.files["", "log"]) == 6 * 700
    assert len(run.results) == 700


def test_the_bytes_of_a_file_may_end_with_the_run(host: Host) -> None:
    """What is in the pipe when the leader ends is read; the pipe's end is not waited for."""
    run = host.run(
        'echo \'result {"files":[{"name":"log","length":500000}]}\' >&3; head -c 500000 /dev/zero >&3'
    )
    assert run.exited.error is None
    assert run.files == {("", "log"): bytes(500000)}


def test_six_hundred_clients_at_once_keep_their_order(host: Host, agent: Agent) -> None:
    """Each sends results and files, some to a file that all share, in pieces between those of the others."""
    script = agent.work / "many.py"
    script.write_text(
        """\
import json, os, select, socket
def stream(number):
    for count in range(6):
        files = [{"name": "own", "length": 300}, {"name": "shared", "length": 5}]
        value = {"name": "all", "client": number, "count": count, "files": files if count % 2 else []}
        if not count % 2:
            value["name"] = str(number)
        text = json.dumps(value)
        yield ("result %s\\n" % text if count % 3 else "result %d\\n%s" % (len(text), text)).encode()
        if count % 2:
            yield b"%03d" % number * 100 + b"%03d.%d" % (number, count)
poll = select.poll()
clients = {}
for number in range(600):  # more than are accepted at once
    client = socket.socket(socket.AF_UNIX)
    client.connect(os.environ["ATEX_CONTROL_FILE"])
    clients[client.fileno()] = client, memoryview(b"".join(stream(number)))
    poll.register(client, select.POLLOUT)
while clients:
    for fd, mask in poll.poll():
        client, left = clients[fd]
        left = left[client.send(left[:100]):]
        clients[fd] = client, left
        if not left:
            poll.unregister(fd)
            clients.pop(fd)[0].close()
"""
    )
    run = host.run(f"ulimit -n 1024; exec {sys.executable} -IS {script}")
    assert run.exited.error is None
    for number in range(600):
        assert [v["count"] for v in run.results if v["client"] == number] == list(range(6))
    shared = bytes(run.files["all", "shared"])
    pieces = sorted(shared[start : start + 5] for start in range(0, len(shared), 5))
    assert pieces == sorted(b"%03d.%d" % (n, c) for n in range(600) for c in (1, 3, 5))
    own = bytes(run.files["all", "own"])
    assert {own[s : s + 300] for s in range(0, len(own), 300)} == {
        b"%03d" % number * 100 for number in range(600)
    }


def test_an_agent_that_may_open_few_files_takes_few_clients_at_a_time(
    agent: Agent,
) -> None:
    """It keeps descriptors for other things: another host attaches meanwhile."""
    first = agent.attach_by(["sh", "-c", f"ulimit -Sn 150; {agent.command()}"])
    script = agent.work / "many.py"
    script.write_text(
        """\
import os, socket, sys
clients = []
for number in range(300):
    clients.append(socket.socket(socket.AF_UNIX))
    clients[-1].connect(os.environ["ATEX_CONTROL_FILE"])
    clients[-1].sendall(b"result {}\\n")
print("sent", flush=True)
open(sys.argv[1]).read()
for client in clients:
    client.close()
"""
    )
    fifo = agent.work / "end"
    os.mkfifo(fifo)
    run = first.start(f"ulimit -Sn 1024; {sys.executable} -IS {script} {fifo}")
    first.wait_for_output(run, b"sent\n")
    second = agent.attach()
    write_fifo(fifo, b"end\n")
    assert len(second.wait(run).results) == 300


def test_with_no_host_the_doors_stay_open_until_there_is_no_room(agent: Agent) -> None:
    """Then writes to the pipe block; a host that comes back gets everything."""
    host = agent.attach(memory=1 << 20, spool=0)
    script = agent.work / "writes.py"
    script.write_text(
        """\
import fcntl, os, select
line = b'result {"x":"' + b"x" * 4000 + b'"}\\n'
os.set_blocking(3, False)
written = 0
try:
    while select.select([], [3], [], 1)[1]:
        written += os.write(3, line) == len(line)
except OSError:
    pass
os.set_blocking(3, True)
open("blocked", "w").write(str(written))
os.write(3, b'result {"name":"last"}\\n')
"""
    )
    run = host.start(f"{sys.executable} -IS {script}")
    host.until(Started)
    host.drop()
    blocked = agent.folder / "blocked"
    wait_until(blocked.exists, "the test to find the pipe full")
    record = agent.attach().wait(run)
    assert record.exited.error is None
    assert len(record.results) == int(blocked.read_text()) + 1
    assert 200 < len(record.results) < 1500
    assert record.results[-1] == {"name": "last"}


def test_a_crowd_with_unfinished_lines_costs_the_agent_little(host: Host, agent: Agent) -> None:
    """Those whom it can not take in wait unread, and what is small gets through beside them."""
    script = agent.work / "crowd.py"
    script.write_text(
        """\
import os, select, socket, sys
def connect():
    client = socket.socket(socket.AF_UNIX)
    client.connect(os.environ["ATEX_CONTROL_FILE"])
    return client
unfinished = memoryview(b'result {"x":"' + b"x" * 900_000)
poll = select.poll()
clients = {}
for number in range(250):
    client = connect()
    client.setblocking(False)
    clients[client.fileno()] = [client, unfinished]
    poll.register(client, select.POLLOUT)
ready = True
while ready:
    ready = poll.poll(1000)
    for fd, mask in ready:
        client, left = clients[fd]
        clients[fd][1] = left = left[client.send(left):]
        if not left:
            poll.unregister(fd)
connect().sendall(b'result {"name":"small"}\\n')
open(sys.argv[1]).read()
"""
    )
    fifo = agent.work / "end"
    os.mkfifo(fifo)
    run = host.start(f"ulimit -n 1024; {sys.executable} -IS {script} {fifo}")
    host.until(lambda: bool(agent.runs[run].results))
    assert resident(agent.pid) < 25 * 2**20
    write_fifo(fifo, b"end\n")
    assert host.wait(run).results == [{"name": "small"}]
    assert host.wait(run).exited.error == "the stream ends inside a control line"


# Errors ----------------------------------------------------------------------------------------------------


def test_an_error_is_told_and_closes_that_client_only(host: Host, client: str) -> None:
    run = host.run(
        f"""\
(echo 'result {{"name":"before"}}'; echo nonsense; echo 'result {{"name":"behind"}}') | {client}
echo 'result {{"name":"other"}}' | {client}
echo 'result {{"name":"pipe"}}' >&3
"""
    )
    assert run.output == b"error unknown word 'nonsense'\n"
    assert run.exited.error == "unknown word 'nonsense'"
    assert [value["name"] for value in run.results] == ["before", "other", "pipe"]
    assert run.exited.exit_code == 0


def test_what_a_word_does_not_take_is_an_error_of_its_client(host: Host, client: str) -> None:
    wrong = ["duration soon", "exitcode 256", "restart never", "disconnect 5", "mark", "addtest x"]
    behind = 'echo \'result {"name":"behind"}\''
    script = "".join(f"(echo '{line}'; {behind}) | {client}\n" for line in wrong)
    run = host.run(script + 'echo \'result {"name":"pipe"}\' >&3')
    errors = run.output.decode().splitlines()
    assert errors[0] == f"error {run.exited.error}"
    assert len(errors) == len(wrong)
    for line, error in zip(wrong, errors, strict=True):
        assert line.split()[0] in error or line.split()[1] in error
    assert [value["name"] for value in run.results] == ["pipe"]


def test_an_error_is_told_to_who_sends_on_and_on(host: Host, client: str) -> None:
    run = host.run(f"(echo nonsense; head -c 3000000 /dev/zero) | {client}")
    assert run.output == b"error unknown word 'nonsense'\n"


def test_the_first_reason_is_the_runs(host: Host) -> None:
    run = host.run("echo result 0 >&3; (echo nonsense) >$ATEX_CONTROL_FILE; exit 3")
    assert "1 to 1048576 are allowed" in str(run.exited.error)


def test_noop_fails_once_the_door_is_shut(host: Host) -> None:
    run = host.run(
        "trap '' PIPE; echo nonsense >&3; while echo noop >&3; do sleep 0.01; done 2>/dev/null; echo shut"
    )
    assert run.output == b"shut\n"
    assert run.exited.exit_code == 0


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_shell_that_does_not_ignore_sigpipe_dies_of_a_shut_door(host: Host, shell: str) -> None:
    script = "echo nonsense >&$ATEX_TEST_CONTROL; while echo noop >&$ATEX_TEST_CONTROL; do :; done"
    run = host.run(f"{shell} -c '{script}'; echo $?")
    assert run.output == b"%d\n" % (128 + signal.SIGPIPE)


def test_a_client_that_dies_in_the_middle(host: Host, agent: Agent) -> None:
    script = agent.work / "dies.py"
    script.write_text(
        """\
import os, signal, socket
client = socket.socket(socket.AF_UNIX)
client.connect(os.environ["ATEX_CONTROL_FILE"])
client.sendall(b'result {"files":[{"name":"log","length":4}]}\\nxxxx')
client.sendall(b'result {"files":[{"name":"log","length":100},{"name":"new","length":1}]}\\nabc')
os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    run = host.run(f'{sys.executable} -IS {script}; echo \'result {{"name":"fine"}}\' >&3; exit 4')
    assert run.exited.exit_code == 4
    assert run.exited.error == "the stream ends inside a result"
    assert run.files == {("", "log"): b"xxxx"}
    assert [(cut.file, cut.length) for cut in run.dropped[0].cuts] == [("log", 4), ("new", None)]
    assert len(run.results) == 2


def test_a_result_that_stays_unfinished_lets_those_who_wait_for_its_file_go_on(
    host: Host, client: str
) -> None:
    head = 'result {"files":[{"name":"log","length":3}]}'
    run = host.run(
        f"echo '{head}' >&3; printf a >&3; (echo '{head}'; printf bbb) | setsid {client} & exit 0"
    )
    assert run.exited.exit_code == 0


def test_a_result_of_very_many_files_that_stays_unfinished(host: Host, agent: Agent) -> None:
    files = [{"name": str(number), "length": 0} for number in range(20_000)]
    result = json.dumps({"name": "n" * 200, "files": [*files, {"name": "z", "length": 1}]})
    stream = agent.work / "stream"
    stream.write_text(f"result {len(result)}\n{result}")
    run = host.run(f"cat {stream} >&3")
    assert run.exited.error == "the stream ends inside a result"
    assert sum(len(dropped.cuts) for dropped in run.dropped) == 20_001


def test_the_socket_is_the_users_own(host: Host) -> None:
    run = host.run("stat -c %a $(dirname $ATEX_CONTROL_FILE); echo ${#ATEX_CONTROL_FILE}")
    mode, length = run.output.split()
    assert mode == b"700"
    assert int(length) < 108


# Words -----------------------------------------------------------------------------------------------------


def test_a_folder_in_the_place_of_the_door_or_the_script_stops_nothing(
    host: Host, agent: Agent
) -> None:
    script = f"cd {agent.folder}; rm control script; mkdir -p control/full script/full; exit 7"
    assert [host.run(script).exited.exit_code for _ in range(2)] == [7, 7]
    assert host.run("echo noop >&3; [ -S $ATEX_CONTROL_FILE ]").exited.exit_code == 0


def test_duration_set_and_moved(host: Host) -> None:
    assert host.run("echo duration 1h 30m >&3").exited.limit == 5400
    assert host.run("echo duration +1m >&3; echo duration -10 >&3", limit=20).exited.limit == 70
    run = host.run("echo duration 0 >&3; sleep 1000")
    assert (run.exited.ended_by, run.exited.limit) == ("limit", 0)
    run = host.run("echo duration -1h >&3; sleep 1000", limit=20)
    assert run.exited.ended_by == "limit"


def test_a_new_duration_counts_from_now(host: Host) -> None:
    run = host.run("sleep 0.3; echo duration 1 >&3; sleep 0.3; exit 9", limit=0.5)
    assert (run.exited.exit_code, run.exited.limit) == (9, 1)


def test_many_durations_cost_nothing(host: Host) -> None:
    run = host.run("yes 'duration 1h' | head -n 100000 >&3; exit 2")
    assert (run.exited.exit_code, run.exited.limit) == (2, 3600)


def test_exitcode(host: Host) -> None:
    assert host.run("echo exitcode 4 >&3; exit 1").exited.exit_code == 4
    assert host.run("echo exitcode 4 >&3; echo exitcode 0 >&3; exit 1").exited.exit_code == 0
    killed = host.run("echo exitcode 5 >&3; kill -SEGV $$").exited
    assert (killed.exit_code, killed.signal) == (5, signal.SIGSEGV)


@pytest.mark.parametrize("argument", ["", "x", "-1", "256", "1000", "1.0", "\u00b2", "1 2"])
def test_exitcode_is_a_number(host: Host, argument: str) -> None:
    run = host.run(f"echo exitcode {argument} >&3; exit 1")
    assert run.exited.exit_code == 1
    assert "0 to 255" in str(run.exited.error)


@pytest.mark.parametrize("argument", ["", "soon", "+", "-x", "10w", "restore"])
def test_duration_is_a_duration(host: Host, argument: str) -> None:
    run = host.run(f"echo duration {argument} >&3; exit 1", limit=30)
    assert "duration" in str(run.exited.error)
    assert run.exited.limit == 30


# A daemon that stays ---------------------------------------------------------------------------------------


def test_a_daemon_that_writes_for_ever_hangs_no_door(host: Host, agent: Agent) -> None:
    run = host.run(
        "mkfifo up; setsid bash -c 'echo $$ >pid; trap \"\" PIPE; echo >up; yes noop >&3' & read <up; exit 3"
    )
    assert run.exited.exit_code == 3
    pid = int(Path(host.hello.folder, "pid").read_text())
    if is_alive(pid):
        os.kill(pid, signal.SIGKILL)
