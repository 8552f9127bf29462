"""Which findings are kept but not sent, and why: exceptions, the alert budget, suppression.

All three are judged in event time over every finding of a detection, so that it does not matter
in which order, by which run or how late they were stored.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gundog.core.severity import SEVERITIES
from gundog.core.times import MICROSECOND, epoch_us
from gundog.detections.detection import Detection
from gundog.detections.series_keys import by_values, is_total
from gundog.findings import exceptions
from gundog.findings.exceptions import Entry
from gundog.findings.model import FILLED
from gundog.warehouse import database

ALERT_BUDGET = "alertBudget"
SENT_PER_BUDGET = 10
DEFAULT_BUDGET = 1.0
_Ints = npt.NDArray[np.int64]
_DECISIONS = pa.schema(
    [
        ("finding_id", pa.string()),
        ("suppressed_by", pa.string()),
        ("suppressed_count", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Judged:
    """One decision per finding: why it is not sent (null when it is), and how many it stands for.

    `by` holds texts or None, `counts` the number of findings that each of them kept quiet.
    """

    by: tuple[str | None, ...]
    counts: _Ints


def judge(
    ids: Sequence[str],
    starts: _Ints,
    ranks: _Ints,
    groups: Sequence[Any],
    excepted: Sequence[str | None],
    over_budget: Sequence[bool],
    duration: int,
) -> Judged:
    """Decides for the findings of one detection which are sent.

    A finding that is excepted, or over the alert budget, is not sent and keeps none quiet. Another
    one is not sent when one that is sent, of its group and of no lower severity, starts in
    (its start - duration, its start]; of those that start together the severest goes first. The
    window is that of the finding that was sent and is not moved by those that were not.

    Args:
        ids: finding ids, which order findings that are equal in all else.
        starts: start_time in us, shape (n,).
        ranks: severity as a number, higher is worse, shape (n,).
        groups: values of the groupBy columns, hashable; None where one of them is null.
        excepted: the exception that hides a finding, or None.
        over_budget: True where the alert budget is used up.
        duration: of suppression, in us; 0 for none.

    >>> hour = np.array([0, 1, 2]) * 3_600_000_000
    >>> day = 24 * 3_600_000_000
    >>> rank = np.array([1, 1, 2])
    >>> judge("abc", hour, rank, "xxx", [None] * 3, [False] * 3, day).by
    (None, 'finding a', None)
    """
    by: list[str | None] = list(excepted)
    counts = np.zeros(len(ids), dtype=np.int64)
    newest: dict[Any, int] = {}  # place of the last one that was sent, by group
    for place in sorted(range(len(ids)), key=lambda n: (starts[n], -ranks[n], ids[n])):
        if by[place] is None and over_budget[place]:
            by[place] = ALERT_BUDGET
        group = groups[place]
        if by[place] is not None or group is None or duration <= 0:
            continue
        # One sent before it is of lower severity and starts earlier, so it hides no more.
        sent = newest.get(group)
        if (
            sent is not None
            and starts[place] < starts[sent] + duration
            and (ranks[place] <= ranks[sent])
        ):
            by[place] = f"finding {ids[sent]}"
            counts[sent] += 1
        else:
            newest[group] = place
    return Judged(tuple(by), counts)


def beyond(limit: int | None, intervals: Sequence[Any], scores: Sequence[float], ids: Sequence[str],
           skipped: Sequence[bool]) -> list[bool]:  # fmt: skip
    """True for findings beyond the `limit` highest scores of their interval; skipped ones apart.

    Intervals are any values that are equal for what shares a budget: an interval and a tenant.

    >>> beyond(1, "aab", [2.0, 3.0, 1.0], "xyz", [False] * 3)
    [True, False, False]
    """
    over = [False] * len(ids)
    if limit is None:
        return over
    places = defaultdict[Any, list[int]](list)
    for place, interval in enumerate(intervals):
        if not skipped[place]:
            places[interval].append(place)
    for mine in places.values():
        for place in sorted(mine, key=lambda n: (-scores[n], ids[n]))[limit:]:
            over[place] = True
    return over


# ---- over what is stored ----


def apply(
    con: duckdb.DuckDBPyConnection,
    detections: Sequence[Detection],
    entries: Sequence[Entry],
    canaries: Sequence[Entry] = (),
) -> None:
    """Brings `suppressed_by` and `suppressed_count` of every stored finding up to date.

    A detection is judged again when a row of its findings, its suppression or an exception that
    names it changed since. Findings of detections that do not load stay as they are.

    Args:
        con: the warehouse.
        detections: those that load.
        entries: of exceptions.yaml, in its order; the first that fits a finding hides it.
        canaries: planted behaviour, whose findings are hidden before any exception does.
    """
    judged, fingerprints = _judged(con), _fingerprints(con)
    for detection in detections:
        mine = [
            entry for entry in (*canaries, *entries) if entry.names(detection.id, detection.stem)
        ]
        rules = _rules(detection, mine)
        if judged.get(detection.id) == (rules, fingerprints.get(detection.id, "")):
            continue
        with database.transaction(con):
            _judge_stored(con, detection, mine)
            con.execute("delete from judged where detection_id = ?", [detection.id])
            fingerprint = _fingerprints(con, detection.id).get(detection.id, "")
            row = {"detection_id": detection.id, "rules": rules, "fingerprint": fingerprint}
            database.insert(con, "judged", [row])
    _write_exceptions(con, entries, detections)


def _rules(detection: Detection, entries: Sequence[Entry]) -> str:
    """Everything but the findings that a decision depends on, in one text."""
    about = [[entry.shown, entry.match, str(entry.start), str(entry.end)] for entry in entries]
    kept = detection.suppression
    window = [["tenant", *kept.group_by], str(kept.duration)] if kept else ["tenant"]
    return json.dumps([about, window, _limit(detection)])


def _limit(detection: Detection) -> int | None:
    """How many findings of one interval are sent at most; None for all of them.

    A clean night has about `alertBudget` of them; ten times that is more than chance, and more
    than anybody reads. A match says itself how many that is.
    """
    series = detection.series
    if series is None:
        return detection.suppression.most if detection.suppression else None
    if series.method != "forecast" or series.threshold is not None:
        return None
    return max(math.ceil(SENT_PER_BUDGET * (series.alert_budget or DEFAULT_BUDGET)), 1)


def _judged(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[str, str]]:
    rows = con.execute("select detection_id::varchar, rules, fingerprint from judged").fetchall()
    return {key: (rules, fingerprint) for key, rules, fingerprint in rows}


def _fingerprints(
    con: duckdb.DuckDBPyConnection, detection_id: str | None = None
) -> dict[str, str]:
    """A fingerprint of each detection's rows; every change of one changes it, in any order."""
    rows = con.execute(
        """select detection_id::varchar, count(*) || '/' || bit_xor(hash(f)) from findings as f
           where $only is null or detection_id = $only::uuid group by all""",
        {"only": detection_id},
    ).fetchall()
    return dict(rows)


