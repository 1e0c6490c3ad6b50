"""What ~/.ssh/config means for a host."""

import contextlib
import getpass
from pathlib import Path
from typing import Any

import pytest
from atex_provision import BadConfiguration, Host
from atex_provision.ssh.config import Target, find_target
from hypothesis import given
from hypothesis import strategies as st

from tests.provision.conftest import say


def target(name: str = "box", **options: Any) -> Target:
    return find_target(Host(address=name, **options))


def test_without_a_config(home: Path) -> None:
    found = target()
    assert (found.address, found.port, found.user) == ("box", 22, getpass.getuser())
    assert (found.via, found.proxy_command, found.identity) == (None, None, None)
    assert found.trust.name == "box"
    assert found.trust.files[0] == home / ".ssh/known_hosts"
    assert found.trust.policy == "new"


def test_the_first_value_holds_and_identity_files_add_up(home: Path) -> None:
    say(
        home,
        "Host b?x !bix\n  User first\n  IdentityFile ~/one\n"
        "Host bix\n  User bixer\n"
        "Host *\n  User=second\n  Port = 7\n  IdentityFile  ~/two # both\n  IdentityFile none\n",
    )
    found = target()
    assert (found.user, found.port) == ("first", 7)
    assert found.identity_files == (home / "one", home / "two")
    assert target("bix").user == "bixer"
    assert target(user="me", port=8).user == "me"
    assert target(user="me", port=8).port == 8


def test_tokens_quotes_and_variables(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYS", "/keys")
    say(
        home,
        "HostName %h.lab\nUser u\nPort 7\n"
        'IdentityFile "%d/my key"\nIdentityFile ${KEYS}/%r@%h:%p-%n%%\n',
    )
    found = target()
    assert found.address == "box.lab"
    assert found.identity_files == (home / "my key", Path("/keys/u@box.lab:7-box%"))
    assert found.trust.name == "[box.lab]:7"


def test_an_include_is_for_the_block_that_it_stands_in(home: Path) -> None:
    say(
        home,
        "Include nowhere lab.d/*\nHost other\n  Include others\nHost *\n  Port 3\n  User last\n",
    )
    (home / ".ssh/lab.d").mkdir()
    (home / ".ssh/lab.d/1").write_text("Host box\n User lab\n")
    (home / ".ssh/lab.d/2").write_text("Include ~/.ssh/lab.d/deep/*\n")
    (home / ".ssh/lab.d/deep").mkdir()
    (home / ".ssh/lab.d/deep/3").write_text("HostName deep.lab\n")
    (home / ".ssh/others").write_text("Port 4\nHost *\n IdentityFile ~/others\n")
    found = target()
    assert (found.address, found.user, found.port) == ("deep.lab", "lab", 3)
    assert not found.identity_files
    assert target("other").port == 4
    assert target("other").identity_files == (home / "others",)


@pytest.mark.parametrize(
    ("criteria", "holds"),
    [
        ("all", True),
        ("host box.lab", True),
        ("host box", False),
        ("!host box", True),
        ("originalhost b*,!bix", True),
        ("user me", True),
        ("user you", False),
        (f"localuser {getpass.getuser()}", True),
        ("originalhost box user you", False),
        ("originalhost other exec false", False),
        ("final host box.lab", True),
        ("canonical", False),
        ("!canonical", True),
    ],
)
def test_match(criteria: str, holds: bool, home: Path) -> None:
    say(home, f"HostName %h.lab\nUser me\nMatch {criteria}\n Port 7\n")
    assert target().port == (7 if holds else 22)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("Match exec true\n", r"config, line 1: match 'exec true' decides by 'exec'"),
        ("\nMatch host\n", "line 2: match 'host' lacks what 'host' should be"),
        ("Include config\n", "line 1: include 'config' is too deep"),
        ("HostName %x\n", "line 1: hostname '%x' has a %x"),
        ("User a b\n", "line 1: user 'a b' takes one value"),
        ("Port 65536\n", "line 1: port '65536' is no port"),
        ("ConnectTimeout 0\n", "line 1: connecttimeout '0' is no time; 10 and 1m30s are some"),
        ("ConnectTimeout 1.5\n", "line 1: connecttimeout '1.5' is no time"),
        ("ConnectTimeout soon\n", "line 1: connecttimeout 'soon' is no time"),
        ("StrictHostKeyChecking maybe\n", "line 1: stricthostkeychecking 'maybe' should be yes"),
        ("CanonicalizeHostname yes\n", "line 1: canonicalizehostname 'yes' is not supported"),
    ],
)
def test_what_is_wrong_is_named(config: str, says: str, home: Path) -> None:
    say(home, config)
    with pytest.raises(BadConfiguration, match=says):
        target()


