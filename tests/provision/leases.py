"""Leases for tests, and processes that hold them."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from atex_provision import Holder, Lease
from atex_provision.leases.lease import new_name

LOCAL = "atex_provision.provisioner.local:LocalProvisioner"


def new_lease(label: str = "local", **fields: Any) -> Lease:
    """A lease of this process, an hour long; `fields` as in Lease."""
    now = time.time()
    usual = {
        "name": new_name(fields.get("key") or label),
        "backend": LOCAL,
        "holder": Holder.myself(),
        "created": now,
        "ends": now + 3600,
    }
    return Lease(**{**usual, **fields})


@contextmanager
def living_holder() -> Iterator[Holder]:
    """Another process, which lives meanwhile; whoever reaps it is this one."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        try:
            yield holder_of(process.pid)
        finally:
            process.kill()


def dead_holder() -> Holder:
    """A process that is no more."""
    with living_holder() as holder:
        return holder


def holder_of(pid: int) -> Holder:
    """That process of this machine."""
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return msgspec.structs.replace(Holder.myself(), pid=pid, started=int(started))
