"""Rows of a hunt turned into findings, stored so that hunting twice changes nothing."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import duckdb
import pyarrow as pa

import gundog
from gundog import content, query, quoting, tenancy, warehouse
from gundog.content import Hunt, Stage
from gundog.detection import SEVERITIES, Detection
from gundog.errors import QueryError
from gundog.interval import Interval, format_duration, format_time

EVIDENCE_LIMIT = 10_000
# Columns of findings that a hunt's own columns fill; every other one becomes part of details.
FILLED = (
    "tenant", "host_name", "dns_domain", "account_name", "account_sid", "mailbox", "app_id",
    "ip_address", "start_time", "end_time", "severity", "reason", "score", "observed", "expected",
)  # fmt: skip


@dataclass(frozen=True)
class Event:
    """One piece of evidence, with the staged row it is."""

    role: str
    source_table: str
    event_id: UUID
    event_time: datetime | None
    source_file: str
    seen_seq: int
    event: str


@dataclass(frozen=True)
class Hit:
    """What a hunt found: its identity, its columns, and the events that prove it."""

    finding_id: UUID
    row: Mapping[str, Any]
    events: tuple[Event, ...]
    evidence_count: int


@dataclass(frozen=True)
class Hunted:
    """One detection hunted over one interval; `state` is done, failed or no_data.

    Of tenants `left_out` nothing is known: what was stored of them stands. Of a series: `points`
    to store, None where those of before stand; `counts` and, as `counted`, the intervals that
    they replace with a digest of each; `basis`, what scores followed from.
    """

    hunt: Hunt
    interval: Interval
    seq: int
    state: str
    hits: tuple[Hit, ...] = ()
    note: str = ""
    error: str = ""
    seconds: float = 0.0
    fingerprint: str = ""
    points: pa.Table | None = None
    counts: pa.Table | None = None
    counted: Mapping[Interval, str] = field(default_factory=dict)
    basis: str = ""
    left_out: frozenset[str] = frozenset()


@dataclass
class Changes:
    """How many findings a store made new, changed and so on."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    withdrawn: int = 0
    returned: int = 0

    def add(self, other: Changes) -> None:
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(frozen=True)
class Author:
    """Who stores: the run, its time, and whether it is nightly or a backfill."""

    run_id: UUID
    at: datetime
    origin: str


