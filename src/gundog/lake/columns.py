"""The columns of a parquet file, under the names that the file itself gives them.

DuckDB knows a name in any case once only and renames the others; pyarrow keeps them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_JSON = "is JSON, not parquet: write format: json beside its path in gundog.yaml"
_OTHERS = {
    b"Obj\x01": "is Avro, which gundog does not read: export JSON lines or parquet instead",
    b"{": _JSON,
    b"[": _JSON,
}


class DoubledColumnError(Exception):
    """Several columns of a file may be meant by one name, and none is spelled as it is."""


@dataclass(frozen=True)
class Column:
    """One column of a file.

    Attributes:
        name: as the file spells it.
        called: as DuckDB calls it, which is another name where two are equal but for case.
        kind: its DuckDB type.
    """

    name: str
    called: str
    kind: str


def footer(file: Any) -> Any:
    """A pyarrow ParquetFile whose footer and names can be read.

    Args:
        file: what pyarrow opens: a path, a file or a buffer.

    Raises:
        pa.ArrowException: when its footer is none, or names a column in bytes that are not UTF-8.
    """
    try:
        opened = pq.ParquetFile(file)
        schema = opened.schema_arrow
    except UnicodeDecodeError as error:
        named = error.object.decode("utf-8", "backslashreplace")
        raise pa.ArrowInvalid(
            f"the column name {named} is not UTF-8: have the file written again"
        ) from error
    except (ValueError, OverflowError, OSError) as error:
        if isinstance(file, Path) and (other := other_format(_head(file))):
            raise pa.ArrowInvalid(other) from error
        if isinstance(error, pa.ArrowException):
            raise
        raise pa.ArrowInvalid(f"not a parquet file that can be read: {error}") from error
    del schema
    return opened


def other_format(head: bytes) -> str:
    """What a file is that is not parquet, and what to do, by its first bytes; empty when unknown.

    >>> other_format(b'{"a": 1}')
    'is JSON, not parquet: write format: json beside its path in gundog.yaml'
    """
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((said for mark, said in _OTHERS.items() if start.startswith(mark)), "")


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(16)
    except OSError:
        return b""


def schema(file: Any) -> pa.Schema:
    """The schema in a file's footer; raises as `footer` does."""
    with footer(file) as opened:
        return opened.schema_arrow


def named(names: Sequence[str], described: Sequence[tuple[str, str]]) -> tuple[Column, ...]:
    """Columns by the file's own names.

    Args:
        names: the names that the footer holds, in its order.
        described: what DuckDB calls the same columns, and their types, in the same order.
    """
    if len(names) != len(described):  # then DuckDB's own names are all that is known
        names = [called for called, _ in described]
    return tuple(
        Column(name, called, kind) for name, (called, kind) in zip(names, described, strict=True)
    )


def find(names: Sequence[str], source: str, name: str, aliases: Mapping[str, str]) -> int | None:
    """The place of the file's column that stands for a column of its source; None without one.

    What is spelled exactly as wanted wins, else the only one that differs in case.

    Args:
        names: the file's own names, in its order.
        source: the source table, for the message.
        name: the source's column.
        aliases: the files' column name by the source's, where they differ.

    Raises:
        DoubledColumnError: when several may be meant.
    """
    for wanted in dict.fromkeys((aliases.get(name, name), name)):
        exact = [place for place, spelled in enumerate(names) if spelled == wanted]
        folded = wanted.lower()
        like = exact or [place for place, spelled in enumerate(names) if spelled.lower() == folded]
        if len(like) > 1:
            both = " and ".join(sorted({names[place] for place in like}))
            raise DoubledColumnError(
                f"the file has {len(like)} columns for {name} of {source}: {both}:"
                " have the file written with one of them"
            )
        if like:
            return like[0]
    return None


def is_plain(names: Sequence[str]) -> bool:
    """True when every name is another in lower case, and none hides a column of DuckDB's own."""
    folded = [name.lower() for name in names]
    return len(set(folded)) == len(folded) and "file_index" not in folded


def leaves(schema: pa.Schema) -> list[range]:
    """For each column, the places of the parquet leaf columns that it is made of."""
    places, start = list[range](), 0
    for field in schema:
        end = start + _count_leaves(field.type)
        places.append(range(start, end))
        start = end
    return places


def _count_leaves(kind: pa.DataType) -> int:
    if isinstance(kind, pa.ExtensionType):
        return _count_leaves(kind.storage_type)
    return sum(_count_leaves(kind.field(n).type) for n in range(kind.num_fields)) or 1
