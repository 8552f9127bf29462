"""A file's own columns bound to its source table: which are read, and as what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gundog.detections import stage_sql
from gundog.detections.staged import Source, StagedTable
from gundog.lake import columns, exporters, time_formats
from gundog.lake.columns import Column
from gundog.warehouse import quoting, statement

TIME = "Timestamp"
TENANT = "TenantId"
# Times outside are clock faults (1601 is Windows' zero, 9999 a placeholder), not events.
EARLIEST, LATEST = datetime(1990, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, tzinfo=UTC)
_PLAUSIBLE = f"between timestamptz '{EARLIEST}' and timestamptz '{LATEST}'"
_ANY = ".*"
_NESTED = r"(STRUCT|MAP|UNION|VARIANT).*|.*\]"
_INTEGERS = "U?(TINYINT|SMALLINT|INTEGER)"
_NUMBERS = r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL.*"


@dataclass(frozen=True)
class Remarks:
    """What a file lacks, holds with another type than its source promises, or holds besides.

    Attributes:
        held: the keys of rows, of JSON only.
        exporter: who wrote it, of JSON only.
        other_rows: how many rows of other tables it holds, of JSON only.
        lines: which of its lines could not be read, and why; of JSON only.
        too_long: how many of them were left out.
    """

    missing: tuple[str, ...] = ()
    cast: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    exporter: str = ""
    other_rows: int = 0
    lines: str = ""
    too_long: int = 0


@dataclass(frozen=True)
class _Rule:
    """How a column of one type is read as another; the types are patterns of DuckDB's names."""

    wanted: str
    held: str
    expression: str
    remark: str

    def fits(self, held: str, wanted: str) -> bool:
        return bool(
            re.fullmatch(self.wanted, wanted, re.DOTALL)
            and re.fullmatch(self.held, held, re.DOTALL)
        )


_NULL, _CAST = "null::{kind}", "try_cast({column} as {kind})"
# The first that fits holds.
_RULES = (
    _Rule("VARCHAR", _NESTED, "to_json({column})::varchar", "cast"),
    _Rule("VARCHAR", "BLOB", "try(decode({column}))", "cast"),
    _Rule("VARCHAR", "JSON|ENUM.*", "{column}::varchar", ""),
    _Rule("VARCHAR", _ANY, "{column}::varchar", "cast"),
    # No nested value, bytes or bare number is a time; DuckDB would refuse or misread the cast.
    _Rule(_ANY, f"{_NESTED}|BLOB", _NULL, "cast"),
    _Rule("TIMESTAMP.*", "(?!TIMESTAMP|VARCHAR|DATE).*", _NULL, "cast"),
    # A cast would round up to the next microsecond.
    _Rule("TIMESTAMP.*", ".*_NS", "make_timestamptz(epoch_ns({column}) // 1000)::{kind}", ""),
    _Rule("BIGINT", _INTEGERS, _CAST, ""),
    _Rule(_ANY, _ANY, _CAST, "cast"),
)


def bind(
    source: Source,
    held: Sequence[Column],
    aliases: Mapping[str, str],
    files: Sequence[tuple[int, str | None]],
    partitions: Sequence[Mapping[str, str | None]] = (),
    times: str = "",
) -> tuple[str, Remarks]:
    """The select list that gives files of one schema the columns of their source table.

    Args:
        source: the source table.
        held: the files' columns, in their order.
        aliases: the files' column name by the source's, where they differ.
        files: file id and the tenant its path names, in the order in which they are read.
        partitions: for each of them, values of columns that their table keeps beside the files.
        times: the format of times that are not times in the files; see `time_formats`.

    Raises:
        DoubledColumnError: when several of the files' columns may be one of the source's.
    """
    parts, missing, cast, used = [], [], [], set[int | None]()
    names = [column.name for column in held]
    for name, kind in source.columns:
        place = columns.find(names, source.name, name, aliases)
        column = None if place is None else held[place]
        used.add(place)
        expression, remark = _bind_column(column, kind)
        told = _told(column, kind, times)
        if told:
            expression = f"make_timestamptz({told} // 1000)::{kind}"
        beside = [_beside(partition, name, aliases) for partition in partitions]
        if column is None and any(value is not None for value in beside):
            values = _per_file([_text(value) for value in beside], "varchar")
            expression, remark = f"try_cast({values} as {kind})", ""
        if name == TENANT:
            expression = _or_folder(expression, kind, [tenant for _, tenant in files])
            remark = "" if column is None else remark
        if remark == "missing":
            missing.append(name)
        elif remark and column:
            cast.append(f"{name} ({column.kind})")
        if name == TIME:
            ns = told or _nanoseconds(column, expression)
            parts.append(f"case when {expression} {_PLAUSIBLE} then {ns} end as timestamp_ns")
            expression = f"case when {expression} {_PLAUSIBLE} then {expression} end"
        parts.append(f"{expression} as {quoting.name(name)}")
    parts.append(f"{_per_file([str(file_id) for file_id, _ in files], 'bigint')} as file_id")
    extra = tuple(name for place, name in enumerate(names) if place not in used)
    return ", ".join(parts), Remarks(tuple(missing), tuple(cast), extra)


