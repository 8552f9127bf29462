"""Mail read per mailbox and hour: the counts against their words, over random records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.times import DAY, HOUR, Interval, floor
from gundog.detections import checks
from gundog.testing import examples
from gundog.warehouse import query
from tests import draws, kit

LOADED = kit.shipped()
HUNT = LOADED.hunt("mail_items_accessed")
START = datetime(2026, 3, 10, tzinfo=UTC)
END = START + DAY
ESTABLISHED, FRESH, FEW = 2 * DAY, DAY, 1
KINDS = ("network", "provider", "country", "app")


@dataclass(frozen=True)
class Read:
    """A random record, as the oracle sees it."""

    number: int
    time: datetime
    tenant: str
    mailbox: str
    network: int
    provider: str | None
    country: str | None
    app: str | None
    items: int | None

    def row(self) -> dict[str, Any]:
        """The record as Defender delivers it; without items it is of a whole folder."""
        kind = "Sync" if self.items is None else "Bind"
        return {
            "Timestamp": self.time,
            "TenantId": self.tenant,
            "ActionType": "MailItemsAccessed",
            "Application": "Microsoft Exchange Online",
            "IPAddress": f"198.51.{self.network}.7",
            "CountryCode": self.country,
            "Isp": self.provider,
            "ReportId": str(self.number),
            "RawEventData": {
                "MailboxOwnerUPN": self.mailbox,
                "ClientAppId": self.app,
                "OperationProperties": [{"Name": "MailAccessType", "Value": kind}],
                "OperationCount": self.items,
            },
        }


_READ = st.builds(
    Read,
    number=st.just(0),
    time=st.builds(
        lambda minutes: START + timedelta(minutes=minutes),
        st.integers(-80 * 60, 26 * 60) | st.integers(-60, 24 * 60) | st.just(0) | st.just(1440),
    ),
    tenant=st.sampled_from(["", "", "t"]),
    mailbox=st.sampled_from(["ana", "bob", ""]),
    network=st.integers(1, 3),
    provider=st.sampled_from(["Fiber", "Hosting", None]),
    country=st.sampled_from(["NL", "BR", None]),
    app=st.sampled_from(["owa", "tool", None]),
    items=st.sampled_from([1, 2, 5, None]),
)


def expected(reads: Sequence[Read]) -> dict[tuple[datetime, str, str], dict[str, Any]]:
    """What the words of the hunt say of each hour."""
    first: dict[Any, datetime] = {}
    for read in reads:
        key = read.tenant, read.mailbox
        for place in (key, *((*key, kind, getattr(read, kind)) for kind in KINDS)):
            first[place] = min(first.get(place, read.time), read.time)
    hours = defaultdict[tuple[datetime, str, str], list[Read]](list)
    for read in reads:
        if START <= read.time < END:
            hours[floor(read.time, HOUR), read.tenant, read.mailbox].append(read)
    return {
        (hour, tenant, mailbox): {
            "items": sum(read.items or 0 for read in mine),
            **{
                f"{word}_{kind}": items(kind, mine, first)
                if mailbox and first[tenant, mailbox] + ESTABLISHED <= hour
                else None
                for kind in KINDS
                for word, items in (("new", _new), ("rare", _rare))
            },
        }
        for (hour, tenant, mailbox), mine in hours.items()
    }


def _new(kind: str, mine: Sequence[Read], first: dict[Any, datetime]) -> int:
    return sum(read.items or 0 for read in mine if _is_new(kind, read, first))


def _is_new(kind: str, read: Read, first: dict[Any, datetime]) -> bool:
    value = getattr(read, kind)
    if value is None:
        return False
    return read.time - first[read.tenant, read.mailbox, kind, value] < FRESH


def _rare(kind: str, mine: Sequence[Read], first: dict[Any, datetime]) -> int:
    """What few mailboxes of the tenant had a while before."""
    return sum(
        read.items or 0
        for read in mine
        if _is_new(kind, read, first)
        and sum(
            key[0] == read.tenant
            and bool(key[1])
            and key[2:] == (kind, getattr(read, kind))
            and time <= read.time - FRESH
            for key, time in first.items()
        )
        <= FEW
    )


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with examples.bench(LOADED, HUNT) as opened:
        yield opened


@draws.law(60, quick=5)
@given(drawn=st.lists(_READ, max_size=30))
def test_hours_hold_what_their_words_say(con: duckdb.DuckDBPyConnection, drawn: list[Read]) -> None:
    """Items of each hour, and of them those from what the mailbox had for less than a day."""
    planted = [
        Read(0, START - 3 * DAY, "", "ana", 1, "Fiber", "NL", "owa", 2),
        Read(0, START + 2 * HOUR, "", "ana", 9, "Hosting", "BR", "owa", 3),
        Read(0, START + 26 * HOUR, "", "ana", 9, "Hosting", "BR", "owa", 3),
        # Two others have it for a day: new to the mailbox, and not rare.
        Read(0, START - 30 * HOUR, "", "bob", 7, "Cable", "NL", "owa", 1),
        Read(0, START - 29 * HOUR, "", "cyd", 7, "Cable", "NL", "owa", 1),
        Read(0, START + 5 * HOUR, "", "ana", 7, "Cable", "NL", "owa", 4),
    ]
    reads = [replace(read, number=n) for n, read in enumerate([*planted, *drawn])]
    rows = {"CloudAppEvents": [read.row() for read in reads]}
    examples.fill(con, LOADED, HUNT, rows, Interval(START - 90 * DAY, END))
    params = {"established": ESTABLISHED, "fresh": FRESH, "few": FEW}

    counted = query.arrow(
        con, HUNT.sql, checks.bind_params(params, START, END, START - 90 * DAY)
    ).to_pylist()

    promised = expected(reads)
    found = {(row["hour"], row["tenant"], row["mailbox"]): row for row in counted}
    assert promised[START + 2 * HOUR, "", "ana"]["rare_network"]
    told = promised[START + 5 * HOUR, "", "ana"]
    assert told["new_network"] - told["rare_network"] >= 4
    assert {
        key: {name: row[name] for name in promised.get(key, {"items": 0})}
        for key, row in found.items()
    } == promised
