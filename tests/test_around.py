"""What else is staged around a finding: against a brute force over random tables, and as a page."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.cli import finding_json, finding_list
from gundog.core.errors import InputError
from gundog.findings import around, reader
from gundog.findings.around import Around, Change, Used, Whom
from tests import draws
from tests.test_finding_list import WEEK, finding, published, shown, terminal

START = datetime(2026, 3, 10, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ANA, BOB, CEO = "ana@example.com", "bob@example.com", "ceo@example.com"
NETWORKS = {"192.0.2.0/24": "NL", "198.51.100.0/24": "BR"}
TABLES = """
create table mail_access (
    tenant varchar, mailbox varchar, event_time timestamptz, session_id varchar,
    aad_session_id varchar, network varchar, isp varchar, country varchar);
create table mail_access_contexts (
    tenant varchar, entity varchar, kind varchar, value varchar, first_time timestamptz,
    last_time timestamptz);
create table mail_changes (
    event_id uuid, tenant varchar, event_time timestamptz, actor varchar, activity varchar,
    mailbox varchar, grantee varchar, rights varchar, app_id varchar, app_name varchar,
    permissions varchar[], properties map(varchar, varchar), query varchar, ip_address varchar,
    country varchar, is_success boolean);
"""
WHO = Whom(
    tenant="",
    mailbox=ANA,
    accounts=(ANA,),
    app_id="app",
    start=START,
    end=START + 14 * DAY,
    values={"session_id": ["s1"], "network": ["198.51.100.0/24"]},
)


def asker(con: duckdb.DuckDBPyConnection) -> around.Ask:
    """Asks as the command does: a table that is not there is an InputError."""

    def ask(sql: str) -> Sequence[Mapping[str, Any]]:
        try:
            return con.sql(sql).to_arrow_table().to_pylist()
        except duckdb.CatalogException as error:
            raise InputError(str(error)) from error

    return ask


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("set TimeZone = 'UTC'")
        opened.execute(TABLES)
        yield opened


def fill(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    con.execute(f"delete from {table}")
    for row in rows:
        names = ", ".join(row)
        marks = ", ".join("?" for _ in row)
        con.execute(f"insert into {table} ({names}) values ({marks})", list(row.values()))


# ---- against a brute force ----

_TIMES = st.integers(-30, 366).map(lambda hours: START + hours * HOUR)
_READS = st.fixed_dictionaries(
    {
        "tenant": st.sampled_from(["", "", None, "t"]),
        "mailbox": st.sampled_from([ANA, ANA, BOB]),
        "event_time": _TIMES,
        "session_id": st.sampled_from(["s1", "s1", "s2", ""]),
        "aad_session_id": st.sampled_from(["s1", None]),
        "network": st.sampled_from(sorted(NETWORKS)),
    }
)
_CONTEXTS = st.fixed_dictionaries(
    {
        "tenant": st.sampled_from(["", "", "t"]),
        "entity": st.sampled_from([ANA, BOB, CEO]),
        "kind": st.sampled_from(["session_id", "network", "country"]),
        "value": st.sampled_from(["s1", "198.51.100.0/24"]),
        "first_time": _TIMES,
        "last_time": _TIMES,
    }
)
_CHANGES = st.fixed_dictionaries(
    {
        "tenant": st.sampled_from(["", "", "t"]),
        "event_time": _TIMES,
        "actor": st.sampled_from([ANA, BOB]),
        "mailbox": st.sampled_from([ANA, "ana", CEO, None]),
        "grantee": st.sampled_from([ANA, "ana", BOB, None]),
        "app_id": st.sampled_from(["app", "other", None]),
        "is_success": st.sampled_from([True, True, False]),
        "activity": st.just("set-mailbox"),
    }
)


def session_places(reads: Sequence[Mapping[str, Any]]) -> list[tuple[str, datetime, datetime]]:
    """Networks of the session s1 of ana, where it has several: with first and last time."""
    mine = [
        (read["network"], read["event_time"])
        for read in reads
        if (read["tenant"] or "", read["mailbox"]) == ("", ANA)
        and (read["session_id"] or read["aad_session_id"]) == "s1"
        and WHO.start <= read["event_time"] < WHO.end
    ]
    times = {name: [at for other, at in mine if other == name] for name, _ in mine}
    if len(times) < 2:
        return []
    return sorted((f"{name}, {NETWORKS[name]}", min(ats), max(ats)) for name, ats in times.items())


def others(contexts: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], set[str]]:
    """Other mailboxes, by kind and value of what the finding has."""
    wanted = {(kind, value) for kind, values in WHO.values.items() for value in values}
    found = dict[tuple[str, str], set[str]]()
    for context in contexts:
        key = context["kind"], context["value"]
        is_near = context["last_time"] >= WHO.start and context["first_time"] < WHO.end
        if key in wanted and context["tenant"] == "" and context["entity"] != ANA and is_near:
            found.setdefault(key, set()).add(context["entity"])
    return found


@draws.law(60, quick=10)
@given(
    reads=st.lists(_READS, max_size=8),
    contexts=st.lists(_CONTEXTS, max_size=8),
    changes=st.lists(_CHANGES, max_size=8),
)
def test_exactly_what_lies_around_is_told(
    reads: list[dict[str, Any]], contexts: list[dict[str, Any]], changes: list[dict[str, Any]]
) -> None:
    """Of this tenant, these days, this account: its session's places, other mailboxes, changes."""
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        con.execute(TABLES)
        fill(con, "mail_access", [{**r, "country": NETWORKS[r["network"]]} for r in reads])
        fill(con, "mail_access_contexts", contexts)
        fill(con, "mail_changes", changes)

        found = around.look(asker(con), WHO)

    places = [(used.place, used.first_time, used.last_time) for used in found.used if used.place]
    assert sorted(places) == session_places(reads)
    mailboxes = {(one.kind, one.value): one for one in found.used if not one.place}
    assert {key: set(one.names) for key, one in mailboxes.items()} == others(contexts)
    assert all(one.mailboxes == len(one.names) for one in mailboxes.values())
    mine = [
        change["event_time"]
        for change in changes
        if change["tenant"] == ""
        and change["is_success"]
        and WHO.start <= change["event_time"] < WHO.end
        and (
            change["actor"] == ANA
            or change["mailbox"] in (ANA, "ana")
            or change["grantee"] in (ANA, "ana")
            or change["app_id"] == "app"
        )
    ]
    assert [change.event_time for change in found.changes] == sorted(mine)


