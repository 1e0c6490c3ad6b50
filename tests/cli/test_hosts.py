"""`atex run` on hosts: of an inventory, several at a time, and whose keys are known."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from atex_cli.pools import PoolError
from atex_cli.supply import find_supplies

from tests.cli.command import Atex
from tests.machines import LightHost, Sshd


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    file = tmp_path / "lab.toml"
    file.write_text("""
        platform = "rhel"
        [[host]]
        address = "a"
        slots = 2
        [[host]]
        address = "b"
        [[host]]
        address = "c"
        platform = "fedora"
        [context.rhel]
        distro = "rhel-9.6"
        [context.fedora]
    """)
    return file


def test_the_hosts_of_a_file_by_their_platforms(lab: Path) -> None:
    rhel, fedora = find_supplies([f"ssh:@{lab}"])
    assert (rhel.platform, rhel.machines, rhel.context) == ("rhel", 3, {"distro": ("rhel-9.6",)})
    assert (fedora.platform, fedora.machines, fedora.context) == ("fedora", 1, {})
    assert [supply.machines for supply in find_supplies([f"2xssh:@{lab}"])] == [2, 1]


@pytest.mark.parametrize(
    ("pools", "complaint"),
    [
        (["5xssh:@{lab}"], "asks for 5 machines, and there are 4"),
        (["ssh:@{lab}", "ssh:b"], "b is there twice"),
        (["ssh:root@a,a"], "a is there twice"),
        (["ssh:@{lab}.not"], "lab.toml.not"),
    ],
)
def test_what_is_wrong_with_hosts(lab: Path, pools: list[str], complaint: str) -> None:
    with pytest.raises(PoolError, match=complaint):
        find_supplies([pool.format(lab=lab) for pool in pools])


def test_hosts_of_an_inventory_share_the_tests(
    atex: Atex, light_hosts: Callable[[int], list[LightHost]]
) -> None:
    """Each platform runs those that its context has chosen."""
    one, two = light_hosts(2)
    file = atex.folder / "lab.toml"
    file.write_text(f"""
        user = "root"
        key = "{one.identity}"
        [[host]]
        address = "{one.address}"
        platform = "first"
        slots = 2
        [[host]]
        address = "{two.address}"
        name = "second.lab"
        platform = "second"
        [context.first]
        distro = "first-1"
        [context.second]
        distro = "second-1"
    """)
    atex.write("a.fmf", "test: 'true'\n")
    atex.write("b.fmf", "test: 'true'\nadjust: {when: distro == second-1, enabled: false}\n")
    ended = atex.run("--on", f"ssh:@{file}")
    assert ended.code == 0, ended
    where = {(line.split()[1], line.split()[-1].removesuffix("-2")) for line in ended.lines[:3]}
    assert where == {
        ("/a", f"root@{one.address}"),
        ("/b", f"root@{one.address}"),
        ("/a", "second.lab"),
    }
    platforms = json.loads((atex.results / "run.json").read_text())["platforms"]
    assert [platform["name"] for platform in platforms] == ["first", "second"]
    for platform in ("first", "second"):
        assert ended.err.count(f"{platform}-1") == 1  # which the machines are not


def test_only_hosts_that_are_known(atex: Atex, sshd: Sshd) -> None:
    atex.write("a.fmf", "test: 'true'\n")
    on = [f"ssh:{sshd.user}@{sshd.address}:{sshd.port}", "--identity", sshd.identity]
    ended = atex.run("--on", *on, "--host-keys", "strict")
    assert ended.code == 75, ended
    assert "known_hosts" in ended.out
    ended = atex("run", atex.tree, "--on", *on, "--output", "new")
    assert ended.code == 0, ended
    ended = atex("run", atex.tree, "--on", *on, "--output", "known", "--host-keys", "strict")
    assert ended.code == 0, ended
