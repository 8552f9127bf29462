"""What some lines of a large file of JSON tell for sure about all of them.

Looking at the keys of every line costs as much as reading them. Where each column that is read has
its best spelling in a sample, no key of another line can change how it is read. What else a line
might have is noticed while it is read, or looked for in the bytes of the file; then every line is
looked at.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from gundog.detections.staged import Source
from gundog.lake import columns
from gundog.lake.path import AZURE_DATA_EXPLORER, PLAIN, STREAMING_API
from gundog.staging import binding
from gundog.staging.batch import Batch
from gundog.staging.json_look import ENVELOPE, ENVELOPE_TENANT, FLAT, WRAPPER, Look

# Of smaller files every line is looked at.
_LARGE = 2**20
# So much is looked at in each so many bytes, and at the end.
_PIECE_BYTES, _STRIDE_BYTES = 64 * 1024, 4 * 2**20
# Looking for more of them costs as much as looking at all keys.
_MOST_ABSENT = 6
_BLOCK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Doubts:
    """What no line may have if a sample tells how all of them are read.

    Attributes:
        keys: what is read as each column, in every line.
        outer: keys that would mean another form of rows.
        absent: columns that are read and are in no line of the sample, in lower case and under
            each name that they may have: no key may begin so.
        is_tenant_told: each envelope must tell its tenant, because its key is the name of an
            absent column, and the only one that may begin so.
    """

    keys: Mapping[str, str]
    outer: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    is_tenant_told: bool = False


def write(text: Path, target: Path) -> bool:
    """Writes some of a file's lines, from its start to its end; False for a small file."""
    size = text.stat().st_size
    if size < _LARGE:
        return False
    with text.open("rb") as lines, target.open("wb") as sample:
        last = max(0, size - _PIECE_BYTES)
        for place in (*range(0, last, _STRIDE_BYTES), last):
            lines.seek(place)
            piece = lines.read(_PIECE_BYTES)
            begin = piece.find(b"\n") + 1 if place else 0
            sample.write(piece[begin : piece.rfind(b"\n") + 1])
    return True


def doubts(look: Look, keys: Mapping[str, str], batch: Batch, read: Source) -> Doubts | None:
    """What to look out for; None where a sample cannot tell how all lines are read.

    Args:
        look: what the sample holds.
        keys: the key that is read as each column of the source.
        batch: of the file.
        read: the source with only the columns that are read.
    """
    best = {name: batch.aliases.get(name, name) for name, _ in read.columns}
    absent = [name for name in best if name not in keys]
    is_final = all(keys.get(name, key) == key for name, key in best.items())
    if look.broken or binding.TIME not in keys or not is_final or len(absent) > _MOST_ABSENT:
        return None
    outer = _other_forms(look, batch)
    if outer & set(look.outer) or not columns.is_plain([*best.values(), *outer]):
        return None
    spelled = {spelling.lower() for name in absent for spelling in (name, best[name])}
    if spelled and look.exporter == AZURE_DATA_EXPLORER:  # it puts something before names
        return None
    if not all(map(str.isascii, spelled)):
        return None
    tells = look.exporter == STREAMING_API and ENVELOPE_TENANT in look.outer
    is_told = tells and binding.TENANT.lower() in spelled
    return Doubts(best, tuple(sorted(outer)), tuple(sorted(spelled)), is_told)


def _other_forms(look: Look, batch: Batch) -> frozenset[str]:
    """Keys by which the whole file would be taken for another form of rows than its sample."""
    held = {name for name, _ in batch.source.columns}
    forms = frozenset[str]()
    if WRAPPER not in {name.lower() for name in held}:
        forms |= {WRAPPER}
    if not batch.exporter and look.exporter != STREAMING_API and "properties" not in held:
        forms |= ENVELOPE - set(look.outer)
    if not batch.exporter and look.exporter == PLAIN and "Type" not in held:
        forms |= FLAT - set(look.outer)
    return forms


def is_doubtful(text: Path, look_out: Doubts, lines: int) -> bool:
    """True when a file's bytes may hold a key of a column that is in no line of its sample.

    A letter that is written as an escape is not seen, as no writer of JSON does that; in the best
    spelling of a column it is read all the same.

    Args:
        text: the file.
        look_out: what to look for.
        lines: how many lines it has.
    """
    if not look_out.absent:
        return False
    pattern = f'"(?:{"|".join(map(re.escape, look_out.absent))})'
    begun = 0
    for block in _blocks(text):
        begun += pc.count_substring_regex(_array(block), pattern, ignore_case=True)[0].as_py()
    return begun != (lines if look_out.is_tenant_told else 0)


def _array(block: bytes) -> pa.Array:
    """One value; `pa.array` would import pandas, where that is installed."""
    ends = pa.py_buffer(struct.pack("<qq", 0, len(block)))
    return pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(block)])


def _blocks(text: Path) -> Iterator[bytes]:
    """The bytes of a file, cut behind newlines."""
    kept = b""
    with text.open("rb", buffering=0) as lines:
        while block := lines.read(_BLOCK_BYTES):
            cut = block.rfind(b"\n") + 1
            if cut:
                yield kept + block[:cut]
                kept = block[cut:]
            else:
                kept += block
    if kept:
        yield kept
