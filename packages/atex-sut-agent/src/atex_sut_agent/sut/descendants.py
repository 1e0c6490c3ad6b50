"""What a run has started, and how it is killed: spec/AGENT.md, "Who dies when"."""

from . import processes
from .clock import now

_SPELL = 0.01  # seconds that the loop can be left alone


class Descendants:
    """All that comes of a session which is about to be started, as far as it can be seen.

    `adopts` says that we are the parent of what is orphaned below us (a child subreaper). What we have adopted before
    now is of earlier runs, and spared.
    """

    def __init__(self, adopts: bool) -> None:
        self._adopts = adopts
        self._spared: "dict[int, int]" = {}  # {pid: start}
        if adopts and processes.has_living_children():
            self._spared = processes.starts_of(processes.children())

    def kill(self, leader: int, everyone: bool) -> "list[int]":
        """SIGKILL what is left of the session that `leader` led, which is dead; with `everyone` also what has left it.

        Return the pids of what was still there. Call it again until that is nothing.
        """
        # Where all that is left would be our child, having none answers without a look at /proc.
        if self._adopts and not (processes.has_living_children() and self._adopted(leader)):
            return []
        found = processes.kill_session(leader)
        if everyone and self._adopts:
            found += self._kill_adopted(leader)
        return found

    def _kill_adopted(self, leader: int) -> "list[int]":
        """Kill our children, and theirs as they become ours, which is when we find the parent dead.

        In a tight loop, for a while: what starts its successor and ends has another pid each time.
        """
        deadline = now() + _SPELL
        while True:
            found = self._adopted(leader)
            processes.kill([pid for pid in found if not processes.reap(pid)])
            if not found or now() > deadline:
                return found

    def _adopted(self, leader: int) -> "list[int]":
        """Return our children that are of this run, but for its leader, the dead ones included."""
        return [pid for pid in processes.children() if pid != leader and not self._is_spared(pid)]

    def _is_spared(self, pid: int) -> bool:
        return pid in self._spared and processes.starts_of([pid]).get(pid) == self._spared[pid]
