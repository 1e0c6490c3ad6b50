"""The numbers of an agent's frames: which one comes next, which have been applied, which may be acknowledged.

What is replayed counts once, and what is left out is noticed. Not thread-safe: link.py says who guards it.
"""

from atex_executor.errors import ProtocolBroken


class Sequence:
    """The numbered frames of one agent, over any number of attachments.

    Those below `oldest_new` may have been acknowledged by another process, and need not come.
    """

    def __init__(self, oldest_new: int = 0) -> None:
        self._oldest_new = oldest_new
        self._applied = 0
        self._settled = 0  # may be acknowledged
        self._acknowledged = 0  # on this attachment
        self._expected: int | None = None  # the next number on this attachment, once one came

    def attached(self) -> None:
        """Frames come over another attachment from now on."""
        self._expected = None

    def is_new(self, number: int) -> bool:
        """Is this frame, the next that came, still to be applied? Raises ProtocolBroken where it should not have come.

        The replay after an attach may begin with what was applied, and leave that out again once it is acknowledged.
        """
        expected = self._expected or min(number, max(self._applied + 1, self._oldest_new))
        if number < expected or number > max(expected, self._applied + 1):
            raise ProtocolBroken(f"frame {number} came where {expected} should")
        self._expected = number + 1
        return number > self._applied

    def apply(self, number: int, *, settled: bool) -> None:
        """This one is applied, and may be acknowledged if `settled`."""
        self._oldest_new = 0
        self._applied = number
        if settled:
            self._settled = number

    def settle(self) -> None:
        """All that is applied may be acknowledged."""
        self._settled = self._applied

    @property
    def owes(self) -> bool:
        """Is there anything to be acknowledged?"""
        return self._settled > self._acknowledged

    def acknowledge(self) -> int:
        """Return up to which frame the acknowledgement goes that is sent now."""
        self._acknowledged = self._settled
        return self._settled

    def forget_acknowledged(self) -> None:
        """What was acknowledged so far may never have arrived."""
        self._acknowledged = 0
