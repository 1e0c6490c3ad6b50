"""Why tests are given up, in words that each of them gets as its note."""

from itertools import islice

from atex_orchestrator.scheduling.staff import REASONS, Platform

LONGEST_NOTE = 8000  # characters; each test that is given up repeats it


def no_machine_left(platform: Platform) -> str:
    """Return why nothing can be run: a line for each machine, and below it what its phase printed last, each once.

    Of the machines that failed the latest come first: why there is none any more.
    """
    if platform.refusals:
        return f"no machine of platform {platform.name} takes it, and a fresh one neither"
    if not platform.failures:
        return f"platform {platform.name} has no machine"
    lines = [f"no machine of platform {platform.name} is left:"]
    told: set[tuple[str, ...]] = set()  # machines of a kind fail in the same way
    for failure in islice(reversed(platform.failures), REASONS):
        lines.append(failure.reason)
        if failure.output:
            lines[-1] += f"; its output is in files/{failure.output}"
        if failure.tail not in told:
            told.add(failure.tail)
            lines += [f"    {line}" for line in failure.tail]
    if len(platform.failures) > REASONS:
        lines.append("and others before (events.jsonl has all)")
    return "\n".join(lines)[:LONGEST_NOTE]
