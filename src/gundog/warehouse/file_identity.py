"""The identity of a DuckDB file: what ties a write-ahead log to the file that it belongs to.

Every published file is a copy of one blank file, and so were all their identities. A log that a
reader's program left beside an old file was then replayed into each later one. DuckDB refuses a
log of another identity.
"""

from __future__ import annotations

import secrets
import struct
from pathlib import Path

# The layout of the main header, read from files of DuckDB 2.0 (storage v1.5.0): it is not
# documented, so `renew` changes nothing unless the old checksum computes.
_HEADER = 4096
_CHECKSUM = slice(0, 8)
_IDENTITY = slice(124, 140)
_FACTOR = 0xBF58476D1CE4E5B9
_MASK = 2**64 - 1


def read(path: Path) -> bytes:
    """The 16 bytes that identify a DuckDB file."""
    return _head(path)[_IDENTITY]


def renew(path: Path) -> bool:
    """Gives a closed DuckDB file a new random identity.

    Returns:
        False where the header is not laid out as expected; the file is then as it was.
    """
    head = bytearray(_head(path))
    if len(head) < _HEADER or head[_CHECKSUM] != _checksum(head):
        return False
    head[_IDENTITY] = secrets.token_bytes(16)
    head[_CHECKSUM] = _checksum(head)
    with path.open("r+b") as file:
        file.write(head)
    return True


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADER)


def _checksum(head: bytes | bytearray) -> bytes:
    """What DuckDB writes before a header of 4,096 bytes about the rest of it."""
    total = 5381
    for (word,) in struct.iter_unpack("<Q", bytes(head[8:])):
        total ^= (word * _FACTOR) & _MASK
    return struct.pack("<Q", total)
