"""A warehouse of an older gundog gets the tables of this one, whole; a newer one is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from gundog.core.errors import StoreError
from gundog.warehouse import database, tables, upgrading
from tests import elsewhere, kit, old_project
from tests.forks import Fork

FINDING = "b48e76c6-906d-55e9-b2f3-47bc6e4209dd"
ENTRY = {"finding_id": FINDING, "actor": "kim", "note": "theft"}
WHEN = "2026-03-08 09:00:00+00"


def of_0_1_0(path: Path) -> None:
    """The warehouse of the first release."""
    con = database.connect(path)
    con.execute((old_project.HERE / "project_0_1_0.sql").read_text(encoding="utf-8"))
    con.close()


def before_the_number(path: Path) -> None:
    """The tables as they were just before two columns got other names."""
    kept(path)
    con = database.connect(path)
    aged(con)
    con.execute("drop table warehouse_layout")
    con.execute(
        f"""insert into finding_changes by name
            select '{FINDING}' as finding_id, 'new' as change, timestamptz '{WHEN}' as "at" """
    )
    con.execute(
        f"""insert into triage by name select '{FINDING}' as finding_id, 'kim' as actor,
            'it was theft' as note, timestamptz '{WHEN}' as "at" """
    )
    con.close()


def aged(con: duckdb.DuckDBPyConnection) -> None:
    """Gives columns their old names."""
    present = upgrading.columns(con)
    for column in upgrading.RENAMED:
        if (column.table, column.new) in present:
            con.execute(f'alter table {column.table} rename column {column.new} to "{column.old}"')


def kept(path: Path, sql: str = "select 1") -> list[tuple[Any, ...]]:
    """Rows of a query on the warehouse, opened as a run opens it."""
    with database.writable(path, memory_limit=500_000_000, threads=1) as con:
        return con.execute(sql).fetchall()


def layout(path: Path) -> dict[str, list[str]]:
    """Names of the columns of each table, in order, without opening it as a run does."""
    con = database.connect(path, read_only=True)
    rows = con.execute(
        """select table_name, list(column_name order by column_index) from duckdb_columns()
           where schema_name = 'main' and not internal group by all"""
    ).fetchall()
    con.close()
    return dict(rows)


@pytest.fixture(params=[of_0_1_0, before_the_number])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A warehouse of each older layout, with changes of findings and an entry of triage."""
    path = tmp_path / "warehouse.duckdb"
    request.param(path)
    return path


CHANGES = "select finding_id::varchar, change, reason, before, {}::varchar from finding_changes"
SAID = "select finding_id::varchar, actor, note, {}::varchar from triage"


def test_old_columns_get_their_new_names_and_keep_their_rows(old: Path) -> None:
    """Every value stays; the old name is gone; comments explain the new one."""
    con = database.connect(old, read_only=True)
    changes, said = (con.execute(sql.format('"at"')).fetchall() for sql in (CHANGES, SAID))
    con.close()

    assert kept(old, CHANGES.format("changed_at")) == changes
    assert kept(old, SAID.format("said_at")) == said == [(FINDING, "kim", "it was theft", WHEN)]
    assert changes[0][-1]
    columns = layout(old)
    assert not any(column.old in columns[column.table] for column in upgrading.RENAMED)
    assert kept(old, "from warehouse_layout") == [(upgrading.LAYOUT,)]
    uncommented = "select column_name from duckdb_columns() where comment is null and not internal"
    assert kept(old, f"{uncommented} and column_name in ('changed_at', 'said_at')") == []


def test_an_upgraded_warehouse_has_the_columns_of_a_new_one(old: Path, tmp_path: Path) -> None:
    """Every table and column, whichever layout it had."""
    kept(old)
    kept(tmp_path / "new.duckdb")

    mine, new = layout(old), layout(tmp_path / "new.duckdb")

    assert {name: set(mine[name]) for name in new} == {name: set(new[name]) for name in new}


def test_it_is_upgraded_once(old: Path) -> None:
    """The next opening only reads: the file stays as it is, to the byte."""
    kept(old)
    once = old.read_bytes()

    kept(old)

    assert old.read_bytes() == once


@pytest.mark.slow
@pytest.mark.parametrize("old", [before_the_number, of_0_1_0], indirect=True)
def test_a_kill_in_the_middle_leaves_the_old_or_the_new_tables(old: Path) -> None:
    """Before every statement that changes something; the next run then finds and finishes it."""
    before = layout(old)
    con = database.connect(old, read_only=True)
    changes = con.execute(CHANGES.format('"at"')).fetchall()
    con.close()

    child = Fork(elsewhere.upgrade, old)
    turns = child.connection.recv()

    assert child.wait(kit.HUNG_S) == 0
    assert turns > len(upgrading.RENAMED) + 3
    for turn in range(turns):
        killed = old.with_name(f"killed-{turn}.duckdb")
        assert layout(killed) == before, turn
    for turn in (turns // 2, turns - 1):
        killed = old.with_name(f"killed-{turn}.duckdb")
        assert kept(killed, CHANGES.format("changed_at")) == changes


def test_what_an_older_gundog_wrote_after_the_upgrade_is_taken_over(tmp_path: Path) -> None:
    """One that does not know the number adds its own column again and fills that."""
    path = tmp_path / "warehouse.duckdb"
    with database.writable(path, memory_limit=500_000_000, threads=1) as con:
        database.insert(con, "triage", [{**ENTRY, "said_at": WHEN}])
        con.execute('alter table triage add column "at" timestamptz')
        database.insert(con, "triage", [{**ENTRY, "at": "2026-03-09 09:00:00+00"}])

    assert kept(path, "select said_at::varchar from triage order by all") == [
        (WHEN,),
        ("2026-03-09 09:00:00+00",),
    ]
    assert layout(path)["triage"] == [column.name for column in tables.TRIAGE.columns]


def test_a_newer_warehouse_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    """One sentence says so, and what to do."""
    path = tmp_path / "warehouse.duckdb"
    with database.writable(path, memory_limit=500_000_000, threads=1) as con:
        con.execute("update warehouse_layout set layout = layout + 1")
        con.execute("alter table runs drop column command")
    before = path.read_bytes()

    with pytest.raises(StoreError, match=r"a newer gundog wrote it .*: install that version again"):
        kept(path)

    assert path.read_bytes() == before
