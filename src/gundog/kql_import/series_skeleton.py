"""A query that scores a series with itself, as a series detection that learns from the days before.

`make-series … | … series_decompose_anomalies()` learns from the points that it judges. What is made
here keeps the query's filters and keys, counts by hour, and lets gundog score each night against
four weeks before it. It is a beginning: its SQL is its own, and belongs to no query any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import yaml

from gundog.core.times import HOUR, format_time, parse_time
from gundog.kql_import import (
    hunt_sql,
    inlining,
    reading,
    series_text,
    source_columns,
    tokens,
    translating,
    translator,
    writing,
)
from gundog.kql_import.query import KqlQuery
from gundog.kql_import.refusing import RefusalError, Remark
from gundog.kql_import.source_columns import TIME_NAMES
from gundog.kql_import.tokens import Token
from gundog.kql_import.translating import Sources, Translation
from gundog.kql_import.weaving import MARK
from gundog.warehouse import quoting

END = "_series"
_HOUR_COLUMN, _SCOPE = "gundog_hour", "scope"
_SCORING = "series_decompose_anomalies"
_CLOCK = "$kqlnow"
# The example's history, as long as a series learns, and the burst in the night behind it.
_FIRST, _LAST = parse_time("2026-01-05"), parse_time("2026-02-02")
_BURST = 150
REMARKS = (
    Remark(
        0, "counts every hour and learns from four weeks: read its SQL, it is its own from now on"
    ),
    Remark(0, "its examples are made up: write those of an attack, and its prose, in their place"),
)
# Replaced by what the example gives, once it has run.
OPEN = "TODO"


@dataclass(frozen=True)
class Skeleton:
    """A counting query in SQL, and how a series detection is made of it.

    Args:
        query: the counting query, with the name and id of the new detection.
        translation: its SQL.
        measure: the column that counts.
        keys: the columns that tell series apart; the tenant first, where the query can tell it.
    """

    query: KqlQuery
    translation: Translation
    measure: str
    keys: tuple[str, ...]


def of(query: KqlQuery, sources: Sources) -> Skeleton | None:
    """The skeleton for a query; None where it scores no series, or one that cannot be counted so.

    It has to be one `make-series` with one aggregate over one source table, whose rows are not
    chosen by the time at which it runs, but for conditions on the time.
    """
    for tenant in ("tenant = tostring(TenantId)", ""):
        try:
            if counted := _counting(query.query, tenant):
                kql, measure, keys = counted
                made = _named(query, kql)
                translation = translating.translate(made, sources)
                if _CLOCK in translation.shape.translated or len(translation.sources) > 1:
                    return None
                return Skeleton(made, translation, measure, keys)
        except RefusalError:
            continue  # a step has dropped the tenant's column
    return None


def _named(query: KqlQuery, kql: str) -> KqlQuery:
    stem = query.stem[: reading.LONGEST_STEM - len(END)] + END
    return replace(
        query,
        stem=stem,
        id=reading.identify(query.id, 2),
        name=f"{query.name or query.stem}, scored against the weeks before",
        query=kql,
        frequency=None,
        period=None,
        derived=query.id,
    )


def _counting(kql: str, tenant: str) -> tuple[str, str, tuple[str, ...]] | None:
    """The query that counts by key and hour, its measure and its keys."""
    stream = tokens.read(kql)
    places = [i for i, token in enumerate(stream) if token.text == "make-series"]
    if len(places) != 1 or not any(token.text == _SCORING for token in stream):
        return None
    [place] = places
    low = next(low for low, high in inlining.statements(stream) if low <= place < high)
    if stream[place].depth != stream[low].depth:
        return None
    step = stream[place : tokens.step_end(stream, place)]
    parts = series_text.clauses(kql, step)
    values = [series_text.counted(kql, item) for item in series_text.split(parts[""])]
    keys = [series_text.keyed(kql, item) for item in series_text.split(parts.get("by", ()))]
    if len(values) != 1:
        return None
    [(measure, call, _)] = values
    axis = tokens.joined(parts["on"])
    first = [(tenant, "tenant")] if tenant else [] if keys else [(f'{_SCOPE} = "all"', _SCOPE)]
    by = ", ".join(text for text, _ in (*first, *keys))
    before = _before(kql, stream, low, place)
    counting = f"| summarize {measure} = {call} by {by}, {_HOUR_COLUMN} = bin({axis}, 1h)"
    return f"{before}\n{counting}\n", measure, tuple(name for _, name in (*first, *keys))


def _before(kql: str, stream: tuple[Token, ...], low: int, place: int) -> str:
    """The text before the make-series at `place` without conditions on the time.

    The interval bounds it. Its statement, which starts at `low`, has no `let` then.
    """
    cuts = [cut for step in range(1, place) for cut in _time_conditions(stream[: place - 1], step)]
    if stream[low].text == "let" and stream[low + 2].text == "=":
        cuts.append((stream[low].start, stream[low + 3].start))
    text = kql[: stream[place - 1].start]
    for start, end in sorted(cuts, reverse=True):
        text = text[:start] + text[end:]
    return text.rstrip()


def _time_conditions(stream: Sequence[Token], place: int) -> Iterator[tuple[int, int]]:
    """The places of a `where`'s conditions on the time, the whole step where it has no other."""
    if place >= len(stream) or stream[place].text != "where" or stream[place - 1].text != "|":
        return
    end, depth = tokens.step_end(tuple(stream), place), stream[place].depth
    words = [i for i in range(place + 1, end) if stream[i].depth == depth]
    if any(stream[i].text == "or" for i in words):
        return
    edges = [place, *(i for i in words if stream[i].text == "and"), end]
    conditions = [(edges[i] + 1, edges[i + 1]) for i in range(len(edges) - 1)]
    timed = [pair for pair in conditions if stream[pair[0]].text in TIME_NAMES]
    if len(timed) == len(conditions):
        yield stream[place - 1].start, stream[end - 1].end
        return
    for low, high in timed:
        if low - 1 == place:  # the first: it goes with the `and` behind it
            yield stream[low].start, stream[high].end
        else:
            yield stream[low - 1].start, stream[high - 1].end


