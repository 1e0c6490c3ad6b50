"""What a test says in one word, and what becomes of it, with the real agent. `restart` is in test_restart.py."""

import signal
import time

import pytest
from atex_sut_agent.protocol import Cancel, Marked, Sync, TestAdded

from tests.sut_agent.driver import Agent, Host, write_fifo

# Sync ------------------------------------------------------------------------------------------------------


def test_sync_is_answered_when_what_came_before_is_acknowledged(host: Host, talk: str) -> None:
    host.acknowledging = False
    run = host.start(
        f"""{talk} $'result {{"name": "a"}}\\nsync one two\\nsync\\n' & echo up; wait"""
    )
    host.until(Sync)
    host.wait_for_output(run, b"up\n")
    record = host.agent.runs[run]
    assert record.results == [{"name": "a"}]
    assert b"ok" not in record.output
    host.acknowledging = True
    host.acknowledge()
    host.wait_for_output(run, b"ok one two\nok\n")
    assert record.said == [Sync(run=run)]  # they had nothing between them


def test_syncs_with_something_between_them_are_answered_one_by_one(host: Host, talk: str) -> None:
    run = host.start(f"""{talk} $'sync 1\\nresult {{"name": "a"}}\\nsync 2\\n'""")
    host.wait_for_output(run, b"ok 1\nok 2\n")
    assert len(host.agent.runs[run].said) == 2


def test_sync_needs_an_answer_and_so_the_socket(host: Host) -> None:
    run = host.run("echo sync >&3; exit 3")
    assert run.exited.error == "'sync' needs the socket, the pipe can not reply"


# Marks, more tests -----------------------------------------------------------------------------------------


def test_marks_and_added_tests_are_told(host: Host) -> None:
    run = host.run(r"""
        echo mark snapshot >&3
        echo mark "snapshot=on /dev/sda1" >&3
        echo addtest /a/b >&3
        echo "addtest '/c d' X='1 2' Y=" >&3
    """)
    assert run.exited.error is None
    assert run.said == [
        Marked(run=1, name="snapshot", value=""),
        Marked(run=1, name="snapshot", value="on /dev/sda1"),
        TestAdded(run=1, number=1, test="/a/b", environment={}),
        TestAdded(run=1, number=2, test="/c d", environment={"X": "1 2", "Y": ""}),
    ]


@pytest.mark.parametrize(
    ("line", "most", "reason"),
    [
        ("mark x", 1000, "more than 1000 marks"),
        ("addtest /x", 10000, "more than 10000 tests added"),
    ],
)
def test_there_are_not_more_of_them_than_anybody_needs(
    host: Host, line: str, most: int, reason: str
) -> None:
    run = host.run(f"yes {line} | head -{most + 1} >&3; exit 3")
    assert len(run.said) == most
    assert (run.exited.exit_code, run.exited.error) == (3, reason)


# The end ---------------------------------------------------------------------------------------------------


def test_abort_ends_the_run_as_a_cancel_does(host: Host) -> None:
    run = host.run(
        "trap 'echo cleaned; exit 4' INT; echo abort enough >&3; while :; do sleep 0.01; done"
    )
    assert (run.exited.ended_by, run.exited.note) == ("abort", "enough")
    assert (bytes(run.output), run.exited.exit_code) == (b"cleaned\n", 4)


def test_abort_leaves_five_seconds(host: Host) -> None:
    begin = time.monotonic()
    run = host.run("trap '' INT; echo abort >&3; while :; do sleep 0.1; done", grace=1000)
    assert (run.exited.signal, run.exited.ended_by, run.exited.note) == (
        signal.SIGKILL,
        "abort",
        "",
    )
    assert 5 <= time.monotonic() - begin < 60


def test_abort_in_the_last_words_counts(host: Host) -> None:
    # It may be told to end before it does.
    run = host.run("trap '' INT; echo abort at the end >&3; echo abort again >&3; exit 0")
    assert (run.exited.ended_by, run.exited.note) == ("abort", "at the end")
    assert run.exited.exit_code == 0


@pytest.mark.parametrize("how", ["limit", "cancel"])
def test_abort_while_it_cleans_up_is_what_is_said_of_the_end(host: Host, how: str) -> None:
    limit = 0.2 if how == "limit" else 60
    run = host.start(
        "trap 'echo abort broken >&3; exit 4' INT; echo up; while :; do sleep 0.01; done",
        limit=limit,
    )
    host.wait_for_output(run, b"up\n")
    if how == "cancel":
        host.send(Cancel(run=run, grace=1000))
    exited = host.wait(run).exited
    assert (exited.ended_by, exited.note, exited.exit_code) == ("abort", "broken", 4)


# duration --------------------------------------------------------------------------------------------------


def test_a_watchdog_that_is_pinged_does_not_bark(host: Host) -> None:
    run = host.run(
        "for i in 1 2 3 4 5 6; do sleep 0.5; echo duration refresh >&3; done; exit 3", limit=2
    )
    assert (run.exited.exit_code, run.exited.ended_by, run.exited.limit) == (3, "itself", 2)
    assert run.exited.seconds > 3


def test_an_upload_is_free_of_charge(host: Host) -> None:
    script = "echo duration save >&3; echo duration 600 >&3; sleep 2.2; echo duration restore >&3; exit 3"
    run = host.run(script, limit=2)
    assert (run.exited.exit_code, run.exited.ended_by, run.exited.limit) == (3, "itself", 2)


def test_an_upload_is_not_endless(host: Host) -> None:
    run = host.run("echo duration save >&3; echo duration 1 >&3; sleep 1000")
    assert (run.exited.ended_by, run.exited.limit) == ("limit", 1)


# When the host is behind -----------------------------------------------------------------------------------

FLOOD = "echo up; read <go; head -c 8000000 /dev/zero; echo done"


def test_the_clock_stands_still_while_no_host_takes_anything(agent: Agent) -> None:
    host = agent.attach(memory=65536, spool=0)
    run = host.start(f"mkfifo go; {FLOOD}", limit=5)
    host.wait_for_output(run, b"up\n")
    host.drop()
    write_fifo(agent.folder / "go", b"on\n")
    time.sleep(5.5)  # beyond the limit
    record = agent.attach().wait(run)
    assert (record.exited.ended_by, record.exited.exit_code) == ("itself", 0)
    assert record.output.endswith(b"done\n")
    assert record.notes
    for note in record.notes:  # more than one, of a host that could not keep up when it was back
        assert note.startswith("for ")
        assert note.endswith(
            " s no host took anything: the test had to wait, and its clock stood still"
        )


def test_who_floods_an_attached_host_pays_with_its_own_time(agent: Agent) -> None:
    """It reads, and is slow to acknowledge."""
    host = agent.attach(memory=65536, spool=0, beat=0.1)
    host.acknowledging = False
    run = host.start(FLOOD.replace("read <go", ":"), limit=1, grace=0)
    late = time.monotonic() + 2
    host.until(lambda: time.monotonic() > late)
    host.acknowledging = True
    host.acknowledge()
    record = host.wait(run)
    assert record.exited.ended_by == "limit"
    assert not record.output.endswith(b"done\n")
    assert record.notes == []
