"""A pack: trees of files as one stream. No I/O.

    magic | (mode u16 | name length u16 | size u64 | mtime i64 | name | contents)... | entry of mode 0 | sha256

Big endian; the mode is that of stat(2), mtime has nanoseconds and counts for files. Folders come before what is in them
and have no contents; a symbolic link's are its target. Names are bytes with slashes between them, relative. The sha256,
32 raw bytes, is of all before it, and in hexadecimal it is the pack's name.

Why not tar: docs/decisions/0010-a-pack-is-not-a-tar.md. Used by both ends.
"""

import struct

MAGIC = b"ATEX pack 1\r\n"
ENTRY = struct.Struct(">HHQq")
END = bytes(ENTRY.size)
DIGEST_SIZE = 32  # bytes
MAX_NAME = 4096  # bytes, as in Linux; of a link's target as well
