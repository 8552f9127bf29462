"""parquet_samples/: a small made-up lake with planted cases, the same to the byte every time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from gundog.core.times import DAY
from gundog.detections import content_folder
from gundog.samples import community_cases, device_events, noise, plants
from gundog.samples.cases import CASES, Case
from gundog.samples.rows import (
    CLOUD,
    DEVICES,
    END,
    HOURLY_FROM,
    PROCESSES,
    START,
    Event,
    Row,
    stream,
)
from gundog.warehouse import quoting

# Columns that Defender added later, absent from the file with the older schema.
_YOUNGER = {
    PROCESSES: ("ProcessVersionInfo", "InitiatingProcessVersionInfo", "AppGuardContainerId"),
    CLOUD: ("AuditSource", "SessionData", "OAuthAppId", "LastSeenForUser", "UncommonForUser"),
}
_OLDER_TYPES = {"ProcessId": pa.string(), "IsAdminOperation": pa.int64()}


def write(out: Path) -> None:
    """Writes the samples below `out`, over what an earlier writing left there.

    Args:
        out: the folder; made when it does not exist.

    The bytes depend on nothing but this package's version and pyarrow's.
    """
    schemas = {table: schema(table) for table in (PROCESSES, CLOUD, DEVICES)}
    for path, (table, rows) in sorted(_files(_events()).items()):
        stream("order", path).shuffle(rows)
        arrow = pa.Table.from_pylist(rows, schema=schemas[table])
        if path in _old_schema_files():
            arrow = _as_of_old(arrow, table)
        _write(arrow, out / path)
    (out / "README.md").write_text(readme(), encoding="utf-8", newline="\n")


def schema(table: str) -> pa.Schema:
    """The columns of a source table as Arrow types, from its CREATE TABLE."""
    ddl = (content_folder.builtin() / "sql" / "sources" / f"{table}.sql").read_text(
        encoding="utf-8"
    )
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(ddl)
        return con.sql(f"from {quoting.name(table)} limit 0").to_arrow_table().schema


def path_of(table: str, landed: datetime) -> str:
    """The file, relative to the samples, of what landed at that moment.

    >>> from gundog.core.times import parse_time
    >>> path_of("CloudAppEvents", parse_time("2026-10-31T09:15:00Z"))
    'CloudAppEvents/date=2026-10-31/h=09/part-0.parquet'
    """
    folder = f"{table}/date={landed:%Y-%m-%d}"
    if table == CLOUD and landed >= HOURLY_FROM:
        folder += f"/h={landed:%H}"
    return f"{folder}/part-0.parquet"


def _events() -> Iterator[Event]:
    ordinary = (plants.reshape(event) for event in noise.events())
    planted = chain(plants.events(), community_cases.events(), device_events.events())
    return chain((event for event in ordinary if event), planted)


def _files(events: Iterable[Event]) -> dict[str, tuple[str, list[Row]]]:
    """Table and rows of each file, by its path; a row stands once for each delivery."""
    files: dict[str, tuple[str, list[Row]]] = defaultdict(lambda: ("", []))
    for event in events:
        for landed in event.landed:
            path = path_of(event.table, landed)
            if event.late:
                path = "late/" + path.replace("part-0", "part-1")
            rows = files[path][1]
            rows.append(event.row)
            files[path] = (event.table, rows)
    return files


def _old_schema_files() -> tuple[str, str]:
    return (
        path_of(PROCESSES, plants.OLD_SCHEMA_DAY),
        path_of(CLOUD, plants.OLD_SCHEMA_HOUR),
    )


def _as_of_old(arrow: pa.Table, table: str) -> pa.Table:
    young = [name for name in arrow.column_names if name.startswith(_YOUNGER[table])]
    arrow = arrow.drop_columns([*young, "TenantId"])
    for name, kind in _OLDER_TYPES.items():
        if name in arrow.column_names:
            at = arrow.schema.get_field_index(name)
            arrow = arrow.set_column(at, name, arrow[name].cast(kind))
    return arrow


def _write(arrow: pa.Table, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        arrow,
        path,
        compression="zstd",
        compression_level=15,
        # Small files are mostly metadata: neither statistics of every column, nor Arrow's copy
        # of the schema, nor dictionaries of few values.
        write_statistics=["Timestamp"],
        store_schema=False,
        use_dictionary=arrow.num_rows > 100,
    )


def readme() -> str:
    """The page beside the samples: what is in them and what must come of it."""
    return _README.format(
        first=f"{START:%Y-%m-%d}",
        last=f"{END - DAY:%Y-%m-%d}",
        hourly=f"{HOURLY_FROM:%Y-%m-%d}",
        lost=f"{noise.LOST_HOUR:%Y-%m-%d, %H:00}",
        old_day=_old_schema_files()[0],
        old_hour=_old_schema_files()[1],
        processes=_case_table(case for case in CASES if case.table == PROCESSES),
        cloud=_case_table(case for case in CASES if case.table == CLOUD),
        devices=_case_table(device_events.CASES),
        community=_case_table(community_cases.CASES),
    )


def _case_table(cases: Iterable[Case]) -> str:
    rows = ["| case | day | who | must | what happens |", "|---|---|---|---|---|"]
    for case in cases:
        must = case.expected + (f", {case.severity}" if case.severity else "")
        who = f"`{case.entity}`"
        if case.detection not in ("mailbox_export_removed", "mail_items_accessed"):
            must += f" (`{case.detection}`)"
        rows.append(f"| {case.name} | {case.day:%a %d %b} | {who} | {must} | {case.story} |")
    return "\n".join(rows)


_README = """# parquet_samples

