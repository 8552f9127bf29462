"""What an excess is made of: which apps, addresses and access types counted above their part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from gundog.core.times import HOUR, Interval, hull
from gundog.detections.hunt import Hunt
from gundog.detections.series_keys import is_total
from gundog.detections.staged import StagedTable
from gundog.warehouse import quoting

COLUMNS = ("app_id", "ip_address", "access_type")
SHOWN = 3
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")


@dataclass(frozen=True)
class Excess:
    """Hours of one series that hold more than usual, and what was expected of them together."""

    key: tuple[str, ...]
    hours: tuple[datetime, ...]
    expected: float


@dataclass(frozen=True, order=True)
class _Part:
    """What one value of a column counted in the hours, and in the history of its series."""

    value: str | None
    records: int
    seen: float
    usual: float


def explain(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, history: Interval, excesses: Sequence[Excess]
) -> list[dict[str, list[dict[str, Any]]]]:
    """The three values of each column that make up most of each excess.

    A value is expected to count its part of the series' history times what is expected of the
    hours. Its share is what it counted above that, of all that was counted above.

    Args:
        con: a connection that sees the staged views.
        hunt: a series whose `by` columns are columns of its stage. Where its stage has a number
            column of the measure's name that is summed; else records are counted.
        history: the training span before the hours.
        excesses: what to explain.

    Returns:
        For each excess, by column of `COLUMNS` that the stage has: `value`, `records` and `share`
        (0 to 1), largest share first.
    """
    made: list[dict[str, list[dict[str, Any]]]] = [{} for _ in excesses]
    held = {name for name, _ in hunt.stages[0].columns}
    for totals in (False, True):
        places = [n for n, excess in enumerate(excesses) if is_total(excess.key) == totals]
        for name in COLUMNS if places else ():
            if name not in held:
                continue
            parts = _parts(con, hunt, history, name, {n: excesses[n] for n in places})
            for place, mine in parts.items():
                made[place][name] = _shares(mine, excesses[place].expected)
    return made


def _shares(parts: Sequence[_Part], expected: float) -> list[dict[str, Any]]:
    """Values by their share of the excess.

    >>> usual, new = _Part("a", 2, 5.0, 100.0), _Part("b", 9, 27.0, 0.0)
    >>> [(one["value"], one["share"]) for one in _shares([usual, new], 2.0)]
    [('b', 0.9), ('a', 0.1)]
    """
    history = sum(part.usual for part in parts) or 1
    above = [max(part.seen - expected * part.usual / history, 0) for part in parts]
    whole = sum(above) or 1
    order = sorted(
        (-share / whole, -part.records, str(part.value), part)
        for part, share in zip(parts, above, strict=True)
        if part.records
    )
    return [
        {"value": part.value, "records": part.records, "share": round(-share, 3)}
        for share, _, _, part in order[:SHOWN]
    ]


_SQL = """
with wanted as (select unnest($wanted, recursive := true)),
seen as (
    select w.place, s.{name}::varchar as value, count(*) as records,
           sum({weight})::double as weight
    from {stage} as s
    inner join wanted as w on date_trunc('hour', s.event_time) = w.hour and {same}
    where s.event_time >= $low and s.event_time < $high
    group by all
),
usual as (
    select w.place, s.{name}::varchar as value, sum({weight})::double as weight
    from {stage} as s
    inner join (select distinct * exclude (hour) from wanted) as w on {same}
    where s.event_time >= $start and s.event_time < $end
    group by all
)
select coalesce(seen.place, usual.place), coalesce(seen.value, usual.value),
       coalesce(seen.records, 0), coalesce(seen.weight, 0), coalesce(usual.weight, 0)
from seen
full join usual on seen.place = usual.place and seen.value is not distinct from usual.value
order by all
"""


def _parts(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    history: Interval,
    name: str,
    excesses: Mapping[int, Excess],
) -> dict[int, list[_Part]]:
    """What each value of a column counted, by place in `excesses`: totals or none."""
    settings, stage = hunt.detection.series, hunt.stages[0]
    assert settings is not None  # noqa: S101 - checked by the caller, for the type checker
    by = (
        settings.by[:1]
        if any(is_total(excess.key) for excess in excesses.values())
        else settings.by
    )
    keys = {
        place: {f"by{n}": excess.key[n] for n in range(len(by))}
        for place, excess in excesses.items()
    }
    same = [
        f"coalesce(s.{quoting.name(column)}::varchar, '') = w.by{n}" for n, column in enumerate(by)
    ]
    span = hull(
        Interval(hour, hour + HOUR) for excess in excesses.values() for hour in excess.hours
    )
    assert span is not None  # noqa: S101 - an excess has hours, for the type checker
    rows = con.execute(
        _SQL.format(
            name=quoting.name(name), stage=stage.view, weight=_weight(stage, settings.measure),
            same=" and ".join(same),
        ),
        {
            "wanted": [
                {"place": place, **keys[place], "hour": hour}
                for place, excess in excesses.items()
                for hour in excess.hours
            ],
            "low": span.start,
            "high": span.end,
            "start": history.start,
            "end": history.end,
        },
    ).fetchall()  # fmt: skip
    parts = defaultdict[int, list[_Part]](list)
    for place, *rest in rows:
        parts[place].append(_Part(*rest))
    return parts


def _weight(stage: StagedTable, measure: str) -> str:
    """What a record counts: the stage's number of the measure's name, or one."""
    numbers = {column for column, kind in stage.columns if kind.startswith(_NUMBERS)}
    return f"coalesce(s.{quoting.name(measure)}, 0)" if measure in numbers else "1"
