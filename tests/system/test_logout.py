"""Systems that end a user's processes at logout: what a run there says."""

from pathlib import Path

from atex_executor import Executor, FolderSink
from atex_fmf import Plan, Suite, Test

from tests.machines import NspawnHost
from tests.machines.login import ssh_to
from tests.waits import Background, eventually


def test_a_logout_that_kills_the_agent_is_explained(
    nspawn_host: NspawnHost, own_home: Path, tmp_path: Path
) -> None:
    nspawn_host.run(
        "mkdir -p /etc/systemd/logind.conf.d\n"
        "printf '[Login]\\nKillUserProcesses=yes\\n' >/etc/systemd/logind.conf.d/kill.conf\n"
        "systemctl restart systemd-logind",
    )
    (tmp_path / "tree").mkdir()
    tests = (
        Test(name="/killed", test="echo begun; sleep 600"),
        Test(name="/next", test="true"),
    )
    suite = Suite(root=str(tmp_path / "tree"), tests=tests, plan=Plan())
    output = tmp_path / "run/files/local/killed/@1.1/output.txt"
    with (
        FolderSink(tmp_path / "run") as sink,
        ssh_to(nspawn_host, user=NspawnHost.USER) as connection,
        Executor(connection, suite) as executor,
    ):
        killed, after = executor.suite.tests
        running = Background(lambda: executor.run(killed, sink))
        eventually(lambda: output.exists() and output.read_bytes())
        nspawn_host.kill_sessions()
        outcome = running.result()
        assert (outcome.status, outcome.machine_lost) == ("infra", False)
        assert "loginctl enable-linger" in (outcome.note or "")
        assert "KillExcludeUsers" in (outcome.note or "")
        assert executor.run(after, sink).status == "pass"
