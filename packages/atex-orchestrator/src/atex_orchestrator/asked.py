"""What a run is asked to do."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from atex_executor import Pack
from atex_fmf import Suite, Test
from atex_provision import Provisioner

from atex_orchestrator.durations import Durations
from atex_orchestrator.order import Rank
from atex_orchestrator.policy import Policy
from atex_orchestrator.scheduling import Rules
from atex_orchestrator.settings import Settings


class MachinePool(msgspec.Struct, frozen=True, kw_only=True):
    """Where machines come from."""

    platform: str
    name: str
    factory: Callable[[], Provisioner]
    size: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which tests are run, where, in which order, and how."""

    suites: Mapping[str, Suite]
    """Of each platform: its own tests, and what its machines are prepared with."""
    anywhere: Sequence[Test]
    """Tests that are bound to no platform."""
    packs: Mapping[str, Pack]
    """The trees of each platform's suite."""
    pools: Sequence[MachinePool]
    settings: Settings
    rules: Rules
    rank: Rank | None
    durations: Durations
    """Learns how long tests take."""
    policy: Policy