def columns_of(row: Mapping[str, Any], filled: Iterable[str] = FILLED) -> dict[str, Any]:
    """The columns that a hunt returned for a finding, from its row in `findings`."""
    details = json.loads(row["details"]) if row["details"] else {}
    return {**details, **{name: row[name] for name in filled}}


def _judge_stored(
    con: duckdb.DuckDBPyConnection, detection: Detection, entries: Sequence[Entry]
) -> None:
    kept = detection.suppression
    group_by = kept.group_by if kept else ()
    limit = _limit(detection)
    asked = {*group_by, *(column for entry in entries for column, _ in entry.match)}
    filled = [name for name in FILLED if name in asked | {"severity", "score", "tenant"}]
    # Most is known without reading JSON; a series has its key there.
    details = "details" if limit is not None or asked - set(FILLED) else "null as details"
    rows = database.rows(
        con,
        f"""select finding_id::varchar as finding_id, {details},
                epoch_us(interval_start) as interval,
                epoch_us(coalesce(start_time, interval_start)) as begins,
                suppressed_by, suppressed_count, {", ".join(filled)}
            from findings where detection_id = ?""",
        [detection.id],
    )
    columns = [columns_of(row, filled) for row in rows]
    ids = [row["finding_id"] for row in rows]
    starts = np.array([row["begins"] for row in rows], dtype=np.int64)
    excepted = hidden_by(entries, starts, columns)
    over = beyond(
        limit,
        [(row["interval"], row["tenant"]) for row in rows],
        [row["score"] or 0.0 for row in rows],
        ids,
        [
            hidden is not None or _is_total(values)
            for hidden, values in zip(excepted, columns, strict=True)
        ],
    )
    judged = judge(
        ids,
        starts,
        np.array([SEVERITIES.index(row["severity"]) for row in rows], dtype=np.int64),
        [_group(values, group_by) for values in columns],
        excepted,
        over,
        kept.duration // MICROSECOND if kept else 0,
    )
    changes = [
        {"finding_id": row["finding_id"], "suppressed_by": by, "suppressed_count": int(count)}
        for row, by, count in zip(rows, judged.by, judged.counts, strict=True)
        if (row["suppressed_by"], row["suppressed_count"]) != (by, count)
    ]
    _update(con, changes)


