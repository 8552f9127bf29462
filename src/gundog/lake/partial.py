"""A parquet file of which only some columns are there: the rest of the copy is a hole.

A reader that asks for those columns alone finds every byte where it looks for it, so that a file
on a store costs what its needed columns weigh.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from gundog.lake import columns as file_columns

# Nearer ranges than this are fetched as one: a request costs more than the bytes between.
_GAP_BYTES = 64 * 1024
_PIECE_BYTES = 4 * 1024 * 1024
_PARALLEL_READS = 2
_FOOTER_BYTES = 64 * 1024
_MARK = b"PAR1"

Range = tuple[int, int]


def copy(remote: Any, target: Path, columns: Collection[str]) -> None:
    """Writes a sparse copy of a parquet file that holds the named columns.

    Args:
        remote: the file, open for random access (a pyarrow NativeFile).
        target: where the copy goes; as long as the file itself.
        columns: names of top-level columns in lower case; others are left out.

    Raises:
        pa.ArrowException: when it is not a parquet file.
        OSError: when a part of it cannot be read.
    """
    size = remote.size()
    footer = _footer(remote, size)
    parsed = file_columns.footer(pa.BufferReader(_MARK + footer))
    wanted = needed_ranges(parsed, columns, size - len(footer))
    pieces = [piece for merged in _merged(wanted) for piece in _pieces(merged)]
    with target.open("wb") as local, ThreadPoolExecutor(_PARALLEL_READS) as pool:
        local.truncate(size)
        os.pwrite(local.fileno(), footer, size - len(footer))
        for _ in pool.map(partial(_copy_piece, remote, local.fileno()), pieces):
            pass


def _footer(remote: Any, size: int) -> bytes:
    """The file's last bytes: its metadata, their length and the mark."""
    end = _read_piece(remote, (max(size - _FOOTER_BYTES, 0), size))
    if end[-4:] != _MARK:
        if other := file_columns.other_format(_read_piece(remote, (0, min(size, 16)))):
            raise pa.ArrowInvalid(other)
        reason = "it is encrypted" if end[-4:] == b"PARE" else "it does not end as one"
        raise pa.ArrowInvalid(f"not a parquet file that can be read: {reason}")
    length = int.from_bytes(end[-8:-4], "little") + 8
    if length > size:
        raise pa.ArrowInvalid("not a parquet file that can be read: its footer is cut off")
    if length > len(end):
        end = _read_piece(remote, (size - length, size - len(end))) + end
    return end[-length:]


def _copy_piece(remote: Any, local: int, piece: Range) -> None:
    os.pwrite(local, _read_piece(remote, piece), piece[0])


def _read_piece(remote: Any, piece: Range) -> bytes:
    start, end = piece
    content: bytes = remote.read_at(end - start, start)
    if len(content) != end - start:
        raise OSError(f"{end - start} bytes were asked for and {len(content)} came")
    return content


def needed_ranges(file: Any, columns: Collection[str], end: int) -> list[Range]:
    """Where the needed bytes before `end` lie, as [start, end): mark, column chunks, indexes.

    Args:
        file: a pyarrow ParquetFile.
        columns: names of top-level columns in lower case.
        end: where the footer begins; what stands between the last column chunk and it are
            indexes and filters that a reader may look at.
    """
    metadata = file.metadata
    leaves = _leaves(file.schema_arrow, columns)
    ranges, last = [(0, len(_MARK))], len(_MARK)
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for leaf in range(group.num_columns):
            chunk = group.column(leaf)
            starts = [chunk.data_page_offset, chunk.dictionary_page_offset or 0]
            start = min(offset for offset in starts if offset)
            stop = start + chunk.total_compressed_size
            last = max(last, stop)
            if leaf in leaves:
                ranges.append((start, stop))
    return [*ranges, (last, max(end, last))]


def _leaves(schema: pa.Schema, columns: Collection[str]) -> set[int]:
    """The places of the parquet leaf columns that belong to the named top-level columns."""
    places = zip(schema, file_columns.leaves(schema), strict=True)
    return {leaf for field, some in places if field.name.lower() in columns for leaf in some}


def _merged(ranges: Iterable[Range]) -> list[Range]:
    """Ranges in order, near ones joined.

    >>> _merged([(500_000, 500_010), (0, 4), (4, 1000)])
    [(0, 1000), (500000, 500010)]
    """
    merged: list[Range] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1] + _GAP_BYTES:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _pieces(whole: Range) -> Iterator[Range]:
    for start in range(whole[0], whole[1], _PIECE_BYTES):
        yield start, min(start + _PIECE_BYTES, whole[1])
