"""Lends the machines of a file, a line each (root@one.lab:22), to whoever knows the token.

    MACHINES_TOKEN=... python server.py FILE [PORT]

PUT /machines/NAME {"seconds": 60} lends a machine under a name that the borrower chose, and says
{"address": "root@one.lab:22"}, or null while all are lent. Said twice, it is the same machine.
DELETE /machines/NAME takes it back, lent or not; that name is never lent again, in case that the two
overtake each other. What is not given back comes back when its seconds are over.
"""

import hmac
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Lender:
    """Who has what. `_lock` guards all of it; `lent` and `token` may be looked at by anybody."""

    def __init__(self, addresses: list[str], token: str) -> None:
        self.addresses = addresses
        self.token = token
        self.lent: dict[str, str] = {}
        self._ends: dict[str, float] = {}
        self._over: set[str] = set()
        self._lock = threading.Lock()

    def lend(self, name: str, seconds: float) -> str | None:
        """An address; None if there is none. Raises KeyError if the name is over."""
        with self._lock:
            now = time.time()
            for late in [other for other, ends in self._ends.items() if ends <= now]:
                self._end(late)
            if name in self._over:
                raise KeyError(name)
            if name not in self.lent:
                free = [one for one in self.addresses if one not in self.lent.values()]
                if not free:
                    return None
                self.lent[name], self._ends[name] = free[0], now + seconds
            return self.lent[name]

    def take_back(self, name: str) -> None:
        with self._lock:
            self._end(name)

    def _end(self, name: str) -> None:
        self._over.add(name)
        self.lent.pop(name, None)
        self._ends.pop(name, None)


class Service(ThreadingHTTPServer):
    """Serves a lender on this machine; port 0 is any that is free."""

    daemon_threads = True

    def __init__(self, lender: Lender, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.lender = lender
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_PUT(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        seconds = float(json.loads(self.rfile.read(size))["seconds"])
        if self._is_allowed():
            try:
                self._answer(200, {"address": self.server.lender.lend(self._name(), seconds)})
            except KeyError:
                self._answer(410, {})

    def do_DELETE(self) -> None:
        if self._is_allowed():
            self.server.lender.take_back(self._name())
            self._answer(200, {})

    def _is_allowed(self) -> bool:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        allowed = hmac.compare_digest(given.encode(), self.server.lender.token.encode())
        if not allowed:
            self._answer(403, {})
        return allowed

    def _name(self) -> str:
        return self.path.rpartition("/")[2]

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Quiet."""


if __name__ == "__main__":
    lender = Lender(Path(sys.argv[1]).read_text().split(), os.environ["MACHINES_TOKEN"])
    with Service(lender, int(sys.argv[2]) if sys.argv[2:] else 0) as service:
        print(service.url, flush=True)
        service.serve_forever()
