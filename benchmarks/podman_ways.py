"""The ways to talk to podman: its command line, and the socket of `podman system service`."""

import http.client
import json
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

LIMIT = 120.0  # seconds for one request
CHUNK = 256 << 10  # bytes
API = "/v4.0.0/libpod"
COMMAND = ["sleep", "infinity"]  # what a container runs


class Exec(Protocol):
    """A `cat` that runs in a container."""

    def send(self, data: bytes) -> None: ...

    def close_stdin(self) -> None: ...

    def receive(self) -> bytes:
        """Some bytes of stdout, b"" at its end."""

    def end(self) -> int:
        """After its stdout has ended: its exit code, and nothing of it is left here."""


class Way(Protocol):
    """One way to talk to podman. Any thread; raises what its library raises."""

    def create(self, name: str) -> None:
        """Makes a container and starts it."""

    def open(self, name: str, *command: str) -> Exec: ...

    def remove(self, name: str) -> None: ...

    def host_processes(self) -> list[int]:
        """The ids of processes of podman's that serve us, what supervises the container apart."""


def pump(channel: Exec, data: bytes) -> bytes:
    """Send `data` and receive what comes back at the same time, until both have ended."""

    def send() -> None:
        for begin in range(0, len(data), CHUNK):
            channel.send(data[begin : begin + CHUNK])
        channel.close_stdin()

    sender = threading.Thread(target=send)
    sender.start()
    received = bytearray()
    while chunk := channel.receive():
        received += chunk
    sender.join()
    code = channel.end()
    if code:
        raise RuntimeError(f"exit code {code}")
    return bytes(received)


class CommandLine:
    """`podman run`, `exec`, `rm`."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._lock = threading.Lock()
        self._open: set[int] = set()

    def create(self, name: str) -> None:
        self._podman("run", "--detach", "--name", name, self._image, *COMMAND)

    def open(self, name: str, *command: str) -> Exec:
        process = subprocess.Popen(
            ["podman", "exec", "--interactive", name, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        with self._lock:
            self._open.add(process.pid)
        return _Process(process, self._forget)

    def remove(self, name: str) -> None:
        self._podman("rm", "--force", "--time", "0", name)

    def host_processes(self) -> list[int]:
        with self._lock:
            return list(self._open)

    def _forget(self, pid: int) -> None:
        with self._lock:
            self._open.discard(pid)

    def _podman(self, *words: str) -> None:
        done = subprocess.run(
            ["podman", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.strip())


class _Process:
    def __init__(self, process: "subprocess.Popen[bytes]", on_end: Any) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._stdin, self._stdout = process, process.stdin, process.stdout
        self._on_end = on_end

    def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._stdin.write(rest) :]

    def close_stdin(self) -> None:
        self._stdin.close()

    def receive(self) -> bytes:
        return os.read(self._stdout.fileno(), CHUNK)

    def end(self) -> int:
        code = self._process.wait(LIMIT)
        self._stdin.close()
        self._stdout.close()
        self._on_end(self._process.pid)
        return code


class Socket:
    """The service's HTTP, a connection for each request; an exec takes its connection over ("hijacks" it)."""

    def __init__(self, image: str, path: Path, service: int) -> None:
        self._image, self._path, self._service = image, path, service

    def create(self, name: str) -> None:
        self._ask(
            "POST", "/containers/create", {"name": name, "image": self._image, "command": COMMAND}
        )
        self._ask("POST", f"/containers/{name}/start")

    def open(self, name: str, *command: str) -> Exec:
        attach = {"AttachStdin": True, "AttachStdout": True, "AttachStderr": True}
        made = self._ask("POST", f"/containers/{name}/exec", {**attach, "Cmd": command})
        return _Hijacked(self, made["Id"])

    def remove(self, name: str) -> None:
        query = urlencode({"force": "true", "timeout": 0})
        self._ask("DELETE", f"/containers/{name}?{query}")

    def host_processes(self) -> list[int]:
        return [self._service]

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("podman")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(LIMIT)
        connection.sock.connect(str(self._path))
        return connection

    def exit_code(self, exec_id: str) -> int:
        code: int = self._ask("GET", f"/exec/{exec_id}/json")["ExitCode"]
        return code

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        connection = self.connect()
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, API + path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 400:
                raise RuntimeError(f"{path}: {answer.status} {text.decode()}")
            return json.loads(text) if text else None
        finally:
            connection.close()


class _Hijacked:
    """What comes over it has 8 bytes of header before each piece: stream, 3 zeros, length."""

    def __init__(self, service: Socket, exec_id: str) -> None:
        self._service, self._id = service, exec_id
        sock = service.connect().sock
        body = b'{"Detach": false, "Tty": false}'
        lines = [
            f"POST {API}/exec/{exec_id}/start HTTP/1.1",
            "Host: podman",
            "Connection: Upgrade",
            "Upgrade: tcp",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)
        self._sock, self._file = sock, sock.makefile("rb", CHUNK)
        status = self._file.readline()
        if b" 101 " not in status and b" 200 " not in status:
            raise RuntimeError(f"{status!r} {self._file.read(1000)!r}")
        while self._file.readline().strip():
            pass

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def close_stdin(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def receive(self) -> bytes:
        while True:
            head = self._file.read(8)
            if not head:
                return b""
            stream, length = struct.unpack(">B3xI", head)
            data: bytes = self._file.read(length)
            if stream == 1:
                return data

    def end(self) -> int:
        self._file.close()
        self._sock.close()
        return self._service.exit_code(self._id)


@contextmanager
def service(folder: Path) -> Iterator[tuple[Path, int]]:
    """Run `podman system service` for as long as this is open: its socket, and its process id."""
    path = folder / "podman.sock"
    with subprocess.Popen(
        ["podman", "system", "service", "--time", "0", f"unix://{path}"]
    ) as process:
        try:
            deadline = time.monotonic() + LIMIT
            while not path.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("podman system service does not start")
                time.sleep(0.01)
            yield path, process.pid
        finally:
            process.terminate()