def test_a_config_that_cannot_be_read(home: Path) -> None:
    say(home, "")
    (home / ".ssh/config").write_bytes(b"User \xff\n")
    with pytest.raises(BadConfiguration, match=r"cannot read .*config"):
        target()


def test_names_that_are_full_are_canonical_already(home: Path) -> None:
    say(home, "CanonicalizeHostname yes\n")
    assert target("box.lab.example").address == "box.lab.example"
    assert target("10.0.0.1").address == "10.0.0.1"


KEYWORDS = [
    "Host",
    "Match",
    "Include",
    "HostName",
    "User",
    "Port",
    "IdentityFile",
    "IdentitiesOnly",
    "ProxyJump",
    "ProxyCommand",
    "ConnectTimeout",
    "UserKnownHostsFile",
    "GlobalKnownHostsFile",
    "StrictHostKeyChecking",
    "HostKeyAlias",
    "CanonicalizeHostname",
    "CanonicalizeMaxDots",
    "Compression",
]
words = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=8),
    st.sampled_from(
        ["*", "box", "none", "yes", "no", "~/x", "~nobody/x", "%h", "%q", "7", '"', "#", "${X}"]
    ),
    st.sampled_from(["all", "final", "host", "!host", "user", "exec", "originalhost"]),
)
lines = st.builds(
    lambda keyword, separator, rest: f"{keyword}{separator}{' '.join(rest)}",
    st.sampled_from(KEYWORDS),
    st.sampled_from([" ", "=", " = ", "\t", ""]),
    st.lists(words, max_size=4),
)


@given(st.lists(lines, max_size=8).map("\n".join))
def test_whatever_it_says_it_is_followed_or_refused(tmp_path_factory: Any, config: str) -> None:
    path = tmp_path_factory.mktemp("config") / "config"
    path.write_text(config)
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(BadConfiguration):
        patch.setattr("atex_provision.ssh.config.config_path", lambda: path)
        found = target()
        assert 0 < found.port < 2**16
        assert found.user


# Ways


def test_jump_hosts_have_entries_of_their_own(home: Path) -> None:
    say(
        home,
        "Host box\n ProxyJump me@near,far:7\n"
        "Host near\n User other\n Port 8\n ProxyCommand nc %h %p\n"
        "Host far\n HostName far.lab\n IdentityFile ~/far\n ProxyJump elsewhere\n",
    )
    far = target().via
    assert far is not None
    assert (far.address, far.port, far.identity_files) == ("far.lab", 7, (home / "far",))
    near = far.via
    assert near is not None
    assert (near.address, near.port, near.user) == ("near", 8, "me")
    assert near.proxy_command == "nc near 8"
    assert near.via is None


def test_the_caller_knows_better(home: Path) -> None:
    say(home, "Host box\n ProxyJump bastion\nHost bix\n ProxyCommand nc %h %p\n")
    assert str(target().via) == "bastion:22"
    assert str(target(jump="other:7").via) == "other:7"
    assert target(jump="none").via is None
    assert str(target("bix", jump="bastion").via) == "bastion:22"
    assert target("bix", jump="bastion").proxy_command is None


def test_of_jump_and_command_the_first_holds(home: Path) -> None:
    say(
        home,
        "Host a\n ProxyCommand none\nHost b\n ProxyCommand nc %r@%n %% ~ # it\nHost c\n ProxyJump none\n"
        "Host *\n User me\n ProxyJump bastion\n ProxyCommand nc\n",
    )
    assert (target("a").via, target("a").proxy_command) == (None, None)
    assert target("b").proxy_command == "nc me@b % ~ # it"
    assert (target("c").via, target("c").proxy_command) == (None, None)
    with pytest.raises(BadConfiguration, match=r"^d: more than 8 jump hosts|^bastion: more than"):
        target("d")


