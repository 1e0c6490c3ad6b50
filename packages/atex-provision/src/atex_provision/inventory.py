"""A file that lists hosts, in TOML (https://toml.io); docs/backends/ssh.md explains every key.

    user = "root"              # at the top: what holds for all hosts that do not say otherwise

    [[host]]                   # for each host
    address = "one.lab"
    platform = "rhel-9"

    [context.rhel-9]           # for each platform: its fmf context
    distro = "rhel-9.6"

Nothing is reached here: a file without mistakes may name hosts that do not exist.
"""

import ipaddress
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from atex_provision.errors import BadHost, BadInventory
from atex_provision.host import Host, parse_hops

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # a tab and a line end do no harm in a command

_Seconds = Annotated[float, Meta(gt=0, le=7 * 86400)]


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What such a file says."""

    hosts: tuple[Host, ...]
    """In the order of the file."""
    contexts: Mapping[str, Mapping[str, tuple[str, ...]]]
    """The fmf context of each platform that the file has; a host's platform is one of them, or
    "".
    """


class _Options(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, rename="kebab"):
    """What can be said of one host, or of all. "" is as if nothing were said."""

    user: str | UnsetType = UNSET
    port: Annotated[int, Meta(ge=1, le=65535)] | UnsetType = UNSET
    key: str | UnsetType = UNSET
    jump: str | UnsetType = UNSET
    python: str | UnsetType = UNSET
    platform: str | UnsetType = UNSET
    slots: Annotated[int, Meta(ge=1, le=100)] | UnsetType = UNSET
    reset: str | UnsetType = UNSET
    reset_time: _Seconds | UnsetType = UNSET
    reboot: str | UnsetType = UNSET
    reboot_time: _Seconds | UnsetType = UNSET


class _HostTable(_Options, kw_only=True, rename="kebab"):
    address: str
    name: str | UnsetType = UNSET


class _File(_Options, kw_only=True, rename="kebab"):
    host: list[_HostTable] = []
    context: dict[str, Any] = {}


def read_inventory(path: Path) -> Inventory:
    """The hosts that the file `path` lists. Raises BadInventory for whatever is wrong with it."""
    try:
        file = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _File)
        contexts = {name: _context(name, said) for name, said in file.context.items()}
        hosts = _hosts(file, path.parent)
    except OSError as error:
        raise BadInventory(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInventory(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise BadInventory(f"{path}: is not TOML: {error}") from error
    except RecursionError as error:
        raise BadInventory(f"{path}: its values are nested too deeply") from error
    except msgspec.ValidationError as error:
        raise BadInventory(f"{path}: {_words(str(error))}") from error
    except BadHost as error:
        raise BadInventory(f"{path}: {error}") from error
    return Inventory(hosts=hosts, contexts=contexts)


def _hosts(file: _File, folder: Path) -> tuple[Host, ...]:
    """Raises BadHost, as all below do; each adds what it knows of the place."""
    if not file.host:
        raise BadHost("it lists no host; each is a table [[host]] with an address")
    for_all = _said(file)
    hosts: dict[tuple[str | None, str, int | None], Host] = {}
    names: set[str] = set()
    for number, table in enumerate(file.host, 1):
        with _in(f"[[host]] {number} ({table.address})"):
            host = _host({**for_all, **_said(table)}, set(file.context), folder)
            where = (host.jump, host.address.lower(), host.port)
            if where in hosts or host.name in names:
                raise BadHost(
                    "is there twice; `slots` says how many tests a host takes at a time, and"
                    " `name` tells hosts of one address apart"
                )
            hosts[where] = host
            names.add(host.name)
    return tuple(hosts.values())


def _said(table: _File | _HostTable) -> dict[str, Any]:
    """What a table says of hosts, by the fields of the structs here."""
    fields = _HostTable if isinstance(table, _HostTable) else _Options
    values = {name: getattr(table, name) for name in fields.__struct_fields__}
    return {name: value for name, value in values.items() if value is not UNSET}


def _host(said: dict[str, Any], platforms: set[str], folder: Path) -> Host:
    for key, value in said.items():
        if isinstance(value, str) and _CONTROL.search(value):
            raise BadHost(f"{key}: has a control character")
    said = {key: value for key, value in said.items() if value != ""}
    _check_address(said.get("address", ""))
    if "jump" in said:
        with _in("jump"):
            parse_hops(said["jump"])
    if "key" in said:
        said["identity"] = _key_file(folder, said.pop("key"))
    if (platform := said.get("platform", "")) and platform not in platforms:
        raise BadHost(
            f"platform: there is no [context.{platform}]; it may be empty, but without it a"
            " misspelt name would be a platform, too"
        )
    said["slots"] = tuple(str(number) for number in range(said.get("slots", 1)))
    return Host(**said)


def _check_address(address: str) -> None:
    """A name, an alias, or an IP address; all else that can be said of a host has keys of its own."""
    if ":" in address:
        with _in("address"):
            try:
                ipaddress.IPv6Address(address)
            except ValueError:
                raise BadHost("has a colon and is no IPv6 address; a port is `port`") from None
    elif not re.fullmatch(r"[^][@/,\s-][^][@/,\s]*", address):
        raise BadHost(f"address: {address!r} is no name or IP address; a user is `user`")


def _key_file(folder: Path, key: str) -> str:
    file = folder / Path(key).expanduser()
    if not file.is_file():
        raise BadHost(f"key: there is no file {file}")
    return str(file)


def _context(name: str, said: object) -> dict[str, tuple[str, ...]]:
    with _in(f"[context.{name}]"):
        if not isinstance(said, dict):
            raise BadHost("is not a table of dimensions and their values")
        return {dimension: _values(dimension, value) for dimension, value in said.items()}


def _values(dimension: str, value: object) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(word, str) and word.strip() for word in values):
        raise BadHost(f"{dimension}: is not a text, or a list of texts, with something in it")
    return tuple(values)


@contextmanager
def _in(place: str) -> Iterator[None]:
    try:
        yield
    except BadHost as error:
        raise BadHost(f"{place}: {error}") from error


# What msgspec says, and what it is called in the file.
_WORDS = {
    "Object contains unknown field": "there is no key",
    "Object missing required field": "it lacks",
    "`str`": "a text",
    "`int`": "a whole number",
    "`float`": "a number",
    "`bool`": "true or false",
    "`array`": "a list",
    "`object`": "a table",
}


def _words(error: str) -> str:
    words, _, path = error.partition(" - at `$")
    for theirs, ours in _WORDS.items():
        words = words.replace(theirs, ours)
    path = path.removesuffix("`").removeprefix(".")
    if host := re.match(r"host\[(\d+)\]\.?", path):
        path = f"[[host]] {int(host[1]) + 1}: {path[host.end() :]}".removesuffix(": ")
    return f"{path}: {words}" if path else words
