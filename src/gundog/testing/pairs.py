"""Exports of a mailbox and their removals, laid over your own nights as an intruder does them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import duckdb

from gundog.core.times import DAY, HOUR, Interval
from gundog.detections.hunt import Content, Hunt
from gundog.detections.staged import StagedTable
from gundog.testing import examples, overlay
from gundog.warehouse import quoting

SHELL, CMDLETS = "shell_commands", "exchange_cmdlets"
# So many hosts of a tenant are attacked in a night.
_HOSTS = 40
_HISTORY = 28 * DAY
_EXPORT = "New-MailboxExportRequest -Mailbox drill -FilePath d:\\drill.pst"
_REMOVAL = "Remove-MailboxExportRequest -Identity drill -Confirm:$false"
_TO_WEB = "New-MailboxExportRequest -Mailbox drill -FilePath c:\\inetpub\\wwwroot\\drill.aspx"


def _encoded(command: str) -> str:
    return f"powershell -enc {base64.b64encode(command.encode('utf-16-le')).decode()}"


def _spelled(command: str) -> dict[str, str]:
    """A command in each of the spellings that intruders use, by name."""
    verb, rest = command.split("-", 1)
    return {
        "plain": f"powershell {command}",
        "backticks": f"powershell {verb}-{rest[0]}`{rest[1:]}",
        "en dash": f"powershell {verb}\N{EN DASH}{rest}",
        "encoded": _encoded(command),
        "in quotes": f"powershell & ('{verb}-'+'{rest.split(' ')[0]}') {rest.split(' ', 1)[1]}",
    }


# By staged table and name of the attack: what runs (a program and its command), for the export
# and for its removal.
CONTEXTS: Mapping[str, Mapping[str, tuple[tuple[str, str], ...]]] = {
    SHELL: {
        name: (("powershell.exe", export), ("powershell.exe", _spelled(_REMOVAL)[name]))
        for name, export in _spelled(_EXPORT).items()
    },
    CMDLETS: {
        "in the web server, into a web folder": (("w3wp.exe", _TO_WEB), ("w3wp.exe", _REMOVAL)),
        "in the web server, not removed": (("w3wp.exe", _TO_WEB),),
        "in a shell": (("powershell.exe", _EXPORT), ("powershell.exe", _REMOVAL)),
        "in a shell, not removed": (("powershell.exe", _EXPORT),),
    },
}


def lay(
    con: duckdb.DuckDBPyConnection,
    loaded: Content,
    hunt: Hunt,
    stage: StagedTable,
    context: str,
    night: Interval,
    hour: int,
) -> None:
    """Puts an attack of `CONTEXTS` on each host, through the SQL that stages commands.

    Args:
        con: from `overlay.opened`.
        loaded: the content that stages commands.
        hunt: what will be hunted.
        stage: the staged table that the attack is laid over.
        context: the attack's name.
        night: the interval that it happens in.
        hour: of the night, when it begins.
    """
    at = night.start + hour * HOUR
    record = {SHELL: _process, CMDLETS: _powershell}[stage.name]
    events = [
        record(tenant, host, at + minutes * timedelta(minutes=1), *ran, number * 2 + minutes)
        for number, (tenant, host) in enumerate(_hosts(con, stage, night))
        for minutes, ran in enumerate(CONTEXTS[stage.name][context])
    ]
    with examples.bench(loaded, hunt) as bench:
        examples.fill(bench, loaded, hunt, {stage.source: events}, night)
        staged = bench.sql(f"from {stage.table}").to_arrow_table()
    con.register("staged_pairs", staged)
    con.execute(
        f"insert into {overlay.attacks_table(stage)} by name"
        f" select * replace ({overlay.FILE_ID} as file_id) from staged_pairs"
    )
    con.unregister("staged_pairs")


def _hosts(
    con: duckdb.DuckDBPyConnection, stage: StagedTable, night: Interval
) -> list[tuple[str, str]]:
    """Tenant and name of hosts with such commands in the four weeks before, or a made-up one."""
    rows = con.execute(
        f"""select distinct coalesce(tenant, '') as tenant, host_name
            from main.{quoting.name(stage.name)}
            where event_time >= $start - $history and event_time < $start
            and host_name is not null
            qualify row_number() over (partition by tenant order by md5(host_name)) <= {_HOSTS}
            order by all""",
        {"start": night.start, "history": _HISTORY},
    ).fetchall()
    return rows or [("", "drill-host")]


def _process(
    tenant: str, host: str, at: datetime, program: str, command: str, number: int
) -> dict[str, Any]:
    return {
        "Timestamp": at,
        "TenantId": tenant,
        "DeviceName": host,
        "AccountDomain": "DRILL",
        "AccountName": "drill-account",
        "ActionType": "ProcessCreated",
        "FileName": program,
        "ProcessCommandLine": command,
        "ReportId": number,
        "ProcessId": number,
    }


def _powershell(
    tenant: str, host: str, at: datetime, program: str, command: str, number: int
) -> dict[str, Any]:
    """What PowerShell records inside a program; in a web server it runs as the system."""
    is_shell = program == "powershell.exe"
    return {
        "Timestamp": at,
        "TenantId": tenant,
        "DeviceName": host,
        "ActionType": "PowerShellCommand",
        "AdditionalFields": json.dumps({"Command": command}),
        "InitiatingProcessAccountDomain": "drill" if is_shell else "nt authority",
        "InitiatingProcessAccountName": "drill-account" if is_shell else "system",
        "InitiatingProcessFileName": program,
        "InitiatingProcessCommandLine": program,
        "ReportId": number,
        "InitiatingProcessId": number,
    }