@pytest.mark.parametrize("name", ["a;reboot", "$(reboot)", "`reboot`", "a|b", "-oProxyCommand=x"])
def test_no_name_gives_orders_to_a_shell(name: str, home: Path) -> None:
    say(home, "ProxyCommand nc %h %p\n")
    with pytest.raises(BadConfiguration, match=r"would hand .* to a shell"):
        target(name)
    with pytest.raises(BadConfiguration, match=r"would hand .* to a shell"):
        target(user=name)


# Trust


def trust(config: str, home: Path, **options: Any) -> tuple[list[str], str]:
    say(home, config)
    found = find_target(Host(address="box"), **options).trust
    return [str(path) for path in found.files], found.policy


PLACES = """\
Host box relay* also-relay by-jump* again-by-jump by-relay
  HostName box.lab
  Port 2222
Host relay
  ProxyCommand relay --token secret %h %p
Host also-relay
  ProxyCommand relay --token secret box.lab 2222
Host relay2
  ProxyCommand relay2 %h %p
Host by-jump
  ProxyJump gate.lab
Host again-by-jump
  ProxyJump GATE.lab.:22
Host by-jump2
  ProxyJump gate2.lab
Host by-relay
  ProxyJump relay
"""


def place(text: str) -> str:
    return find_target(Host.parse(text)).place


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("one.lab", "ONE.lab."),
        ("one.lab", "me@one.lab:22"),
        ("[fe80::1]", "[FE80:0:0::0001]:22"),
        ("box", "box.lab:2222"),
        ("relay", "also-relay"),
        ("by-jump", "again-by-jump"),
    ],
)
def test_a_place_has_one_name(one: str, other: str, home: Path) -> None:
    say(home, PLACES)
    assert place(one) == place(other)


def test_an_address_may_be_several_places(home: Path) -> None:
    say(home, PLACES)
    names = (
        "box",
        "relay",
        "relay2",
        "by-jump",
        "by-jump2",
        "by-relay",
        "[fe80::1]",
        "[fe80::1]:23",
    )
    assert len({place(name) for name in names}) == len(names)
    assert "secret" not in place("relay")


def test_whose_known_hosts(home: Path) -> None:
    files, policy = trust(
        "UserKnownHostsFile ~/a %d/b-%h\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes\n",
        home,
    )
    assert files == [str(home / "a"), str(home / "b-box")]
    assert policy == "strict"
    assert trust("UserKnownHostsFile none\nGlobalKnownHostsFile /g\n", home) == (["/g"], "new")


@pytest.mark.parametrize(
    ("config", "host_keys", "policy"),
    [
        ("StrictHostKeyChecking accept-new\n", "new", "new"),
        ("StrictHostKeyChecking ask\n", "strict", "strict"),
        ("StrictHostKeyChecking no\n", "new", "new"),
        ("StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n", "new", "forget"),
        ("StrictHostKeyChecking off\nUserKnownHostsFile none\n", "new", "forget"),
        ("StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n", "strict", "strict"),
        ("UserKnownHostsFile /dev/null\n", "new", "new"),
    ],
)
def test_what_becomes_of_an_unknown_key(
    config: str, host_keys: str, policy: str, home: Path
) -> None:
    assert trust(config, home, host_keys=host_keys)[1] == policy


@pytest.mark.parametrize(
    ("config", "seconds"),
    [
        ("", 30),
        ("ConnectTimeout none\n", 30),
        ("ConnectTimeout 5\nConnectTimeout 6\n", 5),
        ("ConnectTimeout 1m30S\n", 90),
        ("ConnectTimeout 1w2d3h\n", (9 * 24 + 3) * 3600),
    ],
)
def test_how_long_connecting_may_take(config: str, seconds: float, home: Path) -> None:
    say(home, config)
    assert target().timeout == seconds


def test_an_alias_is_what_known_hosts_says(home: Path) -> None:
    say(home, "HostKeyAlias The-Box\n")
    assert target(port=7).trust.name == "the-box"
