"""`atex run --on ssh:@lab.toml`: hosts as an inventory describes them."""

from collections.abc import Callable

from tests.cli.command import Atex
from tests.machines import LightHost

# Each of the two waits for the other one: they run at the same time, on one host.
TESTS = """
/one:
    test: touch /tmp/one; until [ -e /tmp/two ]; do sleep 0.05; done
    duration: 30s
    adjust: {when: kind != many, enabled: false}
/two:
    test: touch /tmp/two; until [ -e /tmp/one ]; do sleep 0.05; done
    duration: 30s
    adjust: {when: kind != many, enabled: false}
/fresh:
    test: cat /proc/sys/kernel/random/boot_id
    adjust: {when: kind != new, enabled: false}
"""

INVENTORY = """
user = "root"
key = "{key}"
platform = "many"

[[host]]
address = "{many}"
slots = 2

[[host]]
address = "{new}"
name = "fresh"
platform = "new"
reset = "echo $ATEX_HOST $ATEX_ADDRESS >>reset.log"
reboot = "/run/machine/bin/reboot"

[context.many]
kind = "many"

[context.new]
kind = "new"
"""


def test_slots_platforms_reset_and_reboot(
    atex: Atex, light_hosts: Callable[[int], list[LightHost]]
) -> None:
    many, new = light_hosts(2)
    atex.write("main.fmf", TESTS)
    (atex.folder / "lab.toml").write_text(
        INVENTORY.format(key=many.identity, many=many.address, new=new.address)
    )
    before = new.boot_id
    ended = atex.run("--on", "ssh:@lab.toml")
    assert ended.code == 0, ended
    assert "3 tests: 3 pass" in ended.lines
    assert (atex.folder / "reset.log").read_text() == f"fresh {new.address}\n"
    [output] = atex.results.glob("files/new/fresh/*/output.txt")
    assert output.read_text().strip() == new.boot_id != before


def test_a_mistake_is_found_before_a_host_is_asked(atex: Atex) -> None:
    atex.write("main.fmf", "test: 'true'")
    (atex.folder / "lab.toml").write_text('[[host]]\naddress = "one.lab"\nprot = 22\n')
    ended = atex.run("--on", "ssh:@lab.toml")
    assert ended.code == 64
    assert "lab.toml: [[host]] 1: there is no key `prot`" in ended.err
