"""Source tables as a query sees them: Kusto's types, and both spellings of the time."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from gundog.detections.staged import Source
from gundog.warehouse import quoting

TIME_NAMES = ("Timestamp", "TimeGenerated")
# What of a time is finer than a microsecond, in ns: only joins on raw times need it.
TICKS = "gundog_ticks"
_DYNAMIC = re.compile(r"^--\s*Dynamic:(.*(?:\n--\s{2,}(?!\w+:).*)*)", re.MULTILINE)
# What tells two events apart, in every table that has it.
KEYS = (
    "TenantId", "Timestamp", "DeviceId", "ReportId", "Id", "AlertId", "NetworkMessageId",
    "RequestId", "AccountObjectId", "ActionType", "ProcessId", "ProcessCreationTime",
)  # fmt: skip


@dataclass(frozen=True)
class KqlTable:
    """A source table as Kusto has it.

    Args:
        name: of the table.
        types: DuckDB's type by column, in order; JSON for dynamic ones.
        stamps: what the query calls the time: Timestamp, TimeGenerated, or both.
        staged: the source's own name of each column.
        parsed: columns of text that the query takes apart as JSON.
        every: all columns of the source, by their own names.
    """

    name: str
    types: Mapping[str, str]
    stamps: tuple[str, ...]
    staged: Mapping[str, str] = field(default_factory=dict)
    parsed: frozenset[str] = frozenset()
    every: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        return list(self.types)


def dynamic_of(text: str) -> tuple[str, ...]:
    """The columns that a source's file says hold JSON.

    >>> dynamic_of("-- Things." + chr(10) + "-- Dynamic:  A, B," + chr(10) + "--           C")
    ('A', 'B', 'C')
    """
    match = _DYNAMIC.search(text)
    listed = match[1].replace("\n--", " ") if match else ""
    return tuple(filter(None, (name.strip() for name in listed.split(","))))


def table(
    source: Source,
    dynamic: Collection[str],
    paths: Collection[str],
    used: Collection[str],
    spelled: dict[str, str],
) -> KqlTable:
    """The table with the columns that a query may name.

    Args:
        source: as gundog knows it; its time is Timestamp.
        dynamic: columns that hold JSON.
        paths: columns that the query takes apart as JSON.
        used: every name in the query: which spelling of the time it means.
        spelled: names by their folded form, which all tables of a query share: DuckDB cannot tell
            LogonId from LogonID. Grows by the names of this table.
    """
    stamps = tuple(name for name in TIME_NAMES if name in used) or TIME_NAMES[:1]
    types: dict[str, str] = {}
    staged: dict[str, str] = {}
    parsed = set[str]()
    for name, kind in source.columns:
        if name == "Timestamp":
            types |= dict.fromkeys(stamps, "TIMESTAMP")
            staged |= dict.fromkeys(stamps, name)
            continue
        shown = name if name in used else spelled.setdefault(quoting.folded(name), name)
        staged[shown] = name
        if name in dynamic:
            types[shown] = "JSON"
        elif name in paths or shown in paths:
            types[shown] = "JSON"
            parsed.add(shown)
        else:
            types[shown] = "TIMESTAMP" if kind == "TIMESTAMP WITH TIME ZONE" else kind
    every = tuple(name for name, _ in source.columns)
    return KqlTable(source.name, types, stamps, staged, frozenset(parsed), every)


def texts(tables: Iterable[KqlTable]) -> set[str]:
    """The columns that hold text in every table that has them."""
    kinds = [(name, kind) for table in tables for name, kind in table.types.items()]
    return {name for name, _ in kinds} - {name for name, kind in kinds if kind != "VARCHAR"}


def with_ticks(table: KqlTable) -> KqlTable:
    """The table with the column that tells times within a microsecond apart."""
    return replace(
        table, types={**table.types, TICKS: "BIGINT"}, staged={**table.staged, TICKS: TICKS}
    )


def read_back(table: KqlTable) -> list[str]:
    """The query's columns as SQL over the staged ones, in the table's order."""
    columns = []
    for shown in table.types:
        staged = quoting.name(table.staged[shown])
        value = f"try_cast({staged} as json)" if shown in table.parsed else staged
        same = value == quoting.name(shown)
        columns.append(value if same else f"{value} as {quoting.name(shown)}")
    return columns


def typed(name: str, kind: str) -> str:
    """The expression that makes Kusto's value of a source's column: no text is null there."""
    if name == TICKS:
        return "coalesce(timestamp_ns % 1000, 0)"
    column = quoting.name(name)
    if kind == "JSON":
        return f"try_cast({column} as json)"
    if kind == "TIMESTAMP":
        return f"{column} at time zone 'UTC'"
    return f"coalesce({column}, '')" if kind == "VARCHAR" else column
