"""A dict for millions of entries, in little memory."""

import struct

_RECORD = struct.Struct("=QQ")  # a key, and the number that belongs to it
_KEY = struct.Struct("=Q")
_ANY_KEY = 2**64 - 1
_BUCKETS = 4096


class CompactDict:
    """Numbers from 0 to 2**64 - 1 by text: 30 bytes each, where a dict takes 150.

    In the place of a text there are 64 bits of its hash, which is another one in each process: that two of a million
    texts are taken for one happens once in 30 million times.
    """

    def __init__(self) -> None:
        self._buckets: "dict[int, bytearray]" = {}  # records, by a part of the key

    def get(self, text: str) -> "int | None":
        """Return the number that was set last, None where none was."""
        key = hash(text) & _ANY_KEY
        bucket = self._buckets.get(key % _BUCKETS)
        at = _find(bucket, key) if bucket is not None else -1
        return None if bucket is None or at < 0 else int(_RECORD.unpack_from(bucket, at)[1])

    def set(self, text: str, number: int) -> None:
        """Set the number of this text."""
        key = hash(text) & _ANY_KEY
        bucket = self._buckets.setdefault(key % _BUCKETS, bytearray())
        at = _find(bucket, key)
        if at < 0:
            bucket += _RECORD.pack(key, number)
        else:
            _RECORD.pack_into(bucket, at, key, number)


def _find(bucket: bytearray, key: int) -> int:
    """Return where the record of this key begins, -1 where there is none."""
    wanted = _KEY.pack(key)
    at = bucket.find(wanted)
    while at >= 0 and at % _RECORD.size:  # these bytes stand there for something else
        at = bucket.find(wanted, at + 1)
    return at
