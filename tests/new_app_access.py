"""Applications that read mail in a new way: the words of the hunt, and random records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from tests.oracle import DAY, END, START, Asked

ESTABLISHED, GROW_FROM, BROAD_FROM = 2 * DAY, 2, 3
CLIENTS = {"owa": "Client=OWA", "rest": "Client=REST", None: None}


@dataclass(frozen=True)
class Read:
    """A random record, as the oracle sees it."""

    number: int
    time: datetime
    tenant: str
    mailbox: str
    client: str | None
    api: str | None
    family: str | None
    own: bool
    items: int

    @property
    def app(self) -> str | None:
        return self.client or self.api

    @property
    def way(self) -> tuple[str | None, ...]:
        mode = None if not self.own and self.app is None else "app" if self.own else "user"
        return (self.app, self.api, self.family, mode)

    def row(self) -> dict[str, Any]:
        """The record as Defender delivers it."""
        return {
            "Timestamp": self.time,
            "TenantId": self.tenant,
            "ActionType": "MailItemsAccessed",
            "Application": "Microsoft Exchange Online",
            "ReportId": str(self.number),
            "RawEventData": {
                "MailboxOwnerUPN": self.mailbox,
                "UserId": self.mailbox,
                "UserType": 5 if self.own else 0,
                "ClientInfoString": CLIENTS[self.family],
                "ClientAppId": self.client,
                "AppId": self.api,
                "OperationCount": self.items,
            },
        }


def expected(reads: Sequence[Read]) -> dict[tuple[str, str], dict[str, Any]]:
    """What the words of the hunt say of these records, by tenant and application."""
    night = defaultdict[tuple[str, str], list[Read]](list)
    before = [read for read in reads if read.time < START]
    for read in sorted(reads, key=lambda read: (read.time, read.number)):
        if START <= read.time < END and read.app:
            night[read.tenant, read.app].append(read)
    hits = {}
    for (tenant, app), mine in night.items():
        theirs = [read for read in before if read.tenant == tenant and read.mailbox]
        had = {read.mailbox for read in theirs if read.app == app}
        old = {read.mailbox for read in theirs if read.time <= START - ESTABLISHED}
        more = {read.mailbox for read in mine} & old - had
        is_way = bool({read.way for read in mine} - {read.way for read in theirs})
        is_growth = bool(had) and len(more) >= max(GROW_FROM, len(had))
        own = any(read.own for read in mine)
        if had and not is_way and not is_growth:
            continue
        points = (
            (4 if not had else 2 * is_way + 4 * is_growth) + 2 * own + 2 * (len(more) >= BROAD_FROM)
        )
        hits[tenant, app] = {
            "score": points,
            "severity": "high" if points >= 6 else "medium" if points >= 4 else "low",
            "records": len(mine),
            "items": sum(read.items for read in mine),
            "mailboxes": len({read.mailbox for read in mine} - {""}),
            "mailboxes_before": len(had),
            "mailboxes_new": len(more),
            "is_new_app": not had,
            "is_new_way": bool(had) and is_way,
            "is_growth": is_growth,
            "is_app_only": own,
            "start_time": mine[0].time,
            "end_time": mine[-1].time,
        }
    return hits


_READ = st.builds(
    Read,
    number=st.just(0),
    time=st.builds(
        lambda hours: START + timedelta(hours=hours),
        st.integers(-80, 23) | st.integers(0, 23) | st.sampled_from([-48, 0, 24]),
    ),
    tenant=st.sampled_from(["", "", "t"]),
    mailbox=st.sampled_from(["ana", "bob", "cai", "dee", ""]),
    client=st.sampled_from(["old", "web", None]),
    api=st.sampled_from(["exo", "graph", None]),
    family=st.sampled_from(list(CLIENTS)),
    own=st.booleans(),
    items=st.integers(1, 5),
)


def world(drawn: list[Read]) -> list[Read]:
    """The records numbered, and with them what is looked for: an old application that spreads."""
    old = Read(0, START - 3 * DAY, "", "test", "old", "exo", "rest", True, 1)
    names = ("ana", "bob", "cai")
    usual = [replace(old, mailbox=name, client="web", own=False) for name in names]
    spread = [replace(old, time=START + DAY / 2, mailbox=name) for name in names]
    return [
        replace(read, number=number) for number, read in enumerate([old, *usual, *spread, *drawn])
    ]


ASKED = Asked(
    "new_app_access",
    {
        "history": ESTABLISHED,
        "established": ESTABLISHED,
        "growFrom": GROW_FROM,
        "broadFrom": BROAD_FROM,
    },
    st.lists(_READ, max_size=25),
    world,
    expected,
    ("tenant", "app_id"),
)
MUTANTS = [
    (">= greatest($growFrom, mailboxes_before)", ">= 2",
     "two mailboxes more are too few"),
    ("and known.first_time <= $start - $established", "",
     "mailboxes that are too young do not count as reached"),
    ("coalesce(nullif(record_app_id, ''), '-'),", "'-',",
     "the usual application in its usual way"),
    ("where is_new_app or is_new_way or is_growth", "where is_new_app or is_growth",
     "the usual ClientAppId with an AppId that was never seen"),
    ("+ 2 * cast(coalesce(is_app_only, false) as integer)", "",
     "an application known for users now reads for itself"),
    (
        "and $staged_from <= $start - $history",
        "and $staged_from is not null and $history is not null",
        "with less than thirty days staged it is still learning",
    ),
]  # fmt: skip
