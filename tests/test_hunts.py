"""The shipped hunts: their words as brute force, and mutants that their examples must notice."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from hypothesis import example as planted
from hypothesis import given
from hypothesis import strategies as st

from gundog.detections import cmdlet_words, cmdlets, command_lines, shells, stage_sql
from gundog.detections.detection import Example
from gundog.detections.hunt import Hunt
from gundog.testing import examples
from gundog.warehouse import redeliveries, statement
from tests import benches, draws, kit

ROOT = Path(__file__).parents[1]
SQL = ROOT / "sql"
PROCESSES, CLOUD = "DeviceProcessEvents", "CloudAppEvents"
STEMS = (
    "mailbox_export_removed",
    "mail_items_accessed",
    "throttled_mailbox",
    "other_users_mailboxes",
    "new_client_app",
)
US = timedelta(microseconds=1)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
T0 = datetime(2026, 1, 12, tzinfo=UTC)

Row = dict[str, Any]


def example(stem: str, name: str) -> Example:
    """The example of a detection with this name."""
    return next(one for one in kit.shipped().hunt(stem).detection.examples if one.name == name)


# Mutants


@dataclass(frozen=True)
class Mutant:
    """A wrong version of a SQL file, and the example that notices."""

    stem: str
    file: str
    old: str
    new: str
    killer: str

    def __str__(self) -> str:
        return f"{self.stem}: {self.killer}"


PAIR, SERIES, MUTED, OTHERS, APPS = STEMS
MUTANTS = [
    # The order of the pair.
    Mutant(PAIR, PAIR, "and exported.event_time <= removed.event_time", "",
           "removal before the export only"),
    Mutant(PAIR, PAIR, "exported.event_time <= removed", "exported.event_time < removed",
           "one command line with both is one finding without a gap"),
    # The first removal only.
    Mutant(PAIR, PAIR, "partition by exported.event_id\n",
           "partition by exported.event_id, removed.event_id\n", "a second removal adds nothing"),
    Mutant(PAIR, PAIR, "order by removed.event_time,", "order by removed.event_time desc,",
           "a second removal adds nothing"),
    # The window.
    Mutant(PAIR, PAIR, "event_time + $within as",
           "event_time + $within + interval 1 microsecond as",
           "a gap of a day and a microsecond does not"),
    Mutant(PAIR, PAIR, "exported.paired_until >= removed", "exported.paired_until > removed",
           "a gap of exactly a day fires"),
    Mutant(PAIR, PAIR, "and event_time < $end", "",
           "across midnight is nothing to the day of the export"),
    Mutant(PAIR, PAIR, "where pairs.removed_at >= $start", "",
           "the same pair belongs to no other day"),
    # The lookback.
    Mutant(PAIR, PAIR, "event_time >= $start - $within - $firstSeen", "event_time >= $start",
           "across midnight belongs to the day of the removal"),
    Mutant(PAIR, PAIR, "event_time >= $start - $within - $firstSeen",
           "event_time >= $start - $firstSeen",
           "the week before an export of yesterday reaches back eight days"),
    # Who and where.
    Mutant(PAIR, PAIR, "exported.tenant = removed.tenant", "true",
           "a removal by another account, on another host, in another domain or tenant"),
    Mutant(PAIR, PAIR, """            and coalesce(
                exported.account_sid = removed.account_sid,
                exported.account_key = removed.account_key
            )""", "and exported.account_name = removed.account_name", "one name, two AccountSids"),
    Mutant(PAIR, PAIR, """            and coalesce(
                exported.device_id = removed.device_id,
                exported.host_name = removed.host_name
            )""", "and exported.host_name = removed.host_name", "one device under two names"),
    # One process, and shells that start shells.
    Mutant(PAIR, PAIR, """            and (
                list_has_any(exported.both_ids, removed.event_ids)
                or not list_has_any(exported.event_ids, removed.event_ids)
            )""", "", "one command line that removes first and exports then"),
    Mutant(PAIR, PAIR, "parent.event_id as root_id", "lineage.root_id",
           "cmd that starts powershell with the same cmdlet is one command"),
    Mutant(PAIR, PAIR, "order by root_created nulls last", "order by root_created desc",
           "three shells that start each other are one command"),
    # Severity.
    Mutant(PAIR, PAIR, "pairs.known_from <= other", "pairs.known_from < other",
           "an export exactly a week before still counts"),
    Mutant(PAIR, PAIR, "and pairs.known_from <= other.event_time", "",
           "an export a week and a microsecond before does not"),
    Mutant(PAIR, PAIR, "pairs.event_time > other", "pairs.event_time >= other",
           "removal two minutes after the export, in the next clock hour"),
    Mutant(PAIR, PAIR, ")) and bool_or(", ")) or bool_or(",
           "a known host but a new account, and a known account on a new host, are high"),
    Mutant(PAIR, PAIR, "len(undone) > 0 or has", "has",
           "carets, an en dash and base64 are undone and make it high"),
    Mutant(PAIR, PAIR, "or has_exposed", "",
           "a file on an administrative share or in a web folder makes it high"),
    # What the staged rows are.
    Mutant(PAIR, "stage/shell_commands", "when is_shell then normalise",
           "when false then normalise",
           "carets, an en dash and base64 are undone and make it high"),
    Mutant(PAIR, "stage/shell_commands", "([^a-z]|`[nr])*', 'g'", "', 'g'",
           "carets, an en dash and base64 are undone and make it high"),
    Mutant(PAIR, "stage/shell_commands", "'A([^0-9A-Za-z]|`[nr])*[A-H]", "'Z[A-H]",
           "carets, an en dash and base64 are undone and make it high"),
    Mutant(PAIR, "stage/shell_commands", "when is_shell then cmdlets_run",
           "when true then cmdlets_run", "a program that is not a shell does not"),
    Mutant(PAIR, "stage/shell_commands", "then cmdlets_run(ProcessCommandLine) end as calls",
           "then cmdlets_run(command_text) end as calls",
           "encoded, the line end between asking and running still parts them"),
    Mutant(PAIR, "stage/shell_commands", "'new-[\\pL\\pN_]*mailboxexportrequest'",
           "'new-mailboxexportrequest'",
           "a session imported with a prefix has cmdlets of its own names"),
    Mutant(PAIR, "stage/shell_commands", "'remove-[\\pL\\pN_]*mailboxexportrequest'",
           "'remove-mailboxexportrequest'",
           "a session imported with a prefix has cmdlets of its own names"),
    Mutant(PAIR, "stage/shell_commands", "(new|remove)-[\\pL\\pN_]*mailbox", "(new|remove)-mailbox",
           "a session imported with a prefix has cmdlets of its own names"),
    Mutant(PAIR, "stage/shell_commands", "lower(call.arguments)", "''",
           "a file on an administrative share or in a web folder makes it high"),
    Mutant(PAIR, "stage/shell_commands", "when Timestamp is null then 'no Timestamp'",
           "when Timestamp is not null then 'a Timestamp'",
           "a row without a time is set aside and the rest is found"),
    # Counts.
    Mutant(SERIES, SERIES, "sum(items)", "count(items)", "a burst at night"),
    Mutant(SERIES, SERIES, "mailbox,\n        cast(", "'' as mailbox,\n        cast(",
           "a burst at night"),
    Mutant(SERIES, "stage/mail_access", "contains(lower(Application), 'exchange')", "true",
           "malformed JSON, other actions and other applications are not mail reads"),
    *(Mutant(SERIES, "stage/mail_access", old, "false",
             "a burst in records that call the application Office 365, or nothing")
      for old in ("coalesce(Application, '') = ''", "contains(Application, '365')")),
    Mutant(SERIES, "stage/mail_access", "lower(ActionType) = 'mailitemsaccessed'", "true",
           "malformed JSON, other actions and other applications are not mail reads"),
    # Throttled.
    Mutant(MUTED, MUTED, "and event_time >= $start\n", "", "a mark of the day before still stands"),
    Mutant(MUTED, MUTED, "and event_time < $end", "", "a mark after the interval"),
    Mutant(MUTED, MUTED, "event_time >= $start - $silence", "event_time >= $start",
           "a mark of the day before still stands"),
    Mutant(MUTED, MUTED, "last_throttled + $silence <=",
           "last_throttled + $silence - interval 1 microsecond <=",
           "a mark of the day before still stands"),
    Mutant(MUTED, MUTED, "last_throttled + $silence <=", "last_throttled + $silence <",
           "a day later it is a new one"),
    Mutant(MUTED, MUTED, "last_throttled is null or last_throttled + $silence <= event_time",
           "true", "it says so twice in the same day"),
    Mutant(MUTED, MUTED, "partition by tenant, mailbox order by event_time, event_id",
           "order by event_time, event_id", "two mailboxes, and one address in two tenants"),
    Mutant(MUTED, "stage/mail_access", "one.name = 'IsThrottled'", "one.name <> 'IsThrottled'",
           "records that do not say so, and properties that a script has flattened"),
    *(Mutant(MUTED, "stage/mail_access", old, "zzz",
             "properties that a script has flattened still say so")
      for old in ("isthrottled[^\\w{}]+(value[^\\w{}]+)?true",
                  "true[^\\w{}]+name[^\\w{}]+isthrottled",
                  "mailaccesstype[^\\w{}]+(value[^\\w{}]+)?bind",
                  "bind[^\\w{}]+name[^\\w{}]+mailaccesstype")),
    # Other users' mailboxes.
    Mutant(OTHERS, OTHERS, "event_time >= $start - $history", "event_time >= $start",
           "a delegate that read it thirty days ago"),
    Mutant(OTHERS, OTHERS, "previous_time < event_time - $history",
           "previous_time <= event_time - $history", "a delegate that read it thirty days ago"),
    Mutant(OTHERS, OTHERS, "and event_time < $end", "",
           "and is nothing to the first"),
    Mutant(OTHERS, OTHERS, "$minRecords) >= $start\n", "$minRecords) is not null\n",
           "nor to the third, which sees the same account again"),
    Mutant(OTHERS, OTHERS, "<= first_time + $within",
           "<= first_time + $within + interval 1 microsecond",
           "too slow for the floor"),
    Mutant(OTHERS, OTHERS, "when 'Sync' then $minRecords", "when 'Sync' then 1",
           "a folder that is synchronised reaches the floor alone"),
    Mutant(OTHERS, OTHERS, "and $staged_from <= $start - $history", "and $staged_from is not null",
           "with less than thirty days staged it is still learning"),
    Mutant(OTHERS, OTHERS, "and actor <> mailbox", "",
           "owners, also under another address, and records without an account"),
    Mutant(OTHERS, OTHERS, "and logon_type is distinct from 'owner'", "",
           "owners, also under another address, and records without an account"),
    Mutant(OTHERS, OTHERS, "and coalesce(logon_sid <> owner_sid, true)", "",
           "owners, also under another address, and records without an account"),
    Mutant(OTHERS, OTHERS, "logon_type is distinct from", "logon_type <>",
           "a record that names no kind of logon counts"),
    # New client applications.
    Mutant(APPS, APPS, "event_time >= $start - $history", "event_time >= $start",
           "the usual application"),
    Mutant(APPS, APPS, "max(last_before) < min(first_time) - $history",
           "max(last_before) <= min(first_time) - $history", "seen thirty days ago"),
    Mutant(APPS, APPS, "    and mail.event_time < $end\n", "",
           "the last instant before the interval's end counts, the end does not"),
    Mutant(APPS, APPS, "and $staged_from <= $start - $history", "and $staged_from is not null",
           "with less than thirty days staged it is still learning"),
    Mutant(APPS, APPS, "between 1 and $commonFrom - 1", "between 1 and $commonFrom",
           "new to a mailbox, and three others had seen it"),
    Mutant(APPS, APPS, "mail.event_time <= spread", "mail.event_time < spread",
           "new to a mailbox with exactly fourteen days of history"),
    Mutant(APPS, APPS, "                    and mail.event_time <= spread.known_until\n", "",
           "new to a mailbox without fourteen days of history"),
    Mutant(APPS, APPS, "arrivals.tenant = uses.tenant and ", "",
           "known in one tenant, new in the other"),
    Mutant(APPS, APPS, ") <= $commonFrom", ") < $commonFrom",
           "rolled out to four mailboxes in one day"),
    Mutant(APPS, APPS, "uses.first_time < arrivals", "uses.first_time <= arrivals",
           "rolled out to four mailboxes in one day"),
    Mutant(APPS, "stage/mail_access", "nullif(OAuthAppId, ''),", "",
           "named only outside of ClientAppId, or not at all"),
    Mutant(APPS, "stage/mail_access", "case when is_odd then normalise_record",
           "case when false then normalise_record", "records in other shapes say the same"),
    Mutant(APPS, "stage/mail_access", "case when is_odd then try", "case when false then try",
           "records in other shapes say the same"),
    Mutant(APPS, "stage/mail_access", "'$.Folders[*].FolderItems'", "'$.Folders[0].FolderItems'",
           "records in other shapes say the same"),
    Mutant(APPS, "stage/mail_access", "when contains(address, ':')", "when false",
           "an address with a port or in brackets"),
]  # fmt: skip


def mutated(mutant: Mutant) -> Hunt:
    """The hunt with one fragment of its SQL, or of its stage's, replaced."""
    text = (SQL / f"{mutant.file}.sql").read_text(encoding="utf-8")
    assert mutant.old in text, f"{mutant.file}.sql no longer holds {mutant.old!r}"
    changed = text.replace(mutant.old, mutant.new)
    hunt = kit.shipped().hunt(mutant.stem)
    if not mutant.file.startswith("stage/"):
        return replace(hunt, sql=changed)
    return replace(hunt, stages=tuple(replace(one, sql=changed) for one in hunt.stages))


