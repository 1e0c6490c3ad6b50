"""Which platforms the machines of some pools are, and what these are called. Pure.

Machines of one backend and one context are one platform. It has the name that its pool gives it, or else the
backend's; where machines of a backend have different contexts, what differs is added: `podman-fedora-42`.
"""

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec
from atex_provision import Platform

from atex_cli.pools import PoolError
from atex_cli.supply import Context, Supply


class Staff(msgspec.Struct, frozen=True):
    """A platform, and where its machines come from."""

    platform: Platform
    supplies: list[Supply]


def platforms_of(supplies: Sequence[Supply], given: Mapping[str, Sequence[str]]) -> list[Staff]:
    """Return the platforms of `supplies`, those first whose pools name them; `given` is the context of the command
    line, which wins.

    Raises PoolError where one name is given to machines of different contexts.
    """
    chosen = {dimension: tuple(values) for dimension, values in given.items()}
    named, others = [], []
    kinds: dict[str, list[Context]] = defaultdict(list)
    for supply in supplies:
        context = {**supply.context, **chosen}
        if supply.platform:
            named.append((supply, context))
        else:
            others.append((supply, context))
            kinds[supply.kind].append(context)
    staffs: dict[str, Staff] = {}
    for supply, context in named:
        name = supply.platform
        staff = staffs.setdefault(name, Staff(Platform(name, context), []))
        if staff.platform.context != context:
            raise PoolError(
                f"{supply.pool}: its platform {name} is {_words(context)}, and in"
                f" {staff.supplies[0].pool} it is {_words(staff.platform.context)}: name them apart"
            )
        staff.supplies.append(supply)
    for supply, context in others:
        name = _free(_own_name(supply.kind, context, kinds[supply.kind]), context, staffs)
        staffs.setdefault(name, Staff(Platform(name, context), [])).supplies.append(supply)
    return list(staffs.values())


def _own_name(kind: str, context: Context, alike: Sequence[Context]) -> str:
    """Return the backend's name and what of the context is not so in all that are `alike`."""
    different = [
        "+".join(values)
        for dimension, values in context.items()
        if any(other.get(dimension) != values for other in alike)
    ]
    return "-".join([kind, *different])


def _free(name: str, context: Context, staffs: Mapping[str, Staff]) -> str:
    """Return `name`, or with a number behind it where that is a platform of another context."""
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(
        free
        for free in itertools.chain([name], numbered)
        if free not in staffs or staffs[free].platform.context == context
    )


def _words(context: Context) -> str:
    """Return a context as -c has it."""
    words = [f"{dimension}={','.join(values)}" for dimension, values in context.items()]
    return " ".join(words) or "without a context"
