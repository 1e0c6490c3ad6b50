"""What prepares a machine that is held for later."""

from pathlib import Path

import pytest
from atex_cli.preparing import Preparation
from atex_executor import FolderSink, Pack, PhaseFailed
from atex_fmf import Phase, Plan, Suite
from atex_provision import LeaseError, LocalProvisioner


class Forgetless(LocalProvisioner):
    """Does not know whether the end of a session is on the disk."""

    def forget_session(self, session: str) -> None:
        super().forget_session(session)
        raise LeaseError("no space left on device")


def prepare(folder: Path, script: str) -> None:
    (folder / "tree").mkdir()
    plan = Plan(prepare=(Phase(name="setup", how="shell", script=(script,)),))
    suite = Suite(root=str(folder / "tree"), tests=(), plan=plan)
    provisioner = Forgetless()
    with Pack(suite) as pack, FolderSink(folder / "run") as sink, provisioner as machine:
        preparation = Preparation(
            platform="local",
            suite=suite,
            pack=pack,
            sink=sink,
            environment={},
            secrets={},
            take_over=False,
            become=False,
        )
        executor = preparation.executor(machine, lambda words: None)
        preparation.run(executor, machine, provisioner)


def test_a_session_that_can_not_be_forgotten_fails_no_machine(tmp_path: Path) -> None:
    prepare(tmp_path, "true")


def test_why_it_failed_is_said_nevertheless(tmp_path: Path) -> None:
    with pytest.raises(PhaseFailed, match="exit code 3"):
        prepare(tmp_path, "exit 3")