def fails(hunt: Hunt, name: str) -> bool:
    """True when the hunt does not give what its example promises."""
    problems = examples.check(kit.shipped(), hunt, example(hunt.detection.stem, name))
    return len(problems) > 0


@pytest.mark.parametrize(
    "mutant", draws.spread((pytest.param(mutant, id=str(mutant)) for mutant in MUTANTS), every=8)
)
def test_mutant_fails_its_example(mutant: Mutant) -> None:
    """A hunt that is wrong in one place fails the example that stands for this place."""
    hunt, loaded = mutated(mutant), kit.shipped()

    assert examples.check(
        loaded, hunt, example(mutant.stem, mutant.killer), benches.of(loaded, hunt)
    )


_ASKED = "asking the audit log, the roles and the event log about both is not an export"
_LOOKED_UP = "looking the cmdlet up, searching for it and trying it out are not exports"
_BESIDE = "a real export beside a look-up, or with WhatIf switched off, is one"
_ASKS_RUNS = "a line that asks and then runs one is an export"
_WORDS_RUN = "words that the line itself runs are commands"


@pytest.mark.parametrize(
    ("module", "name", "wrong", "killer"),
    [
        (cmdlet_words, "asks", lambda _: False, _ASKED),
        (cmdlet_words, "TRIED", re.compile("-zzz"), _LOOKED_UP),
        (cmdlet_words, "TRIED", re.compile("-whatif", re.I), _BESIDE),
        (cmdlet_words, "RUNS_TEXT", frozenset(), _WORDS_RUN),
        (cmdlet_words, "KEEPS_TEXT", re.compile("zzz"), _WORDS_RUN),
        (cmdlets, "_execute", lambda _: None, _WORDS_RUN),
        *(
            (
                cmdlet_words,
                "TOKEN",
                re.compile(cmdlet_words.TOKEN.pattern.replace(part, ""), re.S),
                _ASKS_RUNS,
            )
            for part in ("|;", r"|\|\|?", "|&&?", r"|@?\{")
        ),
        (shells, "_unquoted", str, _BESIDE),
        (
            shells,
            "_behind_script",
            lambda *_: "",
            "a file on an administrative share or in a web folder makes it high",
        ),
    ],
)
def test_reader_of_commands_that_is_wrong_fails_its_example(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, wrong: object, killer: str
) -> None:
    """What decides that a line runs a cmdlet cannot be left out."""
    monkeypatch.setattr(module, name, wrong)

    hunt = kit.shipped().hunt(PAIR)
    bench = benches.of(kit.shipped(), hunt)
    assert examples.check(kit.shipped(), hunt, example(PAIR, killer), bench)


