"""The events that make each planted case."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from gundog.core.times import DAY, HOUR
from gundog.samples import change_plants
from gundog.samples.cases import CASES, Case
from gundog.samples.rows import (
    ABROAD,
    CLOUD,
    DESKTOP,
    LEGACY,
    PROCESSES,
    WEB,
    Client,
    Event,
    Row,
    mail,
    process,
    stream,
)

OLD_SCHEMA_DAY = datetime(2026, 10, 25, tzinfo=UTC)
OLD_SCHEMA_HOUR = datetime(2026, 10, 28, 10, tzinfo=UTC)
THROTTLED_AT = datetime(2026, 10, 28, 13, 40, tzinfo=UTC)
DELIVERED_OFTEN = datetime(2026, 10, 28, 14, tzinfo=UTC)

_UNC = r"\\mail01\c$\temp\b.pst"
_LOCAL = r"D:\exports\case-2217.pst"
_SHARE = r"\\fs01\leavers\k.holm.pst"
NEW_APP = Client(
    "3e0c9f2a-6b1d-4c57-8f4e-5a7712d09b36", "Client=REST;;", "00000003-0000-0000-c000-000000000000"
)


@dataclass(frozen=True)
class Line:
    """One command of a case: when (October 2026, UTC), and what the shell was told."""

    at: str
    text: str
    program: str = "powershell.exe"
    arguments: str = '-NoProfile -Command "{}"'
    twin: bool = False
    late: bool = False
    account: str | None = None

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(f"2026-10-{self.at}+00:00")

    @property
    def command_line(self) -> str:
        return f"{self.program} {self.arguments.format(self.text)}"


def _new(path: str = _LOCAL, mailbox: str = "k.holm") -> str:
    return f"New-MailboxExportRequest -Mailbox {mailbox} -FilePath '{path}'"


_REMOVE = "Get-MailboxExportRequest -Status Completed | Remove-MailboxExportRequest -Confirm:$false"
_PLAIN = "-Command {}"


def _dashed(text: str) -> str:
    return text.replace("-", "\N{EN DASH}")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-16-le")).decode()


LINES = {
    "export_then_removal": (Line("30 10:59:00", _new(_UNC)), Line("30 11:01:00", _REMOVE)),
    "across_midnight": (Line("27 23:50:12", _new()), Line("28 00:10:31", _REMOVE)),
    "removal_before_export": (Line("28 09:02:10", _REMOVE), Line("28 09:40:55", _new())),
    "one_line": (Line("29 08:15:20", f"{_new()}; {_REMOVE}"),),
    "shell_twins": (
        Line("30 21:14:03.120000", _new(_UNC, "board"), twin=True),
        Line("30 21:52:41.480000", _REMOVE, twin=True),
    ),
    "host_name_case": (Line("26 13:20:00", _new()), Line("26 16:45:30", _REMOVE)),
    "empty_account": (
        Line("27 10:05:00", _new(), account=""),
        Line("27 10:25:00", _REMOVE, account=""),
        Line("27 11:05:00", _new(), account="-"),
        Line("27 11:25:00", _REMOVE, account="-"),
    ),
    "caret": (
        Line(
            "27 19:30:00",
            _new().replace("New-Mail", "N^ew-Mai^l"),
            "cmd.exe",
            "/c powershell.exe -Command {}",
        ),
        Line(
            "27 20:10:00",
            "Remove-MailboxExportRequest -Identity k.holm -Confirm:$false".replace("box", "b^ox"),
            "cmd.exe",
            "/c powershell.exe -Command {}",
        ),
    ),
    "backtick": (
        Line("28 02:40:00", _new().replace("Mailbox", "Mai`lbox", 1), arguments=_PLAIN),
        Line("28 03:05:00", _REMOVE.replace("Remove", "Re`move"), arguments=_PLAIN),
    ),
    "en_dash": (
        Line("29 18:01:00", _dashed(_new("D:\\exports\\k.pst"))),
        Line("29 18:31:00", _dashed(_REMOVE)),
    ),
    "encoded_command": (
        Line("31 04:12:00", _encoded(_new()), arguments="-NoP -W Hidden -enc {}"),
        Line("31 05:02:00", _encoded(_REMOVE), arguments="-EncodedCommand {}"),
    ),
    "pwsh": (
        Line("26 07:45:00", _new(), "pwsh.exe"),
        Line("26 08:20:00", _REMOVE, "pwsh.exe"),
    ),
    "renamed_shell": (
        Line("31 01:10:00", _new(), "svchost32.exe"),
        Line("31 01:35:00", _REMOVE, "svchost32.exe"),
    ),
    "get_help": (
        Line("28 12:10:00", "Get-Help New-MailboxExportRequest -Full"),
        Line("28 12:30:00", _REMOVE),
    ),
    "findstr": (
        Line(
            "29 11:00:00",
            r"New-MailboxExportRequest C:\Scripts\*.ps1",
            "findstr.exe",
            "/s /i {}",
        ),
        Line(
            "29 11:02:00",
            r"findstr /s /i New-MailboxExportRequest D:\Scripts\*.ps1",
            "cmd.exe",
            "/c {}",
        ),
        Line("29 11:20:00", _REMOVE),
    ),
    "second_removal": (
        Line("27 20:00:00", _new()),
        Line("27 22:00:00", _REMOVE),
        Line("28 06:00:00", _REMOVE),
    ),
    "gap_of_exactly_24h": (
        Line("28 14:00:00.250001", _new()),
        Line("29 14:00:00.250001", _REMOVE),
    ),
    "gap_a_microsecond_longer": (
        Line("28 14:30:00.250001", _new()),
        Line("29 14:30:00.250002", _REMOVE),
    ),
    "late_removal": (
        Line("30 09:00:00", _new()),
        Line("30 15:00:00", _REMOVE),
        Line("30 10:00:00", _REMOVE, late=True),
    ),
    "delivered_again": (Line("29 15:30:00", _new()), Line("29 16:10:00", _REMOVE)),
    "older_schema": (Line("25 05:20:00", _new()), Line("25 05:48:00", _REMOVE)),
    "leaver_script": (
        Line("08 18:02:00", _new(_SHARE)),
        Line("08 18:40:00", _REMOVE),
        Line("15 18:02:30", _new(_SHARE)),
        Line("15 18:43:00", _REMOVE),
        Line("22 18:01:00", _new(_SHARE)),
        Line("22 18:39:00", _REMOVE),
        Line("28 18:03:00", _new(_SHARE)),
        Line("28 18:41:00", _REMOVE),
    ),
}

# An export three days before, never removed: these hosts and accounts export now and then, so
# that what raises the severity, if anything does, is how the command is written.
_ROUTINE = frozenset(
    "across_midnight one_line host_name_case caret backtick en_dash encoded_command pwsh"
    " second_removal gap_of_exactly_24h gap_a_microsecond_longer delivered_again".split()
)


def events() -> Iterator[Event]:
    """The events of every case."""
    for case in CASES:
        random = stream("case", case.name)
        yield from change_plants.events(case.name)
        if case.name in LINES:
            yield from _export_case(random, case)
        elif case.name in _READS:
            for row in _READS[case.name](random):
                yield Event(CLOUD, row, (_time(row),))


def reshape(event: Event) -> Event | None:
    """An ordinary event as the cases need it: None where a throttled mailbox records nothing."""
    if event.table != CLOUD or event.row["ActionType"] != "MailItemsAccessed":
        return event
    owner = json.loads(str(event.row["RawEventData"]))["MailboxOwnerUPN"]
    time = _time(event.row)
    if owner == "theo@example.com" and THROTTLED_AT <= time < THROTTLED_AT + DAY:
        return None
    if owner == "rita@example.com" and DELIVERED_OFTEN <= time < DELIVERED_OFTEN + HOUR:
        return replace(event, landed=tuple(time + n % 3 * HOUR for n in range(6)))
    return event


def _time(row: Row) -> datetime:
    at = row["Timestamp"]
    if not isinstance(at, datetime):
        raise TypeError(f"a row's time must be a datetime, not {at!r}")
    return at


def _export_case(random: Random, case: Case) -> Iterator[Event]:
    account = "svc-leavers" if case.entity == "mgmt01" else f"{case.entity}-admin"
    lines = LINES[case.name]
    if case.name in _ROUTINE:
        before = lines[0].time - 3 * DAY
        lines = (replace(Line("01", _new()), at=f"{before:%d} 09:12:00"), *lines)
    for line in lines:
        for row in _line_rows(random, line, case.entity, account):
            at = _time(row)
            again = case.name == "delivered_again" and at.day == case.day.day
            redelivered = (at + DAY,) if again and "New-" in line.text else (at,) if again else ()
            yield Event(PROCESSES, _peculiar(case, line, row), (at, *redelivered), late=line.late)


def _line_rows(random: Random, line: Line, host: str, account: str) -> Iterator[Row]:
    account = account if line.account is None else line.account
    if not line.twin:
        yield process(random, line.time, host, account, line.command_line, line.program)
        return
    outer = f"cmd.exe /C {line.command_line}"
    shell = process(random, line.time, host, account, outer, "cmd.exe")
    yield shell
    at = line.time + timedelta(milliseconds=340)
    yield process(random, at, host, account, line.command_line, line.program, shell)


def _peculiar(case: Case, line: Line, row: Row) -> Row:
    """The row with what makes its case: no DeviceId, another spelling, no account."""
    if case.name == "host_name_case":
        removal = "Remove-" in line.text
        name = str(row["DeviceName"])
        return row | {"DeviceId": None, "DeviceName": name.upper() if removal else name}
    if line.account is not None:
        prefixes = ("Account", "InitiatingProcessAccount")
        return row | {prefix + part: "" for prefix in prefixes for part in ("Sid", "Upn")}
    return row


def _moments(start: str, hours: float, count: int) -> Iterator[datetime]:
    """So many moments, evenly spread over the hours after `start` (October 2026, UTC)."""
    first = datetime.fromisoformat(f"2026-10-{start}:00+00:00")
    for n in range(count):
        yield first + timedelta(seconds=round(hours * 3600 * (n + 0.5) / count))


def _burst(random: Random) -> Iterator[Row]:
    for at in _moments("29 02:00", 2, 50):
        yield mail(random, at, "mia", 12, WEB, address=ABROAD)


def _night_read(random: Random) -> Iterator[Row]:
    for at in _moments("29 03:00", 3, 12):
        yield mail(random, at, "noel", 5 + random.randrange(2), WEB, address="198.51.100.23")


def _slow(day: int) -> Callable[[Random], Iterator[Row]]:
    def rows(random: Random) -> Iterator[Row]:
        for at in _moments(f"{day} 08:00", 9, 36):
            yield mail(random, at, "orders", 10, LEGACY, address="198.51.100.140")

    return rows


def _throttled(random: Random) -> Iterator[Row]:
    yield mail(random, THROTTLED_AT, "theo", 3, throttled=True)


def _sync(random: Random) -> Iterator[Row]:
    for at in _moments("27 01:00", 1, 36):
        yield mail(random, at, "sven", None, DESKTOP, address="2001:db8::77")


def _malformed(random: Random) -> Iterator[Row]:
    moments = _moments("26 15:00", 1, 5)
    rows = [mail(random, at, "max", 1) for at in moments]
    whole = str(rows[0]["RawEventData"])
    broken = (whole[: len(whole) // 2], "not json", whole.replace(":", "=", 3), "{", _flat(whole))
    for row, text in zip(rows, broken, strict=True):
        yield row | {"RawEventData": text}


def _flat(text: str) -> str:
    """A record whose nested values a script turned into text."""
    raw = json.loads(text)
    raw["Id"] = "5b6c0a51-93f2-4d2e-9f0a-6d1f5a1c7e42"
    raw["OperationProperties"] = [
        "@{Name=MailAccessType; Value=Bind}",
        "@{Name=IsThrottled; Value=False}",
    ]
    raw["Folders"] = [r"@{Id=LgAAAA; Path=\Inbox; FolderItems=System.Object[]}"]
    return json.dumps(raw, separators=(",", ":"))


def _other_users(random: Random) -> Iterator[Row]:
    for mailbox in ("anna", "bert", "cara", "dora"):
        for at in _moments("30 08:30", 8, 32):
            yield mail(random, at, mailbox, 1, WEB, actor="nolan", address="198.51.100.9")


def _new_app(random: Random) -> Iterator[Row]:
    for at in _moments("30 09:00", 7, 21):
        yield mail(random, at, "nina", 1, NEW_APP, address="198.51.100.201")


def _stolen_session(random: Random) -> Iterator[Row]:
    for at in _moments("28 10:00", 3, 6):
        yield mail(random, at, "karl", 1, WEB, address="203.0.113.66")


def _moved_house(random: Random) -> Iterator[Row]:
    for at in _moments("28 10:00", 3, 6):
        yield mail(random, at, "paul", 1, WEB, address="198.51.100.150")


_READS: dict[str, Callable[[Random], Iterator[Row]]] = {
    "burst_at_night": _burst,
    "night_read_at_daytime_volume": _night_read,
    "slow_exfiltration_first_day": _slow(29),
    "slow_exfiltration_second_day": _slow(30),
    "throttled": _throttled,
    "sync_without_count": _sync,
    "malformed_json": _malformed,
    "other_users_mailboxes": _other_users,
    "new_client_app": _new_app,
    "stolen_session": _stolen_session,
    "moved_house": _moved_house,
}
