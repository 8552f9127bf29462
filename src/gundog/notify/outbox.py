"""The outbox: findings that are stored and not yet sent, queued once per channel.

Messages are rows of `notifications`, written before anything is sent, so a run that dies in
between loses none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import duckdb

from gundog.core.safe_text import for_json
from gundog.core.severity import SEVERITIES
from gundog.core.times import Interval
from gundog.notify.channel import Channel
from gundog.notify.messages import body_of, digest_body, finding_body
from gundog.warehouse import database, tables

# A channel that starts, or starts to admit more, is told what was stored up to this long before.
NEWS_AGE = timedelta(days=3)

_NAMESPACE = uuid5(NAMESPACE_URL, "gundog:notification")


def start(con: duckdb.DuckDBPyConnection, channels: Iterable[Channel], now: datetime) -> None:
    """Writes down from when on each channel gets what it admits now; call it as a run begins.

    A new channel, a lower minSeverity, another tenant or a detection that became stable would
    otherwise be told of years of findings at once; they are told of what was stored up to
    `NEWS_AGE` before `now`.
    """
    for channel in channels:
        _start_tenants(con, channel, now)
        con.execute(
            f"""
            insert into notification_starts
            select $channel, d.detection_id, s.severity, $since
            from detections as d, (select unnest($severities) as severity) as s
            where {_ADMITTED} and not exists (
                from notification_starts as n where n.channel = $channel
                and n.detection_id = d.detection_id and n.severity = s.severity
            )""",
            {**_admits(channel), "since": now - NEWS_AGE},
        )


def _start_tenants(con: duckdb.DuckDBPyConnection, channel: Channel, now: datetime) -> None:
    """The tenants that a channel admits; those it begins with are bounded by its detections."""
    con.execute(
        """
        insert into notification_tenants
        select $channel, t.tenant, case
            when exists (from notification_tenants where channel = $channel)
            then $since::timestamptz else to_timestamp(0) end
        from (select unnest($tenants::varchar[]) as tenant) as t
        where t.tenant not in (select tenant from notification_tenants where channel = $channel)
        """,
        {
            "channel": channel.name,
            "tenants": _tenants(channel) or ["*"],
            "since": now - NEWS_AGE,
        },
    )


def _tenants(channel: Channel) -> list[str]:
    """The tenants that a channel admits, in lower case; none where it admits every one."""
    return sorted({name.lower() for name in channel.tenants})


# Of `detections as d`: stable, and named by the channel where it names any.
_ADMITTED = """d.status = 'stable' and (len($detections::varchar[]) = 0
    or list_contains($detections::varchar[], d.stem)
    or list_contains($detections::varchar[], d.detection_id::varchar))"""


def _admits(channel: Channel) -> dict[str, Any]:
    return {
        "channel": channel.name,
        "severities": list(SEVERITIES[SEVERITIES.index(channel.min_severity) :]),
        "detections": list(channel.detections),
    }


def queue_findings(
    con: duckdb.DuckDBPyConnection,
    channels: Iterable[Channel],
    run_id: UUID,
    now: datetime,
    override_mode: str | None = None,
    *,
    history: Interval | None = None,
    coverage: str = "",
    notes: Sequence[str] = (),
    report: str = "",
) -> int:
    """Queues what each channel has not received yet; returns the number of messages.

    Told are findings of stable detections, not suppressed, of a severity, detection, tag and
    tenant that the channel admits, when first stored, and again when their severity rose. A digest
    also tells which findings the channel was told of are withdrawn, and such a finding is told
    again when it returns.

    Args:
        con: the warehouse, its `detections` as they stand.
        channels: where to.
        run_id: the run; a channel in mode digest gets one message per run.
        now: the run's time.
        override_mode: each, digest or none instead of each channel's own mode. What none leaves
            out, the next run without it sends.
        history: for a backfill: tell what lies in these intervals, whenever stored, and say that
            it is history. Without it, what backfills found is not told.
        coverage: for a digest: what was hunted, such as `7 detections x 1 day hunted`. A digest
            without findings is queued only when this says something.
        notes: what else a digest says, a sentence each, such as exceptions that expire. They are
            about all tenants, so a channel of some hears none of them.
        report: the address of the report, for channels that ask for it; empty for none.
    """
    queued = 0
    for channel in channels:
        start(con, [channel], now)
        mode = override_mode or channel.mode
        if mode == "none":
            continue
        untold = _untold(con, channel, history)
        link = report if channel.report else ""
        if mode == "digest":
            gone = [] if history else _withdrawn(con, channel)
            said = () if channel.tenants else notes
            body = digest_body(untold, history, coverage, gone, said, link)
            told = _queue_digest(con, channel, run_id, now, untold, gone, body, bool(coverage))
        else:
            told = sum(_queue_one(con, channel, run_id, now, row, link) for row in untold)
        queued += told
    return queued


_UNTOLD = f"""
    with gone as (
        select finding_id, max(created_at) as last_at, count(*) as times
        from (
            select unnest(withdrawn_ids) as finding_id, created_at
            from notifications where channel = $channel
        ) group by finding_id
    ),

    told as (
        select n.finding_id, max(list_position($ranked, n.severity)) as rank
        from (
            select unnest(finding_ids) as finding_id, unnest(severities) as severity, created_at
            from notifications where channel = $channel
        ) as n left join gone using (finding_id)
        where gone.last_at is null or n.created_at > gone.last_at
        group by n.finding_id
    )

    select f.finding_id, f.detection_id, f.detection_name, f.severity, f.title, f.reason,
           f.tenant, f.host_name, f.account_name, f.mailbox, f.app_id, f.ip_address,
           f.start_time, f.end_time, f.tactics, f.techniques, d.triage[1] as triage_step,
           coalesce(gone.times, 0) as withdrawals
    from findings as f
    inner join detections as d using (detection_id)
    inner join notification_starts as s
        on s.channel = $channel
        and s.detection_id = f.detection_id
        and s.severity = f.severity
    left join told as t using (finding_id)
    left join gone using (finding_id)
    where {_ADMITTED}
    and f.suppressed_by is null
    and list_contains($severities, f.severity)
    and list_position($ranked, f.severity) > coalesce(t.rank, 0)
    and case
        when $start::timestamptz is not null
        then f.interval_end > $start::timestamptz and f.interval_start < $end::timestamptz
        else t.rank is not null or (
            f.origin = 'nightly' and f.created_at >= s.since and f.created_at >= (
                select min(a.since) from notification_tenants as a
                where a.channel = $channel and a.tenant in ('*', lower(coalesce(f.tenant, '')))
            )
        )
    end
    and (len($tenants::varchar[]) = 0
        or list_contains($tenants::varchar[], lower(coalesce(f.tenant, ''))))
    order by list_position($ranked, f.severity) desc, f.start_time, f.finding_id
