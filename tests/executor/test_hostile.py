"""Machines that nobody should trust: whatever one says, its run is infra and nobody else is harmed."""

import re
import shlex
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from atex_executor import (
    AgentUnavailable,
    Executor,
    FolderSink,
    ProtocolBroken,
    RunOutcome,
    SinkFull,
    Times,
)
from atex_fmf import Test
from atex_provision import Channel, LocalConnection

from tests.executor import impostor
from tests.executor.conftest import Run, suite_of
from tests.waits import Background, eventually

RUN = "run = started()\n"
RESULT = "say('results', {n}, run=run, first={n}, tail=b'{{\"name\":\"{n}\"}}\\n')\n"


class Impostor(LocalConnection):
    """Reaches an impostor instead of an agent."""

    name = "impostor"

    def __init__(self, script: str) -> None:
        super().__init__()
        self.attachments = 0
        self._script = script

    def open(self, command: str, timeout: float | None = None) -> Channel:
        session = re.search(r"\b[0-9a-f]{32}\b", command)
        if session is None or "unpack" in command:
            return super().open("echo packs; cat >/dev/null; echo ok", timeout)
        self.attachments += 1
        words = [sys.executable, impostor.__file__, session[0], str(self.attachments), self._script]
        return super().open(shlex.join(words), timeout)


OutcomeOf = Callable[..., RunOutcome]


@pytest.fixture
def outcome_of(tree: Path, run: Run) -> OutcomeOf:
    """`outcome_of(script, beat=1.0, ...)`: how a test ends on a machine that says that."""

    def outcome_of(script: str, **seconds: float) -> RunOutcome:
        times = Times(**{"patience": 0.0, **seconds})
        with (
            Impostor(script) as connection,
            Executor(connection, suite_of(tree, "true"), times=times) as executor,
        ):
            outcome = executor.run(executor.suite.tests[0], run.sink)
            assert run.records()[-1] == outcome.record
            return outcome

    return outcome_of


def added(number: int, environment: dict[str, str]) -> str:
    head = {"kind": "test-added", "number": number, "test": "/test", "environment": environment}
    return f"raw(pack(1, {{**{head!r}, 'run': run}}))"