def plain(value: Any) -> Any:
    """A value as JSON knows it: times and durations as people write them."""
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, pa.MonthDayNano):  # what an INTERVAL is in Arrow
        days = timedelta(days=30 * value.months + value.days)
        return format_duration(days + timedelta(microseconds=value.nanoseconds // 1000))
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, Decimal) and value.is_finite():  # what a sum of BIGINT is in Arrow
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no such numbers
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def canonical(value: Any) -> str:
    """JSON with one spelling for equal values."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=True, separators=(",", ":"))


def identify(detection: Detection, values: Sequence[Any], tenant: str = "") -> UUID:
    """The finding's id: UUIDv5 of the detection's id and the identity values as JSON.

    Args:
        detection: what found it.
        values: of the identity columns, in their order.
        tenant: whose finding it is, where none of the values says so.
    """
    named = {"tenant": tenant, "values": list(values)} if tenant else list(values)
    return uuid5(UUID(detection.id), canonical(named))


def match(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    interval: Interval,
    staged_from: datetime,
    left_out: Collection[str] = (),
) -> tuple[Hit, ...]:
    """The hits of a match detection over one interval, each tenant hunted alone.

    Args:
        con: a connection that sees the staged views, such as `query.sandbox`.
        hunt: the detection and its SQL.
        interval: what `$start` and `$end` are.
        staged_from: what `$staged_from` is where rows are not counted by tenant.
        left_out: tenants that are not hunted.

    Raises:
        QueryError: when the SQL fails, or two rows have the same identity.
    """
    return by_part(con, hunt, hunt.sql, interval, staged_from, left_out, {})


def by_part(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    sql: str,
    interval: Interval,
    staged_from: datetime,
    left_out: Collection[str],
    more: Mapping[str, Any],
) -> tuple[Hit, ...]:
    """What a SELECT of a detection finds in each tenant's rows.

    Args:
        con: as for `match`.
        hunt: the detection.
        sql: its SELECT.
        interval, staged_from, left_out: as for `match`.
        more: what the SELECT may name beside the usual parameters.

    Raises:
        QueryError: when the SQL fails, or two rows have the same identity.
    """
    hits = list[Hit]()
    reach = interval.widen(hunt.detection.lookback)
    for part in tenancy.parts(con, hunt, reach, staged_from, left_out):
        with tenancy.only(con, hunt.stages, part):
            params = content.bind_params(
                hunt.detection.params, interval.start, interval.end, part.staged_from
            )
            rows = query.arrow(con, sql, {**params, **more}).to_pylist()
            # A hunt that does not tell whose rows it returns saw nobody else's.
            whose = {"tenant": part.tenant} if part.tenant else {}
            hits += to_hits(con, hunt, interval, [{**whose, **row} for row in rows])
    return tuple(hits)


def to_hits(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, rows: Sequence[dict[str, Any]]
) -> tuple[Hit, ...]:
    """Rows with the detection's identity columns and `evidence` as hits.

    Raises:
        QueryError: when two rows have the same identity.
    """
    detection = hunt.detection
    reach = interval.widen(detection.lookback)
    wanted = [{**ref, "tenant": row.get("tenant")} for row in rows for ref in row["evidence"] or ()]
    events = lookup(con, hunt.stages, reach, wanted)
    hits = {}
    for row in rows:
        identity = [row[name] for name in detection.identity]
        tenant = row.get("tenant") or ""
        finding_id = identify(detection, identity, _untold(detection, tenant))
        if finding_id in hits:
            raise QueryError(
                f"{detection.shown}: identity: two rows share {plain(identity)}:"
                " return one row for each, or add a column to identity"
            )
        refs = row["evidence"] or ()
        found = [
            events[key]
            for ref in refs
            if (key := _key({**ref, "tenant": row.get("tenant")})) in events
        ]
        kept = {name: value for name, value in row.items() if name != "evidence"}
        hits[finding_id] = Hit(finding_id, kept, tuple(found[:EVIDENCE_LIMIT]), len(refs))
    return tuple(hits.values())


def _untold(detection: Detection, tenant: str) -> str:
    """The tenant where the identity does not hold it already, else nothing."""
    return "" if "tenant" in detection.identity else tenant


_Key = tuple[str, str, str, str | None]


def _key(ref: Mapping[str, Any]) -> _Key:
    return ref["role"], ref["source_table"], str(ref["event_id"]), ref.get("tenant")


def lookup(
    con: duckdb.DuckDBPyConnection,
    stages: Iterable[Stage],
    span: Interval,
    refs: Sequence[Mapping[str, Any]],
) -> dict[_Key, Event]:
    """The staged rows that evidence refers to, by (role, source table, event id, tenant).

    Args:
        con: a connection that sees the staged views.
        stages: where to look, in this order.
        span: when the events happened.
        refs: each with role, source_table, event_id and tenant; without a tenant the row of any.
    """
    wanted = defaultdict[str, dict[str, None]](dict)
    for ref in refs:
        wanted[ref["source_table"]][str(ref["event_id"])] = None
    rows: dict[tuple[str, str, str | None], tuple[Any, ...]] = {}
    for stage in stages:
        ids = list(wanted[stage.source]) + list(wanted[stage.name])
        if not ids:
            continue
        found = con.execute(_lookup_sql(stage), [ids, span.start, span.end]).fetchall()
        for tenant, *row in found:
            for name in (stage.source, stage.name):
                for whose in (tenant, None):
                    rows.setdefault((name, str(row[0]), whose), tuple(row))
    return {
        _key(ref): Event(ref["role"], ref["source_table"], *rows[key])
        for ref in refs
        if (key := (ref["source_table"], str(ref["event_id"]), ref.get("tenant"))) in rows
    }


def _lookup_sql(stage: Stage) -> str:
    """Evidence rows as JSON; of a re-delivered event the smallest path, seen first."""
    return f"""
        with wanted as (select unnest(?::uuid[]) as event_id),
        span as (select ?::timestamptz as low, ?::timestamptz as high),
        places as (
            select s.tenant, s.event_id, min(f.path) as path, min(f.seen_seq) as seen_seq
            from {stage.table} as s inner join source_files as f using (file_id)
            where s.event_id in (from wanted)
            and s.event_time >= (select low from span) and s.event_time < (select high from span)
            group by s.tenant, s.event_id
        )
        select v.tenant, v.event_id, v.event_time, p.path, p.seen_seq, to_json(v)::varchar
        from {stage.view} as v
        inner join places as p on p.event_id = v.event_id and p.tenant is not distinct from v.tenant
        where v.event_time >= (select low from span) and v.event_time < (select high from span)
        order by v.event_time, v.event_id"""


def present(detection: Detection, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a finding says of itself to people: words of the detection, columns of the row."""
    severity = row.get("severity")
    entities = [
        {"type": one.entity_type, **{name: plain(row.get(column)) for name, column in one.columns}}
        for one in detection.entities
        if any(row.get(column) for _, column in one.columns)
    ]
    return {
        "detection_name": detection.name,
        "kind": detection.kind,
        "title": title(detection, row),
        "reason": row.get("reason") or detection.name,
        "severity": severity if severity in SEVERITIES else detection.severity,
        "risk_score": detection.risk_score,
        "tactics": list(detection.tactics),
        "techniques": list(detection.techniques),
        "entities": canonical(entities),
    }


def title(detection: Detection, row: Mapping[str, Any]) -> str:
    """The detection's title with the row's values in place of {column}."""
    text = detection.title or detection.name
    named = [re.escape("{" + name + "}") for name in content.template_fields(text)]

    def shown(found: re.Match[str]) -> str:
        value = row.get(found[0][1:-1])
        return "the whole tenant" if detection.series and value == "*" else _in_words(value)

    # In one pass: a value that looks like {column} is text of an event, not a template.
    return re.sub("|".join(named), shown, text) if named else text


def _in_words(value: Any) -> str:
    """A value inside a sentence.

    >>> _in_words(538.0), _in_words(221.81), _in_words(None)
    ('538', '221.8', '?')
    """
    value = plain(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
    return "?" if value in (None, "") else str(value)


def record(hunted: Hunted, hit: Hit, author: Author) -> dict[str, Any]:
    """The row of `findings` for a hit that was not stored before."""
    detection = hunted.hunt.detection
    filled = {name: hit.row.get(name) for name in FILLED}
    rest = {name: value for name, value in hit.row.items() if name not in FILLED}
    details = rest.get("details", rest)  # a hunt that returns details means them and no others
    return {
        "finding_id": str(hit.finding_id),
        "detection_id": detection.id,
        "detection_hash": hunted.hunt.hash,
        **filled,
        **present(detection, hit.row),
        "tenant": filled["tenant"] or "",
        "interval_start": hunted.interval.start,
        "interval_end": hunted.interval.end,
        "details": json.dumps(plain(details), ensure_ascii=True),
        "evidence_count": hit.evidence_count,
        "suppressed_count": 0,
        "is_late": False,
        "origin": author.origin,
        "triage_status": "new",
        "run_id": str(author.run_id),
        "created_at": author.at,
        "updated_at": author.at,
        "row": canonical(hit.row),
        "evidence_digest": _evidence_digest(hit),
        "words_digest": _words_digest(detection),
    }


def _evidence_digest(hit: Hit) -> str:
    digest = hashlib.sha256()
    for event in hit.events:
        digest.update(
            canonical([event.role, event.event_id, event.source_file, event.event]).encode()
        )
    return digest.hexdigest()[:16]


def store(con: duckdb.DuckDBPyConnection, hunted: Hunted, author: Author) -> Changes:
    """Replaces an interval's findings, points and ledger row in one transaction.

    A hunt that failed or had no data leaves the findings of before and says so in the ledger.
    """
    changes = Changes()
    with warehouse.transaction(con):
        if hunted.state == "done":
            prior_seq = _prior_seq(con, hunted)
            _store_hits(con, hunted, author, prior_seq, changes)
            _store_series(con, hunted)
        _store_ledger(con, hunted, author)
    return changes


def _prior_seq(con: duckdb.DuckDBPyConnection, hunted: Hunted) -> int | None:
    """The staging step that an earlier hunt of this interval saw; None for the first hunt."""
    found = con.execute(
        """select seq from run_intervals where detection_id = ? and detection_hash = ?
           and interval_start = ? and interval_end = ? and state = 'done'""",
        [hunted.hunt.detection.id, hunted.hunt.hash, hunted.interval.start, hunted.interval.end],
    ).fetchall()
    return int(found[0][0]) if found else None


def _store_hits(
    con: duckdb.DuckDBPyConnection,
    hunted: Hunted,
    author: Author,
    prior_seq: int | None,
    changes: Changes,
) -> None:
    old = _stored(con, hunted)
    if not old and not hunted.hits:
        return
    gone = {
        key: row
        for key, row in old.items()
        if row["here"] and (row["tenant"] or "") not in hunted.left_out
    }
    withdrawn = _withdrawn(con, [hit for hit in hunted.hits if str(hit.finding_id) not in old])
    kept, notes = list[tuple[Hit, dict[str, Any]]](), list[dict[str, Any]]()
    for hit in hunted.hits:
        key = str(hit.finding_id)
        gone.pop(key, None)
        new = record(hunted, hit, author)
        new["is_late"] = prior_seq is not None and any(e.seen_seq > prior_seq for e in hit.events)
        before = old.get(key)
        if before:
            new["created_at"] = before["created_at"]
            new["is_late"] = new["is_late"] or before["is_late"]
        if before and (_same(before, new) or _belongs_earlier(before, new)):
            changes.unchanged += 1
            continue
        change = "changed" if before else "returned" if key in withdrawn else "new"
        setattr(changes, change, getattr(changes, change) + 1)
        kept.append((hit, new))
        notes.append(_note(key, hunted, author, change, _what_changed(before, new), before))
    for key, before in gone.items():
        changes.withdrawn += 1
        reason = "no longer found in its interval"
        notes.append(_note(key, hunted, author, "withdrawn", reason, before))
    _delete(con, [*(new["finding_id"] for _, new in kept), *gone])
    _insert_rows(con, "findings", [new for _, new in kept])
    _insert_rows(con, "evidence", [row for hit, _ in kept for row in _evidence(hit)])
    _insert_rows(con, "finding_changes", notes)


def _stored(con: duckdb.DuckDBPyConnection, hunted: Hunted) -> dict[str, dict[str, Any]]:
    """Stored findings of this interval (`here`), and those elsewhere that a hit replaces."""
    ids = [str(hit.finding_id) for hit in hunted.hits]
    rows = warehouse.rows(
        con,
        """select *, interval_start = ? and interval_end = ? as here from findings
           where detection_id = ? and (here or finding_id in (select unnest(?::uuid[])))""",
        [hunted.interval.start, hunted.interval.end, hunted.hunt.detection.id, ids],
    )
    return {str(row["finding_id"]): row for row in rows}


_COMPARED = ("row", "evidence_digest", "interval_start", "interval_end", "detection_hash")


def _same(before: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return all(before[name] == new[name] for name in _COMPARED)


def _belongs_earlier(before: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """True when an earlier interval holds the finding: what is first seen is so only once."""
    same_hunt = bool(before["detection_hash"] == new["detection_hash"])
    return same_hunt and bool(before["interval_start"] < new["interval_start"])


def _what_changed(before: Mapping[str, Any] | None, new: Mapping[str, Any]) -> str:
    if before is None:
        return ""
    old_row, new_row = json.loads(before["row"]), json.loads(new["row"])
    names = [name for name in sorted(new_row.keys() | old_row.keys())
             if old_row.get(name) != new_row.get(name)]  # fmt: skip
    if before["evidence_digest"] != new["evidence_digest"]:
        names.append("evidence")
    if before["detection_hash"] != new["detection_hash"]:
        names.append("detection")
    return ", ".join(names) or "interval"


def _withdrawn(con: duckdb.DuckDBPyConnection, hits: Iterable[Hit]) -> set[str]:
    """The hits that were found before and withdrawn since."""
    found = con.execute(
        """select finding_id::varchar from finding_changes
           where finding_id in (select unnest(?::uuid[])) group by finding_id
           having last(change order by "at", rowid) = 'withdrawn'""",
        [[str(hit.finding_id) for hit in hits]],
    ).fetchall()
    return {key for (key,) in found}


def _delete(con: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> None:
    for table in ("findings", "evidence") if keys else ():
        con.execute(f"delete from {table} where finding_id in (select unnest(?::uuid[]))", [keys])


def _evidence(hit: Hit) -> list[dict[str, Any]]:
    """The rows of `evidence` of a hit."""
    return [
        {
            "finding_id": str(hit.finding_id),
            "ordinal": ordinal,
            "role": event.role,
            "source_table": event.source_table,
            "event_time": event.event_time,
            "event_id": str(event.event_id),
            "source_file": event.source_file,
            "event": event.event,
        }
        for ordinal, event in enumerate(hit.events)
    ]


def _note(
    key: str,
    hunted: Hunted,
    author: Author,
    change: str,
    reason: str,
    before: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The row of `finding_changes` that says so."""
    kept = {name: value for name, value in (before or {}).items() if name != "here"}
    return {
        "finding_id": key,
        "detection_id": hunted.hunt.detection.id,
        "run_id": str(author.run_id),
        "change": change,
        "reason": reason,
        "before": json.dumps(plain(kept)) if before else None,
        "at": author.at,
    }


def _store_series(con: duckdb.DuckDBPyConnection, hunted: Hunted) -> None:
    """Replaces the counts of every span that was counted and the points of the interval."""
    detection_id, digest = hunted.hunt.detection.id, hunted.hunt.hash
    for span in hunted.counted:
        con.execute(
            """delete from series_counts where detection_id = ? and detection_hash = ?
               and hour >= ? and hour < ?""",
            [detection_id, digest, span.start, span.end],
        )
        con.execute(
            """delete from series_spans where detection_id = ? and detection_hash = ?
               and interval_start >= ? and interval_end <= ?""",
            [detection_id, digest, span.start, span.end],
        )
    spans = [
        {"detection_id": detection_id, "detection_hash": digest, "interval_start": span.start,
         "interval_end": span.end, "seq": hunted.seq, "digest": counts}
        for span, counts in hunted.counted.items()
    ]  # fmt: skip
    warehouse.insert(con, "series_spans", spans)
    _insert_arrow(con, "series_counts", hunted.counts)
    if hunted.points is not None:
        # As in `counts.series_key`: a slash within a name is %2F.
        kept = [name.replace("%", "%25").replace("/", "%2F") for name in hunted.left_out]
        con.execute(
            """delete from series_points where detection_id = ? and hour >= ? and hour < ?
               and not list_contains(?::varchar[], split_part(series_key, '/', ?))""",
            [detection_id, hunted.interval.start, hunted.interval.end, kept, _tenant_place(hunted)],
        )
        _insert_arrow(con, "series_points", hunted.points)


def _tenant_place(hunted: Hunted) -> int:
    """Which part of a series key is the tenant, counted from 1; beyond the last where none is."""
    settings = hunted.hunt.detection.series
    by = settings.by if settings else ()
    return by.index("tenant") + 1 if "tenant" in by else len(by) + 1


def _insert_rows(
    con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[dict[str, Any]]
) -> None:
    """Inserts rows at once; `warehouse.insert` takes a few milliseconds for each."""
    _insert_arrow(con, table, pa.Table.from_pylist(rows) if rows else None)


def _insert_arrow(con: duckdb.DuckDBPyConnection, table: str, rows: pa.Table | None) -> None:
    if rows is None or not rows.num_rows:
        return
    con.register("arrow_rows", rows)
    con.execute(f"insert into {table} by name select * from arrow_rows")
    con.unregister("arrow_rows")


def _store_ledger(con: duckdb.DuckDBPyConnection, hunted: Hunted, author: Author) -> None:
    detection = hunted.hunt.detection
    key = [detection.id, hunted.interval.start, hunted.interval.end]
    con.execute(
        """delete from run_intervals
           where detection_id = ? and interval_start = ? and interval_end = ?""",
        key,
    )
    counted = con.execute(
        """select count(*) from findings
           where detection_id = ? and interval_start = ? and interval_end = ?""",
        key,
    ).fetchall()
    warehouse.insert(
        con,
        "run_intervals",
        [
            {
                "detection_id": detection.id,
                "detection_hash": hunted.hunt.hash,
                "interval_start": hunted.interval.start,
                "interval_end": hunted.interval.end,
                "state": hunted.state,
                "fingerprint": hunted.fingerprint,
                "findings": counted[0][0],
                "note": hunted.note or None,
                "seconds": hunted.seconds,
                "error": hunted.error or None,
                "run_id": str(author.run_id),
                "updated_at": author.at,
                "seq": hunted.seq,
                "basis": hunted.basis or None,
            }
        ],
    )


def restate(con: duckdb.DuckDBPyConnection, detections: Iterable[Detection]) -> None:
    """Writes the prose of stored findings anew where their detection's words changed.

    Title, severity, tactics and so on follow the detection as it stands; rows are not hunted
    again for that.
    """
    for detection in detections:
        digest = _words_digest(detection)
        stored = warehouse.rows(
            con,
            "select * from findings where detection_id = ? and words_digest is distinct from ?",
            [detection.id, digest],
        )
        for row in stored:
            words = present(detection, json.loads(row["row"])) | {"words_digest": digest}
            changed = {name: value for name, value in words.items() if row[name] != value}
            names = ", ".join(f"{quoting.name(name)} = ?" for name in changed)
            con.execute(
                f"update findings set {names} where finding_id = ?",
                [*changed.values(), row["finding_id"]],
            )


def _words_digest(detection: Detection) -> str:
    """A hash of all that `present` takes from a detection, and of the gundog that does it."""
    words = (
        gundog.__version__, detection.name, detection.kind, detection.title, detection.severity,
        detection.risk_score, detection.tactics, detection.techniques, detection.entities,
    )  # fmt: skip
    return hashlib.sha256(repr(words).encode()).hexdigest()[:16]
