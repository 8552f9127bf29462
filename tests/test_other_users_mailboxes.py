"""The grant beside an account that reads another user's mailbox: against a brute force."""

from __future__ import annotations

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
HUNT = LOADED.hunt("other_users_mailboxes")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 3, 10, tzinfo=UTC)
END = START + DAY
HISTORY = 3 * DAY
# Eve reads the mailboxes of the chief and of the treasurer at noon, and nothing before.
READ_AT = START + 12 * HOUR
READER, MAILBOXES = "eve@example.com", ("ceo@example.com", "cfo@example.com")
ROLE = "ApplicationImpersonation"


@dataclass(frozen=True)
class Grant:
    """A random grant, as the oracle sees it; one for all mailboxes names none."""

    number: int
    time: datetime
    tenant: str
    giver: str
    let_in: str
    mailbox: str
    fails: bool = False
    denies: bool = False

    def row(self) -> dict[str, Any]:
        """The record as Defender delivers it."""
        if self.mailbox:
            action = "Add-MailboxPermission"
            given = {"Identity": self.mailbox, "User": self.let_in, "AccessRights": "FullAccess"}
            given |= {"Deny": "True"} if self.denies else {}
        else:
            action = "New-ManagementRoleAssignment"
            given = {"Role": ROLE, "User": self.let_in}
        record = {
            "Id": f"n{self.number}",
            "UserId": self.giver,
            "ResultStatus": "Failure" if self.fails else "Success",
            "Parameters": given,
        }
        return {
            "Timestamp": self.time,
            "TenantId": self.tenant,
            "ActionType": action,
            "RawEventData": record,
        }

    @property
    def opens_all(self) -> bool:
        return not self.mailbox


def reads() -> list[dict[str, Any]]:
    """Three records of each mailbox."""
    return [
        {
            "Timestamp": READ_AT + n * timedelta(minutes=1),
            "TenantId": "",
            "ActionType": "MailItemsAccessed",
            "Application": "Microsoft Exchange Online",
            "RawEventData": {
                "Id": f"r{mailbox}{n}",
                "UserId": READER,
                "MailboxOwnerUPN": mailbox,
                "LogonType": 2,
                "OperationCount": 1,
            },
        }
        for mailbox in MAILBOXES
        for n in range(3)
    ]


def expected(grants: Sequence[Grant]) -> dict[str, tuple[Any, ...]]:
    """By mailbox: who gave the right and when: the newest for it, else the newest for all."""
    last_read = READ_AT + timedelta(minutes=2)
    told: dict[str, tuple[Any, ...]] = {}
    for mailbox in MAILBOXES:
        fitting = [
            grant
            for grant in grants
            if not grant.tenant
            and not grant.fails
            and not (grant.denies and grant.mailbox)
            and START - HISTORY <= grant.time <= last_read
            and grant.let_in in (READER, "eve")
            and grant.mailbox in ("", mailbox, mailbox.split("@")[0])
        ]
        fitting.sort(key=lambda grant: (grant.opens_all, -grant.time.timestamp()))
        told[mailbox] = (fitting[0].giver, fitting[0].time) if fitting else (None, None)
    return told


_GRANTS = st.lists(
    st.builds(
        Grant,
        number=st.just(0),
        time=st.integers(-80, 23).map(lambda hours: START + hours * HOUR),
        tenant=st.sampled_from(["", "", "", "t"]),
        giver=st.sampled_from(["admin@example.com", READER]),
        let_in=st.sampled_from([READER, READER, "eve", "bob@example.com"]),
        mailbox=st.sampled_from([*MAILBOXES, "ceo", "", "other@example.com"]),
        fails=st.sampled_from([False, False, False, True]),
        denies=st.sampled_from([False, False, False, True]),
    ),
    max_size=10,
    unique_by=lambda grant: grant.time,
).map(lambda drawn: [replace(grant, number=n) for n, grant in enumerate(drawn)])


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with examples.bench(LOADED, HUNT) as opened:
        yield opened


def hunted(con: duckdb.DuckDBPyConnection, grants: Sequence[Grant]) -> dict[str, tuple[Any, ...]]:
    """By mailbox: who gave the right and when, as the findings have it."""
    params = {**HUNT.detection.params, "history": HISTORY}
    hunt = replace(HUNT, detection=replace(HUNT.detection, params=params))
    rows = {"CloudAppEvents": [*reads(), *(grant.row() for grant in grants)]}
    examples.fill(con, LOADED, hunt, rows, Interval(START - 90 * DAY, END))
    hits = match.match(con, hunt, Interval(START, END), START - 90 * DAY)
    for hit in hits:
        has_grant = any(event.role == "grant" for event in hit.events)
        assert has_grant == (hit.row["granted_by"] is not None)
        assert ("no grant seen" in hit.row["reason"]) != has_grant
    return {hit.row["mailbox"]: (hit.row["granted_by"], hit.row["granted_at"]) for hit in hits}


@draws.law(60, quick=10)
@given(grants=_GRANTS)
def test_the_grant_is_the_newest_that_fits(
    con: duckdb.DuckDBPyConnection, grants: list[Grant]
) -> None:
    """For this account and mailbox, given before it was read last, and not refused."""
    assert hunted(con, grants) == expected(grants)


def test_a_grant_for_the_mailbox_goes_before_one_for_all(con: duckdb.DuckDBPyConnection) -> None:
    """The case that decides; the other mailbox has only the role."""
    role = Grant(0, START + 9 * HOUR, "", "admin@example.com", READER, "")
    own = Grant(1, START + 8 * HOUR, "", READER, "eve", "ceo")

    found = hunted(con, [role, own])

    assert found == expected([role, own])
    assert [giver for giver, _ in found.values()] == [READER, "admin@example.com"]