def files(
    skeleton: Skeleton, stages: Mapping[str, str], findings: Sequence[str] = (OPEN,)
) -> dict[str, str]:
    """The texts of the detection's own files, by their path in a content folder.

    Args:
        skeleton: what it counts.
        stages: the staged table of each source.
        findings: the series that its example finds.
    """
    stem = skeleton.query.stem
    return {
        f"detections/{stem}.yaml": _yaml(skeleton, findings),
        f"sql/{stem}.sql": _sql(skeleton, stages),
    }


def columns(skeleton: Skeleton) -> tuple[str, ...]:
    """The columns of the SELECT that tell series apart, by the keys' order."""
    return tuple(hunt_sql.named(key) if key != "tenant" else key for key in skeleton.keys)


def _sql(skeleton: Skeleton, stages: Mapping[str, str]) -> str:
    shape, query = skeleton.translation.shape, skeleton.query
    origin = f"{query.file}, KQL {translating.digest(query.query)}"
    sources = [_source(table, stages[table.name]) for table in shape.tables]
    names = columns(skeleton)
    listed = [
        f"    coalesce(cast({quoting.name(key)} as varchar), '') as {quoting.name(name)}"
        for key, name in zip(skeleton.keys, names, strict=True)
    ]
    measure = quoting.name(skeleton.measure)
    rows = [
        f"    {quoting.name(_HOUR_COLUMN)} at time zone 'UTC' as hour",
        *listed,
        f"    coalesce(cast({measure} as double), 0) as {quoting.name(_measure(skeleton))}",
    ]
    ordered = ", ".join(["hour", *map(quoting.name, names)])
    return "\n".join(
        [
            f"-- {_measure(skeleton)} by hour, for a series that gundog scores.",
            "--",
            f"-- Grain:    one row per {', '.join(names)} and hour that has any.",
            "-- Interval: hours in [start, end).",
            f"-- Reads:    {', '.join(stages[name] for name in skeleton.translation.sources)}",
            "-- Params:   $start, $end   timestamptz; the interval [start, end)",
            f"-- Begun by: gundog import --rewrite, from {origin}",
            "",
            "with " + ",\n\n".join([*sources, f"found as (\n{shape.translated}\n)"]),
            "",
            "select\n" + ",\n".join(rows),
            f"from found\nwhere {quoting.name(_HOUR_COLUMN)} is not null\norder by {ordered}",
            "",
        ]
    )


def _source(table: source_columns.KqlTable, stage: str) -> str:
    names = ",\n        ".join(source_columns.read_back(table))
    return (
        f"{quoting.name(table.name)} as (\n    select\n        {names},\n"
        f"        concat_ws('/', event_id, epoch_us(event_time)) as {MARK}\n"
        f"    from {stage}\n    where\n        event_time >= $start\n"
        "        and event_time < $end\n)"
    )


