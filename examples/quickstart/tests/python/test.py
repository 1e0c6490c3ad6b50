"""Each encoding is a result of its own, with the encoded bytes as a file.

The control file is a unix socket, whose path is in ATEX_CONTROL_FILE: `result N`, N bytes of JSON,
then the bytes of the files that it announces.
"""

import json
import os
import socket
import sys

TEXT = "Příliš žluťoučký kůň úpěl ďábelské ódy\n"


def report(control, name, status, encoded):
    result = {
        "name": name,
        "status": status,
        "note": f"{len(encoded)} bytes",
        "files": [{"name": "encoded.bin", "length": len(encoded)}],
    }
    body = json.dumps(result).encode()
    control.sendall(b"result %d\n" % len(body) + body + encoded)


def main():
    passed = True
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(os.environ["ATEX_CONTROL_FILE"])
        for encoding in ("utf-8", "utf-16", "iso8859-2"):
            encoded = TEXT.encode(encoding)
            same = encoded.decode(encoding) == TEXT
            report(control, encoding, "pass" if same else "fail", encoded)
            passed = passed and same
    return 0 if passed else 1


sys.exit(main())
