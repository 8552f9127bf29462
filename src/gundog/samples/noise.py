"""The ordinary life of a small tenant, against which the planted cases must stand out.

Ordinary mailboxes keep to their own hours within narrow bounds, so that none looks odd by chance:
whatever is flagged in the samples was planted.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

from gundog.core.times import DAY, HOUR
from gundog.samples.rows import (
    CLOUD,
    DESKTOP,
    END,
    LEGACY,
    PHONE,
    PROCESSES,
    START,
    WEB,
    Client,
    Event,
    Row,
    activity,
    mail,
    process,
    stream,
)

# One hour of one day has no file: the export broke down.
LOST_HOUR = datetime.fromisoformat("2026-10-27T13:00:00+00:00")

DENSE = "anna bert cara dora hanna nina noel rita theo".split()
STEADY = ("orders",)
MEDIUM = "bruno emil fritz gerd ilse jan karl lena max mia olga paul pia rolf".split()
SPARSE = "nolan quinn silke tom ulla vera wanda xaver yves zoe".split()
SYNCED = "sven ines dirk eva falk greta".split()
MAILBOXES = (*DENSE, *STEADY, *MEDIUM, *SPARSE, *SYNCED)

# Assistants who have always read their manager's mail.
DELEGATES = (("lena", "bruno"), ("pia", "bruno"))

FLEET = "ws01 ws02 ws03 ws04 ws05 ws06 ws07 ws08 fs01 dc01 web01 adm01".split()
EXCHANGE_HOSTS = tuple(f"exch{n:02}" for n in range(1, 22))

# Share of a busy hour's work done in each hour of a working day, 07:00 to 18:00.
_WORK = dict(
    zip(range(7, 18), (0.3, 0.7, 1.0, 1.1, 1.0, 0.7, 0.9, 1.1, 1.0, 0.8, 0.4), strict=True)
)

_USER_COMMANDS = (
    ("msedge.exe", "explorer.exe", "msedge.exe --type=renderer --lang=en-GB"),
    ("msedge.exe", "explorer.exe", "msedge.exe --single-argument https://intranet.example.com/"),
    ("outlook.exe", "explorer.exe", '"OUTLOOK.EXE" /recycle'),
    ("cmd.exe", "explorer.exe", "cmd.exe /c ping -n 2 192.0.2.10"),
    ("ping.exe", "cmd.exe", "ping -n 2 192.0.2.10"),
    ("findstr.exe", "cmd.exe", r"findstr /s /i password C:\Users\Public\*.txt"),
    ("powershell.exe", "explorer.exe", r"powershell.exe -File C:\Scripts\map-drives.ps1"),
)
_INVENTORY = base64.b64encode("Get-Service | Export-Csv C:\\inv.csv".encode("utf-16-le")).decode()
_SYSTEM_COMMANDS = (
    ("svchost.exe", "services.exe", r"C:\Windows\System32\svchost.exe -k netsvcs -p -s Schedule"),
    ("svchost.exe", "services.exe", r"C:\Windows\System32\svchost.exe -k DcomLaunch -p"),
    ("conhost.exe", "svchost.exe", r"\??\C:\Windows\system32\conhost.exe 0xffffffff -ForceV1"),
    ("taskhostw.exe", "svchost.exe", "taskhostw.exe Install"),
    ("robocopy.exe", "cmd.exe", r"robocopy \\fs01\profiles D:\backup /mir /r:1"),
    ("powershell.exe", "svchost.exe", f"powershell.exe -NonInteractive -enc {_INVENTORY}"),
    ("powershell.exe", "svchost.exe", r"powershell.exe -NoProfile -File C:\Ops\health-check.ps1"),
)
_EXCHANGE_COMMANDS = tuple(
    ("powershell.exe", "explorer.exe", f'powershell.exe -NoProfile -Command "{text}"')
    for text in (
        "Get-MailboxStatistics -Server MBX01",
        "Get-MailboxDatabase -Status | Format-Table Name, DatabaseSize",
        "Get-MailboxExportRequest | Get-MailboxExportRequestStatistics",
        "Set-Mailbox -Identity room-3 -ProhibitSendQuota 2GB",
        "New-MoveRequest -Identity wanda -TargetDatabase DB02",
    )
)
_ADMIN_CMDLETS = "Set-Mailbox Add-MailboxPermission New-InboxRule Set-CASMailbox".split()
_MAIL_ACTIONS = "Send SoftDelete HardDelete MoveToDeletedItems Update Create".split()


def days() -> Iterator[datetime]:
    """The days of the samples, oldest first."""
    day = START
    while day < END:
        yield day
        day += DAY


def events() -> Iterator[Event]:
    """Every ordinary event, each with its deliveries."""
    for day in days():
        yield from _delivered(PROCESSES, day, (*_processes(day), *_exchange_work(day)))
        yield from _delivered(CLOUD, day, (*_mail(day), *_activities(day)))


def _delivered(table: str, day: datetime, rows: tuple[Row, ...]) -> Iterator[Event]:
    """Rows arrive minutes after they happen; about one in thirty is delivered again."""
    random = stream("delivery", table, day)
    for row in rows:
        at = row["Timestamp"]
        if (
            not isinstance(at, datetime)
            or at.replace(minute=0, second=0, microsecond=0) == LOST_HOUR
        ):
            continue
        first = at + timedelta(seconds=random.randrange(240))
        redelivered = random.choices((0, 1, 2), (970, 27, 3))[0]
        again = (first + random.randrange(7) * HOUR for _ in range(redelivered))
        yield Event(table, row, tuple(_landing(moment) for moment in (first, *again)))


def _landing(moment: datetime) -> datetime:
    """The lake ends with its last day, and nothing lands in the hour that has no file."""
    if moment - LOST_HOUR < HOUR and moment >= LOST_HOUR:
        moment += HOUR
    return min(moment, END - timedelta(seconds=1))


def _is_weekend(day: datetime) -> bool:
    return day.weekday() >= 5


def _within(random: Random, hour: datetime) -> datetime:
    return hour + timedelta(microseconds=random.randrange(3_600_000_000))


def _processes(day: datetime) -> Iterator[Row]:
    random = stream("processes", day)
    for _ in range(90 if _is_weekend(day) else 190):
        host = random.choice(FLEET if random.random() < 0.8 else EXCHANGE_HOSTS)
        system = _is_weekend(day) or random.random() < 0.5 or not host.startswith("ws")
        hours = range(24) if system else list(_WORK)
        weights = None if system else list(_WORK.values())
        at = _within(random, day + random.choices(hours, weights)[0] * HOUR)
        program, parent, line = random.choice(_SYSTEM_COMMANDS if system else _USER_COMMANDS)
        account = "system" if system else MEDIUM[int(host[2:])]
        yield process(random, at, host, account, line, program, parent)


def _exchange_work(day: datetime) -> Iterator[Row]:
    """What Exchange administrators do on a working day, none of it an export."""
    random = stream("exchange", day)
    for _ in range(0 if _is_weekend(day) else 8):
        at = _within(random, day + random.randrange(8, 17) * HOUR)
        program, parent, line = random.choice(_EXCHANGE_COMMANDS)
        yield process(random, at, "adm01", "exadmin", line, program, parent)
    if day.weekday() == 4:
        line = "Get-MailboxExportRequest -Status Completed | Remove-MailboxExportRequest"
        line = f'powershell.exe -NoProfile -Command "{line} -Confirm:$false"'
        yield process(random, _within(random, day + 16 * HOUR), "adm01", "exadmin", line)


def _mail(day: datetime) -> Iterator[Row]:
    habits: dict[tuple[str, ...], Callable[[Random, datetime, str], Iterator[Row]]] = {
        tuple(DENSE): _dense,
        STEADY: _steady,
        tuple(MEDIUM): _medium,
        tuple(SPARSE): _sparse,
        tuple(SYNCED): _synced,
    }
    for mailboxes, habit in habits.items():
        for mailbox in mailboxes:
            yield from habit(stream("mail", mailbox, day), day, mailbox)
    yield from _delegates(day)


def _dense(random: Random, day: datetime, mailbox: str) -> Iterator[Row]:
    """About 21 items in a busy hour; a look or two at weekends."""
    if _is_weekend(day):
        yield from _glances(random, day, mailbox, DESKTOP)
        return
    for hour, share in _WORK.items():
        total = round(21 * share) + random.randrange(-2, 3)
        clients = random.choices((DESKTOP, WEB), (3, 1), k=3)
        for client, items in zip(clients, _split(random, total, 3), strict=True):
            yield mail(random, _within(random, day + hour * HOUR), mailbox, items, client)


def _split(random: Random, total: int, parts: int) -> list[int]:
    """A total, at least `parts`, as so many parts of at least one."""
    edges = [0, *sorted(random.sample(range(1, total), parts - 1)), total]
    return [after - before for before, after in pairwise(edges)]


def _steady(random: Random, day: datetime, mailbox: str) -> Iterator[Row]:
    """A shared mailbox that a program empties at the same pace every day."""
    for hour in range(6, 20):
        for _ in range(2):
            at = _within(random, day + hour * HOUR)
            yield mail(random, at, mailbox, 10 + random.randrange(-1, 2), LEGACY)


def _medium(random: Random, day: datetime, mailbox: str) -> Iterator[Row]:
    """About five items in a busy hour, one record each."""
    if _is_weekend(day):
        yield from _glances(random, day, mailbox, WEB)
        return
    for hour, share in _WORK.items():
        items = round(5 * share) + random.randrange(-1, 2)
        if items > 0:
            client = WEB if random.random() < 0.3 else DESKTOP
            yield mail(random, _within(random, day + hour * HOUR), mailbox, items, client)


def _sparse(random: Random, day: datetime, mailbox: str) -> Iterator[Row]:
    if not _is_weekend(day) or random.random() < 0.2:
        yield from _glances(random, day, mailbox, random.choice((DESKTOP, WEB)))


def _glances(random: Random, day: datetime, mailbox: str, client: Client) -> Iterator[Row]:
    """Up to two short looks at the mailbox at any time of the day."""
    for _ in range(random.randrange(3)):
        at = _within(random, day + random.randrange(8, 20) * HOUR)
        yield mail(random, at, mailbox, random.randrange(1, 3), client)


def _synced(random: Random, day: datetime, mailbox: str) -> Iterator[Row]:
    """A desktop Outlook that synchronises at night, and its owner's few looks at the phone."""
    for hour in (0, 2, 4, 23):
        at = _within(random, day + hour * HOUR)
        yield mail(random, at, mailbox, None, DESKTOP, address=f"2001:db8::{len(mailbox)}:{hour:x}")
    yield from _glances(random, day, mailbox, PHONE)


def _delegates(day: datetime) -> Iterator[Row]:
    if _is_weekend(day):
        return
    for actor, mailbox in DELEGATES:
        random = stream("delegate", actor, day)
        at = _within(random, day + random.randrange(9, 16) * HOUR)
        yield mail(random, at, mailbox, 1, DESKTOP, actor=actor)


def _activities(day: datetime) -> Iterator[Row]:
    """Sign-ins and changes to mail around the clock, so that no hour is without a row."""
    random = stream("activities", day)
    for hour in range(24):
        busy = 0 if _is_weekend(day) else round(5 * _WORK.get(hour, 0))
        for _ in range(2 + busy):
            at = _within(random, day + hour * HOUR)
            action = random.choice(("UserLoggedIn", "UserLoggedIn", *_MAIL_ACTIONS))
            yield activity(random, at, action, random.choice(MAILBOXES))
        if busy > 3:
            at = _within(random, day + hour * HOUR)
            cmdlet = random.choice(_ADMIN_CMDLETS)
            yield activity(
                random, at, cmdlet, "exadmin", admin=True, subject=random.choice(MAILBOXES)
            )
