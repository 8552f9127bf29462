"""A made-up lake of any size: files of process events and mail records, an hour or a day each.

Ids, session ids, tokens and message ids are random for each row, as in real records, so that the
JSON compresses about as real JSON does. Nothing depends on a clock or a seed: the same arguments
write the same rows.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

FIRST_DAY = date(2026, 3, 1)
# Compressed bytes of a row, measured on what is written here.
_PROCESS_BYTES = 38
_MAIL_BYTES = 275
_MAIL_SHARE = 0.7
_RECORDS_OF_MAILBOX = 60
_MAILBOXES = 6000
_GROUP_ROWS = 122_880
_WRITERS = 2
# A day of fewer rows is made in one go and cut.
_FEW = 60_000

# Every 20,000th row of a shell exports, and the row 200 later removes the request, on the same
# host by the same account; of each 12 exports, one is never removed and one is removed elsewhere.
_PROCESS = """
with numbered as (
    select
        i,
        i + $salt as n,
        case when i % 20000 = 207 then i - 200 else i end + $salt as pair,
        i // 20000 % 12 as turn,
        hash(i + $salt) as h
    from range($from, $to) as r(i)
)
select
    $day::timestamptz + to_microseconds((i * 86400e6 / $rows)::bigint) as "Timestamp",
    md5(host::varchar) as "DeviceId",
    'HOST' || host || '.corp.example.com' as "DeviceName",
    'ProcessCreated' as "ActionType",
    ['svchost.exe', 'chrome.exe', 'PowerShell.exe', 'cmd.exe', 'Teams.exe'][1 + i % 5]
        as "FileName",
    'C:\\Windows\\System32\\' || h % 4000 as "FolderPath",
    md5((h % 5000)::varchar) || md5((h % 5000 + 1)::varchar) as "SHA256",
    (h % 30000)::bigint as "ProcessId",
    case
        when i % 20000 = 7
            then 'powershell New-MailboxExportRequest -Mailbox u' || pair || ' -FilePath C:\\x.pst'
        when i % 20000 = 207 and turn <> 3
            then 'powershell Remove-MailboxExportRequest -Identity u' || pair || ' -Confirm:$false'
        when h % 1000 = 0
            then 'powershell.exe -NonInteractive -EncodedCommand ' || base64(array_to_string(
                list_transform(string_split('Get-Service S' || h % 5000, ''), lambda one:
                one || chr(0)), '')::blob)
        else case i % 5
            when 0 then 'C:\\Windows\\system32\\svchost.exe -k netsvcs -p -s Service' || h % 300
            when 1
                then '"C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe" --type=renderer'
                || ' --enable-features=Isolation --lang=en-US --renderer-client-id=' || h % 900
                || ' --field-trial-handle=' || id || ',i,' || h % 100000
            when 2
                then 'powershell.exe -NoProfile -ExecutionPolicy Bypass -File "C:\\Users\\u'
                || h % 900 || '\\AppData\\Local\\Temp\\' || id || '.ps1"'
            when 3
                then 'C:\\Windows\\system32\\cmd.exe /c ' || case when h % 3 = 0
                then 'sc query Service' || h % 300
                else '"C:\\Users\\u' || h % 900 || '\\run.cmd" > C:\\Temp\\' || id end
            else case when h % 2 = 0
                then 'C:\\Windows\\system32\\DllHost.exe /Processid:{' || upper(id) || '}'
                else '"C:\\Users\\u' || h % 900 || '\\AppData\\Local\\Microsoft\\Teams\\current\\'
                || 'Teams.exe" --type=utility --session-id=' || upper(id) end
        end
    end as "ProcessCommandLine",
    'CORP' as "AccountDomain",
    'User' || hash(pair) % 900 as "AccountName",
    'S-1-5-21-' || hash(pair) % 900 as "AccountSid",
    n::bigint as "ReportId",
    'explorer.exe' as "InitiatingProcessFileName",
    'explorer /x ' || h % 5000 as "InitiatingProcessCommandLine"
