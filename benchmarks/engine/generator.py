"""A made-up lake of any size: hourly files of process events and mail records."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

# Compressed bytes of a row, measured on what is written here.
_PROCESS_BYTES = 100
_MAIL_BYTES = 240
_MAIL_SHARE = 0.7

_PROCESS = """
select
    $day::timestamptz + interval (i * 86400.0 / $rows) second as "Timestamp",
    md5((i % 3000)::varchar) as "DeviceId",
    'host' || (i % 3000) || '.corp.example.com' as "DeviceName",
    'ProcessCreated' as "ActionType",
    ['svchost.exe', 'chrome.exe', 'powershell.exe', 'cmd.exe', 'Teams.exe'][1 + i % 5]
        as "FileName",
    'C:\\Windows\\System32\\' || substr(md5(i::varchar), 1, 6) as "FolderPath",
    i::bigint as "ProcessId",
    case
        when i % 40000 = 7 then 'powershell New-MailboxExportRequest -Mailbox u' || i
        when i % 40000 = 207 then 'powershell Remove-MailboxExportRequest -Identity u' || (i - 200)
        else 'run --id ' || md5((i * 7919)::varchar) || ' --path C:\\Users\\u' || (i % 900)
    end as "ProcessCommandLine",
    'corp' as "AccountDomain",
    'user' || (i % 900) as "AccountName",
    'S-1-5-21-' || (i % 900) as "AccountSid",
    i::bigint as "ReportId",
    md5((i * 31)::varchar) || md5((i * 37)::varchar) as "SHA256",
    'explorer.exe' as "InitiatingProcessFileName",
    'explorer /x ' || md5((i * 41)::varchar) as "InitiatingProcessCommandLine"
from range($rows) as r(i)
"""
_MAIL = """
select
    $day::timestamptz + interval (i * 86400.0 / $rows) second as "Timestamp",
    case when i % 20 = 0 then 'FileAccessed' else 'MailItemsAccessed' end as "ActionType",
    'Microsoft Exchange Online' as "Application",
    md5((i % 2000)::varchar) as "AccountObjectId",
    '198.51.100.' || (i % 250) as "IPAddress",
    'US' as "CountryCode",
    i::varchar as "ReportId",
    '{"Id":"' || $salt || md5(i::varchar) || '","RecordType":50,"OperationCount":' || (1 + i % 9)
    || ',"MailboxOwnerUPN":"user' || (i % 2000) || '@example.com","UserId":"user' || (i % 2000)
    || '@example.com","LogonType":0,"ClientAppId":"' || md5((i % 40)::varchar)
    || '","ClientInfoString":"Client=REST","ClientIPAddress":"198.51.100.' || (i % 250)
    || '","SessionId":"' || md5((i * 3)::varchar) || '","ResultStatus":"Succeeded",'
    || '"OperationProperties":[{"Name":"MailAccessType","Value":"Bind"},'
    || '{"Name":"IsThrottled","Value":"False"}],"Folders":[{"FolderItems":['
    || array_to_string(list_transform(range(8), lambda k: '{"InternetMessageId":"<'
       || md5((i * 8 + k)::varchar) || '@mail.example.com>","SizeInBytes":'
       || (i * 13 + k) % 90000 || '}'), ',')
    || '],"Path":"\\\\Inbox"}],"OrganizationId":"' || md5('one') || '","Version":1}'
        as "RawEventData"
from range($rows) as r(i)
"""


def write(root: Path, days: int, megabytes: int) -> None:
    """Writes a lake of about so many megabytes over `days` days from 1 March 2026.

    A lake that is there already with the same size is left as it is.
    """
    mark = root / f"{days}-{megabytes}"
    if mark.exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    con = duckdb.connect(config={"threads": 2})
    con.execute("set timezone = 'UTC'")
    for day in range(days):
        share = megabytes * 1e6 / days
        for source, sql, rows in (
            ("DeviceProcessEvents", _PROCESS, share * (1 - _MAIL_SHARE) / _PROCESS_BYTES),
            ("CloudAppEvents", _MAIL, share * _MAIL_SHARE / _MAIL_BYTES),
        ):
            _write_day(con, root / source, sql, f"2026-03-{day + 1:02}", int(rows))
    con.close()
    mark.touch()


def _write_day(con: duckdb.DuckDBPyConnection, folder: Path, sql: str, day: str, rows: int) -> None:
    params = {"day": day, "rows": rows} | ({"salt": day} if "$salt" in sql else {})
    table = con.sql(sql, params=params).to_arrow_table()
    count = -(-table.num_rows // 24)
    for hour in range(24):
        part = table.slice(hour * count, count)
        path = folder / f"date={day}/h={hour:02}/part.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        con.from_arrow(part).write_parquet(str(path), compression="zstd", row_group_size=122_880)
