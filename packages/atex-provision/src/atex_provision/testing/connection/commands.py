"""run(): a command, its input, its output, its end."""

import time

import pytest

from atex_provision.connection.base import Connection
from atex_provision.errors import ProvisionError
from atex_provision.testing.suite import Suite
from atex_provision.testing.waits import Background

MEGABYTE = 1_000_000


class Commands(Suite):
    """Short commands."""

    __test__ = False

    def test_run_says_all_about_a_command(self, connection: Connection) -> None:
        done = connection.run("cat; echo oops >&2; exit 7", stdin=b"given")
        assert (done.exit_code, done.stdout, done.stderr) == (7, b"given", b"oops\n")

    def test_a_command_is_the_shells(self, connection: Connection) -> None:
        """Quotes, variables and lines reach the shell as they are."""
        command = 'a=\'$x  "y"\'\nprintf \'%s\\n\' "$a" | tr x z && echo "it\'s $((6 * 7))" é'
        assert connection.run(command).stdout.decode() == '$z  "y"\nit\'s 42 é\n'

    def test_bytes_are_left_alone(self, connection: Connection) -> None:
        data = bytes(range(256)) * 2
        assert connection.run("cat", stdin=data).stdout == data

    @pytest.mark.parametrize("number", [1, 9, 15])
    def test_a_signal_is_an_exit_code(self, connection: Connection, number: int) -> None:
        assert connection.run(f"kill -{number} $$").exit_code == 128 + number

    def test_a_command_that_is_not_there_is_an_exit_code(self, connection: Connection) -> None:
        done = connection.run("/nowhere/at/all")
        assert done.exit_code == 127
        assert b"/nowhere/at/all" in done.stderr

    def test_run_has_a_limit(self, connection: Connection) -> None:
        started = time.monotonic()
        with pytest.raises(TimeoutError, match="sleep 2") as caught:
            connection.run("sleep 2", timeout=0.1)
        assert time.monotonic() - started < 2
        assert connection.name in str(caught.value)
        assert connection.run("echo still here").stdout == b"still here\n"

    def test_run_does_not_swallow_everything(self, connection: Connection) -> None:
        with pytest.raises(ProvisionError, match="more than 16 MiB"):
            connection.run("head -c 20000000 /dev/zero")
        assert connection.run("echo still here").stdout == b"still here\n"

    def test_a_command_need_not_read(self, connection: Connection) -> None:
        done = connection.run("echo done; exit 3", stdin=bytes(2 * MEGABYTE))
        assert (done.exit_code, done.stdout) == (3, b"done\n")

    def test_the_last_of_stderr_is_kept(self, connection: Connection) -> None:
        done = connection.run("head -c 1000000 /dev/zero >&2; echo last >&2; echo out")
        assert done.stdout == b"out\n"
        assert len(done.stderr) == 64 << 10
        assert done.stderr.endswith(b"\0last\n")

    def test_many_threads_run_commands(self, connection: Connection) -> None:
        def count(to: int) -> bytes:
            return connection.run(f"for n in $(seq {to}); do echo $n; done").stdout

        threads = {to: Background(lambda to=to: count(to)) for to in range(40, 60)}  # type: ignore[misc]
        for to, thread in threads.items():
            assert thread.result() == b"".join(b"%d\n" % n for n in range(1, to + 1))
