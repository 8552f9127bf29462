"""Mailbox exports by how they are done: the hunt against its words, over random commands."""

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

from gundog.core.times import Interval
from gundog.hunting import match
from gundog.testing import examples
from tests import draws, kit

LOADED = kit.shipped()
HUNT = LOADED.hunt("mailbox_export")
DAY = timedelta(days=1)
START = datetime(2026, 3, 10, tzinfo=UTC)
END = START + DAY
FIRST_SEEN, WITHIN, MIN_POINTS = 2 * DAY, timedelta(hours=3), 2
EXPORT = "powershell New-MailboxExportRequest -Mailbox ceo -FilePath "
LINES = {
    "export": EXPORT + r"\\fs01\pst\a.pst",
    "exposed": EXPORT + r"\\fs01\c$\a.pst",
    "disguised": "powershell " + EXPORT.replace("New-Mail", "New-Mai`l") + r"d:\a.pst",
    "removal": "powershell Remove-MailboxExportRequest ceo",
    "help": "powershell Get-Help New-MailboxExportRequest",
}


@dataclass(frozen=True)
class Command:
    """A random command, as the oracle sees it; an empty account is unknown."""

    number: int
    time: datetime
    tenant: str
    host: str
    account: str
    kind: str
    parent: str

    @property
    def exports(self) -> bool:
        return self.kind in ("export", "exposed", "disguised")

    def row(self) -> dict[str, Any]:
        """The process event as Defender delivers it."""
        return {
            "Timestamp": self.time,
            "TenantId": self.tenant,
            "DeviceName": f"{self.host}.example.com",
            "AccountDomain": "nt authority" if self.account == "system" else "example",
            "AccountName": self.account,
            "FileName": "powershell.exe",
            "InitiatingProcessFileName": self.parent,
            "ProcessCommandLine": LINES[self.kind],
            "ProcessId": self.number,
            "ReportId": self.number,
        }


def points_of(group: Sequence[Command], commands: Sequence[Command]) -> int:
    """What speaks against the exports of one account on one host."""
    tenant, host, account = group[0].tenant, group[0].host, group[0].account
    first, last = group[0].time, group[-1].time
    before = [
        command
        for command in commands
        if command.exports
        and command.tenant == tenant
        and first - FIRST_SEEN <= command.time < first
        and command.time >= START - FIRST_SEEN
    ]
    removals = [
        command
        for command in commands
        if command.kind == "removal"
        and (command.tenant, command.host) == (tenant, host)
        and first <= command.time <= last + WITHIN
        and command.time < END
    ]
    return (
        2 * any(command.parent == "w3wp.exe" for command in group)
        + 2 * any(command.kind == "exposed" for command in group)
        + (account == "system")
        + any(command.parent == "WScript.exe" for command in group)
        + any(command.kind == "disguised" for command in group)
        + (not any(command.host == host for command in before))
        + (not any(command.account == account != "" for command in before))
        + 2 * (bool(removals) and not any(one.account == account for one in removals))
    )


def expected(commands: Sequence[Command]) -> dict[Any, dict[str, Any]]:
    """What the words of the hunt say of these commands, by tenant, host and account."""
    groups = defaultdict[tuple[str, str, str], list[Command]](list)
    for command in sorted(commands, key=lambda command: command.time):
        if command.exports and START <= command.time < END:
            groups[command.tenant, command.host, command.account].append(command)
    promised = {}
    for key, group in groups.items():
        points = points_of(group, commands)
        if points >= MIN_POINTS:
            promised[key] = {
                "score": points,
                "severity": "high" if points >= 4 else "medium",
                "commands": len(group),
                "start_time": group[0].time,
                "end_time": group[-1].time,
            }
    return promised


_HOURS = st.integers(0, 24) | st.sampled_from([-50, -48, -47, -30, -2, -1, 0, 1, 2, 3, 5])
_WORLD = st.lists(
    st.builds(
        Command,
        number=st.just(0),
        time=st.builds(lambda hours: START + timedelta(hours=hours), _HOURS),
        tenant=st.sampled_from(["", "", "t"]),
        host=st.sampled_from(["exch01", "exch02"]),
        account=st.sampled_from(["ana", "bob", "system", ""]),
        kind=st.sampled_from([*LINES, "removal"]),
        parent=st.sampled_from(["explorer.exe", "explorer.exe", "w3wp.exe", "WScript.exe"]),
    ),
    min_size=3,
    max_size=14,
)


_COMMANDS = st.lists(_WORLD, min_size=10, max_size=10).map(draws.side_by_side)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with examples.bench(LOADED, HUNT) as opened:
        yield opened


def hunted(
    con: duckdb.DuckDBPyConnection, commands: Sequence[Command]
) -> dict[Any, dict[str, Any]]:
    """What the hunt finds, by tenant, host and account."""
    params = {
        **HUNT.detection.params,
        "firstSeen": FIRST_SEEN,
        "within": WITHIN,
        "minPoints": MIN_POINTS,
    }
    hunt = replace(HUNT, detection=replace(HUNT.detection, params=params))
    rows = {"DeviceProcessEvents": [command.row() for command in commands]}
    examples.fill(con, LOADED, hunt, rows, Interval(START - 90 * DAY, END))
    hits = match.match(con, hunt, Interval(START, END), START - 90 * DAY)
    return {
        (hit.row["tenant"], hit.row["host_name"], hit.row["account_name"] or ""): hit.row
        for hit in hits
    }


@draws.law(12, quick=3)
@given(commands=_COMMANDS, order=st.randoms(use_true_random=False))
def test_hunt_finds_what_its_words_say(
    con: duckdb.DuckDBPyConnection, commands: list[Command], order: Any
) -> None:
    """Exactly the exports that enough speaks against, with the points that the words give.

    What is delivered twice counts once, and the future counts for nothing, in any order.
    """
    promised = expected(commands)
    later = [replace(one, time=one.time + 9 * DAY, number=900 + one.number) for one in commands]
    more = [*commands, *commands, *later]
    order.shuffle(more)

    found = hunted(con, commands)

    assert {
        key: {name: row[name] for name in promised.get(key, {"score": 0})}
        for key, row in found.items()
    } == promised
    assert hunted(con, more) == found
