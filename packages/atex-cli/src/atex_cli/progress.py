"""What a run says while it goes on: a line a finished test, and what happened to machines."""

from pathlib import Path

from atex_orchestrator import events
from atex_orchestrator.events import Event

from atex_cli.closing import describe_kept
from atex_cli.terminal import Terminal

STATUS_WIDTH = 5  # of the longest status
MAX_WIDTH = 60  # of the column with names; longer ones shift their line
REASON = 1000  # characters of why a machine failed


class Progress:
    """Listens to the events of a run. Called by the run's owner thread alone."""

    def __init__(
        self, terminal: Terminal, files: Path, *, width: int = 0, quiet: bool = False
    ) -> None:
        """Write to `terminal`, names padded to `width`; where `quiet`, only what went wrong. `files`: of the run."""
        self._terminal = terminal
        self._files = files
        self._width = min(width, MAX_WIDTH)
        self._quiet = quiet
        self._told: set[tuple[str, ...]] = set()  # last lines of phases
        self._said: set[str] = set()  # of machines that are not there, or not yet, or odd

    def __call__(self, event: Event) -> None:
        """Say what happened."""
        match event:
            case events.TestFinished() if not self._quiet:
                self._terminal.say(self._finished(event))
            case events.TestsGivenUp(serials=serials) if not self._quiet:
                status = self._terminal.status(event.status, STATUS_WIDTH)
                count = "1 test" if len(serials) == 1 else f"{len(serials)} tests"
                self._terminal.say(f"{status} {count} of {event.platform} not started")
            case (
                events.MachineComing(moment="wait", words=reason)
                | events.MachineFailed(machine=None, reason=reason)
                | events.MachineOccupied(reason=reason)
                | events.MachineDiffers(reason=reason)
                | events.MachineNotKept(reason=reason)
            ):
                self._say_once(reason)
            case events.MachineFailed() | events.MachineIncomplete():
                self._failed(event)
            case events.MachineExpired(machine=machine):
                self._terminal.complain(f"atex: {machine} takes no more tests: its lease has ended")
            case events.MachineKept():
                self._terminal.complain(f"atex: {describe_kept(event, self._terminal)}")
            case events.RunResumed(tests=tests, decided=decided) if not self._quiet:
                self._terminal.say(f"atex: goes on: {decided} of {tests} tests have a verdict")
            case events.RunStopping(reason=reason, at_once=False):
                self._terminal.complain(
                    f"atex: {reason}; tests are cancelled, plans finished (60 s at most),"
                    " machines given back; Ctrl-C skips the waiting"
                )
            case events.RunStopping(at_once=True):
                self._terminal.complain("atex: leaving at once")

    def _say_once(self, reason: str) -> None:
        """Say what many machines may wait for, or why they are not to be had."""
        if reason not in self._said:
            self._said.add(reason)
            self._terminal.complain(f"atex: {self._terminal.quote(reason, REASON)}")

    def _failed(self, event: events.MachineFailed | events.MachineIncomplete) -> None:
        terminal = self._terminal
        lost = isinstance(event, events.MachineFailed) and event.during == "test"
        gone = f"{event.machine} takes no more tests: " if lost else ""
        lines = [f"atex: {gone}{terminal.quote(event.reason, REASON)}"]
        if event.tail not in self._told:  # machines of a kind fail in the same way
            self._told.add(event.tail)
            lines += [f"    {terminal.quote(line)}" for line in event.tail]
        if event.output:
            lines.append(f"  {self._files / event.output}")
        terminal.complain("\n".join(lines))

    def _finished(self, event: events.TestFinished) -> str:
        terminal = self._terminal
        status = terminal.status(event.status, STATUS_WIDTH)
        name = terminal.quote(event.test).ljust(self._width)
        attempt = f"  attempt {event.attempt}" if event.attempt > 1 else ""
        note = f"  ({terminal.quote(event.note)})" if event.note else ""
        return f"{status} {name} {event.seconds:8.2f} s  {event.machine}{attempt}{note}"