"""


def _untold(
    con: duckdb.DuckDBPyConnection, channel: Channel, history: Interval | None
) -> list[dict[str, Any]]:
    """Findings to send to the channel, worst first, each with its detection's first triage step."""
    params = {
        **_admits(channel),
        "ranked": list(SEVERITIES),
        "tenants": _tenants(channel),
        "start": history.start if history else None,
        "end": history.end if history else None,
    }
    tags = {tag.casefold() for tag in channel.tags}
    return [row for row in database.rows(con, _UNTOLD, params) if not tags or tags & _tags(row)]


def _tags(row: Mapping[str, Any]) -> set[str]:
    return {tag.casefold() for tag in [*(row["tactics"] or ()), *(row["techniques"] or ())]}


def _queue_one(
    con: duckdb.DuckDBPyConnection,
    channel: Channel,
    run_id: UUID,
    now: datetime,
    row: Mapping[str, Any],
    link: str,
) -> int:
    key = f"finding/{row['finding_id']}/{row['severity']}"
    key += f"/{row['withdrawals']}" if row["withdrawals"] else ""
    return _queue(con, channel, key, run_id, now, finding_body(row, link), [row])


def _queue_digest(
    con: duckdb.DuckDBPyConnection,
    channel: Channel,
    run_id: UUID,
    now: datetime,
    rows: Sequence[Mapping[str, Any]],
    gone: Sequence[Mapping[str, Any]],
    body: Mapping[str, Any],
    even_if_empty: bool,
) -> int:
    earlier = con.execute(
        "select count(*) from notifications where channel = ? and kind = 'digest' and run_id = ?",
        [channel.name, run_id],
    ).fetchall()[0][0]
    if not rows and not gone and (earlier or not even_if_empty):
        return 0
    key = f"digest/{run_id}" + (f"/{earlier + 1}" if earlier else "")
    return _queue(con, channel, key, run_id, now, body, rows, gone)


