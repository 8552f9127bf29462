"""What is planted in the samples for the community hunts, and the events that make it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from gundog.samples.case import Case
from gundog.samples.rows import CLOUD, PROCESSES, Event, Row, change, process, stream

_HOST, _SERVER, _ACCOUNT = "wks31", "fs02", "svc-deploy"
_HELP_DESK = "helpdesk@example.net"


def _case(name: str, table: str, detection: str, day: int, entity: str, story: str) -> Case:
    when = date(2026, 10, day)
    return Case(name, table, detection, "fires", None, when, entity, story)


CASES = (
    _case(
        "help_desk_in_teams", CLOUD, "external_teams_contact", 29, _HELP_DESK,
        "A help desk that nobody knows opens chats with karl and olga.",
    ),
    _case(
        "directory_listed", PROCESSES, "adfind_discovery", 29, _HOST,
        "The same evening AdFind lists the computers of the domain on wks31, as svc-deploy.",
    ),
    _case(
        "released_by_an_administrator", CLOUD, "device_released_from_isolation", 30, _HOST,
        "exadmin releases wks31 from isolation, with a comment that says nothing.",
    ),
    _case(
        "five_servers_in_ten_minutes", PROCESSES, "psexec_spread", 30, _HOST,
        "From wks31 PsExec runs one script on five servers.",
    ),
    _case(
        "shadow_copies_of_a_server", PROCESSES, "shadow_copies_deleted", 31, _SERVER,
        "The script deletes the shadow copies of fs02.",
    ),
    _case(
        "security_log_of_a_server", PROCESSES, "event_logs_cleared", 31, _SERVER,
        "And then it clears the security log.",
    ),
    _case(
        "web_server_of_exch22", PROCESSES, "web_server_starts_shell", 30, "exch22",
        "The web shell of web_shell_export, told by what started PowerShell.",
    ),
    _case(
        "shell_of_exch13", PROCESSES, "renamed_tool", 31, "exch13",
        "The copied powershell.exe of renamed_shell, told by its name: two commands.",
    ),
)  # fmt: skip

_LINES = {
    "directory_listed": (
        ("29 20:41", _HOST, "AdFind.exe", "AdFind.exe -f objectcategory=computer -csv name"),
    ),
    "five_servers_in_ten_minutes": tuple(
        (f"30 23:{10 + 2 * number}", _HOST, "PsExec.exe",
         rf"PsExec.exe \\{server} -s -d cmd /c C:\ProgramData\t\run.bat")
        for number, server in enumerate(("fs01", "fs02", "exch01", "exch02", "exch03"))
    ),
    "shadow_copies_of_a_server": (
        ("31 02:40", _SERVER, "vssadmin.exe", "vssadmin.exe delete shadows /all /quiet"),
    ),
    "security_log_of_a_server": (
        ("31 02:44", _SERVER, "wevtutil.exe", "wevtutil.exe cl Security"),
    ),
}  # fmt: skip


def events() -> Iterator[Event]:
    """The events of every case; some cases need none of their own."""
    for case in CASES:
        random = stream("case", case.name)
        for at, host, program, line in _LINES.get(case.name, ()):
            moment = _time(at)
            row = process(random, moment, host, _ACCOUNT, line, program, parent="cmd.exe")
            yield Event(PROCESSES, row, (moment,))
    for row in (*_chats(), _release()):
        landed = row["Timestamp"]
        assert isinstance(landed, datetime)  # noqa: S101 - as `change` makes it
        yield Event(CLOUD, row, (landed,))


def _chats() -> Iterator[Row]:
    random = stream("case", "help_desk_in_teams")
    for at, contact in (("29 13:05", "karl"), ("29 13:09", "olga")):
        record: dict[str, object] = {
            "RecordType": 25,
            "Workload": "MicrosoftTeams",
            "UserId": _HELP_DESK,
            "CommunicationType": "OneOnOne",
            "ParticipantInfo": {"HasForeignTenantUsers": True},
            "Members": [{"UPN": _HELP_DESK}, {"UPN": f"{contact}@example.com"}],
        }
        row = change(random, _time(at), "ChatCreated", "helpdesk", record, "198.51.100.31")
        yield row | {
            "Application": "Microsoft Teams",
            "ApplicationId": 28375,
            "AccountObjectId": None,
            "IsAdminOperation": False,
            "AccountType": "Regular",
            "IsExternalUser": True,
            "AccountId": _HELP_DESK,
        }


def _release() -> Row:
    random = stream("case", "released_by_an_administrator")
    record: dict[str, object] = {
        "RecordType": 113,
        "Workload": "MicrosoftDefenderForEndpoint",
        "DeviceName": f"{_HOST}.example.com",
        "ActionComment": "ok",
    }
    row = change(random, _time("30 22:58"), "ReleaseFromIsolation", "exadmin", record)
    return row | {"Application": "Microsoft Defender for Endpoint", "ApplicationId": 12260}


def _time(at: str) -> datetime:
    return datetime.fromisoformat(f"2026-10-{at}:00+00:00")
