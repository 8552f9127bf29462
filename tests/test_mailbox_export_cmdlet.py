"""Exports that PowerShell itself records: the hunt against its words, over random commands."""

from __future__ import annotations

import json
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
HUNT = LOADED.hunt("mailbox_export_cmdlet")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
START = datetime(2026, 3, 10, tzinfo=UTC)
END = START + DAY
FIRST_SEEN, WITHIN, TOGETHER, MIN_POINTS = 2 * DAY, 3 * HOUR, HOUR, 3
EXPORT = "New-MailboxExportRequest"
TEXTS = {
    "export": EXPORT,
    "exposed": EXPORT + r" -Mailbox ceo -FilePath \\fs01\c$\a.pst",
    "removal": "Remove-MailboxExportRequest",
    "both": f"{EXPORT}; Remove-MailboxExportRequest ceo",
    "help": f"Get-Help {EXPORT}",
}
SHELL = ("powershell.exe", "powershell.exe", "explorer.exe")
PROCESSES = {
    "shell": SHELL,
    "named": ("powershell.exe", f"powershell {EXPORT} -Mailbox ceo", "explorer.exe"),
    "under web": ("powershell.exe", "powershell -File a.ps1", "w3wp.exe"),
    "web": ("w3wp.exe", "w3wp.exe -ap MSExchangePowerShellAppPool", "svchost.exe"),
    "script": ("WScript.exe", "wscript.exe a.vbs", "explorer.exe"),
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
    process: str

    @property
    def exports(self) -> bool:
        return self.kind in ("export", "exposed", "both")

    @property
    def removes(self) -> bool:
        return self.kind in ("removal", "both")

    @property
    def place(self) -> tuple[str, str]:
        return self.tenant, self.host

    def row(self) -> dict[str, Any]:
        """The event as Defender delivers it."""
        name, line, parent = PROCESSES[self.process]
        return {
            "Timestamp": self.time,
            "TenantId": self.tenant,
            "DeviceName": f"{self.host}.example.com",
            "ActionType": "PowerShellCommand",
            "InitiatingProcessAccountDomain": "example" if self.account else "",
            "InitiatingProcessAccountName": self.account,
            "InitiatingProcessFileName": name,
            "InitiatingProcessCommandLine": line,
            "InitiatingProcessParentFileName": parent,
            "InitiatingProcessId": self.number,
            "AdditionalFields": json.dumps({"Command": TEXTS[self.kind]}),
            "ReportId": self.number,
        }


def is_echo(command: Command, commands: Sequence[Command]) -> bool:
    """Whether a shell of the host recorded the same cmdlet of a web server."""
    return command.process == "web" and any(
        other.process != "web"
        and other.place == command.place
        and abs(other.time - command.time) <= TOGETHER
        and ((other.exports and command.exports) or (other.removes and command.removes))
        for other in commands
    )


def finding(group: Sequence[Command], direct: Sequence[Command]) -> dict[str, Any]:
    """What the words of the hunt say of the exports of one account on one host."""
    first, last, account = group[0].time, group[-1].time, group[0].account
    before = [
        command
        for command in direct
        if command.exports
        and command.tenant == group[0].tenant
        and first - FIRST_SEEN <= command.time < first
    ]
    removals = [
        command.time
        for command in direct
        if command.removes
        and command.place == group[0].place
        and first <= command.time <= last + WITHIN
    ]
    in_web = any(command.process == "web" for command in group)
    is_known_account = any(command.account == account != "" for command in before)
    points = (
        2 * in_web
        + 2 * any(command.process == "under web" for command in group)
        + 2 * any(command.kind == "exposed" for command in group)
        + any(command.process == "script" for command in group)
        + (not any(command.host == group[0].host for command in before))
        + (not is_known_account and not in_web)
        + 3 * bool(removals)
    )
    return {
        "score": points,
        "severity": "high" if points >= 4 else "medium",
        "commands": len(group),
        "start_time": first,
        "end_time": last,
        "removed_at": min(removals, default=None),
    }


_Key = tuple[str, str, str, bool]


def expected(commands: Sequence[Command]) -> dict[_Key, dict[str, Any]]:
    """What the words of the hunt say, by tenant, host, account and whether it was earlier."""
    seen = sorted(
        (one for one in commands if START - WITHIN - FIRST_SEEN <= one.time < END),
        key=lambda command: (command.time, command.number),
    )
    direct = [command for command in seen if not is_echo(command, seen)]
    groups = defaultdict[_Key, list[Command]](list)
    for command in direct:
        if command.exports and command.process != "named" and command.time >= START - WITHIN:
            key = (*command.place, command.account, command.time < START)
            groups[key].append(command)
    found = {key: finding(group, direct) for key, group in groups.items()}
    return {
        key: one
        for key, one in found.items()
        if one["score"] >= MIN_POINTS
        and (not key[-1] or (one["removed_at"] and one["removed_at"] >= START))
    }


_HOURS = st.integers(0, 24) | st.sampled_from([-53, -52, -51, -50, -48, -30, -4, -3, -2, -1, 0, 1])
_WORLD = st.lists(
    st.builds(
        Command,
        number=st.just(0),
        time=st.builds(lambda hours: START + timedelta(hours=hours), _HOURS),
        tenant=st.sampled_from(["", "", "t"]),
        host=st.sampled_from(["exch01", "exch02"]),
        account=st.sampled_from(["ana", "bob", ""]),
        kind=st.sampled_from([*TEXTS, "export", "removal"]),
        process=st.sampled_from([*PROCESSES, "shell", "web"]),
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
) -> dict[_Key, dict[str, Any]]:
    """What the hunt finds, by tenant, host, account and whether it was earlier."""
    params = {
        **HUNT.detection.params,
        "firstSeen": FIRST_SEEN,
        "within": WITHIN,
        "together": TOGETHER,
        "minPoints": MIN_POINTS,
    }
    hunt = replace(HUNT, detection=replace(HUNT.detection, params=params))
    rows = {"DeviceEvents": [command.row() for command in commands]}
    examples.fill(con, LOADED, hunt, rows, Interval(START - 90 * DAY, END))
    hits = match.match(con, hunt, Interval(START, END), START - 90 * DAY)
    names = ("tenant", "host_name", "account_name", "is_earlier")
    return {
        (row["tenant"], row["host_name"], row["account_name"] or "", row["is_earlier"]): row
        for row in ({name: hit.row[name] for name in (*names, *_TOLD)} for hit in hits)
    }


_TOLD = ("score", "severity", "commands", "start_time", "end_time", "removed_at")


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

    assert {key: {name: row[name] for name in _TOLD} for key, row in found.items()} == promised
    assert hunted(con, more) == found


def test_the_interesting_cases_are_among_those_drawn(con: duckdb.DuckDBPyConnection) -> None:
    """An export inside the web server; one that a shell asked for; a removal after midnight."""
    at = START + 5 * HOUR
    web = Command(1, at, "", "exch01", "system", "export", "web")
    shell = replace(web, number=2, account="ana", process="shell")
    evening = replace(shell, number=3, time=START - HOUR, host="exch02")
    removal = replace(evening, number=4, time=START + HOUR, kind="removal")

    assert hunted(con, [web]).keys() == {("", "exch01", "system", False)} == expected([web]).keys()
    assert hunted(con, [web, shell]) == {} == expected([web, shell])
    pair = hunted(con, [evening, removal])
    assert pair.keys() == {("", "exch02", "ana", True)} == expected([evening, removal]).keys()


@pytest.mark.parametrize(
    ("fields", "rejected"),
    [
        ('{"Command":"New-MailboxExportRequest"}', None),
        ('{"command":"Exch\\\\New-MailboxExportRequest"}', None),
        ('{"Command":"New-Mailbox`ExportRequest -Mailbox a"}', None),
        ('{"Command":"New-Mailbox\\u0060ExportRequest -Mailbox a"}', None),
        ('{"Command":"New-OnPremMailboxExportRequest"}', None),
        ('{"Command": New-MailboxExportRequest}', "no Command in AdditionalFields"),
        ('{"Script":"New-MailboxExportRequest"}', "no Command in AdditionalFields"),
    ],
)
def test_the_command_is_read_out_of_its_fields(
    con: duckdb.DuckDBPyConnection, fields: str, rejected: str | None
) -> None:
    """In every spelling; a record without one is kept as rejected."""
    row = Command(1, START, "", "exch01", "ana", "export", "shell").row()
    rows = {"DeviceEvents": [{**row, "AdditionalFields": fields}]}

    examples.fill(con, LOADED, HUNT, rows, Interval(START - DAY, END))

    stage = LOADED.stages["exchange_cmdlets"]
    staged = con.sql(f"select reject_reason, actions from {stage.table}").fetchall()
    assert staged == [(rejected, [] if rejected else ["export"])]
