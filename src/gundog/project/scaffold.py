"""New files for people to fill in: a detection with its SQL and examples, a project folder."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

from gundog.core import places
from gundog.core.errors import InputError
from gundog.detections import content_folder
from gundog.project import schemas

_MATCH_SQL = """\
-- Mail records that hold at least $least items.
--
-- Grain:    one row per record.
-- Interval: a record belongs to the interval it happened in.
-- Reads:    mail_access
-- Params:   $start, $end   timestamptz; the interval [start, end)
--           $least         integer; items a record holds at least

select
    tenant,
    mailbox,
    app_id,
    ip_address,
    items,
    event_id,
    event_time as start_time,
    event_time as end_time,
    [{'role': 'record', 'source_table': 'CloudAppEvents', 'event_id': event_id}] as evidence
from mail_access
where
    event_time >= $start
    and event_time < $end
    and items >= $least
order by start_time, event_id
"""

_SERIES_SQL = """\
-- Items read per client application and hour.
--
-- Grain:    one row per tenant, application and hour that has any.
-- Interval: hours in [start, end).
-- Reads:    mail_access
-- Params:   $start, $end   timestamptz; the interval [start, end)

select
    date_trunc('hour', event_time) as hour,
    tenant,
    app_id,
    coalesce(sum(items), 0) as items,
    count(*) as records
from mail_access
where
    event_time >= $start
    and event_time < $end
group by hour, tenant, app_id
order by hour, tenant, app_id
"""

_HEAD = """\
id: {id}
name: {title}
kind: {kind}
status: experimental        # runs and is stored; set it to stable when it may notify
severity: low
riskScore: 20
description: >
  Say what an attacker does and how this shows it.
tactics: [Collection]
relevantTechniques: [T1114.002]
falsePositives:
  - Say what harmless work looks the same.
blindSpots:
  - Say what this cannot see.
triage:
  - Say what to look at first.
references: []
sql: {name}.sql
frequency: 1d
"""

_MATCH_YAML = """\
params: {{least: 500}}
identity: [tenant, event_id]
entityMappings:
  - {{entityType: Mailbox, fieldMappings: [{{identifier: MailboxPrimaryAddress, columnName: mailbox}}]}}
title: "{{mailbox}}: {{items}} items in one record"

examples:
  - name: a large record fires
    interval: [2026-01-05, 2026-01-06]
    events:
      CloudAppEvents:
        - Timestamp: 2026-01-05T10:00:00Z
          ActionType: MailItemsAccessed
          Application: Microsoft Exchange Online
          RawEventData: {{Id: 3f0c1c2e-1111-4000-8000-000000000001, Operation: MailItemsAccessed, ResultStatus: Succeeded, MailboxOwnerUPN: ana@example.com, UserId: ana@example.com, OperationCount: 900, OperationProperties: [{{Name: MailAccessType, Value: Bind}}]}}
    findings:
      - {{mailbox: ana@example.com, items: 900}}

  - name: an ordinary record does not
    interval: [2026-01-05, 2026-01-06]
    events:
      CloudAppEvents:
        - Timestamp: 2026-01-05T10:00:00Z
          ActionType: MailItemsAccessed
          Application: Microsoft Exchange Online
          RawEventData: {{Id: 3f0c1c2e-1111-4000-8000-000000000002, Operation: MailItemsAccessed, ResultStatus: Succeeded, MailboxOwnerUPN: ana@example.com, UserId: ana@example.com, OperationCount: 3, OperationProperties: [{{Name: MailAccessType, Value: Bind}}]}}
    findings: []
"""

_SERIES_YAML = """\
series: {{measure: items, by: [tenant, app_id], training: 28d, method: forecast, threshold: 4}}
title: "{{app_id}} read {{observed}} items; {{expected}} expected"

