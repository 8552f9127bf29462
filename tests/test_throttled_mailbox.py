"""Who made the records before a mailbox was cut off: against a brute force, over random reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.times import Interval
from gundog.hunting import match
from gundog.testing import examples
from tests import draws, kit

LOADED = kit.shipped()
HUNT = LOADED.hunt("throttled_mailbox")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 3, 10, tzinfo=UTC)
END = START + DAY
SILENCE = 12 * HOUR
BOX = "ana@example.com"
TOPS = ("top_session", "top_address", "top_application")
_Top = list[dict[str, Any]] | None


@dataclass(frozen=True)
class Read:
    """A random record of the one mailbox; an empty part is not in it."""

    number: int
    time: datetime
    session: str
    address: str
    app: str
    is_mark: bool = False

    def row(self) -> dict[str, Any]:
        """The record as Defender delivers it."""
        properties = [{"Name": "IsThrottled", "Value": str(self.is_mark)}]
        return {
            "Timestamp": self.time,
            "ActionType": "MailItemsAccessed",
            "Application": "Microsoft Exchange Online",
            "RawEventData": {
                "Id": f"n{self.number}",
                "UserId": BOX,
                "MailboxOwnerUPN": BOX,
                "SessionId": self.session,
                "ClientIPAddress": self.address,
                "ClientAppId": self.app,
                "OperationCount": 1,
                "OperationProperties": properties,
            },
        }

    def part(self, aspect: str) -> tuple[str, str]:
        """What it has of an aspect, as it is shown and as it is known: addresses by network."""
        if aspect == "top_address":
            return self.address, ".".join(self.address.split(".")[:3])
        value = self.session if aspect == "top_session" else self.app
        return value, value


def top(aspect: str, mark: Read, reads: Sequence[Read]) -> _Top:
    """The three most frequent of the records before the mark, and whether they are new."""
    day = [read for read in reads if mark.time - SILENCE <= read.time <= mark.time]
    counted = Counter(name for name, _ in (read.part(aspect) for read in day) if name)
    if not counted:
        return None
    ranked = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:3]
    is_known_itself = min(read.time for read in reads) < mark.time - SILENCE
    known = {read.part(aspect)[1] for read in reads if read.time < mark.time - SILENCE}
    as_known = dict(read.part(aspect) for read in day)
    return [
        {
            "value": name,
            "records": count,
            "share": round(count / counted.total(), 4),
            "is_new": as_known[name] not in known if is_known_itself else None,
        }
        for name, count in ranked
    ]


def expected(reads: Sequence[Read]) -> dict[datetime, dict[str, _Top]]:
    """What stands in each finding, by the time of its mark."""
    marks = sorted(read.time for read in reads if read.is_mark and read.time < END)
    firsts = [
        at for at in marks if at >= START and not any(at - SILENCE < other < at for other in marks)
    ]
    return {
        at: {
            aspect: top(aspect, next(read for read in reads if read.time == at), reads)
            for aspect in TOPS
        }
        for at in firsts
    }


_READS = st.lists(
    st.builds(
        Read,
        number=st.just(0),
        time=st.integers(-40, 23).map(lambda hours: START + hours * HOUR),
        session=st.sampled_from(["s1", "s2", "s3", "s4", ""]),
        address=st.sampled_from(["192.0.2.7", "192.0.2.9", "198.51.100.7", ""]),
        app=st.sampled_from(["a1", "a2", ""]),
        is_mark=st.sampled_from([False, False, False, True]),
    ),
    min_size=4,
    max_size=16,
    unique_by=lambda read: read.time,
).map(lambda drawn: [replace(read, number=n) for n, read in enumerate(drawn)])


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with examples.bench(LOADED, HUNT) as opened:
        yield opened


def hunted(
    con: duckdb.DuckDBPyConnection, reads: Sequence[Read]
) -> dict[datetime, dict[str, _Top]]:
    """What the hunt finds, by the time of the mark."""
    params = {**HUNT.detection.params, "silence": SILENCE}
    hunt = replace(HUNT, detection=replace(HUNT.detection, params=params))
    rows = {"CloudAppEvents": [read.row() for read in reads]}
    examples.fill(con, LOADED, hunt, rows, Interval(START - 90 * DAY, END))
    hits = match.match(con, hunt, Interval(START, END), START - 90 * DAY)
    return {hit.row["start_time"]: {aspect: hit.row[aspect] for aspect in TOPS} for hit in hits}


@draws.law(60, quick=10)
@given(reads=_READS)
def test_the_parts_are_those_of_the_records_before(
    con: duckdb.DuckDBPyConnection, reads: list[Read]
) -> None:
    """Sessions, addresses and applications, the most frequent first, with shares and newness."""
    assert hunted(con, reads) == expected(reads)


def test_a_thief_among_the_owners_records_is_new(con: duckdb.DuckDBPyConnection) -> None:
    """The case that decides: nine records of a session that the mailbox never had, one known."""
    old = Read(0, START - 30 * HOUR, "own", "192.0.2.7", "a1")
    again = replace(old, number=1, time=START + HOUR)
    thief = [
        Read(n, START + n * HOUR, "thief", "198.51.100.7", "a1", n == 10) for n in range(2, 11)
    ]
    reads = [old, again, *thief]

    found = hunted(con, reads)

    assert found == expected(reads)
    (tops,) = found.values()
    assert [
        (part["value"], part["share"], part["is_new"]) for part in tops["top_session"] or ()
    ] == [
        ("thief", 0.9, True),
        ("own", 0.1, False),
    ]
    assert [part["is_new"] for part in tops["top_application"] or ()] == [False]
