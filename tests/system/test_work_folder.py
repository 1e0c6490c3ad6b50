"""Where an agent puts itself, on a machine of its own: the first folder of three that is good for it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from atex_executor import Executor, FolderSink
from atex_fmf import Suite, Test

from tests.machines import LightHost
from tests.machines.login import ssh_to


@pytest.fixture
def folder_of_a_test(
    light_host: LightHost, tmp_path: Path, own_home: Path
) -> Iterator["WorkFolder"]:
    with ExitStack() as stack:
        yield WorkFolder(light_host, tmp_path, stack)


class WorkFolder:
    """Asks a test where it is."""

    def __init__(self, host: LightHost, folder: Path, stack: ExitStack) -> None:
        self._host = host
        (folder / "tree").mkdir()
        test = Test(name="/where", test='echo "$TMT_TREE"; id -u')
        self._suite = Suite(root=str(folder / "tree"), tests=(test,))
        self._sink = stack.enter_context(FolderSink(folder / "run"))
        self._attempt = 0

    def __call__(self) -> str:
        """The folder that the agent takes now."""
        self._attempt += 1
        with ssh_to(self._host) as connection, Executor(connection, self._suite) as executor:
            outcome = executor.run(self._suite.tests[0], self._sink, attempt=self._attempt)
        path: str = outcome.record["files"][0]
        tree, uid = (self._sink.folder / "files" / path).read_text().split()
        assert uid == "0"
        return tree.partition("/sessions/")[0]


def test_the_first_that_is_good_for_it(folder_of_a_test: WorkFolder, light_host: LightHost) -> None:
    assert folder_of_a_test() == "/var/lib/atex"
    light_host.run("mount --bind /var/lib /var/lib; mount -o remount,bind,ro /var/lib")
    assert folder_of_a_test() == "/root/.local/state/atex"
    light_host.run("rm -r /root/.local/state/atex; ln -s /tmp /root/.local/state/atex")
    assert folder_of_a_test() == "/var/tmp/atex-0"


def test_a_disk_without_execution_is_passed_over(
    folder_of_a_test: WorkFolder, light_host: LightHost
) -> None:
    light_host.run("mount --bind /var/lib /var/lib; mount -o remount,bind,noexec /var/lib")
    assert folder_of_a_test() == "/root/.local/state/atex"
