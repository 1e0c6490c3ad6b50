"""Where to connect to, as whom, on which way, and whom to trust: what a caller says of a host, joined
with ~/.ssh/config.

What the caller says wins. Options that would lead elsewhere and that we cannot follow are refused;
others are ignored.
"""

import contextlib
import getpass
import hashlib
import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from atex_provision.errors import BadConfiguration, BadHost
from atex_provision.host import Host, parse_hops
from atex_provision.ssh.config_file import Options, Setting, read_options
from atex_provision.ssh.known_hosts import GLOBAL_FILES, host_id, user_files

CONNECT_TIME = 30.0  # seconds
DEFAULT_PORT = 22
MOST_HOPS = 8  # jump hosts in a row; more are taken for a circle

# Who writes a host's name, in an inventory for example, need not be who may run commands here.
_FOR_SHELLS = re.compile(r"""^-|[\s'`"$\\;&<>|(){}]""")

_TIME = re.compile(r"(\d{1,9})([smhdw]?)", re.ASCII)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}  # in seconds

HostKeys = Literal["new", "strict"]
"""What becomes of a host whose key is not known: "new" accepts it once and remembers it, "strict" refuses it."""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Which host key is believed."""

    name: str
    """What the host is called in known_hosts."""
    files: tuple[Path, ...]
    """Where else it may be known than in our own file; these are only read."""
    policy: Literal["new", "strict", "forget"]
    """For an unknown key: remember it, refuse it, or accept it this time (and do not look into our own file either)."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where to connect to, and as whom."""

    address: str
    port: int
    user: str
    trust: Trust
    identity: Path | None
    """The only key to try, if the caller named one."""
    identity_files: tuple[Path, ...]
    """What the config lists."""
    identities_only: bool
    via: "Target | None"
    """The jump host before it; None: directly, or by `proxy_command`."""
    proxy_command: str | None
    timeout: float
    """Seconds for each step of connecting, unless the caller names others."""

    def __str__(self) -> str:
        """host:port, for messages."""
        return _with_port(self.address, self.port)

    @property
    def place(self) -> str:
        """Which server it is, the same however somebody writes its name and whoever logs in: address
        and port, and the way there, behind which an address may be another machine.
        """
        address = self.address.lower().removesuffix(".")
        with contextlib.suppress(ValueError):  # a name
            address = str(ipaddress.ip_address(address))
        place = _with_port(address, self.port)
        if self.proxy_command is not None:  # it may be long, and have secrets in it
            digest = hashlib.sha256(self.proxy_command.encode()).hexdigest()
            return f"{place} by command {digest[:12]}"
        return place if self.via is None else f"{place} by {self.via.place}"


def _with_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def config_path() -> Path:
    """The user's ssh config."""
    return Path.home() / ".ssh/config"


def find_target(host: Host, host_keys: HostKeys = "new") -> Target:
    """Joins `host` with the user's config. Raises BadConfiguration."""
    return _find(host, host_keys, 0)


def _find(host: Host, host_keys: HostKeys, hops: int) -> Target:
    options = read_options(config_path(), host.address, host.user)
    _refuse_canonical(host.address, options)
    names = _Names(host, options)
    via, proxy_command = _way(host, host_keys, hops, options, names)
    identity_files = [names.path_in(setting) for setting in options.get("identityfile", [])]
    return Target(
        address=names.address,
        port=names.port,
        user=names.user,
        trust=_trust(names, options, host_keys),
        identity=Path(host.identity) if host.identity else None,
        identity_files=tuple(path for path in identity_files if path is not None),
        identities_only=_is_yes(options, "identitiesonly"),
        via=via,
        proxy_command=proxy_command,
        timeout=_timeout(options),
    )


class _Names:
    """Name, address, port and user of a host, and what stands for them in other options (ssh_config(5), TOKENS)."""

    def __init__(self, host: Host, options: Options) -> None:
        self.name = self.address = host.address
        if hostname := options.get("hostname"):
            self.address = _expand(hostname[0], hostname[0].word, {"h": host.address})
        self.port = host.port or _port(options)
        user = options.get("user")
        self.user = host.user or (user[0].word if user else getpass.getuser())
        alias = options.get("hostkeyalias")
        self.known_as = alias[0].word.lower() if alias else host_id(self.address, self.port)
        here = socket.gethostname()
        self._tokens = {
            "d": str(Path.home()),
            "h": self.address,
            "i": str(os.getuid()),
            "k": alias[0].word if alias else host.address,
            "L": here.partition(".")[0],
            "l": here,
            "n": host.address,
            "p": str(self.port),
            "r": self.user,
            "u": getpass.getuser(),
        }

    def put_into(self, setting: Setting, text: str) -> str:
        """`text`, which is of `setting`, with its tokens replaced."""
        return _expand(setting, text, self._tokens)

    def path_in(self, setting: Setting) -> Path | None:
        """The file that `setting` names; None for "none"."""
        word = setting.word
        return None if word.lower() == "none" else self.path(setting, word)

    def path(self, setting: Setting, word: str) -> Path:
        """The file that a word of `setting` names, relative to where we are."""
        return Path(os.path.expanduser(os.path.expandvars(self.put_into(setting, word))))


