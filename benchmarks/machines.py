"""The machines that benchmarks run on."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from tests.machines import (
    LightHost,
    LightHosts,
    light_hosts_missing,
    podman_images,
    podman_missing,
    podman_settings,
)


@contextmanager
def light_hosts(count: int) -> Iterator[list[LightHost]]:
    """Start `count` light hosts; their keys are not kept, because another host gets the address some day.

    Ends the process with a message where there can be none.
    """
    reason = light_hosts_missing()
    if reason:
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory() as state, LightHosts(count) as hosts:
        os.environ["XDG_STATE_HOME"] = state  # where ATEX keeps the host keys that it has seen
        yield hosts


@contextmanager
def container_image() -> Iterator[str]:
    """The name of an image for containers. Ends the process with a message where there can be none."""
    reason = podman_missing()
    if reason:
        raise SystemExit(reason)
    os.environ.update(podman_settings())
    with podman_images() as image:
        yield image
