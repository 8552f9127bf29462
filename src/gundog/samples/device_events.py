"""What Defender records of PowerShell inside processes, for the samples: ordinary and planted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random

from gundog.core.times import DAY
from gundog.samples.case import Case
from gundog.samples.rows import DEVICES, END, HOURLY_FROM, Event, Row, process, stream

_DETECTION = "mailbox_export_cmdlet"
_NIGHT = date(2026, 10, 30)
_EXPORT = "New-MailboxExportRequest"
_TO_THE_WEB = (
    _EXPORT + r" -Mailbox board -FilePath \\127.0.0.1\c$\inetpub\wwwroot\aspnet_client\b.aspx"
)

CASES = (
    Case(
        "export_inside_the_web_server", DEVICES, _DETECTION, "fires", "high", _NIGHT, "exch23",
        "The web server of exch23 exports a mailbox into a web folder and removes the request; no "
        "shell starts, and no process event has the cmdlets.",
    ),
    Case(
        "export_in_the_shell_of_exchange", DEVICES, _DETECTION, "silent", None, _NIGHT, "exch24",
        "ana exports in Exchange's own shell, which has the web server run it: recorded twice.",
    ),
)  # fmt: skip

# Hosts that have such records at all, and commands that anybody runs.
_HOSTS = ("exch01", "exch02", "exch24", "fs01", "ws01", "ws02")
_ORDINARY = ("Get-Service", "Get-Mailbox", "Import-Module", "Where-Object", "health-check.ps1")


@dataclass(frozen=True)
class _Host:
    """A process that hosts PowerShell: its program, command line, parent and account."""

    program: str
    line: str
    parent: str
    account: str


_SHELL = _Host("powershell.exe", "powershell.exe -NoExit", "explorer.exe", "ana")
_POOL = _Host(
    "w3wp.exe",
    r"c:\windows\system32\inetsrv\w3wp.exe -ap MSExchangePowerShellAppPool",
    "svchost.exe",
    "system",
)
_PLANTED = (
    ("30 03:41:07", "exch23", _POOL, _TO_THE_WEB),
    ("30 03:58:30", "exch23", _POOL, "Remove-MailboxExportRequest"),
    ("30 10:12:01", "exch24", _SHELL, _EXPORT),
    ("30 10:12:02", "exch24", _POOL, _EXPORT),
)


def events() -> Iterator[Event]:
    """Every event, delivered once, on the days for which this source has files."""
    day = HOURLY_FROM
    while day < END:
        for host in _HOSTS:
            random = stream("device events", day, host)
            for command in random.sample(_ORDINARY, 2):
                at = day + timedelta(hours=8, seconds=random.randrange(30_000))
                yield _event(random, at, host, _SHELL, command)
        day += DAY
    random = stream("device events", "planted")
    for day_and_time, host, process_host, command in _PLANTED:
        at = datetime.fromisoformat(f"2026-10-{day_and_time}+00:00")
        yield _event(random, at, host, process_host, command)


def _event(random: Random, at: datetime, host: str, process_host: _Host, command: str) -> Event:
    return Event(DEVICES, _row(random, at, host, process_host, command), (at,))


def _row(random: Random, at: datetime, host: str, process_host: _Host, command: str) -> Row:
    """The event as Defender delivers it, with the process that ran the command."""
    started = {
        "FileName": process_host.program,
        "ProcessId": random.randrange(1000, 30000, 4),
        "ProcessCommandLine": process_host.line,
        "ProcessCreationTime": at - timedelta(seconds=random.randrange(60, 20000)),
    }
    made = process(random, at, host, process_host.account, "", parent=started)
    kept = ("Timestamp", "Device", "InitiatingProcess", "ReportId")
    return {name: value for name, value in made.items() if name.startswith(kept)} | {
        "ActionType": "PowerShellCommand",
        "InitiatingProcessParentFileName": process_host.parent,
        "AdditionalFields": json.dumps({"Command": command}, separators=(",", ":")),
    }
