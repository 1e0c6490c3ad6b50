"""What the owner of a run finds in its inbox beside events: what somebody wants of the run. From any thread."""

import msgspec


class Abort(msgspec.Struct, frozen=True):
    """The run is to stop."""

    reason: str
    at_once: bool = False


class AbortMachine(msgspec.Struct, frozen=True):
    """The machine of this name is to be used no more."""

    machine: str
    reason: str


class AbortTest(msgspec.Struct, frozen=True):
    """This test is to be run no more."""

    platform: str
    serial: int
    reason: str


Request = Abort | AbortMachine | AbortTest


class StillHeld(msgspec.Struct, frozen=True):
    """Of a second try to give a machine back: it did not help. The counterpart of the event MachineFreed."""

    worker: int
