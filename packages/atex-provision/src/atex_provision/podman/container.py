"""One container: made, started, looked at, removed; each is one run of podman.

Made and started apart, because only the first may be cut short (see `command`).
"""

import math
from pathlib import Path

import msgspec

from atex_provision.errors import PodmanFailed
from atex_provision.podman.command import COMMAND_TIME, Interruptible, PodmanCommand, podman

LABEL = "atex.lease"
START_TIME = 300.0  # seconds; far more than it takes, for it should not be killed in the middle


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a container is made of."""

    image: str
    systemd: bool = False
    """Its first process is the image's /sbin/init, so that services run and it can reboot."""
    volumes: tuple[str, ...] = ()
    """As `podman run --volume` has them: HOST-FOLDER:FOLDER[:OPTIONS]."""
    network: str | None = None
    """As `podman run --network` has it; None: podman's default."""
    privileged: bool = False


class State(msgspec.Struct, frozen=True, rename="pascal"):
    """What podman knows of a container that exists."""

    status: str
    """"created", "running", "exited", "stopping", "paused" ..."""
    started_at: str
    """When it was started last; another one after each restart."""
    pid: int = 0
    """Of its first process, as this machine sees it."""

    @property
    def running(self) -> bool:
        """Whether commands can be run in it."""
        return self.status == "running"

    @property
    def going_down(self) -> bool:
        """Whether its systemd has told all processes to end, and waits for that."""
        try:
            return Path(f"/proc/{self.pid}/comm").read_text().startswith("systemd-shutdow")
        except OSError:  # it is gone
            return False


def create(name: str, settings: Settings, *, lease: str, seconds: float) -> PodmanCommand:
    """The making of a container of an image that is there. It will run for `seconds` at most after each
    of its starts.

    To be finished by the caller's thread. It can be closed at any time: then there is a container of
    that name, or none.
    """
    if settings.systemd:
        main = ["--systemd=always", "--entrypoint=/sbin/init", settings.image]
    else:  # something that does nothing, behind an init that reaps
        main = ["--init", "--systemd=false", "--entrypoint=sleep", settings.image, "infinity"]
    return PodmanCommand(
        "create",
        "--pull=never",
        f"--name={name}",
        f"--hostname={name}",
        f"--label={LABEL}={lease}",
        f"--timeout={math.ceil(max(1.0, seconds))}",
        "--user=root",
        "--workdir=/",
        *(f"--volume={_absolute(volume)}" for volume in settings.volumes),
        *([f"--network={settings.network}"] if settings.network else []),
        *(["--privileged"] if settings.privileged else []),
        *main,
    )


def start(name: str) -> None:
    """Starts the container if it does not run. Raises PodmanFailed."""
    podman("start", name, timeout=START_TIME, outlive=True)


def state(
    name: str, *, by: Interruptible | None = None, timeout: float = COMMAND_TIME
) -> State | None:
    """What state the container is in; None if there is no such container. Raises PodmanFailed, also
    after `timeout` seconds, and what `by` raises.
    """
    try:
        command = PodmanCommand("container", "inspect", "--format={{json .State}}", name)
        said = (by or Interruptible()).finish(command, timeout=timeout)
    except PodmanFailed as error:
        if "no such container" in str(error):
            return None
        raise
    try:
        return msgspec.json.decode(said, type=State)
    except msgspec.DecodeError as error:
        raise PodmanFailed(f"podman says of {name} what is not understood: {error}") from error


def remove(*names: str) -> None:
    """Kills all that runs in the containers, and removes them with all their files, as far as they
    are there. Raises PodmanFailed.
    """
    podman("rm", "--force", "--ignore", "--time=0", "--volumes", *names, outlive=True)


def _absolute(volume: str) -> str:
    """podman is not started in the caller's folder."""
    source, colon, rest = volume.partition(":")
    return f"{Path(source).resolve()}{colon}{rest}" if source.startswith(".") else volume
