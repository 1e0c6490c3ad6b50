import contextlib
from pathlib import Path

import pytest
from atex_cli.pools import CHOICES, PoolError, PoolName, parse_pool, parse_pools
from hypothesis import given
from hypothesis import strategies as st

COUNT = st.none() | st.integers(min_value=1, max_value=999_999)
WORD = st.from_regex(r"[a-z0-9]+([._-][a-z0-9]+)*", fullmatch=True)
REGISTRY = st.from_regex(r"[a-z0-9]+(\.[a-z]+)?(:[0-9]{1,5})?/", fullmatch=True)
TAG = st.from_regex(r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
DIGEST = st.from_regex(r"@sha256:[0-9a-f]{64}", fullmatch=True)
IMAGE = st.tuples(st.just("") | REGISTRY, WORD, st.just("") | TAG, st.just("") | DIGEST)


def written(count: int | None, rest: str) -> str:
    return rest if count is None else f"{count}x{rest}"


def test_local() -> None:
    assert parse_pool("local") == PoolName(text="local", backend="local")
    assert parse_pool("3xlocal").machines == 3


def test_ssh() -> None:
    pool = parse_pool("ssh:root@a,b:2222,me@[fe80::1]:22")
    assert (pool.backend, pool.machines) == ("ssh", None)
    assert [(h.user, h.address, h.port) for h in pool.hosts] == [
        ("root", "a", None),
        (None, "b", 2222),
        ("me", "fe80::1", 22),
    ]


def test_fewer_machines_at_a_time_than_hosts() -> None:
    assert parse_pool("2xssh:a,b,c").machines == 2


@pytest.mark.parametrize("backend", ["ssh", "podman"])
def test_a_file_instead(backend: str) -> None:
    pool = parse_pool(f"4x{backend}:@my labs/lab:1.toml")
    assert (pool.backend, pool.machines, pool.file) == (backend, 4, Path("my labs/lab:1.toml"))
    assert (pool.hosts, pool.image) == ((), "")


@given(COUNT, st.lists(WORD, min_size=1, max_size=5, unique=True))
def test_any_hosts(count: int | None, names: list[str]) -> None:
    text = written(count, f"ssh:{','.join(names)}")
    if count is not None and count > len(names):
        with pytest.raises(PoolError, match=f"asks for {count} machines and names {len(names)}"):
            parse_pool(text)
    else:
        assert [host.address for host in parse_pool(text).hosts] == names


@given(COUNT, IMAGE.map("".join))
def test_any_image(count: int | None, image: str) -> None:
    pool = parse_pool(written(count, f"podman:{image}"))
    assert (pool.backend, pool.machines, pool.image) == ("podman", count, image)


@given(WORD)
def test_any_lease(name: str) -> None:
    assert parse_pool(f"lease:{name}").lease == name


def test_a_lease_is_one_machine() -> None:
    with pytest.raises(PoolError, match="leave out the 2x"):
        parse_pool("2xlease:one")
    with pytest.raises(PoolError, match="lease:one is there twice"):
        parse_pools(["lease:one", "lease:two", "lease:one"])


@pytest.mark.parametrize("backend", ["4xlibvirt:rhel", "testing-farm:Fedora-42"])
def test_pools_of_later_versions_are_named_as_such(backend: str) -> None:
    with pytest.raises(PoolError, match="not supported yet"):
        parse_pool(backend)


@pytest.mark.parametrize(
    "text", ["", "fedora", "Local", "4x", "٣xlocal", "docker:fedora", "x:y", "local\n", "4 x local"]
)
def test_what_is_no_pool_is_told_the_choices(text: str) -> None:
    with pytest.raises(PoolError) as caught:
        parse_pool(text)
    assert CHOICES in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0xlocal", "no machines"),
        ("local:here", "nothing follows"),
        ("local:@file", "nothing follows"),
        ("ssh", "names no host"),
        ("ssh:", "names no host"),
        ("ssh:a,,b", "names no host"),
        ("ssh:a:99999", "port"),
        ("3xssh:a,b", "asks for 3 machines and names 2"),
        ("99999999xlocal", "is no pool"),
        ("ssh:@", "a file should follow"),
        ("podman:@", "a file should follow"),
        ("podman", "name an image"),
        ("podman:", "name an image"),
        ("podman:Fedora:42", "small letters"),
        ("podman:-v", "can be no image"),
        ("podman:--privileged fedora", "can be no image"),
        ("podman:fedora:", "can be no image"),
        ("podman:fedora@sha256:12", "can be no image"),
        ("podman:docker://fedora", "can be no image"),
        ("podman:fedora:42,fedora:43", "an --on of its own"),
        ("lease", "name a lease"),
        ("lease:", "name a lease"),
        ("lease:../../etc/passwd", "name a lease"),
        ("lease:@file", "name a lease"),
    ],
)
def test_what_is_wrong_is_said(text: str, complaint: str) -> None:
    with pytest.raises(PoolError, match=complaint):
        parse_pool(text)


@given(st.text())
def test_any_text_is_a_pool_or_a_pool_error(text: str) -> None:
    for prefix in ("", "ssh:", "podman:", "lease:", "2xpodman:@"):
        with contextlib.suppress(PoolError):
            assert parse_pool(prefix + text).text == prefix + text
