"""The other end of `Child`; a script. It imports no more than it needs, for it is started often."""

import os
import pickle
import sys
from collections.abc import Callable

from atex_provision.leases.journal import LeaseJournal
from atex_provision.provisioner.base import Moment, Provisioner


def main() -> None:
    """Reserves, says so, and answers until its input ends."""
    recipe, stop_at = pickle.load(sys.stdin.buffer)
    provisioner: Provisioner = pickle.loads(recipe)()

    def stop(moment: Moment, words: str) -> None:
        if moment == stop_at:
            leases = LeaseJournal().leases()
            say(*(lease.name for lease in leases if lease.holder.pid == os.getpid()))
            sys.stdin.readline()  # until it is killed

    provisioner.on_progress = stop
    machine = provisioner.reserve()
    say(machine.lease)
    answers: dict[str, Callable[[], object]] = {
        "alive": provisioner.alive,
        "release": provisioner.release,
    }
    for line in sys.stdin:
        say(answers[line.strip()]())


def say(*what: object) -> None:
    """One line."""
    print(*what, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
