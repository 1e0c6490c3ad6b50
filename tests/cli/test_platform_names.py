"""Which platforms pools are, and what these are called."""

from collections.abc import Mapping, Sequence

import pytest
from atex_cli.platforms import platforms_of
from atex_cli.pools import PoolError
from atex_cli.supply import Supply
from atex_provision import LocalProvisioner
from hypothesis import given
from hypothesis import strategies as st

FEDORA = {"distro": ("fedora-42",)}
STREAM = {"distro": ("centos-stream-10",)}

NO_CONTEXT: Mapping[str, Sequence[str]] = {}


def supply(
    pool: str, context: Mapping[str, tuple[str, ...]] | None = None, platform: str = ""
) -> Supply:
    return Supply(
        pool=pool,
        kind=pool.partition(":")[0],
        platform=platform,
        context=context or {},
        machines=1,
        open=lambda terms: LocalProvisioner,
    )


def named(
    *supplies: Supply, given: Mapping[str, Sequence[str]] = NO_CONTEXT
) -> dict[str, list[str]]:
    """Pools by the name of their platform."""
    staffs = platforms_of(supplies, given)
    return {staff.platform.name: [one.pool for one in staff.supplies] for staff in staffs}


def test_a_platform_without_a_name_is_called_after_its_backend() -> None:
    pools = [supply("local", FEDORA), supply("ssh:a"), supply("ssh:b"), supply("podman:x", FEDORA)]
    assert named(*pools) == {
        "local": ["local"],
        "ssh": ["ssh:a", "ssh:b"],
        "podman": ["podman:x"],
    }


def test_different_contexts_of_a_backend_have_different_names() -> None:
    pools = [supply("podman:f", FEDORA), supply("podman:s", STREAM), supply("podman:f2", FEDORA)]
    assert named(*pools, supply("podman:mine")) == {
        "podman-fedora-42": ["podman:f", "podman:f2"],
        "podman-centos-stream-10": ["podman:s"],
        "podman": ["podman:mine"],
    }


def test_only_what_differs_is_in_the_name() -> None:
    one = {**FEDORA, "arch": ("x86_64",)}
    two = {**FEDORA, "arch": ("x86_64", "s390x")}
    pools = [supply("podman:a", one), supply("podman:b", two)]
    assert list(named(*pools)) == ["podman-x86_64", "podman-x86_64+s390x"]


def test_what_was_given_is_for_all_and_wins() -> None:
    pools = [supply("podman:f", FEDORA), supply("podman:s", STREAM)]
    assert named(*pools, given={"distro": ["rhel-9"]}) == {"podman": ["podman:f", "podman:s"]}
    [staff] = platforms_of(pools, {"distro": ["rhel-9"], "arch": ["x86_64"]})
    assert staff.platform.context == {"distro": ("rhel-9",), "arch": ("x86_64",)}


def test_a_pool_may_name_its_platform() -> None:
    pools = [supply("podman:f", FEDORA, "mine"), supply("ssh:a", FEDORA, "mine")]
    assert named(*pools, supply("podman:s", STREAM)) == {
        "mine": ["podman:f", "ssh:a"],
        "podman": ["podman:s"],
    }


def test_one_name_for_two_contexts_is_refused() -> None:
    pools = [supply("podman:f", FEDORA, "mine"), supply("ssh:@lab", {}, "mine")]
    words = "ssh:@lab: its platform mine is without a context, and in podman:f it is distro=fedora"
    with pytest.raises(PoolError, match=words):
        platforms_of(pools, {})
    assert named(*pools, given=FEDORA) == {"mine": ["podman:f", "ssh:@lab"]}


def test_a_name_that_is_taken_is_not_given_to_others() -> None:
    assert named(supply("podman:s", STREAM), supply("ssh:a", {}, "podman")) == {
        "podman": ["ssh:a"],
        "podman-2": ["podman:s"],
    }


CONTEXTS = st.dictionaries(st.sampled_from("ab"), st.tuples(st.sampled_from("xy")))
SUPPLIES = st.builds(supply, st.sampled_from(["ssh", "podman", "ssh-x"]), CONTEXTS)


@given(st.lists(SUPPLIES), CONTEXTS)
def test_each_pool_is_of_the_one_platform_that_has_its_context(
    pools: list[Supply], chosen: dict[str, tuple[str]]
) -> None:
    staffs = platforms_of(pools, chosen)
    assert sum(len(staff.supplies) for staff in staffs) == len(pools)
    assert len({staff.platform.name for staff in staffs}) == len(staffs)
    for staff in staffs:
        for one in staff.supplies:
            assert {**one.context, **chosen} == staff.platform.context
