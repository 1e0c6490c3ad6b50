"""How a host is written."""

import pytest
from atex_provision import BadHost, Host, ProvisionError
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True)
ADDRESSES = NAMES | st.ip_addresses().map(str)


@given(user=st.none() | NAMES, address=ADDRESSES, port=st.none() | st.integers(1, 65535))
def test_what_is_written_is_read_again(user: str | None, address: str, port: int | None) -> None:
    host = Host(user=user, address=address, port=port)
    assert Host.parse(host.name) == host


@given(st.text())
def test_any_text_is_a_host_or_an_error(text: str) -> None:
    try:
        host = Host.parse(text)
    except BadHost:
        return
    assert host.address
    assert host.address in text


def test_examples() -> None:
    host = Host.parse("root@[fe80::1%eth0]:2222", identity="/key")
    assert (host.user, host.address, host.port) == ("root", "fe80::1%eth0", 2222)
    assert (host.identity, host.name) == ("/key", "root@[fe80::1%eth0]:2222")
    assert Host.parse("[::1]").address == "::1"
    assert Host.parse("box").name == "box"
    assert Host(address="box", name="the box").name == "the box"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "USER@HOST"),
        ("root@", "USER@HOST"),
        ("@box", "USER@HOST"),
        ("box:", "USER@HOST"),
        ("box:ssh", "USER@HOST"),
        ("box:0", "no port 0"),
        ("box:65536", "no port 65536"),
        ("fe80::1", "brackets"),
        ("a b", "USER@HOST"),
    ],
)
def test_errors_show_how_to_write_it(text: str, says: str) -> None:
    with pytest.raises(BadHost, match=says) as caught:
        Host.parse(text)
    assert isinstance(caught.value, ProvisionError)
