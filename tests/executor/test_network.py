"""A network that goes away under a test: for a while, or for longer than host and agent wait."""

import re
import time
from pathlib import Path

from atex_executor import Executor, Times
from atex_fmf import Suite, Test
from atex_provision import SshConnection

from tests.executor.conftest import Run
from tests.machines import LightHost
from tests.machines.login import host_of
from tests.waits import Background, eventually

SCRIPT = """
echo begun
for i in 1 2 3; do
    echo "result {\\"name\\": \\"$i\\"}" >&$ATEX_TEST_CONTROL
    until [ -e /root/go$i ]; do sleep 0.02; done
done
"""


def executor_on(host: LightHost, tree: Path, script: str, **times: float) -> Executor:
    """An executor that is not started yet, for a test called "/test"."""
    suite = Suite(root=str(tree), tests=(Test(name="/test", test=script, serial=1),))
    return Executor(
        SshConnection(host_of(host), timeout=12), suite, times=Times(silence=1.0, beat=0.2, **times)
    )


def begun(executor: Executor, run: Run) -> Background[object]:
    running = Background[object](lambda: executor.run(executor.suite.tests[0], run.sink))
    output = run.sink.folder / "files/local/test/@1.1/output.txt"
    eventually(lambda: output.exists() and output.read_bytes())
    return running


def test_it_comes_back_in_time(light_host: LightHost, tree: Path, run: Run, own_home: Path) -> None:
    with executor_on(light_host, tree, SCRIPT, patience=60.0) as executor:
        running = begun(executor, run)
        light_host.cut()
        (light_host.folder / "root/go1").touch()
        eventually(lambda: not executor._session._state.attached)
        (light_host.folder / "root/go2").touch()
        (light_host.folder / "root/go3").touch()
        light_host.heal()
        running.result(60)
    assert [record.get("name") for record in run.records()] == ["1", "2", "3", None]
    assert run.records()[-1]["status"] == "pass"


def test_it_stays_away(light_host: LightHost, tree: Path, run: Run, own_home: Path) -> None:
    """The note says until when the test may run; the agent ends it, nobody else gets the machine before."""
    times = {"patience": 1.0, "linger": 3.0, "farewell": 0.3}
    with executor_on(light_host, tree, "echo begun; sleep 600", **times) as executor:
        running = begun(executor, run)
        light_host.cut()
        running.result()  # the last try has twelve seconds to connect
        until = time.time() + 3.0 + 1.0 + 300.0
    (final,) = run.records()
    assert final["status"] == "infra"
    told = re.search(r"what it runs may go on until (\d+-\d+-\d+ \d+:\d+)", final["note"])
    assert told
    assert abs(time.mktime(time.strptime(told[1], "%Y-%m-%d %H:%M")) - until) < 200
    assert "what it runs may go on until" in (executor.left or "")
    light_host.heal()
    with executor_on(light_host, tree, "true", patience=30.0, linger=60.0) as newcomer:
        # The machine was not ours before the first agent had ended its session.
        sessions = list((light_host.folder / "var/lib/atex/sessions").iterdir())
        assert [session.name for session in sessions] == [newcomer.session]
