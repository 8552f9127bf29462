"""Imported queries over rows with hostile values: from their own stage, and from the whole source.

Values are the query's own texts, which its filters look for, beside malformed JSON, JSON as text,
huge numbers and odd letters. A query must give the same rows with the same events from the staged
rows as from all rows, and never an error. Of text that is not UTF-8 a file gives null.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from gundog.detections import stage_sql as staging_sql
from gundog.detections.staged import Source
from gundog.hunting import kusto_series
from gundog.kql_import import groups, stage_sql, tokens
from gundog.kql_import.translating import Sources, Translation
from gundog.warehouse import quoting, series_function

END = datetime(2026, 2, 3, tzinfo=UTC)
MEMORY_GB = 3
TEXTS = (
    "[1,2]", "{bad", '"', "[", "null", '{"k": 1}', '[{"Name": "a", "Value": "b"}]', "1e999", "\x1f",
    "\u017f", "[" * 200, "", None, "9" * 40, "-0", "a" * 3_000, "\ufffd", "%_\\", "\u202e",
)  # fmt: skip
_NUMBERS = (0, 1, -1, 2**31 - 1, 2**63 - 1, -(2**63), None, 443, 4)
_FLOATS = (0.0, 1.5, -1.5, 1e308, float("inf"), float("nan"), None)


def connect() -> duckdb.DuckDBPyConnection:
    """A connection that runs stage SQL and hunts, in memory alone: a disk would hide how large."""
    con = duckdb.connect(
        config={"threads": 1, "memory_limit": f"{MEMORY_GB}GB", "temp_directory": ""}
    )
    con.execute("set timezone = 'UTC'")
    staging_sql.register_functions(con)
    series_function.register(con, kusto_series.compute)
    return con


def needles(kql: str) -> list[str]:
    """The texts that a query holds."""
    texts = [token.text for token in tokens.read(kql) if token.kind == "text"]
    plain = [text.lstrip("hH@").strip("\"'") for text in texts]
    return sorted({text for text in plain if 0 < len(text) < 200})


def fill(
    con: duckdb.DuckDBPyConnection,
    source: Source,
    columns: Sequence[str],
    words: Sequence[str],
    many: int,
    reach: timedelta,
    draw: random.Random,
) -> None:
    """Makes a source table with rows, only some of its columns filled."""
    con.execute(f"drop table if exists {quoting.name(source.name)}")
    staging_sql.create_source(con, source.ddl)
    made: dict[str, list[Any]] = {"file_id": [1] * many}
    seconds = int(reach.total_seconds())
    times = [END - timedelta(seconds=draw.randrange(1, seconds + 7200)) for _ in range(many)]
    made["Timestamp"] = times
    made["timestamp_ns"] = [int(time.timestamp()) * 10**9 + draw.choice((0, 100)) for time in times]
    kinds = dict(source.columns)
    for name in {*columns, "ReportId", "DeviceId"} & kinds.keys() - {"Timestamp"}:
        values = _values(kinds[name], words, times)
        made[name] = [draw.choice(values) for _ in range(many)]
    con.register("hostile", pa.table({name: _array(values) for name, values in made.items()}))
    names = ", ".join(map(quoting.name, made))
    con.execute(f"insert into {quoting.name(source.name)} ({names}) select {names} from hostile")
    con.unregister("hostile")


def _array(values: list[Any]) -> pa.Array:
    return pa.array(values)


def _values(kind: str, words: Sequence[str], times: Sequence[datetime]) -> Sequence[Any]:
    if kind == "VARCHAR":
        mixed = [f"x {word.upper()} {{" for word in words[:5]]
        objects = [f'{{"{word[:20]}": "{word[:20]}"}}' for word in words if word.isalnum()][:5]
        return [*TEXTS, *(list(words) * (1 + 20 // (len(words) + 1))), *mixed, *objects]
    if kind == "BOOLEAN":
        return [True, False, None]
    if kind == "DOUBLE":
        return _FLOATS
    if kind.startswith("TIMESTAMP"):
        return [*times[:5], None]
    small = kind in ("INTEGER", "SMALLINT", "TINYINT")
    return [n for n in _NUMBERS if n is None or not small or abs(n) < 2**31]


def differing(
    con: duckdb.DuckDBPyConnection,
    kql: str,
    made: Translation,
    sources: Sources,
    many: int,
    seed: int = 1,
) -> str:
    """How a query over its stage differs from one over all rows; empty when it does not."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    reach = made.frequency + made.lookback
    for name, need in made.needs.items():
        columns = {*need.types} - {"gundog_ticks"}
        fill(con, sources.tables[name], sorted(columns), needles(kql), many, reach, draw)
    shown = []
    for is_whole in (False, True):
        stages = {}
        for name, need in made.needs.items():
            kept = stage_sql.Need(name, need.types, ((),), need.every) if is_whole else need
            stages[name] = groups.stage_name("hostile", name)
            sql = groups.text([kept])
            con.execute(f"create or replace temp table {stages[name]} as {sql}")
        bound = {"start": END - made.frequency, "end": END}
        sql = made.sql(stages)
        named = {key: value for key, value in bound.items() if f"${key}" in sql}
        rows = con.execute(
            f"select finding_key, ordinal, len(evidence) as events from ({sql}) order by all",
            named,
        ).fetchall()
        if any(events < 1 for _, _, events in rows):
            return "a row without events"
        shown.append(rows)
    if shown[0] != shown[1]:
        return f"{len(shown[0])} rows of its stage, {len(shown[1])} of all rows"
    return ""
