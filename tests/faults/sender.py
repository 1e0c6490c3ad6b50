"""The test that runs while connections die: python3 sender.py FOLDER PORTIONS

Four clients, processes of their own, send RESULTS numbered results over the control socket, in portions: portion k
begins when FOLDER/go-k exists. Every few portions a client says `sync`, and goes on over new connections; of these it
has two at a time, one for results alone and one for those with files.

What it sends is a function of the numbers alone, so that tests/faults/expected.py knows all of it. Standard library of
Python 3.6: this file travels to the machine.
"""

import hashlib
import json
import os
import socket
import sys
import time
from typing import Iterable  # noqa: UP035 (collections.abc is newer)

CLIENTS = 4
RESULTS = 200_000  # of all clients
GENERATION = 3  # portions that go over the same connections
FILES = 40  # results with files, of a client in a portion
PARTIALS = 20  # of a client in a portion
PATIENCE = 300.0  # seconds; who waits longer is lost


def portion_of(results: int, portions: int, portion: int) -> int:
    """Return how many results a client sends in this portion, beside those with files and the partial ones."""
    each = results // CLIENTS
    return each * (portion + 1) // portions - each * portion // portions


def content(client: int, portion: int, number: int) -> bytes:
    """Return the bytes of a file: mostly some KiB, now and then more than a frame or nothing."""
    seed = f"{client}/{portion}/{number}".encode()
    size = {0: 0, 1: 700_000}.get(number, 37 * number * number % 30_000)
    return hashlib.shake_128(seed).digest(size)


def file_name(number: int) -> str:
    """Return the file's name: a few numbers share one, which grows."""
    return f"log/{number % 25}"


def client(number: int, folder: str, portions: int) -> None:
    """One client, to its end."""
    for generation, first in enumerate(range(0, portions, GENERATION)):
        name = f"{number}.{generation}"
        plain, files = connect(), connect()
        sent = 0
        for portion in range(first, min(first + GENERATION, portions)):
            wait_for(os.path.join(folder, f"go-{portion}"))
            send_files(files, name, number, portion)
            count = portion_of(RESULTS, portions, portion)
            send_results(plain, name, range(sent, sent + count))
            sent += count
            send_partials(plain, name, portion)
            os.write(1, f"{number} {portion}\n".encode())
        close(plain)
        close(files)


def send_results(connection: socket.socket, name: str, numbers: Iterable[int]) -> None:
    """Send plain results, each with its number."""
    lines = [
        f'result {{"name": "{name}", "status": "pass", "number": {number}}}\n' for number in numbers
    ]
    connection.sendall("".join(lines).encode())


def send_files(connection: socket.socket, name: str, number: int, portion: int) -> None:
    """Send results with a file each."""
    for index in range(FILES):
        data = content(number, portion, index)
        entry = {"name": file_name(index), "length": len(data)}
        result = {
            "name": name + ".files",
            "status": "info",
            "number": [portion, index],
            "files": [entry],
        }
        connection.sendall(f"result {json.dumps(result)}\n".encode() + data)


def send_partials(connection: socket.socket, name: str, portion: int) -> None:
    """Send partial results: of a name, and of the test itself."""
    numbers = [{"numbers": [[portion, index]]} for index in range(PARTIALS)]
    lines = [dict(entry, name=name + ".partial", partial=True) for entry in numbers]
    lines.append({"status": "pass", "partial": True, "clients": {name: [portion]}})
    connection.sendall("".join(f"result {json.dumps(line)}\n" for line in lines).encode())


def connect() -> socket.socket:
    """Return a new connection to the control socket."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE)
    connection.connect(os.environ["ATEX_CONTROL_FILE"])
    return connection


def close(connection: socket.socket) -> None:
    """Close a connection once the host has all that came over it."""
    connection.sendall(b"sync all of it\n")
    answer = connection.makefile("rb").readline()
    if answer != b"ok all of it\n":
        sys.exit(f"sync was answered by {answer!r}")
    connection.close()


def wait_for(path: str) -> None:
    """Return when the file exists."""
    deadline = time.monotonic() + PATIENCE
    while not os.path.exists(path):
        if time.monotonic() > deadline:
            sys.exit(f"{path} never came")
        time.sleep(0.01)


def main(folder: str, portions: int) -> None:
    """All clients, each in a process; exit code 1 if one failed."""
    children = []
    for number in range(CLIENTS):
        pid = os.fork()
        if not pid:
            client(number, folder, portions)
            os._exit(0)
        children.append(pid)
    codes = [os.waitpid(pid, 0)[1] for pid in children]
    if any(codes):
        sys.exit(f"clients ended with {codes}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
