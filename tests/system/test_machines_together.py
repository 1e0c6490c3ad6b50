"""Containers, with and without systemd, and hosts of a pool serve one `atex run`."""

from collections import Counter

import pytest

from tests.cli.command import end
from tests.system.fleet import PATIENCE, Fleet
from tests.waits import eventually

TESTS = 12
FAILING = (3, 8)


def expected(*platforms: str) -> dict[tuple[str, str], str]:
    return {
        (platform, f"/tests/{n}"): "fail" if n in FAILING else "pass"
        for platform in platforms
        for n in range(1, TESTS + 1)
    }


@pytest.mark.parametrize("platform", ["", "lab"])
def test_they_share_the_tests(fleet: Fleet, platform: str) -> None:
    """As two platforms, each of which runs all tests, or as one, which its files name."""
    fleet.write_tests(TESTS, FAILING)
    wanted = {"lab": 8} if platform else {"containers": 4, "hosts": 4}
    process = fleet.atex.start_run(*fleet.pools(platform=platform))
    eventually(lambda: Counter(fleet.machines().values()) == wanted, PATIENCE)
    fleet.let_go()
    ended = end(process)
    assert ended.code == 1, ended
    assert fleet.verdicts() == expected(*wanted)
    fleet.check_nothing_is_left()
