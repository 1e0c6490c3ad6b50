"""What somebody wants of a run that goes on, in the inbox of its owner. From any thread."""

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