BROKEN = {
    "a frame that is too large": r"raw(b'\xff' * 100)",
    "a head that is no JSON": "raw(pack(1, b'{'))",
    "a head that is no UTF-8": r"raw(pack(1, b'{\"kind\": \"\xff\"}'))",
    "a head that is nested without end": "raw(pack(1, b'[' * 100000))",
    "a message of no kind": "say('whatever', 1)",
    "a message without its fields": "say('output', 1, run=run)",
    "hello once more": "hello()",
    "output without a number": "say('output', 0, b'x', run=run, offset=0)",
    "a sign of life with a number": "say('alive', 1)",
    "a frame left out": "say('started', 2, run=run, pid=1)",
    "a frame twice": "say('started', 1, run=run, pid=1); say('started', 1, run=run, pid=1)",
    "another run": "say('output', 1, b'x', run=run + 1, offset=0)",
    "an earlier run": "say('output', 1, b'x', run=0, offset=0)",
    "output with a gap": "say('output', 1, b'x', run=run, offset=1)",
    "a result that is none": "say('results', 1, b'[]', run=run, first=1)",
    "a file outside": "say('file', 1, b'x', run=run, name='', file='../../x', offset=0)",
    "a cut of nothing": "say('dropped', 1, run=run, cuts=[{'name':'','file':'f','length':5}], note='')",
    "an exit code that is none": "exited(1, run, exit_code=2**70)",
    "a signal that is none": "exited(1, run, exit_code=None, signal=0)",
    "an end that is none": "exited(1, run, ended_by='boredom')",
    "a new file that had bytes before": "say('file', 1, b'x', run=run, name='', file='f', offset=5, before=5)",
    "a file of a result whose name is too long": "say('file', 1, b'x', run=run, name='n' * 4097, file='f', offset=0)",
    "a partial result whose name is too long": (
        "say('results', 1, b'{\"partial\":true,\"name\":\"' + b'n' * 4097 + b'\"}\\n', run=run, first=1)"
    ),
    "a result that lists what never came": (
        'say(\'results\', 1, b\'{"files":[{"name":"f","length":1}]}\\n\', run=run, first=1, before=[None])'
    ),
    "a result that is said to be atex's": "say('results', 1, b'{\"status\":\"infra\"}\\n', run=run, first=1)",
    "a mark without a name": "say('marked', 1, run=run, name='', value='x')",
    "a mark without end": "say('marked', 1, run=run, name='x', value='x' * 10**6)",
    "a mark on another run": "say('marked', 1, run=run + 1, name='x', value='')",
    "an added test out of turn": added(2, {}),
    "an added test without end": added(1, {"A": "x" * 20_000}),
    "a variable that can not be": added(1, {"A=": "x"}),
    "a restart before its time": "say('restarting', 1, run=run, clock={'used': -1.0, 'limit': 60.0})",
    "a restart of another run": "say('restarting', 1, run=run + 1, clock={'used': 1.0, 'limit': 60.0})",
    "a sync of another run": "say('sync', 1, run=run + 1)",
    "negative time": "exited(1, run, seconds=-1.0)",
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_protocol_is_infra(outcome_of: OutcomeOf, run: Run, what: str) -> None:
    outcome = outcome_of(f"{RUN}{BROKEN[what]}\nserve()")
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    assert (outcome.note or "").startswith("the machine broke the protocol: ")
    assert "; what it runs may go on until 20" in (outcome.note or "")
    assert run.records() == [outcome.record]
    files = run.sink.folder / "files"
    assert [path for path in files.rglob("*") if path.is_file()] == [
        files / "local/test/@1.1/output.txt"
    ]


def test_what_came_before_the_broken_frame_stays(outcome_of: OutcomeOf, run: Run) -> None:
    script = RUN + RESULT.format(n=1) + RESULT.format(n=2) + "say('whatever', 3)\nserve()"
    outcome = outcome_of(script)
    assert outcome.status == "infra"
    assert [record.get("name") for record in run.records()] == ["1", "2", None]


def test_an_end_is_an_end(tree: Path, run: Run) -> None:
    script = f"{RUN}exited(1, run)\nsay('output', 2, b'x', run=run, offset=0)\nserve()"
    with (
        Impostor(script) as connection,
        Executor(connection, suite_of(tree, "true"), times=Times(patience=0.0)) as executor,
    ):
        first = executor.run(executor.suite.tests[0], run.sink)
        second = executor.run(executor.suite.tests[0], run.sink, attempt=2)
        eventually(lambda: not executor.alive)
    assert (first.status, second.status, second.machine_lost) == ("pass", "infra", True)
    assert run.output(first.record) == ""


def test_a_replay_is_applied_once(outcome_of: OutcomeOf, run: Run) -> None:
    one, two, three = (RESULT.format(n=n) for n in (1, 2, 3))
    script = f"""
if attachment == 1:
    run = started()
{_indent(one)}{_indent(two)}
else:
    boot()
    hello(order=1, run=1, frame=3)
    run = 1
{_indent(one)}{_indent(two)}{_indent(three)}
    exited(4, run)
    serve()
"""
    outcome = outcome_of(script, patience=60.0)
    assert outcome.status == "pass"
    assert [record.get("name") for record in run.records()] == ["1", "2", "3", None]


def test_a_replay_is_acknowledged_again(outcome_of: OutcomeOf) -> None:
    script = f"""
if attachment == 1:
    run = started()
{_indent(RESULT.format(n=1))}
    heard('acknowledge')
else:
    boot()
    hello(order=1, run=1, frame=2)
    run = 1
{_indent(RESULT.format(n=1))}
    assert heard('acknowledge')['frame'] == 1
    exited(2, run)
    serve()
"""
    assert outcome_of(script, patience=60.0).status == "pass"


def test_a_replay_leaves_out_what_is_acknowledged_meanwhile(
    outcome_of: OutcomeOf, run: Run
) -> None:
    one, two, three, four = (RESULT.format(n=n) for n in (1, 2, 3, 4))
    script = f"""
if attachment == 1:
    run = started()
{_indent(one)}{_indent(two)}{_indent(three)}
    while heard('acknowledge')['frame'] < 3: pass
else:
    boot()
    hello(order=1, run=1, frame=4)
    run = 1
{_indent(one)}
    assert heard('acknowledge')['frame'] == 3
{_indent(four)}
    exited(5, run)
    serve()
"""
    outcome = outcome_of(script, patience=60.0)
    assert (outcome.status, outcome.note) == ("pass", None)
    assert [record.get("name") for record in run.records()] == ["1", "2", "3", "4", None]


def test_a_replay_that_leaves_something_out(outcome_of: OutcomeOf, run: Run) -> None:
    script = f"""
if attachment == 1:
    run = started()
{_indent(RESULT.format(n=1))}
else:
    boot()
    hello(order=1, run=1, frame=3)
    exited(3, 1)
    serve()
"""
    outcome = outcome_of(script, patience=60.0)
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    assert "frame 3 came where 2 should" in (outcome.note or "")


def test_an_order_that_a_dead_agent_may_have_carried_out_is_not_given_again(
    outcome_of: OutcomeOf,
) -> None:
    script = """
if attachment == 1:
    started()
else:
    boot()
    hello(incarnation='second')
    exited(1, heard('start')['number'])
"""
    outcome = outcome_of(script, patience=60.0)
    assert outcome.status == "infra"
    assert "the agent died during this test" in (outcome.note or "")


def _indent(source: str) -> str:
    return "    " + source


def test_frames_are_acknowledged_soon(outcome_of: OutcomeOf) -> None:
    script = f"""{RUN}
say('started', 1, run=run, pid=1)
assert heard('acknowledge')['frame'] == 1
for n in range(2, 102):
    say('output', n, b'x' * 10_000, run=run, offset=(n - 2) * 10_000)
assert heard('acknowledge')['frame'] > 1
exited(102, run)
serve()
"""
    assert outcome_of(script).status == "pass"


def test_an_order_carries_the_acknowledgement_before_it(tree: Path, run: Run) -> None:
    script = f"""{RUN}
exited(1, run)
message = heard('start', 'acknowledge')
assert message == {{'kind': 'acknowledge', 'frame': 1, 'number': 0}}
run = heard('start')['number']
exited(2, run)
serve()
"""
    with Impostor(script) as connection, Executor(connection, suite_of(tree, "true")) as executor:
        outcomes = [
            executor.run(executor.suite.tests[0], run.sink, attempt=attempt) for attempt in (1, 2)
        ]
    assert [outcome.status for outcome in outcomes] == ["pass", "pass"]


def test_an_agent_that_leaves(outcome_of: OutcomeOf) -> None:
    outcome = outcome_of(f"{RUN}say('bye', reason='bored')", patience=60.0)
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    assert outcome.note == "the agent ended the session: bored"


def test_processes_that_can_not_be_killed_take_the_machine_out_of_use(
    outcome_of: OutcomeOf,
) -> None:
    outcome = outcome_of(f"{RUN}exited(1, run, left_behind=2)\nserve()")
    assert (outcome.status, outcome.machine_lost) == ("pass", True)


def test_a_run_that_could_not_be_started(outcome_of: OutcomeOf) -> None:
    outcome = outcome_of(f"{RUN}say('failed', 1, run=run, reason='no process')\nserve()")
    assert (outcome.status, outcome.machine_lost) == ("infra", False)
    assert outcome.note == "it could not be started: no process"


def test_a_machine_that_falls_silent(outcome_of: OutcomeOf) -> None:
    outcome = outcome_of(f"{RUN}heard('never')", silence=0.3)
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    assert "nothing came from the machine for 0.3 seconds" in str(outcome.note)


def test_a_host_shows_signs_of_life(outcome_of: OutcomeOf) -> None:
    outcome = outcome_of(f"{RUN}heard('alive'); heard('alive')\nexited(1, run)\nserve()", beat=0.05)
    assert outcome.status == "pass"


def test_a_machine_that_only_says_hello_is_given_up(tree: Path, run: Run) -> None:
    script = "boot(); hello()\nif attachment == 1: heard('start')"
    with (
        Impostor(script) as connection,
        Executor(connection, suite_of(tree, "true"), times=Times(patience=2.5)) as executor,
    ):
        outcome = executor.run(executor.suite.tests[0], run.sink)
        assert (outcome.status, outcome.machine_lost) == ("infra", True)
        assert connection.attachments <= 5


def test_an_agent_that_never_confirms_a_cancel(tree: Path, run: Run) -> None:
    times = Times(confirm=0.3)
    script = f"{RUN}say('output', 1, b'x', run=run, offset=0)\nheard('cancel')\nserve()"
    with (
        Impostor(script) as connection,
        Executor(connection, suite_of(tree, "true"), times=times) as executor,
    ):
        running = Background(lambda: executor.run(executor.suite.tests[0], run.sink))
        eventually(lambda: list(run.sink.folder.rglob("output.txt")))
        executor.cancel("enough", at_once=True)
        outcome = running.result(5)
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    assert outcome.note is not None
    assert outcome.note.startswith("enough; the agent did not confirm that a cancelled run ended")
    assert executor.left is None


SIGNS_OF_LIFE = """
import time
try:
    while True:
        say('alive', left={left})
        time.sleep(0.05)
except BrokenPipeError:
    pass
"""


def test_an_agent_that_never_ends_a_run(outcome_of: OutcomeOf) -> None:
    outcome = outcome_of(RUN + SIGNS_OF_LIFE.format(left=-1.0), overdue=1.5, farewell=0.3)
    assert (outcome.status, outcome.machine_lost) == ("infra", True)
    note = outcome.note or ""
    assert note.startswith("the agent does not end a run whose time and grace have passed; ")
    assert outcome.seconds < 15


# The test asked its agent for more time than its metadata said.
TIME_LEFT = """
import time
end = time.monotonic() + 1.0
while time.monotonic() < end:
    say('alive', left=60.0); time.sleep(0.05)
exited(1, run)
serve()
"""
STILL_TALKING = """
import time
for n in range(1, 11):
    say('output', n, b'x', run=run, offset=n - 1); time.sleep(0.1)
exited(11, run)
serve()
"""


@pytest.mark.parametrize("script", [TIME_LEFT, STILL_TALKING], ids=["time left", "still talking"])
def test_who_is_not_done_when_its_time_should_be_over_is_waited_for(
    tree: Path, run: Run, script: str
) -> None:
    test = Test(name="/test", test="true", duration=0.1)
    with (
        Impostor(RUN + script) as connection,
        Executor(connection, suite_of(tree, test), grace=0.1, times=Times(overdue=0.5)) as executor,
    ):
        assert executor.run(test, run.sink).status == "pass"


# Two machines, one of them hostile ----------------------------------------------------------------------

FLOOD = """
number = 0
try:
    while True:
        number += 1
        say('output', number, b'x' * 1000, run=run, offset=(number - 1) * 1000)
except BrokenPipeError:
    pass
"""
DRIBBLE = """
import time
frame = pack(1, {'kind': 'output', 'run': run, 'offset': 0}, b'x' * 1000)
try:
    for byte in frame:
        raw(bytes([byte]))
        time.sleep(0.1)
except BrokenPipeError:
    pass
"""


@pytest.mark.parametrize(
    "script",
    [
        RUN + FLOOD,
        RUN + DRIBBLE,
        "boot(); hello()\nimport time; time.sleep(600)",  # it does not even take the order
    ],
    ids=["floods", "dribbles", "reads nothing"],
)
def test_nobody_else_is_delayed(script: str, tree: Path, run: Run, work: str) -> None:
    large = Test(name="/hostile", test="true\n" * 200_000)  # more than a pipe takes
    times = Times(silence=5.0, confirm=0.5, farewell=0.5, patience=0.0)
    good = Test(name="/good", test="true")
    with (
        Impostor(script) as hostile,
        LocalConnection() as connection,
        Executor(connection, suite_of(tree, good), machine="good", work=work) as executor,
        Executor(hostile, suite_of(tree, large), times=times) as impostor,
    ):
        running = Background(lambda: impostor.run(large, run.sink))
        eventually(lambda: impostor._session._state.run is not None)
        outcomes = [executor.run(good, run.sink, attempt=attempt) for attempt in range(1, 6)]
        assert running.waiting
        assert [outcome.status for outcome in outcomes] == ["pass"] * 5
        impostor.cancel("enough", at_once=True)
        assert running.result().status == "infra"


# The beginning ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        ("raw(b'x' * 100_000); heard('never')", AgentUnavailable, "prints more than 64 KiB"),
        ("sys.stderr.write('account expired')", AgentUnavailable, "account expired"),
        ('raw(BOOT_MAGIC + b\'{"error": "no room"}\\n\')', AgentUnavailable, "impostor: no room"),
        ("raw(BOOT_MAGIC + b'hello?\\n')", ProtocolBroken, "first line"),
        ("raw(BOOT_MAGIC + b'x' * 100_000); heard('never')", ProtocolBroken, "first line"),
        ("boot(); hello(session='another'); serve()", ProtocolBroken, "another session or version"),
        ("boot(); hello(protocol=99); serve()", ProtocolBroken, "version 99"),
        ("boot(); hello(order=2**64 - 1); serve()", ProtocolBroken, "numbers that none has"),
        ("boot(); hello(order=-5); serve()", ProtocolBroken, "numbers that none has"),
        ("boot(); hello(frame=0); serve()", ProtocolBroken, "numbers that none has"),
        ("boot(); hello(order=3, run=4); serve()", ProtocolBroken, "numbers that none has"),
        ("boot(); hello(run=0); serve()", ProtocolBroken, "numbers that none has"),
        ("boot(); say('alive'); serve()", ProtocolBroken, "did not say hello first"),
        ("boot(); raw(b'x' * 100); serve()", ProtocolBroken, "a frame announces"),
    ],
)
def test_what_is_no_agent(tree: Path, script: str, error: type[Exception], words: str) -> None:
    with Impostor(script) as connection:
        executor = Executor(connection, suite_of(tree, "true"))
        with pytest.raises(error, match=words):
            executor.start()


