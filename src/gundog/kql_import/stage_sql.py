"""The staged table that a hunt needs of one source: typed as in Kusto, filtered as the query is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gundog.kql_import import translator
from gundog.kql_import.source_columns import KEYS, KqlTable, typed
from gundog.kql_import.uses import Use
from gundog.warehouse import quoting

_TYPED = "typed"
# A test for the bare text is much cheaper than one for whole words, and drops nearly all rows.
_WORDS = frozenset({"has", "has_cs", "hasprefix", "hassuffix", "hasprefix_cs", "hassuffix_cs"})


def select(table: KqlTable, use: Use, every: Iterable[str], header: str) -> str:
    """The SELECT of a staged table.

    Args:
        table: the source, with the columns that are needed.
        use: which rows are needed.
        every: all columns of the source; some tell two events apart.
        header: comment lines.
    """
    kept = list(table.types)
    typed_columns = [f"{typed(name, table.types[name])} as {quoting.name(name)}" for name in kept]
    keys = [
        f"coalesce(cast({quoting.name(name)} as varchar), '')"
        if name != "Timestamp"
        else "coalesce(timestamp_ns, 0)"
        for name in _key_columns(table, set(every))
    ]
    lines = [
        header,
        "with typed as (",
        "    select",
        "        file_id,",
        "        cast(md5(concat_ws(",
        f"            chr(31), {_wrapped(keys, 12)}",
        "        )) as uuid) as event_id,",
        "        Timestamp as event_time,",
        "        case when Timestamp is null then 'no Timestamp' end as reject_reason,",
        "        coalesce(TenantId, '') as tenant,",
        ",\n".join(f"        {column}" for column in typed_columns),
        f"    from {table.name}",
        ")",
        "",
        _filtered(table, use),
        "",
    ]
    return "\n".join(lines)


def _key_columns(table: KqlTable, every: set[str]) -> list[str]:
    known = [name for name in KEYS if name == "Timestamp" or name in every]
    return [*known, *(n for n in table.types if n not in known and n not in table.stamps)]


def _wrapped(items: list[str], indent: int) -> str:
    return (",\n" + " " * indent).join(items)


def _filtered(table: KqlTable, use: Use) -> str:
    """The rows of `typed` that some reference of the query needs."""
    ir = translator.ir
    if not use.filters or not all(use.filters):
        return f"select * from {_TYPED}"
    either: Any = None
    for conditions in dict.fromkeys(use.filters):
        all_of: Any = None
        for condition in conditions:
            cheap = _cheap(condition)
            for part in (cheap, condition) if cheap is not None else (condition,):
                all_of = part if all_of is None else ir.BinaryOp("and", all_of, part)
        either = all_of if either is None else ir.BinaryOp("or", either, all_of)
    query = ir.Query(ir.TableRef(_TYPED), [ir.Where(either)])
    columns = {_TYPED: ["file_id", "event_id", "event_time", "tenant", *table.columns]}
    return f"select * from (\n{translator.sql_of(query, columns)}\n)"


def _cheap(condition: Any) -> Any:
    """A test that every row with the searched words passes; None where there is none."""
    ir = translator.ir
    if isinstance(condition, ir.BinaryOp) and condition.op in _WORDS:
        return _holds(condition.left, condition.right)
    if isinstance(condition, ir.HasList) and condition.subquery is None:
        tests = [_holds(condition.value, item) for item in condition.items]
        if not tests or any(test is None for test in tests):
            return None
        either = tests[0]
        for test in tests[1:]:
            either = ir.BinaryOp("or", either, test)
        return either
    return None


def _holds(value: Any, needle: Any) -> Any:
    ir = translator.ir
    if not isinstance(value, ir.ColumnRef) or not isinstance(needle, ir.Literal):
        return None
    if needle.kind != "string" or not str(needle.value).isascii() or not needle.value:
        return None
    return ir.BinaryOp("contains", value, needle)
