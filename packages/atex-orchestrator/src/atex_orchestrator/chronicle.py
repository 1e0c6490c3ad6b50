"""What happens in a run, for its folder and for those who listen. Used by the run's owner thread alone."""

import logging

from atex_orchestrator.events import Event
from atex_orchestrator.faults import Faults
from atex_orchestrator.listeners import Listeners
from atex_orchestrator.results import RunFolder

_log = logging.getLogger(__name__)


class Chronicle:
    """Takes events; what goes wrong with that is not raised, but stops the run."""

    def __init__(self, folder: RunFolder, listeners: Listeners, faults: Faults) -> None:
        """Write events to `folder`, and hand them to `listeners`."""
        self._folder = folder
        self._listeners = listeners
        self._faults = faults

    def tell(self, event: Event) -> None:
        """Write an event down and hand it on."""
        try:
            self._folder.append(event)
        except OSError as error:
            self._faults.report_folder(error)
        self.hand_on(event)

    def hand_on(self, event: Event) -> None:
        """Hand on an event that is written down."""
        _log.debug("%s", event)
        try:
            self._listeners.tell(event)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._faults.report(error, "the listener of events")