def _beside(
    partition: Mapping[str, str | None], name: str, aliases: Mapping[str, str]
) -> str | None:
    """The value of a column that a file's table keeps; None without one."""
    wanted = {name.lower(), aliases.get(name, name).lower()}
    return next((value for key, value in partition.items() if key.lower() in wanted), None)


def _or_folder(expression: str, kind: str, folders: Sequence[str | None]) -> str:
    """A row's own tenant; where it has none, what a `tenantId=` folder of its file's path says."""
    if not any(folders):
        return expression
    told = _per_file([_text(folder) for folder in folders], "varchar")
    own = f"try_cast(nullif({expression}::varchar, '') as {kind})"
    return f"coalesce({own}, try_cast({told} as {kind}))"


def _nanoseconds(column: Column | None, moment: str) -> str:
    called, kind = (column.called, column.kind) if column else (None, "")
    return stage_sql.nanoseconds(called, kind, moment)


def _told(column: Column | None, kind: str, times: str) -> str:
    """A text or number in nanoseconds, by the format of times; empty for everything else.

    What is not in that format is read as without one.
    """
    if not times or column is None or not kind.startswith("TIMESTAMP"):
        return ""
    if not re.fullmatch(f"VARCHAR|{_NUMBERS}", column.kind):
        return ""
    quoted = quoting.name(column.called)
    if unit := time_formats.EPOCHS.get(times):
        told = f"try((try_cast({quoted} as decimal(28, 9)) * {unit})::bigint)"
    elif column.kind == "VARCHAR":
        # Fractions of a second may have nine digits, of which %f takes six.
        format_ = quoting.text(times.replace("%f", "%n"))
        told = f"try(epoch_ns(try_strptime({quoted}, {format_})))"
    else:
        return ""
    if column.kind != "VARCHAR":
        return told
    usual = stage_sql.nanoseconds(column.called, column.kind, f"try_cast({quoted} as timestamptz)")
    return f"coalesce({told}, {usual})"


def _text(value: str | None) -> str:
    return "null" if value is None else quoting.text(value)


def _per_file(values: Sequence[str], kind: str) -> str:
    if len(values) == 1:  # a file may have a column file_index of its own
        return f"{values[0]}::{kind}"
    return f"([{', '.join(values)}]::{kind}[])[file_index::bigint + 1]"


def _bind_column(column: Column | None, kind: str) -> tuple[str, str]:
    """The expression for one column, and whether it is missing or cast."""
    if column is None:
        return f"null::{kind}", "missing"
    quoted, held = quoting.name(column.called), column.kind
    if held == kind:
        return quoted, ""
    rule = next(rule for rule in _RULES if rule.fits(held, kind))
    # With a time zone or without, it is read as the type that it is.
    is_same = rule.expression == _CAST and held.startswith(kind.split()[0])
    return rule.expression.format(column=quoted, kind=kind), "" if is_same else rule.remark


def needed(
    source: Source,
    stages: Sequence[StagedTable],
    aliases: Mapping[str, str],
    exporter: str = "",
) -> frozenset[str]:
    """The names, in lower case, of the file columns that reading these stages can touch.

    Every column that a stage's SQL names, wherever it does, the time and the tenant, which rows are
    counted by.
    """
    named = {TIME.lower(), TENANT.lower()}
    for stage in stages:
        named |= statement.references(stage.sql).columns | {
            name.lower() for name, _ in stage.columns
        }
    touched = [name for name, _ in source.columns if name.lower() in named]
    return frozenset(
        spelling.lower()
        for name in touched
        for rank in ((name, aliases.get(name, name)), *exporters.other_names(exporter, name))
        for spelling in rank
    )
