import contextlib

import pytest
from atex_cli.pools import CHOICES, PoolError, parse_pool, parse_pools
from hypothesis import given
from hypothesis import strategies as st


def test_local() -> None:
    pool = parse_pool("local")
    assert (pool.backend, pool.machines, pool.hosts) == ("local", 1, ())
    assert parse_pool("3xlocal").machines == 3


def test_ssh() -> None:
    pool = parse_pool("ssh:root@a,b:2222,me@[fe80::1]:22")
    assert (pool.backend, pool.machines) == ("ssh", 3)
    assert [(h.user, h.address, h.port) for h in pool.hosts] == [
        ("root", "a", None),
        (None, "b", 2222),
        ("me", "fe80::1", 22),
    ]


def test_the_number_of_named_hosts_may_be_said_again() -> None:
    assert parse_pool("2xssh:a,b").machines == 2


def test_identity_is_for_all_hosts() -> None:
    [pool] = parse_pools(["ssh:a,b"], identity="/key")
    assert [host.identity for host in pool.hosts] == ["/key", "/key"]


@pytest.mark.parametrize(
    "backend", ["podman:fedora:42", "4xlibvirt:rhel", "testing-farm:Fedora-42"]
)
def test_pools_of_later_versions_are_named_as_such(backend: str) -> None:
    with pytest.raises(PoolError, match="not supported yet"):
        parse_pool(backend)


@pytest.mark.parametrize("text", ["", "fedora", "Local", "4x", "docker:fedora", "x:y", "local\n"])
def test_what_is_no_pool_is_told_the_choices(text: str) -> None:
    with pytest.raises(PoolError) as caught:
        parse_pool(text)
    assert CHOICES in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0xlocal", "no machines"),
        ("local:here", "nothing follows"),
        ("ssh", "names no host"),
        ("ssh:", "names no host"),
        ("ssh:a,,b", "names no host"),
        ("ssh:a:99999", "port"),
        ("3xssh:a,b", "asks for 3 machines and names 2"),
        ("2xssh:a,b,c", "asks for 2 machines and names 3"),
        ("99999999xlocal", "is no pool"),
    ],
)
def test_what_is_wrong_is_said(text: str, complaint: str) -> None:
    with pytest.raises(PoolError, match=complaint):
        parse_pool(text)


def test_a_host_named_twice() -> None:
    with pytest.raises(PoolError, match="root@a is there twice"):
        parse_pools(["ssh:a", "ssh:root@a"])
    assert len(parse_pools(["ssh:a", "ssh:a:2222"])) == 2


@given(st.text())
def test_any_text_is_a_pool_or_a_pool_error(text: str) -> None:
    with contextlib.suppress(PoolError):
        assert parse_pool(text).machines > 0