def test_a_stolen_session_a_rule_and_a_grant_are_told(con: duckdb.DuckDBPyConnection) -> None:
    """The case that decides: one session in two countries, and what was changed with it."""
    at = START + 7 * DAY
    read = {"tenant": "", "mailbox": ANA, "session_id": "s1"}
    fill(
        con,
        "mail_access",
        [
            {**read, "event_time": at, "network": "198.51.100.0/24", "country": "BR"},
            {**read, "event_time": at + HOUR, "network": "192.0.2.0/24", "country": "NL"},
        ],
    )
    rule = {"name": ".", "forwardto": "drop@example.net", "other": "x"}
    con.execute(
        "insert into mail_changes by name select '' as tenant, ?::timestamptz as event_time,"
        " ? as actor, 'new-inboxrule' as activity, ? as mailbox, ?::map(varchar, varchar)"
        " as properties, true as is_success, 'BR' as country",
        [at, ANA, ANA, rule],
    )

    found = around.look(asker(con), WHO)

    assert [used.place for used in found.used] == ["198.51.100.0/24, BR", "192.0.2.0/24, NL"]
    about = f"{ANA}, name ., forwardto drop@example.net"
    assert found.changes == (Change(at, ANA, "new-inboxrule", about, "", "BR"),)


def test_many_changes_are_counted(con: duckdb.DuckDBPyConnection) -> None:
    """The first ones are told, and how many more there are."""
    change = {"tenant": "", "actor": ANA, "activity": "set-mailbox", "is_success": True}
    times = [START + n * HOUR for n in range(around.MOST + 3)]
    fill(con, "mail_changes", [{**change, "event_time": at} for at in times])

    found = around.look(asker(con), WHO)

    assert [one.event_time for one in found.changes] == times[: around.MOST]
    assert found.more == 3


def test_tables_that_are_not_staged_say_nothing() -> None:
    """A lake of process events only has none of them."""
    with duckdb.connect() as con:
        assert around.look(asker(con), WHO) == Around()


def test_text_of_a_finding_stays_text(con: duckdb.DuckDBPyConnection) -> None:
    """A mailbox may be called as an attacker likes."""
    hostile = "' or true; drop table mail_changes; --@x"
    who = replace(WHO, mailbox=hostile, accounts=(hostile,), values={"session_id": [hostile]})
    change = {"tenant": "", "actor": BOB, "activity": "x", "is_success": True}
    fill(con, "mail_changes", [{**change, "event_time": START}])

    assert around.look(asker(con), who) == Around()


