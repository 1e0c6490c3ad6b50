"""What a file of hosts may say, and that each mistake in it is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from atex_provision import BadInventory, Host, Inventory, ProvisionError, read_inventory
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True)
COMMANDS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), min_size=1)
SECONDS = st.floats(1, 3600)
OPTIONS = {
    "user": NAMES,
    "port": st.integers(1, 65535),
    "jump": st.lists(NAMES, min_size=1, max_size=3).map(",".join),
    "python": COMMANDS,
    "reset": COMMANDS,
    "reset-time": SECONDS,
    "reboot": COMMANDS,
    "reboot-time": SECONDS,
}
ADDRESSES = NAMES | st.ip_addresses().map(str)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lab.toml"


def written(table: dict[str, Any]) -> str:
    """Keys and values as TOML: its texts and numbers are written like those of JSON."""
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in table.items()
    )


def read(tmp: Path, text: str) -> Inventory:
    (tmp / "lab.toml").write_text(text, encoding="utf-8")
    return read_inventory(tmp / "lab.toml")


@settings(max_examples=50)
@given(
    for_all=st.fixed_dictionaries({}, optional=OPTIONS),
    tables=st.dictionaries(
        ADDRESSES, st.fixed_dictionaries({}, optional=OPTIONS), min_size=1, max_size=4
    ),
)
def test_a_host_has_what_is_said_of_it_or_of_all(
    tmp_path_factory: pytest.TempPathFactory, for_all: dict[str, Any], tables: dict[str, Any]
) -> None:
    text = written(for_all)
    for address, table in tables.items():
        text += "[[host]]\n" + written({"address": address, **table})
    hosts = read(tmp_path_factory.mktemp("inventory"), text).hosts
    expected = [
        {"address": address, **for_all, **table, "slots": ("0",)}
        for address, table in tables.items()
    ]
    assert hosts == tuple(
        Host(**{key.replace("-", "_"): value for key, value in fields.items()})
        for fields in expected
    )


LINES = st.sampled_from(
    [
        "[[host]]",
        "[host]",
        "[context]",
        "[context.a]",
        'address = "a"',
        'platform = "a"',
        'jump = ","',
        "reset-time = nan",
        "port = 99999",
        "slots = 2",
        'reboot = "reboot"',
        'distro = "a"',
        "distro = [[]]",
        "host = [{}]",
        "context = 1",
    ]
)


@given(st.lists(LINES, max_size=8).map("\n".join) | st.text())
def test_any_file_is_an_inventory_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    try:
        hosts = read(tmp_path_factory.getbasetemp(), text).hosts
    except BadInventory as error:
        says = str(error)
    else:
        says = "lab.toml: "
        assert all(host.address for host in hosts)
    assert "lab.toml: " in says
    assert "`$" not in says


def test_platforms_slots_and_keys(tmp_path: Path) -> None:
    (tmp_path / "lab_key").touch()
    inventory = read(
        tmp_path,
        """
        key = "lab_key"
        platform = "rhel-9"
        reset = "refresh $ATEX_ADDRESS"

        [[host]]
        address = "one.lab"

        [[host]]
        address = "2001:db8::2"
        name = "two"
        platform = ""
        slots = 3
        reset = ""

        [context.rhel-9]
        distro = "rhel-9.6"
        arch = ["x86_64", "aarch64"]
        """,
    )
    assert inventory.contexts == {
        "rhel-9": {"distro": ("rhel-9.6",), "arch": ("x86_64", "aarch64")}
    }
    one, two = inventory.hosts
    assert one.identity == two.identity == str(tmp_path / "lab_key")
    assert (one.platform, one.slots, one.reset) == ("rhel-9", ("0",), "refresh $ATEX_ADDRESS")
    assert (two.name, two.platform, two.slots, two.reset) == ("two", "", ("0", "1", "2"), None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no host"),
        ("a = \n[[host]]", "not TOML.*line 1"),
        ("x = " + "[" * 100_000, "nested"),
        ('[[host]]\naddress = "a"\nprot = 1', r"\[\[host\]\] 1: there is no key `prot`"),
        ("colour = 1", "there is no key `colour`$"),
        ("user = 1", "user: Expected a text, got a whole number"),
        ("host = 1", "host: Expected a list"),
        ("[[host]]", r"\[\[host\]\] 1: it lacks `address`"),
        ('[[host]]\naddress = "a"\n[[host]]\naddress = "b"\nport = 0', r"\] 2: port: .* >= 1"),
        ('[[host]]\naddress = "a"\nport = true', "port: Expected a whole number, got true"),
        ('[[host]]\naddress = "a"\nslots = 1000', "slots: .* <= 100"),
        ('[[host]]\naddress = "a"\nreset-time = 0', "reset-time: .* > 0"),
        ('[[host]]\naddress = ""', r"1 \(\): address: '' is no name"),
        ('[[host]]\naddress = "root@a"', "address: .*`user`"),
        ('[[host]]\naddress = "a:22"', "address: .*`port`"),
        ('[[host]]\naddress = "-oProxyCommand=x"', "address: "),
        ('[[host]]\naddress = "a"\njump = "b,"', "jump: '' names no host"),
        ('[[host]]\naddress = "a"\nkey = "none"', "key: there is no file .*/none"),
        ('[[host]]\naddress = "a"\nreset = "x\\u0000"', "reset: .*control character"),
        ('[[host]]\naddress = "a"\nplatform = "b"', r"platform: there is no \[context.b\]"),
        ('[[host]]\naddress = "a"\nslots = 2\nreset = "x"', "reset before a test"),
        ('[[host]]\naddress = "a"\nslots = 2\nreboot = "x"', "reboot before a test"),
        ('[[host]]\naddress = "a"\n[[host]]\naddress = "A"', r"2 \(A\): is there twice"),
        (
            '[[host]]\naddress = "a"\nname = "x"\n[[host]]\naddress = "b"\nname = "x"',
            r"2 \(b\): is there twice",
        ),
        ('[[host]]\naddress = "a"\n[context]\nb = 1', r"\[context.b\]: is not a table"),
        ('[[host]]\naddress = "a"\n[context.b]\nc = 1', r"\[context.b\]: c: is not a text"),
        ('[[host]]\naddress = "a"\n[context.b]\nc = []', r"\[context.b\]: c: is not a text"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInventory, match=says) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/lab.toml: ")
    assert isinstance(caught.value, ProvisionError)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInventory, match=r"lab.toml: cannot be read: No such file"):
        read_inventory(tmp_path / "lab.toml")
    with pytest.raises(BadInventory, match="cannot be read: Is a directory"):
        read_inventory(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(BadInventory, match=r"is not UTF-8: .* at byte 2"):
        read_inventory(tmp_path / "latin.toml")
