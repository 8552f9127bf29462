"""Random lakes of two tenants who share names, hosts, mailboxes and event ids, for the law.

What tells tenants apart badly is planted in every world: the same person on the same host, an
application that one has used for weeks and the other begins to use, bursts in a pool that is large
enough only together, an hour that one exporter did not write, a file that comes late.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gundog.core.times import parse_time
from tests.kit import DAY, write_text

FIRST = parse_time("2026-02-02")  # of the lake
HISTORY = 31
NIGHTS = 4
HUNTED = FIRST + HISTORY * DAY  # the first day that is hunted
TENANTS = ("alpha", "beta")
LAYOUTS = ("folders", "null column", "mixed")
MAILBOXES = 16
HOUR = timedelta(hours=1)
MAIL, SHELL = "CloudAppEvents", "DeviceProcessEvents"

_CONFIG = """\
content: [builtin]
lake:
  CloudAppEvents: lake/CloudAppEvents/{folder}date=%Y-%m-%d/*.parquet
  DeviceProcessEvents: lake/DeviceProcessEvents/{folder}date=%Y-%m-%d/*.parquet
lateArrival: 3d
memoryLimit: 2GB
overrides:
  mail_items_accessed: {{series: {{alertBudget: 0.1}}}}
"""
_EXCEPTIONS = """\
- detection: mailbox_export_removed
  match: {tenant: alpha, account_name: adm-known}
  expires: 2030-01-01
  reason: legal hold
- detection: other_users_mailboxes
  match: {actor: backup@example.com}
  expires: 2030-01-01
  reason: a backup, whoever's
"""
_TEXTS = {
    MAIL: ("ActionType", "Application", "IPAddress", "RawEventData", "TenantId"),
    SHELL: ("DeviceName", "AccountDomain", "AccountName", "FileName", "ProcessCommandLine",
            "TenantId"),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of a source, whose it is, and on which day of the lake its file comes."""

    source: str
    tenant: str
    at: datetime
    arrives: int
    values: Mapping[str, Any]


@dataclass
class World:
    """Rows of both tenants, and how they lie in files."""

    layout: str
    rows: list[Row] = field(default_factory=list)
    silent: frozenset[tuple[str, str, int]] = frozenset()  # days without a file

    def mail(self, tenant: str, at: datetime, mailbox: str, late: int = 0, **record: Any) -> None:
        """A record of mail items read; its id is that of a record of the other tenant too."""
        day = (at - FIRST) // DAY
        known = {
            "Id": f"{int(at.timestamp()):08x}-0000-4000-8000-{record.pop('number', 0):012x}",
            "MailboxOwnerUPN": f"{mailbox}@example.com",
            "UserId": f"{record.pop('actor', mailbox)}@example.com",
            "OperationCount": record.pop("items", 2),
            "ClientAppId": record.pop("app", "a0000000-0000-4000-8000-000000000001"),
            "ResultStatus": "Succeeded",
            "OperationProperties": [
                {"Name": "MailAccessType", "Value": "Bind"},
                {"Name": "IsThrottled", "Value": str(record.pop("throttled", False))},
            ],
            **record,
        }
        values = {
            "ActionType": "MailItemsAccessed",
            "Application": "Microsoft Exchange Online",
            "IPAddress": "192.0.2.7",
            "RawEventData": json.dumps(known),
        }
        self.rows.append(Row(MAIL, tenant, at, day + late, values))

    def shell(self, tenant: str, at: datetime, who: str, line: str, late: int = 0) -> None:
        """A command line on the one Exchange server that both tenants call exch01."""
        values = {
            "DeviceName": "exch01.example.com",
            "AccountDomain": "EXAMPLE",
            "AccountName": who,
            "FileName": "powershell.exe",
            "ProcessCommandLine": line,
        }
        self.rows.append(Row(SHELL, tenant, at, (at - FIRST) // DAY + late, values))

    def pair(self, tenant: str, at: datetime, who: str, late: int = 0) -> None:
        """An export, and its removal ten minutes later."""
        self.shell(tenant, at, who, "powershell New-MailboxExportRequest -Mailbox ceo", late)
        removal = at + timedelta(minutes=10)
        self.shell(tenant, removal, who, "powershell Remove-MailboxExportRequest ceo", late)


def build(layout: str, seed: int) -> World:
    """A world with everything planted and some happenings by chance."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    # The second tenant joins before the nights, or in the middle of them.
    joins = {"alpha": 0, "beta": chance.choice([14, 25, HISTORY + 1])}
    gap = chance.randrange(HISTORY - 9, HISTORY - 2)
    world = World(layout, silent=frozenset({("alpha", MAIL, gap)}))
    for tenant, first in joins.items():
        _ordinary(world, tenant, first)
    _planted(world, gap)
    for _ in range(chance.randrange(4, 16)):
        _happening(world, chance)
    return world


def _ordinary(world: World, tenant: str, first: int) -> None:
    """What each day has: a few reads of every mailbox, a busy hour, and a quiet command line."""
    for day in range(first, HISTORY + NIGHTS):
        start = FIRST + day * DAY
        world.shell(tenant, start + 23 * HOUR, "ana", "powershell Get-Date")
        for number in range(MAILBOXES):
            for hour in (8, 14, 20):
                at = start + hour * HOUR + timedelta(minutes=number)
                world.mail(tenant, at, f"box{number}", items=1 + (day + number) % 3)
        for minute in range(24):  # enough for its absence to be an outage
            world.mail(tenant, start + 10 * HOUR + timedelta(minutes=minute), "box0", number=1)


def _planted(world: World, gap: int) -> None:
    """The cases that every world has, at nearly the same times in both tenants."""
    alpha, beta = TENANTS
    second, last = HUNTED + DAY, HUNTED + 3 * DAY
    for tenant, minutes in ((alpha, 0), (beta, 5)):
        world.pair(tenant, second + 9 * HOUR + timedelta(minutes=minutes), "adm-eve")
        world.pair(tenant, second + 10 * HOUR + timedelta(minutes=minutes), "adm-eve")
        world.pair(tenant, second + 11 * HOUR, "adm-known")
        world.pair(tenant, last - 10 * HOUR, "adm-late", late=1)
        # The same record to the letter, and the first in a day that is throttled.
        world.mail(tenant, last + 6 * HOUR, "box3", number=9, throttled=True)
        world.mail(tenant, second + 7 * HOUR, "box5", number=3, actor="backup")
    # Old for one, new for the other: an application, and a delegate.
    old, new = "b0000000-0000-4000-8000-000000000002", "b0000000-0000-4000-8000-000000000003"
    for number in range(4):
        for at in (last + (8 + number) * HOUR, last + (9 + number) * HOUR):
            world.mail(alpha, at, "box2", number=5 + number, app=new, actor="helper")
    for day in range(HISTORY - 10, HISTORY + NIGHTS):
        for number in range(4):
            at = FIRST + day * DAY + (2 + number) * HOUR
            world.mail(beta, at, "box2", number=5, app=new, actor="helper")
            world.mail(beta, at, "box4", number=6, app=old)
    world.mail(alpha, last + 5 * HOUR, "box6", number=7, app=old)
    # Bursts, more than the budget sends; exactly on an hour as the Sentinel hunt wants it.
    for tenant, boxes in ((alpha, (7, 8, 9)), (beta, (7, 8))):
        for box in boxes:
            at = second + 3 * HOUR
            world.mail(tenant, at, f"box{box}", number=20 + box, items=900 + box)
    # An hour in which one tenant's exporter was down, in the history and in a hunted night.
    for day in (gap + 1, HISTORY + 2):
        dead = FIRST + day * DAY + 10 * HOUR
        world.rows = [
            row for row in world.rows
            if (row.tenant, row.source) != (alpha, MAIL) or not dead <= row.at < dead + HOUR
        ]  # fmt: skip


def _happening(world: World, chance: random.Random) -> None:
    tenant, late = chance.choice(TENANTS), chance.choice([0, 0, 1])
    at = HUNTED + timedelta(minutes=chance.randrange(NIGHTS * 24 * 60))
    box = f"box{chance.randrange(MAILBOXES)}"
    kind = chance.choice(["pair", "read", "burst", "delegate", "app", "throttled"])
    if kind == "pair":
        world.pair(tenant, at, chance.choice(["adm-eve", "adm-known", "adm-other"]), late)
    elif kind == "burst":
        world.mail(tenant, at, box, late, number=30, items=chance.randrange(100, 2000))
    elif kind == "delegate":
        for turn in range(4):
            world.mail(tenant, at + turn * HOUR, box, late, number=31, actor="helper")
    elif kind == "app":
        app = f"c0000000-0000-4000-8000-{chance.randrange(3):012}"
        world.mail(tenant, at, box, late, number=32, app=app)
    else:
        world.mail(tenant, at, box, late, number=33, throttled=kind == "throttled")


# ---- as files ----


def make_project(root: Path, layout: str) -> Path:
    """A project that hunts such a lake with everything that ships."""
    folder = "" if layout == "mixed" else "tenantId=*/"
    text = _CONFIG.format(folder=folder)
    write_text(root / "gundog.yaml", text)
    write_text(root / "exceptions.yaml", _EXCEPTIONS)
    return root


