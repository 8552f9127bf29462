"""JSON lines as whole lines: unpacked, without a line that is still being written.

Nothing here reads JSON; what is copied is what a reader of lines can take.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

_PIECE_BYTES = 1024 * 1024
# A newline is looked for at the start of every such piece of a file that needs no copy.
_STRIDE_BYTES, _LOOKED_AT_BYTES = 4 * 2**20, 128 * 1024
# A longer line is not an event, and DuckDB's reader ends at it.
LINE_BYTES = 15 * 2**20
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_UTF_16 = "is UTF-16: write it as UTF-8, for example with iconv -f UTF-16 -t UTF-8"
_OTHERS = {
    b"Obj\x01": "is Avro, which gundog does not read: export JSON lines or parquet instead",
    b"PAR1": "is parquet, not JSON: write format: parquet beside its path in gundog.yaml",
    b"\xff\xfe": _UTF_16,
    b"\xfe\xff": _UTF_16,
    b"{\x00": _UTF_16,
    b"\x00{": _UTF_16,
}


class NotLinesError(ValueError):
    """A file does not hold JSON lines, or not all of them; the text says what it is."""


@dataclass(frozen=True)
class Copied:
    """What was copied.

    Attributes:
        end: where the lines end in the unpacked text; a line that is still being written begins
            there.
        too_long: how many lines were left out because they are longer than `LINE_BYTES`.
        waiting: bytes of a line without an end, which waits for the next version of the file.
        is_packed: True for gzip and Zstandard, which are always read from the first byte on.
        is_link: True where the target is a link to the source, as all of it can be read.
    """

    end: int
    too_long: int = 0
    waiting: int = 0
    is_packed: bool = False
    is_link: bool = False


def link_or_copy(source: Path, target: Path, size: int, most: int, start: int = 0) -> Copied:
    """Makes a file stand at `target` as `copy` does, by a link where every line of it can be read.

    Copying all lines would cost about as much as looking at the keys of their objects.
    """
    if start == 0 and _is_all_lines(source, size):
        with suppress(OSError):  # where a file system or a user cannot have links
            target.symlink_to(source.absolute())
            return Copied(size, is_link=True)
    return copy(source, target, size, most, start)


def _is_all_lines(source: Path, size: int) -> bool:
    """True for a plain file of that size that ends with a newline and surely has no long line."""
    if size == 0 or source.stat().st_size != size:
        return False
    with source.open("rb") as opened:
        head = opened.read(4)
        _refuse(head)
        if head.startswith(tuple(_PACKED)):
            return False
        opened.seek(size - 1)
        return opened.read(1) == b"\n" and all(
            _has_newline(opened, place) for place in range(0, size, _STRIDE_BYTES)
        )


def _has_newline(opened: BinaryIO, place: int) -> bool:
    opened.seek(place)
    return b"\n" in opened.read(_LOOKED_AT_BYTES)


def copy(source: Path, target: Path, size: int, most: int, start: int = 0) -> Copied:
    """Writes the whole lines of a file to another, unpacked.

    Args:
        source: JSON lines, plain, or packed by gzip or Zstandard, which its first bytes tell.
        target: where the lines go, each with its newline.
        size: how many bytes of a plain file to read; it may have grown since it was listed.
        most: how many bytes to write at most.
        start: where to begin in a plain file; what stands before it need not be there.

    Raises:
        NotLinesError: when it does not hold JSON lines, is packed and cut off, or unpacks to more
            than `most` bytes.
    """
    with source.open("rb") as opened, target.open("wb") as lines:
        head = opened.read(4)
        opened.seek(0)
        _refuse(head)
        packed = next((kind for mark, kind in _PACKED.items() if head.startswith(mark)), None)
        if packed is None:
            opened.seek(start)
            copied = _copy(opened, lines, size - start, is_whole=False)
            return replace(copied, end=start + copied.end)
        return _copy(_Unpacked(source, packed, most), lines, most + 1, is_whole=True)


def _refuse(head: bytes) -> None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for mark, why in _OTHERS.items():
        if start.startswith(mark):
            raise NotLinesError(why)


class _Unpacked:
    """The bytes of a packed file, in order; an end before the end is an error."""

    def __init__(self, path: Path, kind: str, most: int) -> None:
        self._stream = pa.CompressedInputStream(pa.OSFile(str(path)), kind)
        self._kind, self._most, self._read, self._is_first = kind, most, 0, True

    def read(self, size: int) -> bytes:
        """At most so many bytes more; none at the end."""
        try:
            piece: bytes = self._stream.read(size)
        except OSError as error:
            if "Truncated" in str(error):
                raise NotLinesError(
                    f"is cut off: its {self._kind} data ends before its end; it is read when it"
                    " was written whole"
                ) from error
            raise NotLinesError(f"is not whole {self._kind} data: {error}") from error
        self._read += len(piece)
        if self._read > self._most:
            raise NotLinesError(
                f"unpacks to more than {self._most / 1e9:,.0f} GB: split it, or raise memoryLimit"
                " in gundog.yaml"
            )
        if self._is_first:
            self._is_first = False
            _refuse(piece[:4])
        return piece


def _copy(opened: Any, lines: BinaryIO, size: int, *, is_whole: bool) -> Copied:
    """Copies line after line; with `is_whole` the last one needs no newline."""
    kept, read, end, too_long, skips = b"", 0, 0, 0, False
    while read < size and (piece := opened.read(min(_PIECE_BYTES, size - read))):
        read += len(piece)
        cut = piece.rfind(b"\n") + 1
        if skips:
            first = piece.find(b"\n") + 1
            if not first:
                continue
            piece, cut, skips = piece[first:], cut - first, False
            end = read - len(piece)
        if cut:
            lines.write(kept)
            lines.write(piece[:cut])
            kept, end = piece[cut:], read - (len(piece) - cut)
        else:
            kept += piece
        if len(kept) > LINE_BYTES:
            kept, too_long, skips = b"", too_long + 1, True
    if kept and (is_whole or _is_object(kept)):
        lines.write(kept + b"\n")
        kept, end = b"", read
    return Copied(end, too_long, len(kept) if kept.strip() else 0, is_whole)


def _is_object(line: bytes) -> bool:
    """True for a whole JSON object: nothing that is added to it can belong to it."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