def _is_total(columns: Mapping[str, Any]) -> bool:
    """True for a tenant's own series: its scale is its own, and it is not part of the budget."""
    key = columns.get("series_key")
    return isinstance(key, str) and is_total(by_values(key))


def hidden_by(
    entries: Sequence[Entry], starts: _Ints, columns: Sequence[Mapping[str, Any]]
) -> list[str | None]:
    """For each finding the exception that hides it, or None.

    Args:
        entries: those that name the findings' detection; the first that fits counts.
        starts: start_time of each finding, in us since 1970, shape (n,).
        columns: its columns.
    """
    hidden: list[str | None] = [None] * len(columns)
    for entry in reversed(entries):
        fits = _remembering(exceptions.matcher(entry), [column for column, _ in entry.match])
        shown = entry.shown
        low, high = epoch_us(entry.start), epoch_us(entry.end)
        for place in np.flatnonzero((starts >= low) & (starts < high)).tolist():
            if fits(columns[place]):
                hidden[place] = shown
    return hidden


def _remembering(fits: exceptions.Test, names: Sequence[str]) -> exceptions.Test:
    """The same test, made once for each combination of values: findings repeat them."""
    results: dict[tuple[Any, ...], bool] = {}

    def remembered(row: Mapping[str, Any]) -> bool:
        # 1, 1.0 and True are equal as keys and differ as texts.
        key = tuple((type(value), value) for value in map(row.get, names))
        try:
            if key not in results:
                results[key] = fits(row)
        except TypeError:  # a list
            return fits(row)
        return results[key]

    return remembered


def _group(columns: Mapping[str, Any], names: Sequence[str]) -> str | None:
    values = [columns.get(name) for name in names]
    if not values or any(value is None for value in values):
        return None
    # What happens to one tenant keeps nothing of another quiet, whatever else is equal.
    return repr([columns.get("tenant") or "", *values])


def _update(con: duckdb.DuckDBPyConnection, changes: Sequence[Mapping[str, Any]]) -> None:
    if not changes:
        return
    con.register("judged_rows", pa.Table.from_pylist(list(changes), _DECISIONS))
    con.execute(
        """update findings set suppressed_by = j.suppressed_by,
               suppressed_count = j.suppressed_count
           from judged_rows as j where findings.finding_id = j.finding_id::uuid"""
    )
    con.unregister("judged_rows")


def _write_exceptions(
    con: duckdb.DuckDBPyConnection, entries: Sequence[Entry], detections: Sequence[Detection]
) -> None:
    """Writes the exceptions down, each with what it hides."""
    hidden = {
        key: (count, newest)
        for key, count, newest in con.execute(
            """select regexp_extract(suppressed_by, '^exception ([0-9a-f]{8})', 1) as key,
                      count(*), max(start_time)
               from findings where suppressed_by is not null group by key"""
        ).fetchall()
    }
    records = []
    for entry in entries:
        count, newest = hidden.get(entry.id, (0, None))
        records.append(
            {
                "exception_id": entry.id,
                "detection": entry.detection,
                "match": json.dumps({column: list(values) for column, values in entry.match}),
                "from_time": None if entry.start == exceptions.ALWAYS else entry.start,
                "expires": entry.end,
                "reason": entry.reason,
                "owner": entry.owner or None,
                "hidden": count,
                "newest_hidden": newest,
                "unknown_columns": [] if count else _unknown_columns(con, entry, detections),
            }
        )
    with database.transaction(con):
        con.execute("delete from exceptions")
        database.insert(con, "exceptions", records)


def last_entries(con: duckdb.DuckDBPyConnection) -> tuple[Entry, ...]:
    """The exceptions that held in the last run, in their order."""
    return tuple(
        Entry(
            detection=row["detection"],
            match=tuple(
                (column, tuple(values)) for column, values in json.loads(row["match"]).items()
            ),
            start=row["from_time"] or exceptions.ALWAYS,
            end=row["expires"],
            reason=row["reason"],
            owner=row["owner"] or "",
        )
        for row in database.rows(con, "select * from exceptions order by rowid")
    )


def _unknown_columns(
    con: duckdb.DuckDBPyConnection, entry: Entry, detections: Sequence[Detection]
) -> list[str]:
    """Columns the entry names that none of the findings it could be about has: likely a typo."""
    ids = [detection.id for detection in detections if entry.names(detection.id, detection.stem)]
    [(names,)] = con.execute(
        """select list(distinct name) from (
               select unnest(json_keys(details)) as name from findings
               where detection_id in (select unnest(?::uuid[]))
           )""",
        [ids],
    ).fetchall()
    if names is None:
        return []
    return [column for column, _ in entry.match if column not in {*FILLED, *names}]
