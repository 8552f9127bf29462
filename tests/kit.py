"""A small project for tests of the engine: one source, one stage, two hunts, no shipped content."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from gundog.core.child import Child
from gundog.core.times import parse_range, parse_time
from gundog.detections import content, content_folder
from gundog.detections.hunt import Content
from gundog.run import run
from tests import engines, kept_content

DAY = timedelta(days=1)
NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
# Ends a test that hangs; no claim on how fast anything is.
HUNG_S = 600

SOURCE = """\
create table Things (
    Timestamp TIMESTAMPTZ, Id BIGINT, Kind VARCHAR, Who VARCHAR, N BIGINT, TenantId VARCHAR
)
"""
STAGE = """\
select
    file_id,
    md5(concat_ws('/', Id, Timestamp))::uuid as event_id,
    "Timestamp" as event_time,
    case when "Timestamp" is null then 'no Timestamp' when N < 0 then 'N below zero' end
        as reject_reason,
    coalesce(TenantId, '') as tenant,
    Id as id,
    lower(Kind) as kind,
    Who as who,
    N as n
from Things
where Kind is not null
"""
PAIR = """\
with events as (
    select * from happenings
    where event_time >= $start - $within and event_time < $end
),

pairs as (
    select
        o.tenant,
        o.who as account_name,
        o.event_id as open_id,
        c.event_id as close_id,
        o.event_time as start_time,
        c.event_time as end_time,
        c.event_time - o.event_time as gap
    from events as o
    inner join events as c
        on
            o.who = c.who
            and o.tenant = c.tenant
            and o.event_time <= c.event_time
            and o.event_time + $within >= c.event_time
    where o.kind = 'open' and c.kind = 'close'
    qualify row_number() over (
        partition by o.event_id order by c.event_time, c.event_id
    ) = 1
)

select
    *,
    [
        {'role': 'open', 'source_table': 'Things', 'event_id': open_id},
        {'role': 'close', 'source_table': 'Things', 'event_id': close_id}
    ] as evidence
from pairs
where end_time >= $start
order by start_time, open_id
"""
COUNT = """\
select
    date_trunc('hour', event_time) as hour,
    tenant,
    who,
    sum(n) as n
from happenings
where event_time >= $start and event_time < $end and kind = 'count'
group by all
order by all
"""
HEAD = """\
description: d
falsePositives: [f]
blindSpots: [b]
triage: [look at it]
tactics: [Collection]
relevantTechniques: [T1114.002]
"""
PAIR_YAML = """\
id: 11111111-1111-4111-8111-111111111111
name: Opened and closed
kind: match
status: stable
severity: medium
riskScore: 50
sql: pair.sql
params: {within: 1d}
lookback: 1d
identity: [open_id]
title: "{account_name} opened and closed after {gap}"
entityMappings: [{entityType: Account, fieldMappings: [{identifier: Name, columnName: account_name}]}]
examples:
  - name: fires
    interval: [2026-03-01, 2026-03-02]
    events: {Things: [{Timestamp: 2026-03-01T01:00:00Z, Id: 1, Kind: open, Who: a}, {Timestamp: 2026-03-01T02:00:00Z, Id: 2, Kind: close, Who: a}]}
    findings: [{account_name: a, gap: 1h}]
  - name: silent
    interval: [2026-03-01, 2026-03-02]
    events: {Things: [{Timestamp: 2026-03-01T01:00:00Z, Id: 1, Kind: open, Who: a}]}
    findings: []