@pytest.mark.parametrize(
    ("stem", "killer"),
    [
        (PAIR, "the same pair delivered three times is one finding"),
        pytest.param(SERIES, "records delivered again count once", marks=pytest.mark.slow),
        (MUTED, "the same record delivered again"),
        (OTHERS, "one record less than the floor, even when delivered again"),
        (APPS, "delivered again"),
    ],
)
def test_hunt_without_dedupe_fails_its_example(
    stem: str, killer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeing a re-delivered event twice changes what each hunt finds."""
    whole = stage_sql.view_sql
    monkeypatch.setattr(stage_sql, "view_sql", lambda stage: whole(stage).partition(" and not ")[0])

    assert fails(kit.shipped().hunt(stem), killer)


# Stage SQL and hunts on random events


class Bench:
    """One small warehouse in memory: source events in, rows of a hunt out."""

    def __init__(self, stage: str) -> None:
        self.stage = kit.shipped().stages[stage]
        self.source = kit.shipped().sources[self.stage.source]
        hunt = next(hunt for hunt in kit.shipped().hunts if self.stage in hunt.stages)
        # Hunts may read other tables of the source, which stay empty here.
        beside = [
            stage
            for stage in kit.shipped().stages.values()
            if stage.source == self.stage.source and stage is not self.stage
        ]
        self.opened = ExitStack()
        self.con = self.opened.enter_context(
            examples.bench(kit.shipped(), replace(hunt, stages=(self.stage, *beside)))
        )

    def fill(self, rows: Sequence[Row]) -> None:
        """Replaces all events, and stages them."""
        self.con.execute(f"delete from {self.source.name}")
        self.con.execute(f"delete from {self.stage.table}")
        if rows:
            names = sorted({name for row in rows for name in row})
            columns = [pa.array([row.get(name) for row in rows]) for name in names]
            events = pa.table(columns, names=names)
            self.con.register("events", events)
            self.con.execute(f"insert into {self.source.name} by name from events")
            self.con.unregister("events")
        self.con.execute(f"insert into {self.stage.table} by name {self.stage.sql}")
        redeliveries.mark(self.con, self.stage.table)

    def staged(self) -> list[Row]:
        """Every staged row, rejected and re-delivered ones too."""
        return self._rows(f"from {self.stage.table} order by all", {})

    def hunt(self, stem: str, start: datetime, end: datetime, **params: object) -> list[Row]:
        """The rows of a hunt over [start, end)."""
        hunt = kit.shipped().hunt(stem)
        return self.run(hunt.sql, start, end, **{**hunt.detection.params, **params})

    def run(self, sql: str, start: datetime, end: datetime, **params: object) -> list[Row]:
        """The rows of a hunt's SQL over [start, end)."""
        given = {"staged_from": start - 999 * DAY, **params, "start": start, "end": end}
        return self._rows(sql, {name: given[name] for name in statement.parameters(sql)})

    def reports(self) -> dict[UUID, int]:
        """Which ReportId each event has; the random events below number themselves with it."""
        rows = self._rows(f"select event_id, report_id from {self.stage.table}", {})
        return {row["event_id"]: int(row["report_id"]) for row in rows}

    def _rows(self, sql: str, params: Mapping[str, object]) -> list[Row]:
        cursor = self.con.execute(sql, dict(params))
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture(scope="module")
def shells() -> Iterator[Bench]:
    """A warehouse with shell_commands."""
    bench = Bench("shell_commands")
    yield bench
    bench.opened.close()


@pytest.fixture(scope="module")
def mail() -> Iterator[Bench]:
    """A warehouse with mail_access."""
    bench = Bench("mail_access")
    yield bench
    bench.opened.close()


# The pair, from its words

WITHIN, FIRST_SEEN = 6 * HOUR, 9 * HOUR
LINES = {
    "export": ("N",),
    "removal": ("R",),
    "export; removal": ("N", "R"),
    "removal; export": ("R", "N"),
    "removal; export; removal": ("R", "N", "R"),
    "help": (),
}
SPELLED = {
    "N": "New-MailboxExportRequest -Mailbox ceo",
    "R": "Remove-MailboxExportRequest ceo",
    "": "Get-Help New-MailboxExportRequest",
}


@dataclass(frozen=True)
class Command:
    """A random process event, as the oracle sees it."""

    number: int
    time: datetime
    tenant: str
    device: str | None
    host: str | None
    sid: str | None
    domain: str | None
    name: str | None
    shell: bool
    acts: tuple[str, ...]
    disguised: bool
    exposed: bool
    parent: int | None

    @property
    def is_both(self) -> bool:
        return "R" in self.acts[self.acts.index("N") :] if "N" in self.acts else False

    def row(self) -> Row:
        """The event as Defender delivers it."""
        said = "; ".join(SPELLED[act] for act in self.acts) or SPELLED[""]
        said = said.replace("Mailbox", "Mail^box", 1) if self.disguised else said
        said += " -FilePath \\\\srv01\\D$\\a.pst" if self.exposed else ""
        return {
            "Timestamp": self.time,
            "TenantId": self.tenant,
            "DeviceId": self.device,
            "DeviceName": self.host,
            "AccountSid": self.sid,
            "AccountDomain": self.domain,
            "AccountName": self.name,
            "FileName": "PowerShell.exe" if self.shell else "notepad.exe",
            "ProcessCommandLine": f"powershell {said}",
            "ProcessId": 1000 + self.number,
            "ProcessCreationTime": T0 + self.number * US,
            "InitiatingProcessId": None if self.parent is None else 1000 + self.parent,
            "InitiatingProcessCreationTime": None if self.parent is None else T0 + self.parent * US,
            "ReportId": self.number,
        }


def plain(text: str | None) -> str | None:
    """Lower case, and nothing for what names nothing."""
    return None if not text or text == "-" else text.lower()


def same_host(one: Command, other: Command) -> bool:
    """DeviceId where both have one, else the first label of the name."""
    if plain(one.device) and plain(other.device):
        return plain(one.device) == plain(other.device)
    labels = [plain((row.host or "").split(".")[0]) for row in (one, other)]
    return labels[0] is not None and labels[0] == labels[1]


def same_account(one: Command, other: Command) -> bool:
    """AccountSid where both have one, else domain and name."""
    if plain(one.sid) and plain(other.sid):
        return plain(one.sid) == plain(other.sid)
    names = [(plain(row.domain) or "", plain(row.name)) for row in (one, other)]
    return names[0][1] is not None and names[0] == names[1]


def families(rows: Sequence[Command], act: str) -> list[list[Command]]:
    """Commands of one cmdlet: shells that start each other together, the earliest first."""
    acting = {row.number: row for row in rows if row.shell and act in row.acts}

    def root(row: Command) -> int:
        parent = acting.get(-1 if row.parent is None else row.parent)
        if parent and parent.tenant == row.tenant and same_host(row, parent):
            return root(parent)
        return row.number

    found: dict[int, list[Command]] = {}
    for row in sorted(acting.values(), key=lambda row: (row.time, row.number)):
        found.setdefault(root(row), []).append(row)
    return list(found.values())


def expected_pairs(rows: Sequence[Command], start: datetime, end: datetime) -> list[Row]:
    """What the words of the hunt say of these events, one finding per export."""
    seen = [row for row in rows if row.time < end]
    exports, removals = families(seen, "N"), families(seen, "R")
    findings = []
    for export in exports:
        first = export[0]
        both = {row.number for row in export if row.is_both}
        candidates = []
        for removal in removals:
            shared = {row.number for row in export} & {row.number for row in removal}
            gap = removal[0].time - first.time
            if (
                first.tenant == removal[0].tenant
                and same_host(first, removal[0])
                and same_account(first, removal[0])
                and timedelta() <= gap <= WITHIN
                and (not shared or both & shared)
            ):
                candidates.append(removal)
        if not candidates:
            continue
        soonest = min(removal[0].time for removal in candidates)
        ties = [removal for removal in candidates if removal[0].time == soonest]
        if soonest >= start:
            findings.append(expected_pair(export, ties, exports))
    return sorted(findings, key=lambda row: row["export"])


def expected_pair(
    export: list[Command], ties: list[list[Command]], exports: list[list[Command]]
) -> Row:
    """One finding; `ties` are removals of the same instant, of which any may be named."""
    first = export[0]
    known = [
        other[0]
        for other in exports
        if other is not export
        and other[0].tenant == first.tenant
        and first.time - FIRST_SEEN <= other[0].time < first.time
    ]
    is_known = any(same_host(first, one) for one in known) and any(
        same_account(first, one) for one in known
    )
    exposed = any(row.exposed for row in export)
    numbers = {row.number for row in export}
    options = []
    for removal in ties:
        rows = {row.number: row for row in [*export, *removal]}
        disguised = any(row.disguised for row in rows.values())
        options.append(
            {
                "evidence": sorted(rows),
                "severity": "high" if disguised or exposed or not is_known else "medium",
                "same_process": any(row.is_both and row.number in numbers for row in removal),
            }
        )
    return {
        "export": first.number,
        "start": first.time,
        "end": ties[0][0].time,
        "options": options,
    }


def found_pairs(bench: Bench, start: datetime, end: datetime) -> list[Row]:
    """What the SQL says, in the oracle's words."""
    numbers = bench.reports()
    rows = bench.hunt(PAIR, start, end, within=WITHIN, firstSeen=FIRST_SEEN)
    found = [
        {
            "export": numbers[row["export_event_id"]],
            "start": row["start_time"],
            "end": row["end_time"],
            "option": {
                "evidence": sorted(numbers[one["event_id"]] for one in row["evidence"]),
                "severity": row["severity"],
                "same_process": row["same_process"],
            },
        }
        for row in rows
    ]
    return sorted(found, key=lambda row: row["export"])


USUAL: Row = {"device": None, "host": "h1", "sid": None, "domain": "EX", "name": "ana"}
UNUSUAL: dict[str, list[str | None]] = {
    "device": ["d1", "D1", "d2", "-", ""],
    "host": ["H1.example.com", "h2", "-", "", None],
    "sid": ["S-1", "s-1", "S-2", "-", ""],
    "domain": ["ex", "other", "-", "", None],
    "name": ["ANA", "bob", "-", "", None],
}


def commands(seed: int) -> list[Command]:
    """Events on a coarse grid of times, hosts and accounts, so that everything collides.

    Drawn evenly rather than by hypothesis, which likes all events of a list alike: then hardly
    any two of them are a pair.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret
    made: list[Command] = []
    lines = [*LINES, *["export", "removal"] * 4]
    for number in range(chance.randint(2, 10)):
        parent = chance.choice(made) if made and chance.random() < 0.3 else None
        acts = LINES[chance.choice(lines)]
        fields: Row = {
            name: chance.choice(UNUSUAL[name]) if chance.random() < 0.08 else usual
            for name, usual in USUAL.items()
        }
        fields["tenant"] = "t2" if chance.random() < 0.08 else ""
        time = T0 + chance.randint(0, 60) * HOUR / 2 + chance.choice([0, 0, 1]) * US
        if parent:
            time = parent.time + timedelta(milliseconds=1)
            acts = parent.acts if chance.random() < 0.7 else acts
            fields = {name: getattr(parent, name) for name in fields}
        made.append(
            Command(
                number=number,
                time=time,
                **fields,
                shell=chance.random() < 0.9,
                acts=acts,
                disguised=chance.random() < 0.1,
                exposed=acts[-1:] == ("N",) and chance.random() < 0.1,
                parent=parent.number if parent else None,
            )
        )
    return made


def delivered(rows: Sequence[Row], seed: int) -> list[Row]:
    """The same events in any order, some of them twice."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    twice = [*rows, *(row for row in rows if chance.random() < 0.3)]
    chance.shuffle(twice)
    return twice


def agree(found: Sequence[Row], expected: Sequence[Row]) -> bool:
    """Equal row for row; of removals in the same instant either may be the first."""
    return [(row["export"], row["start"], row["end"]) for row in found] == [
        (row["export"], row["start"], row["end"]) for row in expected
    ] and all(
        row["option"] in wanted["options"] for row, wanted in zip(found, expected, strict=True)
    )


SEEDS = st.integers(0, 2**32)


@draws.law(60, quick=3)
@planted(seed=38, start=0, length=32)  # four and three findings of all kinds
@planted(seed=207, start=0, length=32)
@planted(seed=368, start=0, length=32)
@given(seed=SEEDS, start=st.integers(0, 16), length=st.integers(0, 32))
def test_pairs_are_what_the_words_say(shells: Bench, seed: int, start: int, length: int) -> None:
    """On random events the SQL finds what a brute force reading of its rules finds."""
    rows = commands(seed)
    low, high = T0 + start * HOUR, T0 + (start + length) * HOUR
    shells.fill(delivered([row.row() for row in rows], seed))

    found = found_pairs(shells, low, high)

    expected = expected_pairs(rows, low, high)
    assert agree(found, expected), (found, expected)


@draws.law(40, quick=2)
@planted(seed=38, hours={0, 12, 32})
@planted(seed=207, hours={0, 16, 32})
@given(seed=SEEDS, hours=st.sets(st.integers(0, 32), min_size=3, max_size=3))
def test_pairs_of_two_intervals_are_those_of_both(
    shells: Bench, seed: int, hours: set[int]
) -> None:
    """Findings over [a, c) are those over [a, b) and those over [b, c)."""
    a, b, c = (T0 + hour * HOUR for hour in sorted(hours))
    shells.fill([row.row() for row in commands(seed)])

    def hunt(start: datetime, end: datetime) -> list[Row]:
        return shells.hunt(PAIR, start, end, within=WITHIN, firstSeen=FIRST_SEEN)

    def ordered(found: list[Row]) -> list[Row]:
        return sorted(found, key=lambda row: (row["start_time"], row["export_event_id"]))

    assert ordered(hunt(a, b) + hunt(b, c)) == ordered(hunt(a, c))


# The mail hunts, from their words

HISTORY, ESTABLISHED, SILENCE, FLOOR, COMMON = 3 * DAY, 30 * HOUR, 12 * HOUR, 3, 3


@dataclass(frozen=True)
class Read:
    """A random MailItemsAccessed record, as the oracles see it."""

    number: int
    time: datetime
    tenant: str
    mailbox: str
    actor: str
    own: str | None
    app: str | None
    items: int | None
    folder: str | None
    throttled: bool

    @property
    def is_foreign(self) -> bool:
        return self.actor not in ("", self.mailbox) and self.own is None

    def row(self) -> Row:
        """The record as Defender delivers it, its properties in any order."""
        properties = [
            {"Name": "MailAccessType", "Value": "Bind" if self.folder is None else "Sync"},
            {"Value": str(self.throttled), "Name": "IsThrottled"},
        ]
        raw: Row = {
            "Id": str(UUID(int=self.number + 1)),
            "MailboxOwnerUPN": self.mailbox.title(),
            "UserId": self.actor.upper(),
            "OperationProperties": properties[:: -1 if self.number % 2 else 1],
            "LogonType": 0 if self.own == "logon" else 2,
            "LogonUserSid": "S-1" if self.own == "sid" else "S-2",
            "MailboxOwnerSid": "S-1",
        }
        if self.app:
            raw["ClientAppId"] = self.app.upper()
        if self.folder is None:
            raw["OperationCount"] = self.items
        else:
            raw["Item"] = {"ParentFolder": {"Path": self.folder}}
        return {
            "Timestamp": self.time,
            "TenantId": self.tenant,
            "ActionType": "MailItemsAccessed",
            "Application": "Microsoft Exchange Online",
            "ReportId": str(self.number),
            "RawEventData": json.dumps(raw),
        }


def reads(seed: int) -> list[Read]:
    """Records of a few mailboxes, accounts and applications over eight days."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    made = []
    for number in range(chance.randint(3, 40)):
        mailbox = chance.choice(
            ["ana@x.example", "bob@x.example", "cai@x.example", "dee@x.example"]
        )
        is_sync = chance.random() < 0.2
        made.append(
            Read(
                number=number,
                time=T0 + chance.randint(0, 8 * 24) * HOUR + chance.choice([0, 0, 1]) * US,
                tenant=chance.choice(["", "", "", "t2"]),
                mailbox=mailbox,
                actor=chance.choice(
                    [mailbox, "eve@x.example", "eve@x.example", "fay@x.example", ""]
                ),
                own=chance.choice([None, None, None, "logon", "sid"]),
                app=chance.choice(["app1", "app1", "app2", "app3", None]),
                items=None if is_sync else chance.randint(0, 9),
                folder=chance.choice(["\\Inbox", "\\Sent"]) if is_sync else None,
                throttled=chance.random() < 0.2,
            )
        )
    return made


def span(seed: int) -> tuple[datetime, datetime]:
    """An interval on whole hours, up to two days long, in the second half of the records."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    start = T0 + chance.randint(24, 7 * 24) * HOUR
    return start, start + chance.randint(0, 48) * HOUR


Oracle = Callable[[Sequence[Read], datetime, datetime], list[tuple[object, ...]]]


def expected_hours(
    rows: Sequence[Read], start: datetime, end: datetime
) -> list[tuple[object, ...]]:
    """Items, records and synced folders per mailbox and hour."""
    groups: dict[tuple[object, ...], list[Read]] = {}
    for row in rows:
        if start <= row.time < end:
            hour = row.time.replace(minute=0, second=0, microsecond=0)
            groups.setdefault((hour, row.tenant, row.mailbox), []).append(row)
    return [
        (
            *key,
            sum(row.items or 0 for row in group),
            len(group),
            len({row.folder for row in group if row.folder}),
            any(row.throttled for row in group),
        )
        for key, group in groups.items()
    ]


def expected_throttled(
    rows: Sequence[Read], start: datetime, end: datetime
) -> list[tuple[object, ...]]:
    """Marks that no other mark of the mailbox precedes by less than the silence."""
    found: list[tuple[object, ...]] = []
    marks = [row for row in rows if row.throttled]
    for mark in marks:
        own = [one for one in rows if (one.tenant, one.mailbox) == (mark.tenant, mark.mailbox)]
        before = [
            one
            for one in own
            if one.throttled
            and (one.time, one.number) < (mark.time, mark.number)
            and one.time > mark.time - SILENCE
        ]
        if start <= mark.time < end and not before:
            day = [one for one in own if mark.time - SILENCE <= one.time <= mark.time]
            items = sum(one.items or 0 for one in day)
            found.append((mark.tenant, mark.mailbox, mark.time, len(day), items))
    return found


def expected_others(
    rows: Sequence[Read], start: datetime, end: datetime
) -> list[tuple[object, ...]]:
    """Pairs whose first record after a silence, and then the floor, lie where they must."""
    found: list[tuple[object, ...]] = []
    foreign = [row for row in rows if row.is_foreign and start - HISTORY <= row.time < end]
    for key in {(row.tenant, row.actor, row.mailbox) for row in foreign}:
        times = [row for row in foreign if (row.tenant, row.actor, row.mailbox) == key]
        times.sort(key=lambda row: (row.time, row.number))
        for place, first in enumerate(times):
            if place and times[place - 1].time >= first.time - HISTORY:
                continue
            spell = [first]
            for row in times[place + 1 :]:
                if row.time - spell[-1].time > HISTORY:
                    break
                spell.append(row)
            weights = [FLOOR if row.folder else 1 for row in spell]
            reached = [row.time for at, row in enumerate(spell) if sum(weights[: at + 1]) >= FLOOR]
            if reached and start <= reached[0] <= first.time + DAY:
                items = sum(row.items or 0 for row in spell)
                found.append((*key, first.time, reached[0], spell[-1].time, len(spell), items))
    return found


def expected_apps(rows: Sequence[Read], start: datetime, end: datetime) -> list[tuple[object, ...]]:
    """Applications that a tenant, or a mailbox with a history, had not seen."""
    found: list[tuple[object, ...]] = []
    inside = [row for row in rows if row.app and start <= row.time < end]
    scopes = {(row.tenant, scope, row.app) for row in inside for scope in ("*", row.mailbox)}
    for tenant, scope, app in scopes:
        own = [
            row for row in inside if (row.tenant, row.app) == (tenant, app)
            and scope in ("*", row.mailbox)
        ]  # fmt: skip
        first = min(row.time for row in own)
        past = [row for row in rows if row.tenant == tenant and first - HISTORY <= row.time < first]
        seen_by = {row.mailbox for row in past if row.app == app}
        is_old = any(row.mailbox == scope and row.time <= first - ESTABLISHED for row in past)
        if scope == "*" and not seen_by:
            found.append((tenant, scope, app, first, "high", len(own), 0))
        elif scope not in ("*", *seen_by) and 1 <= len(seen_by) < COMMON and is_old:
            found.append((tenant, scope, app, first, "low", len(own), len(seen_by)))
    return found


MAIL_ORACLES: dict[str, tuple[Oracle, str]] = {
    SERIES: (expected_hours, "hour tenant mailbox items records folders throttled"),
    MUTED: (expected_throttled, "tenant mailbox start_time records items_read"),
    OTHERS: (expected_others, "tenant actor mailbox start_time reached_at end_time records items"),
    APPS: (expected_apps, "tenant scope app_id start_time severity records mailboxes_before"),
}


@draws.law(20, quick=3)
@planted(seed=241)  # each has two to ten findings of one or more of the hunts
@planted(seed=75)
@planted(seed=389)
@planted(seed=254)
@planted(seed=76)
@given(seed=SEEDS)
def test_mail_hunts_find_what_their_words_say(mail: Bench, seed: int) -> None:
    """On random records each mail hunt finds what a brute force reading of its rules finds."""
    rows = reads(seed)
    start, end = span(seed)
    mail.fill(delivered([row.row() for row in rows], seed))

    def hits(stem: str, columns: str) -> list[tuple[object, ...]]:
        found = mail.hunt(
            stem, start, end, silence=SILENCE, history=HISTORY, within=DAY,
            minRecords=FLOOR, established=ESTABLISHED, commonFrom=COMMON,
        )  # fmt: skip
        return sorted(tuple(row[name] for name in columns.split()) for row in found)

    assert {stem: hits(stem, columns) for stem, (_, columns) in MAIL_ORACLES.items()} == {
        stem: sorted(oracle(rows, start, end)) for stem, (oracle, _) in MAIL_ORACLES.items()
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [("and event_time < $end", "and event_time <= $end"), ("time >= $start", "time > $start")],
)
def test_counts_are_of_their_own_hours_only(mail: Bench, old: str, new: str) -> None:
    """The first instant counts and the end does not; examples cannot tell, the engine looks too."""
    start, end = T0, T0 + 2 * HOUR
    rows = [
        Read(number, time, "", "ana@x.example", "", None, None, 1, None, False)
        for number, time in enumerate([start - US, start, end - US, end])
    ]
    mail.fill([row.row() for row in rows])
    hunt = kit.shipped().hunt(SERIES)
    sql, params = hunt.sql, hunt.detection.params
    assert old in sql

    found = mail.run(sql, start, end, **params)

    assert [(row["hour"], row["records"]) for row in found] == [(start, 1), (end - HOUR, 1)]
    assert mail.run(sql.replace(old, new), start, end, **params) != found


# Staging


def test_malformed_records_are_set_aside_with_their_text(mail: Bench) -> None:
    """A record that cannot be read is kept whole and says why; the others stay."""
    raw = ['{"Id": "x"', "[1]", '"x"', "null", "", None, '{"OperationProperties": "@{x}"}']
    mail.fill([{**record(text), "ReportId": str(n)} for n, text in enumerate(raw)])

    staged = {int(row["report_id"]): row for row in mail.staged()}

    assert [staged[n]["reject_reason"] for n in range(len(raw))] == [
        "malformed JSON in RawEventData",
        "no JSON object in RawEventData",
        "no JSON object in RawEventData",
        "no JSON object in RawEventData",
        "no RawEventData",
        "no RawEventData",
        None,
    ]
    assert [staged[n]["raw_event_data"] for n in range(len(raw))] == [*raw[:6], None]


def record(raw: str | None) -> Row:
    """A MailItemsAccessed row with this text for its JSON."""
    return {
        "Timestamp": T0,
        "ActionType": "MailItemsAccessed",
        "Application": "Microsoft Exchange Online",
        "RawEventData": raw,
    }


def test_rows_without_a_time_are_set_aside(mail: Bench, shells: Bench) -> None:
    """No Timestamp means that no interval can ever see the row."""
    mail.fill([{**record("{}"), "Timestamp": None}, record("{}")])
    line = {"FileName": "cmd.exe", "ProcessCommandLine": "New-MailboxExportRequest"}
    shells.fill([{**line, "Timestamp": None}, {**line, "Timestamp": T0}])

    for bench in (mail, shells):
        reasons = {row["event_time"]: row["reject_reason"] for row in bench.staged()}
        assert reasons == {None: "no Timestamp", T0: None}


@pytest.mark.parametrize(
    "properties",
    [
        "System.Object[]",
        ["@{Value=Sync}", "@{Name=MailAccessType}", "@{Value=True}", "@{Name=IsThrottled}"],
        [1, ["a"], None, {"Name": None}, {"Value": "True"}],
        {"Name": "MailboxGuid", "Value": "True"},
        None,
    ],
)
def test_garbled_properties_fail_nothing(mail: Bench, properties: object) -> None:
    """Properties that say nothing are not an error; the record's type still says what it is."""
    raw = {"RecordType": 50, "OperationCount": "many", "OperationProperties": properties}
    mail.fill([record(json.dumps(raw))])

    (row,) = mail.staged()

    told = [row[name] for name in ("reject_reason", "access_type", "items", "is_throttled")]
    assert told == [None, "Bind", None, False]


def test_records_are_known_by_id_else_report_else_content(mail: Bench) -> None:
    """What makes two deliveries the same event: RawEventData.Id, ReportId, or every value."""
    known = str(UUID(int=7))
    rows = [
        {**record(json.dumps({"Id": known, "n": 1})), "ReportId": "a"},
        {**record(json.dumps({"Id": known, "n": 2})), "ReportId": "b"},
        {**record(json.dumps({"n": 3})), "ReportId": "c"},
        {**record(json.dumps({"n": 4})), "ReportId": "c"},
        record(json.dumps({"n": 5})),
        record(json.dumps({"n": 5})),
        record(json.dumps({"n": 6})),
        record(json.dumps({"Id": "no uuid"})),
    ]
    mail.fill(rows)

    ids = [row["event_id"] for row in mail.staged()]

    assert len(ids) == 8
    assert len(set(ids)) == 5
    assert UUID(known) in ids


def test_processes_of_different_accounts_are_different_events(shells: Bench) -> None:
    """The same line at the same instant under two accounts or tenants is not a re-delivery."""
    row = Command(0, T0, "", None, "h1", None, "EX", "ana", True, ("N",), False, False, None).row()
    shells.fill([row, row, {**row, "AccountName": "bob"}, {**row, "TenantId": "t2"}])

    assert len({one["event_id"] for one in shells.staged()}) == 3


NOISE = st.sampled_from(["^", "`", "''", '""', "'+'", '" + "', "\u200b", '\\"\\"'])


@draws.law(80)
@given(
    verb=st.sampled_from(["New", "Remove", "Get"]),
    dash=st.sampled_from(["-", "\u2013", "\u2212"]),
    noise=st.lists(st.tuples(st.integers(1, 23), NOISE), max_size=4),
    flag=st.sampled_from([None, None, "-enc", "/EncodedCommand", "\u2013e", "-ec"]),
    file_name=st.sampled_from(["powershell.exe", "CMD.EXE", "java.exe"]),
)
def test_every_line_that_undone_names_a_cmdlet_is_staged(
    shells: Bench,
    verb: str,
    dash: str,
    noise: list[tuple[int, str]],
    flag: str | None,
    file_name: str,
) -> None:
    """The quick test of which lines to undo lets no line through that would name a cmdlet."""
    text = f"{verb}{dash}MailboxExportRequest"
    for place, what in sorted(noise, reverse=True):
        text = text[:place] + what + text[place:]
    if flag:
        text = f"{flag} {base64.b64encode(text.encode('utf-16-le')).decode()}"
    line = f"powershell {text} -Mailbox ceo"
    shells.fill([{"Timestamp": T0, "FileName": file_name, "ProcessCommandLine": line}])
    is_shell = file_name != "java.exe"
    undone, steps = command_lines.normalise(line)

    staged = shells.staged()

    named = re.compile(r"(new|remove)-\w*mailboxexportrequest", re.IGNORECASE)
    assert len(staged) == bool(named.search(line) or (is_shell and named.search(undone)))
    if staged and is_shell:
        assert staged[0]["normalised"] == undone
        assert staged[0]["steps"] == list(steps)
        assert staged[0]["command_line"] == line


# How the files are written


@pytest.mark.parametrize(
    "path", sorted([*SQL.glob("*.sql"), *SQL.glob("stage/*.sql")]), ids=lambda path: path.stem
)
def test_header_names_the_parameters(path: Path) -> None:
    """The comment on top names exactly the parameters that the SQL has, and its other keys."""
    text = path.read_text(encoding="utf-8")
    header = re.match(r"(?:--.*\n)+", text)

    assert header
    for key in ("Grain:", "Interval:", "Reads:", "Params:"):
        assert f"-- {key}" in header[0]
    params = header[0].partition("Params:")[2]
    assert set(re.findall(r"^\s*-*\s+\$(\w+)", params, re.M)) | set(
        re.findall(r", \$(\w+)", params)
    ) == set(statement.parameters(text))


def test_detections_have_ids_of_their_own_and_look_back_far_enough() -> None:
    """No two ids are equal, and no hunt needs more history than is staged for it."""
    hunts = [kit.shipped().hunt(stem).detection for stem in STEMS]

    assert all(one.id != other.id for one, other in combinations(hunts, 2))
    for detection in hunts:
        spans = [value for value in detection.params.values() if isinstance(value, timedelta)]
        # A series reads its training span besides.
        reach = detection.lookback + (
            detection.series.training if detection.series else timedelta()
        )
        assert max(spans, default=timedelta()) <= reach
    pair = kit.shipped().hunt(PAIR).detection
    assert pair.lookback >= pair.params["within"] + pair.params["firstSeen"]
