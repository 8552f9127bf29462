"""The shipped hunts: their examples, brute-force oracles of their words, and mutants that must die."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gundog import commandline, content, examples, query
from gundog.content import Content, Hunt
from gundog.detection import Example

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


@cache
def shipped() -> Content:
    """The content of this repository."""
    return content.load([ROOT])


def example(stem: str, name: str) -> Example:
    """The example of a detection with this name."""
    return next(one for one in shipped().hunt(stem).detection.examples if one.name == name)


# Examples


@pytest.mark.parametrize(
    ("stem", "name"),
    [(stem, one.name) for stem in STEMS for one in shipped().hunt(stem).detection.examples],
)
def test_example_holds(stem: str, name: str) -> None:
    """Each example's events give exactly the findings that it promises."""
    loaded = shipped()

    assert examples.check(loaded, loaded.hunt(stem), example(stem, name)) == []


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
    Mutant(PAIR, PAIR, "event_time + $within as", "event_time + $within + interval 1 microsecond as",
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
    Mutant(PAIR, "stage/shell_commands", "case when is_shell and (", "case when false and (",
           "carets, an en dash and base64 are undone and make it high"),
    Mutant(PAIR, "stage/shell_commands", "when is_shell then regexp_extract_all",
           "when true then regexp_extract_all", "a program that is no shell does not"),
    Mutant(PAIR, "stage/shell_commands", "(get-help|help|man|get-command|gcm)(\\.exe)?", "(zzz)(x)?",
           "looking the cmdlet up, searching for it and trying it out are no exports"),
    Mutant(PAIR, "stage/shell_commands", "(findstr|find|select-string|sls|grep)", "(zzz)",
           "looking the cmdlet up, searching for it and trying it out are no exports"),
    Mutant(PAIR, "stage/shell_commands", "(wi|wh|wha|what|whati|whatif)", "(zzz)",
           "looking the cmdlet up, searching for it and trying it out are no exports"),
    Mutant(PAIR, "stage/shell_commands", "(: ?\\$?(true|1))?", "(: ?\\$?(true|false|1))?",
           "a real export beside a look-up, or with WhatIf switched off, is one"),
    Mutant(PAIR, "stage/shell_commands", "([^;|&(){}]|", "(.|",
           "a real export beside a look-up, or with WhatIf switched off, is one"),
    Mutant(PAIR, "stage/shell_commands", "when Timestamp is null then 'no Timestamp'",
           "when Timestamp is not null then 'a Timestamp'",
           "a row without a time is set aside and the rest is found"),
    # Counts.
    Mutant(SERIES, SERIES, "and event_time < $end", "and event_time <= $end",
           "a burst in the first hour of the next night belongs to that one"),
    Mutant(SERIES, SERIES, "sum(items)", "count(items)", "a burst at night"),
    Mutant(SERIES, SERIES, "    tenant,\n    mailbox,\n", "    tenant,\n    '' as mailbox,\n",
           "a burst at night"),
    Mutant(SERIES, "stage/mail_access", "and (Application is null or contains(lower(Application), 'exchange'))",
           "", "malformed JSON, other actions and other applications are no reading of mail"),
    Mutant(SERIES, "stage/mail_access", "lower(ActionType) = 'mailitemsaccessed'", "true",
           "malformed JSON, other actions and other applications are no reading of mail"),
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
    Mutant(MUTED, MUTED, "    and (last_throttled is null or last_throttled + $silence <= event_time)",
           "", "it says so twice in the same day"),
    Mutant(MUTED, MUTED, "partition by tenant, mailbox order by event_time, event_id",
           "order by event_time, event_id", "two mailboxes, and one address in two tenants"),
    Mutant(MUTED, "stage/mail_access", "one.name = 'IsThrottled'", "one.name <> 'IsThrottled'",
           "records that do not say so, and properties that a script has flattened"),
    # Other users' mailboxes.
    Mutant(OTHERS, OTHERS, "event_time >= $start - $history", "event_time >= $start",
           "a delegate that read it thirty days ago"),
    Mutant(OTHERS, OTHERS, "previous_time < event_time - $history",
           "previous_time <= event_time - $history", "a delegate that read it thirty days ago"),
    Mutant(OTHERS, OTHERS, "and event_time < $end", "",
           "and is nothing to the first"),
    Mutant(OTHERS, OTHERS, "$minRecords) >= $start\n", "$minRecords) is not null\n",
           "nor to the third, which sees the same account again"),
    Mutant(OTHERS, OTHERS, "<= first_time + $within", "<= first_time + $within + interval 1 microsecond",
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
    Mutant(APPS, APPS, "days.first_time <= spread.known_until", "days.first_time < spread.known_until",
           "new to a mailbox with exactly fourteen days of history"),
    Mutant(APPS, APPS, "                    and days.first_time <= spread.known_until\n", "",
           "new to a mailbox without fourteen days of history"),
    Mutant(APPS, APPS, "            arrivals.tenant = days.tenant\n            and ", "            ",
           "known in one tenant, new in the other"),
    Mutant(APPS, "stage/mail_access", "nullif(OAuthAppId, ''),", "",
           "named only outside of ClientAppId, or not at all"),
]  # fmt: skip


def mutated(mutant: Mutant) -> Hunt:
    """The hunt with one fragment of its SQL, or of its stage's, replaced."""
    text = (SQL / f"{mutant.file}.sql").read_text(encoding="utf-8")
    assert mutant.old in text, f"{mutant.file}.sql no longer holds {mutant.old!r}"
    changed = text.replace(mutant.old, mutant.new)
    hunt = shipped().hunt(mutant.stem)
    if not mutant.file.startswith("stage/"):
        return replace(hunt, sql=changed)
    return replace(hunt, stages=tuple(replace(one, sql=changed) for one in hunt.stages))


def fails(hunt: Hunt, name: str) -> bool:
    """True when the hunt does not give what its example promises, or breaks on it."""
    try:
        return examples.check(shipped(), hunt, example(hunt.detection.stem, name)) != []
    except IndexError:  # a count of an hour that was not asked for
        return True


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_mutant_fails_its_example(mutant: Mutant) -> None:
    """A hunt that is wrong in one place fails the example that stands for this place."""
    assert fails(mutated(mutant), mutant.killer)


@pytest.mark.parametrize(
    ("stem", "killer"),
    [
        (PAIR, "the same pair delivered three times is one finding"),
        (SERIES, "records delivered again count once"),
        (MUTED, "the same record delivered again"),
        (OTHERS, "one record less than the floor, even when delivered again"),
        (APPS, "delivered again"),
    ],
)
def test_hunt_without_dedupe_fails_its_example(
    stem: str, killer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeing a re-delivered event twice changes what each hunt finds."""
    whole = content.view_sql
    monkeypatch.setattr(content, "view_sql", lambda stage: whole(stage).partition(" qualify ")[0])

    assert fails(shipped().hunt(stem), killer)
