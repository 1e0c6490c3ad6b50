"""What the agent's README types over ssh, typed as it stands there."""

import os
import re
import select
import subprocess
import sys
from pathlib import Path

from tests.machines import LightHost
from tests.waits import PATIENCE
from tests.workspace.readme import ROOT

README = (ROOT / "packages/atex-sut-agent/README.md").read_text()
CONFIG = """\
Host machine
    HostName {address}
    IdentityFile {identity}
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
"""


def commands() -> str:
    """The indented lines of the section."""
    (section,) = re.findall(
        r"^## By hand, over ssh\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL
    )
    return "".join(re.findall(r"^    (.*\n)", section, re.MULTILINE))


def test_the_agent_by_hand(light_host: LightHost, tmp_path: Path) -> None:
    """On a machine that has nothing of ours, in its one slot and its usual work folder."""
    config = tmp_path / "config"
    config.write_text(CONFIG.format(address=light_host.address, identity=light_host.identity))
    ours = tmp_path / "bin"
    ours.mkdir()
    for tool in ("ssh", "scp"):  # these look for a config in the user's home, whatever HOME is
        (ours / tool).write_text(f'#!/bin/sh\nexec /usr/bin/{tool} -F {config} "$@"\n')
        (ours / tool).chmod(0o755)
    path = f"{ours}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    with subprocess.Popen(
        ["bash", "-c", f"set -eo pipefail\n{commands()}"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    ) as shell:
        assert shell.stdin is not None
        try:
            assert "Linux" in printed(shell, '"kind":"exited"', '"exit_code":0')
            shell.stdin.write(b"\n")
            printed(shell, '"kind":"bye"')
            shell.stdin.write(b"\n")
            assert shell.wait(PATIENCE) == 0
        finally:
            shell.kill()


def printed(shell: "subprocess.Popen[bytes]", *words: str) -> str:
    """What it prints until it has printed all of these."""
    assert shell.stdout is not None
    seen = ""
    while not all(word in seen for word in words):
        assert select.select([shell.stdout], [], [], PATIENCE)[0], f"no {words} behind {seen}"
        data = os.read(shell.stdout.fileno(), 65536)
        assert data, f"no {words} in {seen}"
        seen += data.decode()
    return seen