"""
COUNT_YAML = """\
id: 22222222-2222-4222-8222-222222222222
name: Counted
kind: series
status: stable
severity: low
sql: count.sql
series: {measure: n, by: [tenant, who], training: 21d, method: forecast, threshold: 4}
title: "{who}: {observed} where {expected} were expected"
examples:
  - name: fires
    interval: [2026-03-01, 2026-03-02]
    events:
      Things:
        - {Timestamp: 2026-02-07T00:05:00Z, Id: 1, Kind: count, Who: a, N: 5, repeat: {every: 1h, times: 552}}
        - {Timestamp: 2026-03-01T03:00:00Z, Id: 2, Kind: count, Who: a, N: 5000}
    findings: [{series_key: /a}, {series_key: /*}]
  - name: silent
    interval: [2026-03-01, 2026-03-02]
    events:
      Things:
        - {Timestamp: 2026-02-07T00:05:00Z, Id: 1, Kind: count, Who: a, N: 5, repeat: {every: 1h, times: 552}}
    findings: []
"""
# Two gigabytes: with one, a process that has scored a series lacks room and is replaced.
CONFIG = """\
content: [.]
lake: {Things: lake/date=%Y-%m-%d/*.parquet}
warehouse: .gundog/warehouse.duckdb
findings: .gundog/findings.duckdb
memoryLimit: 2GB
"""
_SCHEMA = pa.schema(
    [
        ("Timestamp", pa.timestamp("us", tz="UTC")),
        ("Id", pa.int64()),
        ("Kind", pa.string()),
        ("Who", pa.string()),
        ("N", pa.int64()),
    ]
)
_WITH_TENANT = _SCHEMA.append(pa.field("TenantId", pa.string()))


@cache
def shipped() -> Content:
    """The content of this repository, read once."""
    root = content_folder.builtin()
    return content.load([root], None, root)


def make_project(root: Path, *, series: bool = False) -> Path:
    """Writes the small project into a folder."""
    files = {
        "gundog.yaml": CONFIG,
        "sql/sources/Things.sql": SOURCE,
        "sql/stage/happenings.sql": STAGE,
        "sql/pair.sql": PAIR,
        "detections/pair.yaml": PAIR_YAML + HEAD,
    }
    if series:
        files |= {"sql/count.sql": COUNT, "detections/count.yaml": COUNT_YAML + HEAD}
    for name, text in files.items():
        write_text(root / name, text)
    return root


def copy_project(source: Path, root: Path) -> Path:
    """Makes a folder a copy of a project; what was hunted there was hunted here."""
    shutil.copytree(source, root, symlinks=True, dirs_exist_ok=True)
    return root


def load_content(*where: Path, root: Path | None = None) -> Content:
    """The content of folders, all of which loads."""
    base = root or where[0]
    loaded = kept_content.once(where, {}, base, lambda: content.load(where, None, base))
    assert loaded.problems == ()
    return loaded


def write_text(path: Path, text: str) -> Path:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def event(at: str, kind: str, who: str = "a", number: int = 0, n: int = 1) -> dict[str, Any]:
    """One row of Things."""
    return {"Timestamp": parse_time(at), "Id": number, "Kind": kind, "Who": who, "N": n}


def write_file(
    root: Path,
    day: str,
    rows: Iterable[Mapping[str, Any]],
    name: str = "a",
    tenant: str | None = None,
) -> Path:
    """One lake file of a day; with `tenant` all its rows are that tenant's."""
    path = root / "lake" / f"date={day}" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    some = list(rows) if tenant is None else [{**row, "TenantId": tenant} for row in rows]
    schema = _SCHEMA if tenant is None else _WITH_TENANT
    pq.write_table(pa.Table.from_pylist(some, schema), path)
    return path


def fill_days(root: Path, first: str, days: int) -> None:
    """A quiet file for every day, so that no day is without data.

    Its ids are below zero: no event of a test is one of them again.
    """
    start = parse_time(first)
    for turn in range(days):
        day = start + turn * DAY
        rows = [{**event("2026-01-01", "other", number=-1 - turn), "Timestamp": day + timedelta(hours=h)}
                for h in range(24)]  # fmt: skip
        write_file(root, f"{day:%Y-%m-%d}", rows, "quiet")


def hunt(
    root: Path, within: tuple[str, str] | None = None, now: datetime = NOW, **options: Any
) -> run.Outcome:
    """Runs a hunt as the command line would."""
    request = run.Request(
        options.pop("command", "hunt"), parse_range(*within) if within else None, **options
    )
    with Child() as helper:
        project = run.load_project(root, {}, helper=helper)
        return run.run(project, request, now, uuid4(), helper=helper)


def table(root: Path, sql: str, params: Any = None) -> list[tuple[Any, ...]]:
    """Rows of a query on the published findings."""
    with engines.reading(root / ".gundog/findings.duckdb") as con:
        return con.execute(sql, params or []).fetchall()
