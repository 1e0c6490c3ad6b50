"""A registry of container images with a single image in it, on 127.0.0.1, without TLS."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@contextmanager
def registry(folder: Path, name: str) -> Iterator[str]:
    """Offers the image that `podman save --format=docker-dir` wrote into `folder`; yields HOST:PORT/NAME:latest.

    podman has to be told that it may go without TLS (containers-registries.conf(5), `insecure`).
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kind, _, what = self.path.removeprefix(f"/v2/{name}/").partition("/")
            file = folder / {
                "manifests": "manifest.json",
                "blobs": what.removeprefix("sha256:"),
            }.get(kind, "")
            if self.path == "/v2/":
                self._answer(200, "application/json", b"{}")
            elif (kind == "manifests" and what != "latest") or not file.is_file():
                errors = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
                self._answer(404, "application/json", json.dumps(errors).encode())
            else:
                self._answer(
                    200,
                    MANIFEST if kind == "manifests" else "application/octet-stream",
                    file.read_bytes(),
                )

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}/{name}:latest"
        finally:
            server.shutdown()
            thread.join()