def _expand(setting: Setting, text: str, tokens: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        token = match[1]
        if token == "%":
            return token
        if token not in tokens:
            raise setting.error(f"has a %{token}, which atex does not know there")
        return tokens[token]

    return re.sub(r"%(.?)", value, text)


def _timeout(options: Options) -> float:
    for setting in options.get("connecttimeout", []):
        word = setting.word.lower()
        if word == "none":
            break
        seconds = sum(int(number) * _UNITS[unit] for number, unit in _TIME.findall(word))
        if _TIME.sub("", word) or not seconds:
            raise setting.error("is no time; 10 and 1m30s are some")
        return float(seconds)
    return CONNECT_TIME


def _port(options: Options) -> int:
    for setting in options.get("port", []):
        word = setting.word
        if not word.isdecimal() or not 0 < int(word) < 2**16:
            raise setting.error("is no port; they go from 1 to 65535")
        return int(word)
    return DEFAULT_PORT


def _way(
    host: Host, host_keys: HostKeys, hops: int, options: Options, names: _Names
) -> tuple[Target | None, str | None]:
    """The jump host before this one, or the command that leads there. Of ProxyJump and ProxyCommand the first holds."""
    jumps: tuple[Host, ...] = ()
    if host.jump is not None:
        jumps = parse_hops(host.jump)
    else:
        option = next((key for key in options if key in ("proxyjump", "proxycommand")), "")
        for setting in options.get(option, []):
            if option == "proxycommand":
                return None, _proxy_command(setting, names)
            try:
                jumps = parse_hops(names.put_into(setting, setting.word))
            except BadHost as error:
                raise setting.error(f"cannot be followed ({error})") from error
    if not jumps:
        return None, None
    if hops == MOST_HOPS:
        raise BadConfiguration(
            f"{host.name}: more than {MOST_HOPS} jump hosts in a row; does one of them lead to itself"
            f" in {config_path()}?"
        )
    return _find(jumps[-1], host_keys, hops + 1), None


def _proxy_command(setting: Setting, names: _Names) -> str | None:
    if setting.text.lower() == "none":
        return None
    for name in (names.name, names.address, names.user, names.known_as):
        if _FOR_SHELLS.search(name):
            raise setting.error(f"would hand {name!r} to a shell, for which that is no plain word")
    return names.put_into(setting, setting.text)


def _trust(names: _Names, options: Options, host_keys: HostKeys) -> Trust:
    users = _files(names, options, "userknownhostsfile", user_files())
    everybodys = _files(names, options, "globalknownhostsfile", GLOBAL_FILES)
    checking = options.get("stricthostkeychecking")
    match checking[0].word.lower() if checking else "ask":
        case "yes":
            host_keys = "strict"
        case "ask" | "accept-new":
            pass
        case "no" | "off":
            if host_keys == "new" and all(path == Path(os.devnull) for path in users):
                return Trust(name=names.known_as, files=everybodys, policy="forget")
        case _ if checking:
            raise checking[0].error("should be yes, accept-new, ask or no")
    return Trust(name=names.known_as, files=(*users, *everybodys), policy=host_keys)


def _files(
    names: _Names, options: Options, option: str, default: tuple[Path, ...]
) -> tuple[Path, ...]:
    if option not in options:
        return default
    setting = options[option][0]
    words = setting.words
    return () if words == ["none"] else tuple(names.path(setting, word) for word in words)


def _is_yes(options: Options, option: str) -> bool:
    return option in options and options[option][0].word.lower() in ("yes", "true")


def _refuse_canonical(name: str, options: Options) -> None:
    """Where ssh would look for the full name of a host, which may be another machine than `name` itself."""
    setting = options.get("canonicalizehostname", [None])[0]
    if setting is None or setting.word.lower() not in ("yes", "always"):
        return
    dots = options.get("canonicalizemaxdots")
    most = int(dots[0].word) if dots and dots[0].word.isdecimal() else 1
    if name.count(".") <= most and not _is_address(name):
        raise setting.error(f"is not supported for a short name like {name}: write the full one")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
