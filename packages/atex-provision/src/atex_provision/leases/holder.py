"""Who holds a lease: a process, told apart from a later one of the same number."""

import functools
import os
from pathlib import Path
from typing import Self

import msgspec


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A process of this boot of this machine, or of another one."""

    pid: int
    started: int
    """Field 22 of /proc/PID/stat (proc(5)): clock ticks from the boot to the process' start."""
    boot: str
    """The boot id of the kernel."""
    namespace: str = ""
    """The pid namespace, as /proc/self/ns/pid names it; "": the one of whoever asks."""
    host: str = ""
    """The name of the machine; "": the one of whoever asks. A home may be shared by several."""

    @classmethod
    def myself(cls) -> Self:
        """This process."""
        pid = os.getpid()
        return cls(
            pid=pid,
            started=_started(pid) or 0,
            boot=_boot(),
            namespace=_namespace(),
            host=os.uname().nodename,
        )

    @classmethod
    def nobody(cls) -> Self:
        """No process: who held it has given it up."""
        return cls(pid=0, started=0, boot="")

    def visible(self) -> bool:
        """Whether it can be known from here if the process is alive: not that of a container, or of
        a machine that shares our home.
        """
        if self.boot == _boot():
            return self.namespace in {"", _namespace()}
        return self.host in {"", os.uname().nodename}  # and so it was an earlier boot

    def alive(self) -> bool:
        """Whether the process is there, and no zombie. One that is not `visible()` is taken to be."""
        if not self.visible():
            return True
        return self.boot == _boot() and _started(self.pid) == self.started

    def __str__(self) -> str:
        """For messages: "process 17", or "process 17 of one.lab"."""
        if not self.pid:
            return "nobody"
        return f"process {self.pid}" if self.visible() else f"process {self.pid} of {self.host}"


def _started(pid: int) -> int | None:
    """When the process started; None if there is none, or a dead one that nobody has reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The command in parentheses may hold anything; what follows the last one is safe to split.
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in {b"Z", b"X"} else int(fields[19])


@functools.cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _namespace() -> str:
    return os.readlink("/proc/self/ns/pid")
