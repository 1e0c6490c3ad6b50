"""What a machine says about itself, against the context with which the tests of its platform were discovered. Pure."""

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile

from atex_provision import Platform

from atex_orchestrator.events import MachineDiffers, MachineReserved

DIMENSIONS = ("distro", "arch")  # of a context that facts can contradict


class Differences:
    """Finds them, each once for a platform: machines of a kind differ in the same way. Not thread-safe."""

    def __init__(self, platforms: Iterable[Platform]) -> None:
        """Take the platforms of a run."""
        self._contexts = {platform.name: platform.context for platform in platforms}
        self._told: set[tuple[str, str, str]] = set()

    def of(self, reserved: MachineReserved) -> list[MachineDiffers]:
        """Return what nobody was told of yet."""
        context = self._contexts.get(reserved.platform, {})
        found = []
        for dimension in DIMENSIONS:
            known: str | None = getattr(reserved.facts, dimension)
            said = context.get(dimension, ())
            if known is None or not contradicts(known, said):
                continue
            key = reserved.platform, dimension, known
            if key not in self._told:
                self._told.add(key)
                found.append(_differs(reserved, dimension, known, said))
        return found


def contradicts(known: str, said: Sequence[str]) -> bool:
    """Whether a fact fits none of the values in a context; rhel-9 and rhel-9.6 do fit, fedora-rawhide fits any."""
    return bool(said) and not any(_fits(known, value) for value in said)


def _fits(known: str, value: str) -> bool:
    """Whether the one goes on where the other ends, up to a version that is none: rawhide has a number, too."""
    pairs = zip(_parts(known), _parts(value), strict=False)
    return all(a == b for a, b in takewhile(lambda pair: not _is_moving(*pair), pairs))


def _is_moving(known: str, value: str) -> bool:
    return known.isdigit() and not value.isdigit()


def _parts(text: str) -> list[str]:
    """Return name and version parts as fmf has them."""
    return re.split("[:.-]", text)


def _differs(
    reserved: MachineReserved, dimension: str, known: str, said: Sequence[str]
) -> MachineDiffers:
    return MachineDiffers(
        worker=reserved.worker,
        platform=reserved.platform,
        machine=reserved.machine,
        reason=(
            f"{reserved.machine}: its {dimension} is {known}, and tests of platform {reserved.platform}"
            f" were chosen for {dimension}={','.join(said)}"
        ),
    )