A made-up tenant in a real lake layout: {first} to {last}, all times in UTC. `gundog samples`
writes this folder again, to the byte with the same pyarrow. Every name is invented; addresses
are from the ranges reserved for documentation.

| source | files |
|---|---|
| DeviceProcessEvents | daily: `DeviceProcessEvents/date=%Y-%m-%d/part-0.parquet` |
| DeviceEvents, from {hourly} on | daily: `DeviceEvents/date=%Y-%m-%d/part-0.parquet` |
| CloudAppEvents, before {hourly} | daily: `CloudAppEvents/date=%Y-%m-%d/part-0.parquet` |
| CloudAppEvents, from {hourly} on | hourly: `CloudAppEvents/date=%Y-%m-%d/h=%H/part-0.parquet` |

The columns are Defender's, with their types (`sql/sources/`). RawEventData is JSON in text. What
a real lake does, this one does too:

- rows in a file are in no order, and a row lands in the file of the hour or day it *arrived* in,
  minutes after it happened;
- about one record in thirty is delivered again, the same in every column, some in a later file;
- the hour of {lost} has no file;
- `{old_day}` and `{old_hour}`
  have an older schema: columns are missing, and one has another type.

The first 28 days are history: 40 mailboxes with office hours, weekends and desktops that
synchronise at night, a dozen hosts, the servers of Exchange and their administrators. Everything
planted belongs to the last eight days. Each case has a host, an account or a mailbox of its own.

## Process events: `mailbox_export_removed`, and others where named

The host is shown; its account is the host's name with `-admin` (mgmt01: `svc-leavers`). Where no
other reason is given, high means that host and account had not exported in the seven days before.
The leaver script also ran on 8, 15 and 22 October, before the days that are hunted.

{processes}

## PowerShell inside processes: `mailbox_export_cmdlet`

{devices}

## Mail: `mail_items_accessed`, and others where named

{cloud}

## Community hunts

These run only with `content: [builtin, community, .]`. They tell of one intruder: on wks31 with the
account svc-deploy, then on the servers. `admin_tool_first_seen` names his tools too.

{community}

## The late file

`late/DeviceProcessEvents/date=2026-10-30/part-1.parquet` is not part of the lake. Copy it to
`DeviceProcessEvents/date=2026-10-30/part-1.parquet`, hunt again, and the finding of `exch19`
changes: the same id, with an earlier removal.
"""