# ---- whom a finding is about ----


def test_only_what_was_new_to_the_mailbox_is_followed_and_every_session(tmp_path: Path) -> None:
    """The office's network leads to everybody; the owner's session may be the thief's too."""
    contexts = [
        {"kind": "session_id", "value": "s", "first_for_mailbox": START},
        {"kind": "network", "value": "n", "first_for_mailbox": START},
        {"kind": "network", "value": "m", "first_for_mailbox": None},
        {"kind": "country", "value": "BR", "first_for_mailbox": None},
    ]
    row = finding(1, mailbox=ANA, app_id="ABC", details='{"actor": "Eve@example.com"}')
    rows = [{"finding_id": row["finding_id"], "records": 1, "items": 0, **one} for one in contexts]
    path = published(tmp_path / "f.duckdb", findings=[row], finding_contexts=rows)
    with reader.published(path) as con:
        stored = reader.find(con, "0")
        who = around.whom(con, stored)

    assert who.values == {"network": ["m"], "session_id": ["s"]}
    assert who.accounts == (ANA, "eve@example.com")
    assert who.app_id == "abc"
    assert (who.start, who.end) == (stored["start_time"] - 7 * DAY, stored["end_time"] + 7 * DAY)


# ---- as a page ----


def page(path: Path, found: Around | str) -> str:
    published(path, findings=[finding(1)])
    console = terminal(200)
    with reader.published(path) as con:
        finding_list.show(console, con, reader.find(con, "0"), WEEK, found)
    return shown(console)


def test_the_page_says_where_else_and_what_was_changed(tmp_path: Path) -> None:
    """Before the facts; names of applications beside ids, and no control characters."""
    office = "d3590ed6-52b3-4102-aeff-aad2292ab01c"
    uses = (
        Used("session_id", "s1", "192.0.2.0/24, NL", 0, (), START, START),
        Used("app_id", office, "", 5, (BOB, CEO), START, START),
    )
    change = Change(START, ANA, "consent to application", f"\x1b[31m {office}", "192.0.2.1", "NL")

    out = page(tmp_path / "f.duckdb", Around(uses, (change,), 2))

    assert out.index("Used elsewhere") < out.index("Changes by") < out.index("detection ")
    assert "same mailbox, from 192.0.2.0/24, NL" in out
    assert "bob@example.com, ceo@example.com and 3 more mailboxes" in out
    assert f"Microsoft Office ({office})" in out
    assert "\x1b[31m" not in out
    assert "2 more: gundog sql --staged" in out


def test_a_run_that_writes_is_named(tmp_path: Path) -> None:
    """The rest of the page is there all the same."""
    out = page(tmp_path / "f.duckdb", "a run is writing the staged tables")

    assert "a run is writing the staged tables" in out
    assert "What to do" in out


@pytest.mark.parametrize(
    ("surroundings", "expected"),
    [
        (
            Around(
                (Used("app_id", "app", "", 5, (BOB,), START, START + HOUR),),
                (Change(START, ANA, "consent", "\x1b[31m", "192.0.2.1", "NL"),),
                2,
            ),
            {
                "used": [
                    {"kind": "app_id", "value": "app", "place": "", "mailboxes": 5,
                     "names": [BOB], "first_time": "2026-03-10T00:00:00Z",
                     "last_time": "2026-03-10T01:00:00Z"},
                ],
                "changes": [
                    {"event_time": "2026-03-10T00:00:00Z", "actor": ANA, "activity": "consent",
                     "about": "\x1b[31m", "ip_address": "192.0.2.1", "country": "NL"},
                ],
                "more": 2,
                "error": None,
            },
        ),
        ("a run is writing", {"used": [], "changes": [], "more": 0, "error": "a run is writing"}),
        (None, None),
    ],
)  # fmt: skip
def test_programs_get_the_same(
    tmp_path: Path, surroundings: Around | str | None, expected: object
) -> None:
    """`show --json` says also when it could not look, or that nothing is staged here."""
    published(tmp_path / "f.duckdb", findings=[finding(1)])
    out = io.StringIO()
    with reader.published(tmp_path / "f.duckdb") as con:
        finding_json.write(con, reader.find(con, "0"), surroundings, out)

    assert json.loads(out.getvalue())["around"] == expected
