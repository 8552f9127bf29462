"""Who is different: the table that a finding's page begins with."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from gundog.cli import finding_list
from gundog.findings import finding_contexts, reader
from gundog.warehouse import database, tables
from tests.test_finding_list import NOW, WEEK, finding, published, shown, terminal

DAY = timedelta(days=1)
ID = UUID(int=1 << 96)


def context(kind: str, value: str, **columns: Any) -> dict[str, Any]:
    """A row of finding_contexts of the finding."""
    row = {"finding_id": ID, "kind": kind, "value": value, "records": 2, "items": 5}
    return row | {"first_for_mailbox": None, "first_for_tenant": None} | columns


def page(path: Path, *contexts: dict[str, Any]) -> list[str]:
    """The lines of the table in what `show` prints."""
    row = finding(1, evidence_count=4, mailbox="ana")
    published(path, findings=[row], finding_contexts=list(contexts))
    console = terminal(160)
    with reader.published(path) as con:
        finding_list.show(console, con, reader.find(con, "0"), WEEK)
    lines = [line.rstrip() for line in shown(console).splitlines()]
    if "Who read it" not in lines:
        return []
    rest = lines[lines.index("Who read it") + 1 :]
    return rest[: rest.index("")]


def test_what_is_new_comes_first_and_says_so(tmp_path: Path) -> None:
    """New to the mailbox before what it knew, with the tenant's date and the application's name."""
    known = {"first_for_mailbox": NOW - 9 * DAY, "first_for_tenant": NOW - 20 * DAY}
    lines = page(
        tmp_path / "f.duckdb",
        context("app_id", "d3590ed6-52b3-4102-aeff-aad2292ab01c", **known),
        context("country", "BR", first_for_tenant=NOW - 2 * DAY),
        context("session_id", "s"),
    )

    assert [line.split() for line in lines] == [
        "what value records items share mailbox: first seen tenant: first seen".split(),
        "session s 2 5 50% never before never before".split(),
        "country BR 2 5 50% never before 2026-03-08".split(),
        "application Microsoft Office (d3590ed6…) 2 5 50% 2026-03-01 2026-02-18".split(),
    ]


def test_parts_of_a_context_that_repeat_or_are_empty_are_left_out(tmp_path: Path) -> None:
    """Ids take more room than they are worth twice; a value that only looks joined stays whole."""
    office = "d3590ed6-52b3-4102-aeff-aad2292ab01c"
    lines = page(
        tmp_path / "f.duckdb",
        context("app_id + client_family + access_mode", f"{office} + {office} + -"),
        context("isp", "one + - + one"),
    )
    assert any("Microsoft Office (d3590ed6…)  " in line for line in lines)
    assert any("one + - + one" in line for line in lines)


def test_many_values_of_a_kind_are_cut(tmp_path: Path) -> None:
    """Five of each kind are shown, and how to see the others; text from events stays text."""
    many = [context("network", f"198.51.{n}.0/24", records=n) for n in range(1, 9)]
    lines = page(tmp_path / "f.duckdb", *many, context("isp", "\x1b[31m[red]"))

    assert sum("198.51." in line for line in lines) == 5
    assert "198.51.8.0/24" in lines[1]
    assert lines[-1].startswith("  … and 3 more: gundog sql")
    assert any("[red]" in line and "\x1b[31m" not in line for line in lines)


def test_a_finding_without_contexts_has_no_table(tmp_path: Path) -> None:
    assert page(tmp_path / "f.duckdb") == []


def test_what_came_before_the_finding_is_recalled() -> None:
    """First times before the finding's start, of its mailbox and of anybody in its tenant."""
    con = database.connect(threads=1)
    for table in tables.TABLES:
        con.execute(next(tables.create(table)))
    row = finding(0, mailbox="ana", tenant="t")
    database.insert(con, "findings", [row])
    database.insert(
        con, "finding_contexts", [context("isp", "x") | {"finding_id": row["finding_id"]}]
    )
    seen = [
        ("t", "ana", NOW),
        ("t", "ana", NOW + DAY),
        ("t", "bob", NOW - 3 * DAY),
        ("t", "bob", NOW - DAY),
        ("u", "ana", NOW - 9 * DAY),
    ]
    database.insert(
        con,
        "contexts",
        [
            {"stage": "s", "tenant": tenant, "entity": entity, "kind": "isp", "value": "x",
             "day": at, "first_time": at, "last_time": at}
            for tenant, entity, at in seen
        ],
    )  # fmt: skip
    firsts = "select first_for_mailbox, first_for_tenant from finding_contexts"

    finding_contexts.recall(con)
    assert con.execute(firsts).fetchall() == [(None, NOW - 3 * DAY)]

    con.execute("update contexts set first_time = ? where entity = 'ana' and tenant = 't'",
                [NOW - 5 * DAY])  # fmt: skip
    finding_contexts.recall(con)
    assert con.execute(firsts).fetchall() == [(NOW - 5 * DAY, NOW - 5 * DAY)]
