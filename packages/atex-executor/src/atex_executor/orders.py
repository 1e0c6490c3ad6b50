"""The orders of one session: numbered, and kept until it does not matter any more whether they arrived.

Not thread-safe: the session's lock guards it.
"""

from atex_sut_agent.protocol import MAX_HEAD, End, HostMessage, encode_host_message

_LARGEST = MAX_HEAD  # bytes of a frame, header and all: no agent takes a larger one


class Order:
    """One order (Lengths, Start, Cancel, HangUp, End) and its frame."""

    def __init__(self, number: int, message: HostMessage) -> None:
        self.number = number
        self.frame = encode_host_message(message, number)
        self.is_end = isinstance(message, End)
        self.sent = False
        """On some attachment; whether it arrived there is another question."""


class Orders:
    """The orders of the present run, and the one to end the session."""

    def __init__(self) -> None:
        self.last = 0
        """The number of the last one."""
        self._kept: list[Order] = []  # oldest first

    def add(self, *messages: HostMessage) -> list[Order]:
        """Number orders and keep them. Raises ValueError where no agent would understand one; then none is kept."""
        try:
            orders = [
                Order(number, message) for number, message in enumerate(messages, self.last + 1)
            ]
        except UnicodeEncodeError as error:
            raise ValueError(f"not everything in it is UTF-8: {error}") from error
        largest = max(len(order.frame) for order in orders)
        if largest > _LARGEST:
            raise ValueError(
                f"its script and environment have {largest} bytes, {_LARGEST} are allowed"
            )
        self.last = orders[-1].number
        self._kept += orders
        return orders

    @property
    def are_ending(self) -> bool:
        """Was the session told to end?"""
        return any(order.is_end for order in self._kept)

    def unknown_to(self, number: int) -> list[Order]:
        """Return those that an agent lacks which knows all up to `number`."""
        return [order for order in self._kept if order.number > number]

    def forget_run(self) -> None:
        """The run is over: of its orders none matters any more."""
        self._kept = [order for order in self._kept if order.is_end]

    def forget_sent(self) -> None:
        """Who got them is dead: they may have been carried out and are not repeated. The end is, it does no harm."""
        self._kept = [order for order in self._kept if order.is_end or not order.sent]
