"""Base images, prepared once with what the agent needs.

Guarantees: an image is prepared once, although many ask at once, in this process and in others of
this user; who waits for another one may be aborted. Only a complete one is ever found: podman gives
an image its name when all else is in its storage. Whoever dies while preparing leaves a container
behind that is called after his lease (`preparing()`), by which it is removed, and ends by itself.

Prepared images stay in podman's storage. They carry the label `atex.prepared`, so

    podman image prune --all --filter label=atex.prepared

removes those of which there is no container.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import msgspec

from atex_provision.errors import PodmanFailed, ProvisionError
from atex_provision.podman.command import Interruptible, PodmanCommand
from atex_provision.podman.container import LABEL, Settings, create, remove, start
from atex_provision.podman.recipe import LOOK, SCRIPT
from atex_provision.state import state_folder

REPOSITORY = "localhost/atex/prepared"
PREPARED_LABEL = "atex.prepared"  # the digest
BASE_LABEL = "atex.base"  # the image's name, for humans

SHORT_TIME = 60.0  # seconds for what takes podman one or two
PULL_TIME = 1800.0  # seconds
PREPARE_TIME = 1800.0  # seconds for all commands; podman enforces it
COMMIT_TIME = 600.0  # seconds
LINES = 20  # of what was printed, in a message
AGAIN = 1.0  # seconds between looks whether another one has come to an end


class _Config(msgspec.Struct, frozen=True, rename="pascal"):
    """Of an image: what a container of another command changes, and must not be kept."""

    user: str = ""
    working_dir: str = ""
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None

    def instructions(self) -> list[str]:
        """As a Containerfile has them (podman-commit(1), --change)."""
        return [
            f"USER {self.user or '0'}",
            f"WORKDIR {self.working_dir or '/'}",
            f"ENTRYPOINT {json.dumps(self.entrypoint or [])}",
            f"CMD {json.dumps(self.cmd or [])}",
        ]


class _Image(msgspec.Struct, frozen=True, rename="pascal"):
    """An image in podman's storage."""

    id: str
    config: _Config = _Config()