examples:
  - name: a burst on the last day fires, for the application and for the tenant
    interval: [2026-02-02, 2026-02-03]
    events:
      CloudAppEvents:
        - Timestamp: 2026-01-05T00:10:00Z
          repeat: {{every: 1h, times: 696}}
          ActionType: MailItemsAccessed
          Application: Microsoft Exchange Online
          ReportId: history
          RawEventData: {{Operation: MailItemsAccessed, ResultStatus: Succeeded, MailboxOwnerUPN: ana@example.com, UserId: ana@example.com, ClientAppId: app-1, OperationCount: 3, OperationProperties: [{{Name: MailAccessType, Value: Bind}}]}}
        - Timestamp: 2026-02-02T03:00:00Z
          ActionType: MailItemsAccessed
          Application: Microsoft Exchange Online
          ReportId: burst
          RawEventData: {{Operation: MailItemsAccessed, ResultStatus: Succeeded, MailboxOwnerUPN: ana@example.com, UserId: ana@example.com, ClientAppId: app-1, OperationCount: 4000, OperationProperties: [{{Name: MailAccessType, Value: Bind}}]}}
    findings:
      - {{series_key: /app-1}}
      - {{series_key: /*}}

  - name: a steady application does not
    interval: [2026-02-02, 2026-02-03]
    events:
      CloudAppEvents:
        - Timestamp: 2026-01-05T00:10:00Z
          repeat: {{every: 1h, times: 696}}
          ActionType: MailItemsAccessed
          Application: Microsoft Exchange Online
          ReportId: history
          RawEventData: {{Operation: MailItemsAccessed, ResultStatus: Succeeded, MailboxOwnerUPN: ana@example.com, UserId: ana@example.com, ClientAppId: app-1, OperationCount: 3, OperationProperties: [{{Name: MailAccessType, Value: Bind}}]}}
    findings: []
"""

_LAKE = """\
  DeviceProcessEvents: lake/DeviceProcessEvents/date=%Y-%m-%d/*.parquet
  CloudAppEvents: lake/CloudAppEvents/date=%Y-%m-%d/*.parquet
"""

_HERE = "{lake}\n"
_PROJECT = """\
content: [builtin, .]       # the shipped hunts, and those in detections/ and sql/ of this folder
lake:                       # a strftime path per source table; * may stand for any segment
{lake}
freshness: 26h              # a source without an event for longer has no data
lateArrival: 7d             # how far back every run looks for new or changed files
warehouse: .gundog/warehouse.duckdb
findings: .gundog/findings.duckdb
# notify:
#   - {name: soc, url: "${SOC_WEBHOOK}", minSeverity: medium, mode: each}
# heartbeat: "${DEADMAN_URL}"
memoryLimit: 4GB
"""


def new(project: Path, kind: str, name: str) -> list[Path]:
    """Writes a detection's YAML and SQL with two examples that pass; returns their paths.

    Raises:
        InputError: when the name is not a file stem or a file of that name is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise InputError(f"{name!r}: write lower case letters, digits and _, such as pst_copied")
    head = (
        schemas.pointer("detection", "../")
        + "\n"
        + _HEAD.format(id=uuid4(), kind=kind, name=name, title=name.replace("_", " ").capitalize())
    )
    body = (_MATCH_YAML if kind == "match" else _SERIES_YAML).format()
    sql = _MATCH_SQL if kind == "match" else _SERIES_SQL
    files = {f"detections/{name}.yaml": head + body, f"sql/{name}.sql": sql}
    return [*_write(project, files), *write_schemas(project / schemas.FOLDER)]


def init(directory: Path, *, prefect: bool = False, lake: str = _LAKE) -> list[Path]:
    """Writes a project folder that uses the shipped content; returns the paths written.

    Args:
        directory: the folder.
        prefect: adds what `prefect deploy` needs, also to a folder that is a project already.
        lake: the lines below `lake:` in gundog.yaml.

    Raises:
        InputError: when the folder holds a gundog.yaml already, or with `prefect` one of its files.
    """
    settings = f"{schemas.pointer('gundog')}\n{_PROJECT.replace(_HERE, lake)}"
    files = {"gundog.yaml": settings, ".gitignore": ".gundog/\nhunt.log\nsecrets.env\n"}
    if prefect and (directory / "gundog.yaml").exists():
        return _write(directory, _prefect_files())
    written = _write(directory, files | (_prefect_files() if prefect else {}))
    written += write_schemas(directory / schemas.FOLDER)
    for folder in ("detections", "sql/stage", "sql/sources"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    return written


def write_schemas(folder: Path, *, again: bool = False) -> list[Path]:
    """Writes the JSON Schemas for editors into a folder; returns the paths written.

    Args:
        folder: where to; it is made.
        again: also in the place of files that are there, as after an upgrade.

    Raises:
        StoreError: when one cannot be written.
    """
    paths = {folder / name: text for name, text in schemas.files().items()}
    written = [path for path in paths if again or not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in written:
            path.write_text(paths[path], encoding="utf-8")
    except OSError as error:
        raise places.unusable(folder, error) from error
    return written


def _prefect_files() -> dict[str, str]:
    """The flows and their deployments, as they ship: they use the gundog that is installed."""
    shipped = content_folder.builtin()
    paths = [shipped / "prefect.yaml", *sorted((shipped / "flows").glob("*.py"))]
    return {str(path.relative_to(shipped)): path.read_text(encoding="utf-8") for path in paths}


def _write(root: Path, files: dict[str, str]) -> list[Path]:
    paths = {root / name: text for name, text in files.items()}
    for path in paths:
        if path.exists():
            raise InputError(f"{path}: already exists: choose another name or remove it")
    for path, text in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(paths)