def test_an_agent_that_does_not_answer(tree: Path) -> None:
    with Impostor("raw(BOOT_MAGIC); heard('never')") as connection:
        executor = Executor(connection, suite_of(tree, "true"), times=Times(handshake=0.3))
        with pytest.raises(AgentUnavailable, match=r"no agent answered within 0\.3 seconds"):
            executor.start()


# The host's own disk ---------------------------------------------------------------------------------


class SmallSink(FolderSink):
    """Has no room for output."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.full = threading.Event()

    def output(self, path: str, offset: int, data: bytes) -> None:
        if self.full.is_set() and data:
            raise SinkFull("no room for results")
        super().output(path, offset, data)


def test_a_full_disk_ends_the_run_and_nothing_is_acknowledged(tree: Path, tmp_path: Path) -> None:
    script = f"""{RUN}
say('output', 1, b'x', run=run, offset=0)
assert heard('cancel', 'acknowledge')['kind'] == 'cancel'
exited(2, run, ended_by='cancel', exit_code=137)
assert heard('acknowledge', 'start')['frame'] == 2
run = heard('start')['number']
exited(3, run)
serve()
"""
    with (
        SmallSink(tmp_path / "run") as sink,
        Impostor(script) as connection,
        Executor(connection, suite_of(tree, "true")) as executor,
    ):
        sink.full.set()
        outcome = executor.run(executor.suite.tests[0], sink)
        assert (outcome.status, outcome.note) == ("infra", "no room for results")
        assert isinstance(outcome.sink_error, SinkFull)
        assert executor.alive
        sink.full.clear()
        assert executor.run(executor.suite.tests[0], sink, attempt=2).status == "pass"


def test_a_record_that_can_not_be_written_is_told(
    tree: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SinkFull("no room for results")

    with (
        Impostor(f"{RUN}exited(1, run)\nserve()") as connection,
        Executor(connection, suite_of(tree, "true")) as executor,
    ):
        monkeypatch.setattr(FolderSink, "records", full)
        with pytest.raises(SinkFull):
            executor.run(executor.suite.tests[0], run.sink)
