"""What a lease says of itself, and whether the process that holds it is alive."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from atex_provision import Holder
from atex_provision.leases.lease import NAME, beginning, new_name
from hypothesis import given
from hypothesis import strategies as st

from tests.provision.leases import dead_holder, holder_of, living_holder, new_lease
from tests.waits import eventually

ANOTHER_BOOT = "00000000-0000-0000-0000-000000000000"


def test_a_process_is_alive_until_it_ends() -> None:
    assert Holder.myself().alive()
    with living_holder() as holder:
        assert holder.alive()
        assert holder != Holder.myself()
    assert not holder.alive()


def test_a_zombie_is_dead() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        holder = holder_of(process.pid)
        assert holder.alive()
        process.kill()
        eventually(lambda: not holder.alive())
        assert Path(f"/proc/{process.pid}").exists()  # nobody has waited for it yet


def test_another_process_of_the_same_number_is_another_one() -> None:
    myself = Holder.myself()
    assert not msgspec.structs.replace(myself, started=myself.started - 1).alive()


def test_a_process_of_an_earlier_boot_is_dead() -> None:
    holder = msgspec.structs.replace(Holder.myself(), boot=ANOTHER_BOOT)
    assert holder.visible()
    assert not holder.alive()


def test_nobody_is_dead() -> None:
    assert Holder.nobody().visible()
    assert not Holder.nobody().alive()


@pytest.mark.parametrize(
    "elsewhere",
    [{"namespace": "pid:[1]"}, {"boot": ANOTHER_BOOT, "host": "another.lab"}],
    ids=["container", "machine"],
)
def test_a_process_elsewhere_may_be_alive_until_its_lease_ends(elsewhere: dict[str, str]) -> None:
    holder = msgspec.structs.replace(Holder.myself(), **elsewhere)
    assert not holder.visible()
    assert holder.alive()
    assert new_lease(holder=holder).held
    assert not new_lease(holder=holder, ends=time.time()).held


@pytest.mark.skipif(os.geteuid() != 0, reason="a pid namespace needs root")
@pytest.mark.needs("unshare")
def test_a_process_in_another_pid_namespace_is_not_taken_for_dead() -> None:
    """Process 1 there is not ours, and one there that ended is not known to have."""
    code = "import msgspec; from atex_provision import Holder; print(msgspec.json.encode(Holder.myself()).decode())"
    output = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", code],
        check=True,
        capture_output=True,
    ).stdout
    holder = msgspec.json.decode(output, type=Holder)
    assert holder.pid < 10
    assert holder.boot == Holder.myself().boot
    assert not holder.visible()
    assert holder.alive()


def test_who_may_have_it() -> None:
    ours = new_lease()
    assert (ours.held, ours.in_use, ours.ended) == (True, True, False)
    dead = new_lease(holder=dead_holder())
    assert (dead.held, dead.in_use) == (False, False)
    kept = msgspec.structs.replace(dead, kept=True)
    assert (kept.held, kept.in_use) == (False, True)
    over = msgspec.structs.replace(kept, ends=time.time())
    assert (over.in_use, over.ended) == (False, True)
    # A process that lives may have its reasons, whatever the time, but for what it has let go.
    assert new_lease(ends=time.time()).in_use
    assert not new_lease(ends=time.time(), kept=True).in_use


def test_who_has_it_in_words() -> None:
    lease = new_lease(purpose="atex run, results in here")
    me = f"process {os.getpid()}"
    assert lease.held_by() == f"{me} holds lease {lease.name} (atex run, results in here)"
    dead = new_lease(holder=dead_holder())
    assert dead.held_by() == f"lease {dead.name} was left behind by {dead.holder}"
    assert msgspec.structs.replace(dead, kept=True).held_by() == f"lease {dead.name} was kept"
    nobody = new_lease(holder=Holder.nobody())
    assert nobody.held_by() == f"lease {nobody.name} was left behind by nobody"


def test_names() -> None:
    assert beginning("ssh one.lab:22/0") == "ssh-one.lab-22-0"
    assert beginning("ssh [fe80::1]:22/0") == "ssh-fe80-1-22-0"
    assert beginning("/") == "lease"
    long = [beginning("ssh " + 100 * "x" + end) for end in "ab"]
    assert len(long[0]) == 60
    assert long[0] != long[1]
    assert new_name("podman") != new_name("podman")


@given(st.text())
def test_any_label_gives_a_name_for_a_file(label: str) -> None:
    name = new_name(label)
    assert NAME.fullmatch(name)
    assert len(name) < 100
    assert name.startswith(f"{beginning(label)}-")
