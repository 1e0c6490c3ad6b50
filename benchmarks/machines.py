"""The machines that benchmarks run on, and ATEX's connections to them."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from atex_provision import Host, SshConnection

from tests.machines import LightHost, LightHosts, light_hosts_missing


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


def connection_to(host: LightHost) -> SshConnection:
    """Return a connection to `host` that is not connected yet."""
    return SshConnection(Host(address=host.address, user=host.user, identity=str(host.identity)))
