"""Workers that did not end when their time was up. Their machines are freed all the same.

Used by the run's owner thread alone.
"""

import logging
import threading
import time
from collections.abc import Iterable

from atex_orchestrator.events import MachineReleased
from atex_orchestrator.worker import Worker

_log = logging.getLogger(__name__)

ABORT_LIMIT = 5.0  # seconds for giving back all their machines


class Stragglers:
    """Those who hang; nobody listens to them any more."""

    def __init__(self) -> None:
        self._workers: list[Worker] = []

    def take(self, workers: Iterable[Worker]) -> None:
        """Leave these behind."""
        self._workers += workers

    def free_machines(self) -> list[MachineReleased]:
        """Give their machines back, all at once, and return what is to be said of each."""
        threads = [threading.Thread(target=worker.abandon, daemon=True) for worker in self._workers]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + ABORT_LIMIT
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return [_released(worker) for worker in self._workers]


def _released(worker: Worker) -> MachineReleased:
    _log.warning("worker %d did not end in time", worker.number)
    return MachineReleased(
        worker=worker.number,
        platform=worker.platform,
        machine=worker.machine,
        left="it did not answer in time" if worker.machine else None,
        held=worker.held,
    )
