"""What the scheduler decides upon, and what it decides."""

from typing import Literal

import msgspec
from atex_fmf import Test


class Pool(msgspec.Struct, frozen=True):
    """Machines of one kind."""

    platform: str
    size: int  # so many machines at most


class Reserve(msgspec.Struct, frozen=True):
    """Get a machine of this pool ready, as this worker."""

    worker: int
    pool: int  # index in the pools that the scheduler was given


class Run(msgspec.Struct, frozen=True):
    """Run this test on this worker's machine, which is free."""

    worker: int
    test: Test
    attempt: int = 1  # counted over reruns and retries


class Release(msgspec.Struct, frozen=True):
    """Finish and give the machine back, or stop asking for it where it is not there yet."""

    worker: int


class Keep(msgspec.Struct, frozen=True):
    """Leave the machine reserved, and as its last test left it."""

    worker: int


class GiveUp(msgspec.Struct, frozen=True):
    """Record these tests with this status and reason: they were never started, and will not be."""

    platform: str  # ANY: they are bound to none
    tests: tuple[Test, ...]
    reason: str
    status: Literal["infra", "skip"] = "infra"


Decision = Reserve | Run | Release | Keep | GiveUp
