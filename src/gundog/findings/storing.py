"""Rows of a hunt turned into findings, stored so that hunting twice changes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from gundog.core import plain_values
from gundog.findings import finding_contexts, model, words
from gundog.findings.model import Changes, Hit, Hunted, RunStamp
from gundog.warehouse import database


def record(hunted: Hunted, hit: Hit, stamp: RunStamp) -> dict[str, Any]:
    """The row of `findings` for a hit that was not stored before."""
    detection = hunted.hunt.detection
    filled = {name: hit.row.get(name) for name in model.FILLED}
    rest = {name: value for name, value in hit.row.items() if name not in model.FILLED}
    details = rest.get("details", rest)  # a hunt that returns details means them and no others
    return {
        "finding_id": str(hit.finding_id),
        "detection_id": detection.id,
        "detection_hash": hunted.hunt.hash,
        **filled,
        **words.present(detection, hit.row),
        "tenant": filled["tenant"] or "",
        "interval_start": hunted.interval.start,
        "interval_end": hunted.interval.end,
        "details": json.dumps(plain_values.plain(details), ensure_ascii=True),
        "evidence_count": hit.evidence_count,
        "suppressed_count": 0,
        "is_late": False,
        "origin": stamp.origin,
        "triage_status": "new",
        "run_id": str(stamp.id),
        "created_at": stamp.at,
        "updated_at": stamp.at,
        "row": plain_values.canonical(hit.row),
        "evidence_digest": _evidence_digest(hit),
        "words_digest": words.words_digest(detection),
    }


def _evidence_digest(hit: Hit) -> str:
    digest = hashlib.sha256()
    for event in hit.events:
        digest.update(
            plain_values.canonical(
                [event.role, event.event_id, event.source_file, event.event]
            ).encode()
        )
    return digest.hexdigest()[:16]


def store(con: duckdb.DuckDBPyConnection, hunted: Hunted, stamp: RunStamp) -> Changes:
    """Replaces an interval's findings, points and ledger row in one transaction.

    A hunt that failed or had no data leaves the earlier findings and says so in the ledger.
    """
    return store_all(con, [hunted], stamp)[0]


def store_all(
    con: duckdb.DuckDBPyConnection, results: Sequence[Hunted], stamp: RunStamp
) -> list[Changes]:
    """What `store` does, for several in one transaction: when it fails, none is stored."""
    with database.transaction(con):
        return [_store(con, hunted, stamp) for hunted in results]


def _store(con: duckdb.DuckDBPyConnection, hunted: Hunted, stamp: RunStamp) -> Changes:
    changes = Changes()
    prior_seq = _prior_seq(con, hunted)
    if hunted.state == "done":
        _store_hits(con, hunted, stamp, prior_seq, changes)
        _store_series(con, hunted)
    _store_ledger(con, hunted, stamp, prior_seq)
    return changes


def _prior_seq(con: duckdb.DuckDBPyConnection, hunted: Hunted) -> int | None:
    """The staging step that the last good hunt of this interval saw; None for the first one."""
    rows = con.execute(
        """select seq from run_intervals where detection_id = ? and detection_hash = ?
           and interval_start = ? and interval_end = ? and seq is not null""",
        [hunted.hunt.detection.id, hunted.hunt.hash, hunted.interval.start, hunted.interval.end],
    ).fetchall()
    return int(rows[0][0]) if rows else None


def _store_hits(
    con: duckdb.DuckDBPyConnection,
    hunted: Hunted,
    stamp: RunStamp,
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
        new = record(hunted, hit, stamp)
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
        notes.append(_note(key, hunted, stamp, change, _what_changed(before, new), before))
    for key, before in gone.items():
        changes.withdrawn += 1
        reason = "no longer found in its interval"
        notes.append(_note(key, hunted, stamp, "withdrawn", reason, before))
    changed = [new["finding_id"] for _, new in kept if new["finding_id"] in old]
    _delete(con, [*changed, *gone])
    _insert_rows(con, "findings", [new for _, new in kept])
    _insert_rows(con, "evidence", [row for hit, _ in kept for row in _evidence(hit)])
    finding_contexts.store(con, hunted.hunt.stages, [new["finding_id"] for _, new in kept])
    _insert_rows(con, "finding_changes", notes)


def _stored(con: duckdb.DuckDBPyConnection, hunted: Hunted) -> dict[str, dict[str, Any]]:
    """Stored findings of this interval (`here`), and those elsewhere that a hit replaces."""
    ids = [str(hit.finding_id) for hit in hunted.hits]
    rows = database.rows(
        con,
        """select *, interval_start = ? and interval_end = ? as here from findings
           where detection_id = ? and (here or finding_id in (select unnest(?::uuid[])))""",
        [hunted.interval.start, hunted.interval.end, hunted.hunt.detection.id, ids],
    )
    return {str(row["finding_id"]): row for row in rows}


_COMPARED = ("evidence_digest", "interval_start", "interval_end", "detection_hash")


def _same(before: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return all(before[name] == new[name] for name in _COMPARED) and (
        before["row"] == new["row"] or _facts(before) == _facts(new)
    )


def _facts(finding: Mapping[str, Any]) -> dict[str, Any]:
    """The row without the sentence that gundog itself writes of a scored series.

    An upgrade may word that sentence differently; all that it says is in other columns too.
    """
    row: dict[str, Any] = json.loads(finding["row"])
    if finding["kind"] == "series" and "series_key" in row:
        row.pop("reason", None)
    return row


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
    rows = con.execute(
        """select finding_id::varchar from finding_changes
           where finding_id in (select unnest(?::uuid[])) group by finding_id
           having last(change order by changed_at, rowid) = 'withdrawn'""",
        [[str(hit.finding_id) for hit in hits]],
    ).fetchall()
    return {key for (key,) in rows}


def _delete(con: duckdb.DuckDBPyConnection, keys: Sequence[str]) -> None:
    for table in ("findings", "evidence", "finding_contexts") if keys else ():
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
    stamp: RunStamp,
    change: str,
    reason: str,
    before: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """The row of `finding_changes` that says so."""
    kept = {name: value for name, value in (before or {}).items() if name != "here"}
    return {
        "finding_id": key,
        "detection_id": hunted.hunt.detection.id,
        "run_id": str(stamp.id),
        "change": change,
        "reason": reason,
        "before": json.dumps(plain_values.plain(kept)) if before else None,
        "changed_at": stamp.at,
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
    database.insert(con, "series_spans", spans)
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


def _store_ledger(
    con: duckdb.DuckDBPyConnection, hunted: Hunted, stamp: RunStamp, prior_seq: int | None
) -> None:
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
    database.insert(
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
                "run_id": str(stamp.id),
                "updated_at": stamp.at,
                "seq": hunted.seq if hunted.state == "done" else prior_seq,
                "basis": hunted.basis or None,
            }
        ],
    )