def _withdrawn(con: duckdb.DuckDBPyConnection, channel: Channel) -> list[dict[str, Any]]:
    """Findings the channel believes in and that were withdrawn since, as they were."""
    rows = database.rows(
        con,
        """
        with told as (
            select unnest(finding_ids) as finding_id, created_at
            from notifications where channel = $channel
        ),

        gone as (
            select unnest(withdrawn_ids) as finding_id, created_at
            from notifications where channel = $channel
        ),

        believed as (
            select t.finding_id from told as t left join gone as g using (finding_id)
            group by t.finding_id
            having max(g.created_at) is null or max(t.created_at) > max(g.created_at)
        )

        select c."before" from finding_changes as c
        where c.finding_id in (from believed)
        and c.finding_id not in (select finding_id from findings)
        qualify row_number() over (
            partition by c.finding_id order by c.changed_at desc, c.rowid desc
        ) = 1 and c.change = 'withdrawn'
        order by c.finding_id""",
        {"channel": channel.name},
    )
    return [tables.revived(tables.FINDINGS, row["before"]) for row in rows]


def queue_health(
    con: duckdb.DuckDBPyConnection,
    channels: Iterable[Channel],
    run_id: UUID | None,
    now: datetime,
    items: Iterable[tuple[str, str, str]],
) -> int:
    """Queues messages about gundog's own health; returns how many.

    Args:
        con: the warehouse.
        channels: where to; other filters do not apply, but a channel of some tenants hears
            nothing: such messages may name others.
        run_id: the run.
        now: the run's time.
        items: (key, title, text); a key is queued once per channel ever, so it names the day,
            interval or file that it is about.
    """
    queued = 0
    for key, title, text in items:
        body = body_of("health", title, text, command="gundog status")
        for channel in channels:
            if channel.tenants:
                continue
            queued += _queue(con, channel, f"health/{key}", run_id, now, body, [])
    return queued


def _queue(
    con: duckdb.DuckDBPyConnection,
    channel: Channel,
    key: str,
    run_id: UUID | None,
    now: datetime,
    body: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    gone: Sequence[Mapping[str, Any]] = (),
) -> int:
    """Queues one message unless the channel has its key already; returns 1 or 0."""
    severities = [row["severity"] for row in rows]
    counted = con.execute(
        """insert into notifications by name
           select $id::uuid as notification_id, $channel as channel, $kind as kind, $key as key,
                  $finding_ids::uuid[] as finding_ids, $severities::varchar[] as severities,
                  $withdrawn_ids::uuid[] as withdrawn_ids,
                  $severity as severity, $body as body, $run_id::uuid as run_id,
                  $now as created_at, 0 as attempts, $now as next_attempt_at
           on conflict do nothing""",
        {
            "id": notification_id(channel.name, key),
            "channel": channel.name,
            "kind": body["kind"],
            "key": key,
            "finding_ids": [row["finding_id"] for row in rows],
            "withdrawn_ids": [row["finding_id"] for row in gone],
            "severities": severities,
            "severity": max(severities, key=SEVERITIES.index, default=None),
            "body": for_json(body),
            "run_id": run_id,
            "now": now,
        },
    ).fetchall()
    return int(counted[0][0])


def notification_id(channel: str, key: str) -> UUID:
    """The id of a message, the same whenever the channel of that name gets one about that key."""
    return uuid5(_NAMESPACE, for_json([channel, key]))