def _measure(skeleton: Skeleton) -> str:
    return hunt_sql.named(skeleton.measure)


def _yaml(skeleton: Skeleton, findings: Sequence[str]) -> str:
    query, names = skeleton.query, columns(skeleton)
    who = next((f" of {{{name}}}" for name in names if name not in ("tenant", _SCOPE)), "")
    keys: dict[str, Any] = {
        "id": query.id,
        "name": query.name,
        "kind": "series",
        "status": "experimental",
        "severity": query.severity,
        "description": query.description or "TODO: what it looks for, and why.",
        "tactics": list(query.tactics),
        "relevantTechniques": list(query.techniques),
        "falsePositives": ["TODO: who does this for good reasons."],
        "blindSpots": [
            "Hours are counted, whatever the step of the query was; TODO: what it cannot see."
        ],
        "triage": ["TODO: what to look at first, and what to do when it is true."],
        "references": list(query.references),
        "related": [{"id": query.derived, "type": "derived"}],
        "sql": f"{query.stem}.sql",
        "frequency": "1d",
        "series": {
            "measure": _measure(skeleton),
            "by": list(names),
            "training": "28d",
            "method": "forecast",
            "threshold": 4,
        },
        "title": f"{{observed}} {_measure(skeleton)}{who}; {{expected}} expected",
        "examples": _examples(skeleton, findings),
    }
    kept = {key: value for key, value in keys.items() if value not in (None, [])}
    head = (
        f"# Begun by gundog import --rewrite, from {writing.line(query.file)}.\n"
        "# Its SQL is its own: change it as that of any series.\n"
        "# The examples are made up: they prove that it counts and fires, and nothing of attacks.\n"
    )
    return head + yaml.dump(kept, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=100)


class _Plain(yaml.SafeDumper):
    """Writes everything out, without anchors."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's name for it
        return True


def _examples(skeleton: Skeleton, findings: Sequence[str]) -> list[dict[str, Any]]:
    """A flat history with a burst in the last night, and without."""
    [source] = skeleton.translation.sources[:1]
    row = _row(skeleton, source)
    many = int((_LAST - _FIRST) / HOUR) + 24
    quiet = {
        "Timestamp": format_time(_FIRST + timedelta(minutes=10)),
        "ReportId": 1,
        **row,
        "repeat": {"every": "1h", "times": many},
    }
    burst = {
        "Timestamp": format_time(_LAST + 3 * HOUR),
        "ReportId": 2,
        **row,
        "repeat": {"every": "20s", "times": _BURST},
    }
    night = [_day(_LAST), _day(_LAST + timedelta(days=1))]
    return [
        {
            "name": "a burst in the last night fires",
            "interval": night,
            "events": {source: [quiet, burst]},
            "findings": [{"series_key": key} for key in findings],
        },
        {
            "name": "the same every hour does not",
            "interval": night,
            "events": {source: [quiet]},
            "findings": [],
        },
    ]


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _row(skeleton: Skeleton, source: str) -> dict[str, Any]:
    """An event that passes the simple filters of the query, as far as they can be read."""
    need = skeleton.translation.needs[source]
    row = {
        name: "example"
        for name, kind in need.types.items()
        if kind == "VARCHAR" and name in skeleton.keys
    }
    for condition in need.branches[0] if need.branches else ():
        row |= dict(_values(condition))
    return row


def _values(condition: Any) -> Iterator[tuple[str, Any]]:
    """Columns and values with which a condition holds; nothing where it is not plain."""
    ir = translator.ir
    if isinstance(condition, ir.BinaryOp) and condition.op == "and":
        yield from _values(condition.left)
        yield from _values(condition.right)
    elif isinstance(condition, ir.BinaryOp) and condition.op == "or":
        yield from _values(condition.left)
    elif isinstance(condition, ir.BinaryOp):
        if isinstance(condition.left, ir.ColumnRef) and isinstance(condition.right, ir.Literal):
            yield condition.left.name, condition.right.value
    elif isinstance(condition, (ir.InList, ir.HasList)) and condition.items:
        first = condition.items[0]
        if isinstance(condition.value, ir.ColumnRef) and isinstance(first, ir.Literal):
            yield condition.value.name, first.value