def write_arrivals(root: Path, world: World, day: int, tenants: Iterable[str]) -> None:
    """Writes the files that come on a day of the lake, with rows of some tenants alone.

    In a lake of mixed files a tenant's absence makes files empty, and nothing else of them.
    """
    files: dict[tuple[str, str, bool], list[Row]] = {}
    for row in world.rows:
        own = (row.at - FIRST) // DAY
        if row.arrives == day and (row.tenant, row.source, own) not in world.silent:
            owner = "" if world.layout == "mixed" else row.tenant
            files.setdefault((row.source, owner, row.arrives > own), []).append(row)
    wanted = set(tenants)
    for (source, owner, is_late), rows in files.items():
        mine = [row for row in rows if row.tenant in wanted]
        if mine or not owner:
            folder = f"tenantId={owner}/" if owner else ""
            name = f"{folder}date={FIRST + day * DAY:%Y-%m-%d}/{'late' if is_late else 'f'}.parquet"
            _write(root / "lake" / source / name, source, world.layout, mine)


def _write(path: Path, source: str, layout: str, rows: list[Row]) -> None:
    names = [name for name in _TEXTS[source] if name != "TenantId" or layout != "folders"]
    schema = pa.schema([("Timestamp", pa.timestamp("us", "UTC")),
                        *((name, pa.string()) for name in names)])  # fmt: skip
    records = [
        {"Timestamp": row.at, **row.values, "TenantId": _told(layout, row, place)}
        for place, row in enumerate(rows)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(records, schema), path)
    os.utime(path, ns=(0, 0))


def _told(layout: str, row: Row, place: int) -> str | None:
    """What the column says: the tenant, or nothing, in either of its spellings."""
    return row.tenant if layout == "mixed" else (None, "")[place % 2]