from (
    select
        *,
        md5(n::varchar) as id,
        (hash(pair) + case when i % 20000 = 207 and turn = 5 then 1 else 0 end) % 3000 as host
    from numbered
)
"""
# A mailbox is read in ten hours of each day, which of them differs by mailbox.
_RECORDS = """
with numbered as (
    select i, i + $salt as n, hash(i + $salt) as h, i * 24 // $rows as hour
    from range($from, $to) as r(i)
),
mailboxes as (
    select
        *,
        (h // 1000 % ($mailboxes // 24)) * 24 + (hour + 24 - h % 10) % 24 as mailbox,
        1 + least(h // 31 % 11, h // 101 % 11) as items,
        md5(n::varchar || 'a') as a,
        md5(n::varchar || 'b') as b,
        md5(n::varchar || 'c') as c
    from numbered
)
"""
_MAIL = (
    _RECORDS
    + """
select
    $day::timestamptz + to_microseconds((i * 86400e6 / $rows)::bigint) as "Timestamp",
    case when i % 20 = 0 then 'FileAccessed' else 'MailItemsAccessed' end as "ActionType",
    'Microsoft Exchange Online' as "Application",
    md5(mailbox::varchar) as "AccountObjectId",
    '198.51.100.' || h % 250 as "IPAddress",
    'US' as "CountryCode",
    c as "ReportId",
    '{"OrganizationId":"0d5f2a86-3a1c-4d0e-9a63-1c7f3f9a2b10","CreationTime":"' || $day
    || 'T' || lpad(hour::varchar, 2, '0') || ':' || lpad((h % 60)::varchar, 2, '0')
    || ':' || lpad((h // 60 % 60)::varchar, 2, '0')
    || '","RecordType":50,"Operation":"MailItemsAccessed","UserType":0,"Workload":"Exchange",'
    || '"Version":1,"UserKey":"1003' || substr(md5(mailbox::varchar), 1, 12) || '","UserId":"user'
    || mailbox || '@example.com","OriginatingServer":"AB1PR' || h % 400
    || 'MB (15.20.4200.000)\\r\\n","InternalLogonType":0,"OrganizationName":'
    || '"example.onmicrosoft.com","ClientInfoString":"Client=REST;;","MailboxOwnerSid":"S-1-5-21-'
    || mailbox || '","ClientIPAddress":"198.51.100.' || h % 250
    || '","MailboxOwnerUPN":"user' || mailbox || '@example.com","ExternalAccess":false,'
    || '"ResultStatus":"Succeeded","Id":"' || a::uuid || '","LogonUserSid":"S-1-5-21-' || mailbox
    || '","MailboxGuid":"' || md5(mailbox::varchar)::uuid || '","LogonType":0,"SessionId":"'
    || b::uuid || '","AppAccessContext":{"ClientAppId":"' || md5((mailbox % 40)::varchar)::uuid
    || '","UniqueTokenId":"' || substr(c, 1, 22)
    || '"},"OperationProperties":[{"Name":"MailAccessType","Value":"Bind"},'
    || '{"Name":"IsThrottled","Value":"False"}],"OperationCount":' || items
    || ',"Folders":[{"FolderItems":['
    || array_to_string(list_transform(range(items::bigint), lambda k:
       '{"InternetMessageId":"<' || upper(md5(n::varchar || k)) || '@AB1PR' || h % 400
       || 'MB.prod.outlook.com>","SizeInBytes":' || (h // (k + 3)) % 90000 || '}'), ',')
    || '],"Id":"LgAAAAAM7KyTTmWeRac2KXBEz/7aAQARGHK+grzLTpRJraC1QR6kAAAAAAEMAAAB",'
    || '"Path":"\\\\Inbox"}],"ClientAppId":"' || md5((mailbox % 40)::varchar)::uuid || '"}'
        as "RawEventData"
from mailboxes
"""
)
# Where many mailboxes count and not the size of their JSON: what the hunts read of it, no more.
_BARE_MAIL = (
    _RECORDS
    + """
select
    $day::timestamptz + to_microseconds((i * 86400e6 / $rows)::bigint) as "Timestamp",
    'MailItemsAccessed' as "ActionType",
    'Microsoft Exchange Online' as "Application",
    md5(mailbox::varchar) as "AccountObjectId",
    '198.51.100.' || h % 250 as "IPAddress",
    'US' as "CountryCode",
    c as "ReportId",
    '{"Id":"' || a::uuid || '","UserId":"user' || mailbox || '@example.com","MailboxOwnerUPN":"user'
    || mailbox || '@example.com","OperationProperties":[{"Name":"MailAccessType","Value":"Bind"},'
    || '{"Name":"IsThrottled","Value":"False"}],"OperationCount":' || items || ',"ClientAppId":"'
    || md5((mailbox % 40)::varchar)::uuid || '","SessionId":"' || b::uuid || '"}' as "RawEventData"
from mailboxes
"""
)


@dataclass(frozen=True)
class Size:
    """How large a lake is: days, rows of a day, whether a file holds an hour or a day.

    `bare` mail records hold little more than what the hunts read.
    """

    days: int
    processes: int
    records: int
    mailboxes: int
    hourly: bool = True
    bare: bool = False


def sized(days: int, megabytes: int) -> Size:
    """A lake of about so many megabytes with as many mailboxes as its records would have."""
    share = megabytes * 1e6 / days
    processes = int(share * (1 - _MAIL_SHARE) / _PROCESS_BYTES)
    records = int(share * _MAIL_SHARE / _MAIL_BYTES)
    mailboxes = min(max(records // _RECORDS_OF_MAILBOX, 24), _MAILBOXES) // 24 * 24
    return Size(days, processes, records, mailboxes)


def write(root: Path, size: Size) -> Path:
    """Writes the lake from 1 March 2026 on; one that is there already is left as it is."""
    mark, what = root / ".written", repr((size, _PROCESS, _MAIL, _BARE_MAIL))
    if mark.exists() and mark.read_text() == what:
        return root
    shutil.rmtree(root, ignore_errors=True)
    con = duckdb.connect(config={"threads": 1})
    con.execute("set global timezone = 'UTC'")
    for number in range(size.days):
        day = (FIRST_DAY + timedelta(days=number)).isoformat()
        for source, sql, rows in (
            ("DeviceProcessEvents", _PROCESS, size.processes),
            ("CloudAppEvents", _BARE_MAIL if size.bare else _MAIL, size.records),
        ):
            params = {"day": day, "rows": rows, "salt": number * rows}
            if "$mailboxes" in sql:
                params["mailboxes"] = size.mailboxes
            _write_day(con, root / source / f"date={day}", sql, params, size.hourly)
    con.close()
    mark.write_text(what)
    return root


def _write_day(
    con: duckdb.DuckDBPyConnection, folder: Path, sql: str, params: dict[str, object], hourly: bool
) -> None:
    rows = int(str(params["rows"]))
    parts = 24 if hourly else 1
    ends = [part * rows // parts for part in range(parts + 1)]
    paths = [folder / (f"h={part:02}" if hourly else "") / "part.parquet" for part in range(parts)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    if rows < _FEW:
        day = con.sql(sql, params={**params, "from": 0, "to": rows}).to_arrow_table()
        for path, low, high in zip(paths, ends[:-1], ends[1:], strict=True):
            pq.write_table(day.slice(low, high - low), path, compression="zstd")
        return

    def write_part(path: Path, low: int, high: int) -> None:
        found = con.cursor().sql(sql, params={**params, "from": low, "to": high})
        found.write_parquet(str(path), compression="zstd", row_group_size=_GROUP_ROWS)

    with ThreadPoolExecutor(_WRITERS) as pool:
        list(pool.map(write_part, paths, ends[:-1], ends[1:]))


def megabytes(root: Path) -> float:
    """How large the lake's files are."""
    return sum(path.stat().st_size for path in root.rglob("*.parquet")) / 1e6
