"""Which machine of each platform is kept as a failed test left it."""

from atex_orchestrator.scheduling.decisions import Release
from atex_orchestrator.scheduling.rules import Rules
from atex_orchestrator.scheduling.staff import State, Worker
from atex_orchestrator.scheduling.staffing import Staffing


class Keeping:
    """One of each platform, if the rules say so, and none that tests still need."""

    def __init__(self, staff: Staffing, rules: Rules) -> None:
        """Begin with none."""
        self._staff = staff
        self._rules = rules
        self._not_keepable: set[int] = set()  # pools

    def note_kept(self, platform: str) -> None:
        """A machine of this platform is kept already."""
        self._staff.platforms[platform].has_kept = True

    def may_keep(self, worker: Worker) -> bool:
        """Return whether a machine on which a test just failed is to be kept."""
        platform = worker.platform
        if not self._rules.hold_failed or self._staff.is_ending or platform.has_kept:
            return False
        if worker.is_over or worker.pool in self._not_keepable:
            return False
        if not worker.takes_tests:
            return True
        is_last = platform.taking == 1 and platform.waiting.count
        return not is_last and self._staff.taking() != 1

    def keep(self, worker: Worker) -> None:
        """Leave a machine as it is, unless not_kept() follows."""
        worker.is_kept = worker.platform.has_kept = True
        self._staff.keep(worker)

    def not_kept(self, worker: Worker) -> None:
        """It could not be kept: it goes on, if it still may, and none of its pool is kept any more."""
        if not worker.is_kept:
            return
        worker.is_kept = worker.platform.has_kept = False
        self._not_keepable.add(worker.pool)
        if worker.state is State.LEAVING:
            self._staff.decide(Release(worker.number))
        elif worker.is_over:
            self._staff.let_go(worker)
        else:
            self._staff.arrived(worker)