class _Seen:
    """What this process has seen of preparations, by digest. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._complete: set[str] = set()
        self._failed: dict[str, tuple[float, PodmanFailed]] = {}

    def complete(self, digest: str) -> None:
        """Notes that nothing is to be done to the image."""
        with self._lock:
            self._complete.add(digest)

    def is_complete(self, digest: str) -> bool:
        """Whether that was noted."""
        with self._lock:
            return digest in self._complete

    def failed(self, digest: str, error: PodmanFailed) -> None:
        """Notes why the image could not be prepared."""
        with self._lock:
            self._failed[digest] = (time.monotonic(), error)

    def failure(self, digest: str, since: float) -> PodmanFailed | None:
        """What was noted after `since`, by the monotonic clock."""
        with self._lock:
            at, error = self._failed.get(digest, (since, None))
            return error if at > since else None


_seen = _Seen()


class ImagePreparer:
    """Finds or makes prepared images for the container of one lease. For one thread."""

    def __init__(
        self,
        lease: str,
        *,
        network: str | None = None,
        by: Interruptible,
        tell: Callable[[str], None],
        pause: Callable[[float], None],
    ) -> None:
        """`lease`: its name, the label of containers. `network`: as `podman run --network`. `tell`
        takes what is waited for, in words; `pause` waits that many seconds. Whoever aborts this
        interrupts `by`, and makes both raise.
        """
        self._lease = lease
        self._network = network
        self._by = by
        self._tell = tell
        self._pause = pause

    def image_for(self, name: str, commands: Sequence[str] = ()) -> str:
        """The image to run: `name` itself if nothing is to be done to it, else one that is made of it
        by running `commands` as root, each by sh, and then by installing python3 if it has none >=
        3.6. An image that is not there is pulled.

        Raises PodmanFailed, with the last words of what failed, also if that happens to the one who
        is waited for; ProvisionError if there can be no lock.
        """
        began = time.monotonic()
        base = self._base(name)
        digest = _digest(base, commands)
        if (found := self._find(name, digest)) is not None:
            return found
        with self._alone(name, digest):
            if (found := self._find(name, digest)) is not None:
                return found
            if (failure := _seen.failure(digest, began)) is not None:
                raise PodmanFailed(str(failure), permanent=failure.permanent)
            return self._prepare(name, base, commands, digest)

    def _base(self, name: str) -> _Image:
        try:
            return self._inspect(name)
        except PodmanFailed:
            if name.startswith("localhost/"):  # no registry's
                raise
        self._tell(f"pulling {name}")
        return self._inspect(self._podman("pull", "--quiet", name, timeout=PULL_TIME).split()[-1])

    def _find(self, name: str, digest: str) -> str | None:
        if _seen.is_complete(digest):
            return name
        try:
            self._inspect(_tag(digest))
        except PodmanFailed:  # were it for another reason, making it would fail as well
            return None
        return _tag(digest)

    def _inspect(self, name: str) -> _Image:
        said = self._podman("image", "inspect", name, timeout=SHORT_TIME)
        try:
            return msgspec.json.decode(said, type=tuple[_Image])[0]
        except msgspec.DecodeError as error:
            raise PodmanFailed(f"podman says of {name} what is not understood: {error}") from error

    def _prepare(self, name: str, base: _Image, commands: Sequence[str], digest: str) -> str:
        container = preparing(self._lease)
        try:
            self._bring_up(container, base)
            if not commands and self._has_python(container):
                _seen.complete(digest)
                return name
            self._tell(f"preparing {name}")
            self._run(container, name, commands)
            self._commit(container, name, base, digest)
            return _tag(digest)
        except PodmanFailed as error:
            self._pause(0)  # raises if it was an abort that took the container away
            _seen.failed(digest, error)
            raise
        finally:
            with contextlib.suppress(ProvisionError):  # the lease's end removes it, too
                remove(container)

    def _bring_up(self, container: str, base: _Image) -> None:
        settings = Settings(image=base.id, network=self._network)
        making = create(container, settings, lease=self._lease, seconds=PREPARE_TIME)
        self._by.finish(making, timeout=SHORT_TIME)
        start(container)

    def _has_python(self, container: str) -> bool:
        said = self._podman("exec", container, "sh", "-c", LOOK, timeout=SHORT_TIME)
        return said.strip() == "yes"

    def _run(self, container: str, name: str, commands: Sequence[str]) -> None:
        script = ["sh", "-c", SCRIPT, "sh", *commands]
        output = self._podman("exec", container, *script, timeout=PREPARE_TIME)
        *said, end = output.splitlines() or [""]
        if end != "prepared":
            words = "\n".join([end, *said[-LINES:]])
            raise PodmanFailed(f"{name} could not be prepared: {words}", permanent=True)

    def _commit(self, container: str, name: str, base: _Image, digest: str) -> None:
        labels = {PREPARED_LABEL: digest, BASE_LABEL: name, LABEL: ""}
        changes = [f"LABEL {label}={json.dumps(value)}" for label, value in labels.items()]
        changes += base.config.instructions()
        options = ["--quiet", "--pause=false", *(f"--change={change}" for change in changes)]
        self._podman("commit", *options, container, _tag(digest), timeout=COMMIT_TIME)

    def _podman(self, *arguments: str, timeout: float) -> str:
        return self._by.finish(PodmanCommand(*arguments), timeout=timeout)

    @contextmanager
    def _alone(self, name: str, digest: str) -> Iterator[None]:
        """Keeps all others out who would prepare the same; waits for one who does."""
        folder = state_folder() / "images"
        told: bytes | None = None
        with contextlib.ExitStack() as held:
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                file = held.enter_context((folder / f"{digest[:32]}.lock").open("ab+", buffering=0))
                while not _lock(file):
                    file.seek(0)
                    holder = file.read(20)
                    if holder != told:
                        self._tell(
                            f"process {holder.decode(errors='replace')} looks at {name} or prepares"
                            " it; waiting for it"
                        )
                        told = holder
                    self._pause(AGAIN)
                file.truncate(0)
                file.write(str(os.getpid()).encode())
            except OSError as error:
                raise ProvisionError(f"cannot lock the preparing of {name}: {error}") from error
            yield


def _lock(file: IO[bytes]) -> bool:
    """Whether the file's lock is ours now; no if somebody has it. Raises OSError."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def preparing(lease: str) -> str:
    """The name of the container in which an image is prepared for a lease."""
    return f"{lease}-prepare"


def _digest(base: _Image, commands: Sequence[str]) -> str:
    recipe = json.dumps([base.id, SCRIPT, *commands])
    return hashlib.sha256(recipe.encode()).hexdigest()


def _tag(digest: str) -> str:
    return f"{REPOSITORY}:{digest[:32]}"
