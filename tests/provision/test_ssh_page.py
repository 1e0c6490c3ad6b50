"""The page about ssh pools: its inventory is one, and it explains every key."""

import re
from pathlib import Path

import pytest
from atex_provision import Inventory, read_inventory
from atex_provision.inventory import _HostTable

PAGE = Path(__file__).parent.parent.parent / "docs/backends/ssh.md"


@pytest.fixture
def inventory(tmp_path: Path) -> Inventory:
    [example] = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "lab_key").touch()
    (tmp_path / "lab.toml").write_text(example)
    return read_inventory(tmp_path / "lab.toml")


def test_the_example_is_an_inventory(inventory: Inventory) -> None:
    hosts = {host.name: host for host in inventory.hosts}
    assert list(hosts) == ["root@one.lab", "seven", "root@big.lab", "board", "root@two.lab"]
    assert [host.platform for host in hosts.values()].count("rhel-9") == 4
    assert inventory.contexts[hosts["board"].platform]["arch"] == ("aarch64",)
    assert hosts["root@big.lab"].slots == ("0", "1", "2", "3")
    assert hosts["seven"].jump == "me@gate.lab"
    assert hosts["board"].reset_time == 900
    assert hosts["root@two.lab"].reboot == "systemctl reboot"


def test_the_table_has_every_key() -> None:
    table = {
        key
        for line in PAGE.read_text().splitlines()
        if line.startswith("| `")
        for key in re.findall(r"`([^`]+)`", line.split("|")[1])
    }
    assert table == set(_HostTable.__struct_encode_fields__)
