"""Machines that a service lends over HTTP (server.py): a backend of one's own."""

import http.client
import json
import os
import time
import urllib.request
from typing import Any, ClassVar, Self

import atex_provision
from atex_provision import Host, Lease, LeaseJournal, ProvisionError, SshConnection


class HttpProvisioner(atex_provision.LeasedProvisioner):
    """Borrows a machine from the service at `url`, whose token is in MACHINES_TOKEN."""

    kind: ClassVar[str] = "http"
    outlives_lease: ClassVar[bool] = True  # the service lends it again as it is
    boot_time = 60.0

    def __init__(self, url: str, *, identity: str = "", **lease: Any) -> None:
        super().__init__(**lease)
        self.url, self.identity = url, identity

    def _resource(self) -> dict[str, str]:
        return {"url": self.url, "identity": self.identity}

    def _acquire(self, lease: Lease) -> None:
        while True:
            answer = _call("PUT", lease, {"seconds": lease.ends - time.time()})
            if answer["address"]:
                return self._learn(address=answer["address"])
            self._progress("wait", f"{self.url} has lent all its machines")
            self._pause(1.0)

    def _connection(self, lease: Lease) -> SshConnection:
        identity = lease.resource["identity"] or None
        return SshConnection(Host.parse(lease.resource["address"], identity=identity))

    def _free(self, lease: Lease) -> None:
        _call("DELETE", lease, {})

    @classmethod
    def _of(cls, lease: Lease, journal: LeaseJournal) -> Self:
        return cls(lease.resource["url"], identity=lease.resource["identity"], journal=journal)


def _call(method: str, lease: Lease, body: dict[str, float]) -> dict[str, str]:
    url = f"{lease.resource['url']}/machines/{lease.name}"
    headers = {"Authorization": f"Bearer {os.environ.get('MACHINES_TOKEN')}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: dict[str, str] = json.load(answer)
            return found
    except urllib.request.HTTPError as error:
        with error:  # it is the answer, too, with a socket
            raise ProvisionError(f"{method} {url}: {error}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ProvisionError(f"{method} {url}: {error}") from error
