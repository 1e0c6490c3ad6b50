"""The file that describes a pool of containers, `podman:@FILE`. TOML:

image = "registry.fedoraproject.org/fedora:42"
systemd = true                      # the rest may be left out; these are not the defaults
volumes = ["/srv/data:/data:ro"]    # as `podman run --volume`
network = "host"                    # as `podman run --network`
privileged = true
prepare = ["dnf -y install vim"]     # commands that are run in the image once, as root
machines = 4                        # at a time; `2xpodman:@FILE` wins
platform = "fedora"                 # its name
context = {distro = "fedora-42", variant = ["server", "cloud"]}
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec

from atex_cli.pools import PoolError, is_image

_PLACE = re.compile(r"(?P<words>.*) - at `(?:key in )?\$\.?(?P<key>[^`]+)`", re.DOTALL)


class PodmanPool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says."""

    image: str
    systemd: bool = False
    volumes: tuple[str, ...] = ()
    network: str | None = None
    privileged: bool = False
    prepare: tuple[str, ...] = ()
    machines: Annotated[int, msgspec.Meta(ge=1)] = 1
    platform: str = ""
    context: dict[str, str | tuple[str, ...]] = {}

    @property
    def dimensions(self) -> dict[str, tuple[str, ...]]:
        """The context, with all values of each dimension."""
        return {
            name: (values,) if isinstance(values, str) else values
            for name, values in self.context.items()
        }


def read_podman_pool(path: Path) -> PodmanPool:
    """Read the file. Raises PoolError, which names the file and, where it is one key's fault, the key."""
    try:
        pool = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), PodmanPool)
    except OSError as error:
        raise PoolError(f"{path}: cannot be read: {error.strerror}") from error
    except msgspec.ValidationError as error:
        raise PoolError(f"{path}: {_translate(str(error))}") from error
    except (ValueError, RecursionError) as error:  # ValueError: also where it is not UTF-8
        raise PoolError(f"{path}: is not TOML: {error}") from error
    if not is_image(pool.image):
        raise PoolError(f"{path}: image: {pool.image!r} can be no image")
    return pool


def _translate(words: str) -> str:
    """Return what msgspec says with the key at its front: "machines: Expected `int`, got `str`"."""
    place = _PLACE.fullmatch(words)
    return f"{place['key']}: {place['words']}" if place else words
