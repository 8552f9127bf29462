"""Tests of warehouse.database: one writer at a time, all or nothing, and tables that explain."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from gundog.core.errors import LockError, StoreError
from gundog.warehouse import database, opening, tables
from tests import elsewhere, kit
from tests.forks import Fork

pytestmark = pytest.mark.usefixtures("new_blanks")
NOW = datetime(2026, 3, 10, 4, tzinfo=UTC)
NONE = timedelta()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a warehouse is to be, in a folder that does not exist yet."""
    return tmp_path / "deep" / "warehouse.duckdb"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory."""
    con = database.connect()
    con.execute("create table t (a integer, b varchar)")
    yield con
    con.close()


def test_connections_think_in_utc(
    monkeypatch: pytest.MonkeyPatch, con: duckdb.DuckDBPyConnection
) -> None:
    """Whatever zone the machine is in."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")

    other = database.connect()

    sql = "select (timestamptz '2026-03-01 10:00:00+00')::varchar, current_setting('timezone')"
    assert other.execute(sql).fetchall() == [("2026-03-01 10:00:00+00", "UTC")]
    assert con.execute(sql).fetchall() == [("2026-03-01 10:00:00+00", "UTC")]
    other.close()


def test_connections_draw_no_bar_of_duckdbs_own(con: duckdb.DuckDBPyConnection) -> None:
    """By default it draws one in a process of `python -c`, as hunts' child is."""
    sql = "select current_setting('enable_progress_bar')"
    assert con.execute(sql).fetchall() == [(False,)]
    assert con.cursor().execute(sql).fetchall() == [(False,)]


def test_writable_makes_the_tables_and_their_folder(path: Path) -> None:
    """A first opening makes everything; a second finds it as it was left."""
    with database.writable(path, memory_limit=500_000_000, threads=2) as con:
        found = {row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall()}
        assert found == {one.name for one in tables.TABLES}
        assert con.execute("select current_setting('threads')").fetchall() == [(2,)]
        limit = con.execute("select current_setting('memory_limit')").fetchall()[0][0]
        assert limit.startswith("476")
        database.insert(con, "triage", [{"note": "kept"}])

    with database.writable(path, memory_limit=500_000_000, threads=1) as con:
        assert con.execute("select note from triage").fetchall() == [("kept",)]


def test_a_warehouse_that_is_let_go_is_whole_and_free(path: Path) -> None:
    """While hunts read it, no file of it is open and nothing waits in a log; then it goes on."""
    with database.Held(path, memory_limit=500_000_000, threads=1) as held:
        database.insert(held.con(), "triage", [{"note": "first"}])
        held.let_go()
        assert not opening.log_of(path).exists()
        with database.connect(path, read_only=True) as other:
            assert other.execute("select note from triage").fetchall() == [("first",)]
        database.insert(held.con(), "triage", [{"note": "second"}])

    with database.writable(path, memory_limit=500_000_000, threads=1) as con:
        assert con.execute("select note from triage").fetchall() == [("first",), ("second",)]


def test_tables_of_an_older_warehouse_are_completed(path: Path) -> None:
    """A table that came later is made, the others stay."""
    with database.writable(path, memory_limit=500_000_000, threads=1) as con:
        database.insert(con, "triage", [{"note": "kept"}])
        con.execute("drop table notifications")

    with database.writable(path, memory_limit=500_000_000, threads=1) as con:
        assert con.execute("select count(*) from notifications").fetchall() == [(0,)]
        assert con.execute("select note from triage").fetchall() == [("kept",)]


def test_every_table_and_column_explains_itself(path: Path) -> None:
    """The comments stand in the warehouse too."""
    with database.writable(path, memory_limit=500_000_000, threads=1) as con:
        told = dict(con.execute("select table_name, comment from duckdb_tables()").fetchall())
        silent = con.execute(
            """select table_name, column_name from duckdb_columns()
               where not internal and coalesce(comment, '') = ''"""
        ).fetchall()

    assert told == {one.name: one.comment for one in tables.TABLES}
    assert all(told.values())
    assert silent == []


def test_file_that_is_no_warehouse_says_what_to_do(path: Path) -> None:
    """Damaged or foreign: the file is named, and how to start again."""
    kit.write_text(path, "this is not a database, but it is long enough to look like one" * 400)

    with (
        pytest.raises(
            StoreError, match=r"warehouse.duckdb: cannot be opened: .* stage everything again"
        ),
        database.writable(path, memory_limit=500_000_000, threads=1),
    ):
        pass

    assert path.exists()


def test_warehouse_that_is_let_go_meanwhile_is_opened(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What hunted for a killed run ends by itself, but may do so after the next run has begun."""
    with database.writable(path, memory_limit=500_000_000, threads=1):
        pass
    naps = list[float]()
    holder = Fork(elsewhere.keep_open, path)
    assert holder.connection.recv() == "held"

    def nap(seconds: float) -> None:
        naps.append(seconds)
        holder.kill()

    monkeypatch.setattr(database.time, "sleep", nap)
    with database.writable(path, memory_limit=500_000_000, threads=1):
        pass

    assert len(naps) == 1


def test_warehouse_that_is_open_elsewhere_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that holds the file is a store error, not a traceback."""
    monkeypatch.setattr(database.time, "sleep", lambda _: None)
    with database.writable(path, memory_limit=500_000_000, threads=1):
        pass
    holder = Fork(elsewhere.keep_open, path)
    try:
        assert holder.connection.recv() == "held"
        with (
            pytest.raises(StoreError, match="close what holds it"),
            database.writable(path, memory_limit=500_000_000, threads=1),
        ):
            pass
    finally:
        holder.connection.close()
        holder.wait(kit.HUNG_S)


def test_lock_keeps_a_second_run_out_and_names_the_first(path: Path) -> None:
    """Process, machine and since when; free again afterwards."""
    with (
        database.lock(path, NONE, NOW),
        pytest.raises(
            LockError, match=rf"process {os.getpid()} on .* since 2026-03-10T04:00:00Z.*--wait"
        ) as caught,
        database.lock(path, NONE, NOW + timedelta(hours=1)),
    ):
        pass
    assert caught.value.exit_status == 3

    with database.lock(path, NONE, NOW):
        held = json.loads(path.with_suffix(".owner").read_text())
    assert held["pid"] == os.getpid()
    assert not path.with_suffix(".owner").exists()


def test_lock_is_free_after_a_failure(path: Path) -> None:
    """A run that ends with an error lets the next one in."""
    with pytest.raises(ZeroDivisionError), database.lock(path, NONE, NOW):
        _ = 1 / 0

    with database.lock(path, NONE, NOW):
        pass


def test_lock_waits_for_the_other_to_end(path: Path) -> None:
    """`--wait` gives the other time; then it is this run's turn."""
    entered, order = threading.Event(), []

    def other() -> None:
        with database.lock(path, NONE, NOW):
            entered.set()
            time.sleep(0.1)
            order.append("other")

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(kit.HUNG_S)
    with database.lock(path, timedelta(seconds=kit.HUNG_S), NOW):
        order.append("this")
    thread.join()

    assert order == ["other", "this"]


def test_lock_of_an_unreadable_owner_still_says_enough(path: Path) -> None:
    """Who holds it is a help, not a condition."""
    with database.lock(path, NONE, NOW):
        path.with_suffix(".owner").write_text("{")
        with (
            pytest.raises(LockError, match="another run holds the warehouse: wait"),
            database.lock(path, NONE, NOW),
        ):
            pass


def test_transaction_is_all_or_nothing(con: duckdb.DuckDBPyConnection) -> None:
    """What fails in the middle leaves nothing, whatever it failed with."""
    with database.transaction(con):
        database.insert(con, "t", [{"a": 1, "b": "kept"}])

    def insert_and_fail(failure: type[BaseException]) -> None:
        with database.transaction(con):
            database.insert(con, "t", [{"a": 2, "b": "gone"}])
            raise failure

    for failure in (ValueError, KeyboardInterrupt):
        with pytest.raises(failure):
            insert_and_fail(failure)

    assert database.rows(con, "from t") == [{"a": 1, "b": "kept"}]


def test_rows_and_inserts_go_by_name(con: duckdb.DuckDBPyConnection) -> None:
    """In any order of columns; absent ones are null; nothing to insert is nothing."""
    database.insert(con, "t", [{"b": "x", "a": 1}, {"b": None, "a": 2}])
    database.insert(con, "t", [{"b": "'; drop table t; --"}])
    database.insert(con, "t", [])

    assert database.rows(con, "select b, a from t order by a nulls last") == [
        {"b": "x", "a": 1},
        {"b": None, "a": 2},
        {"b": "'; drop table t; --", "a": None},
    ]
    assert database.rows(con, "select a from t where a > ?", [1]) == [{"a": 2}]
    assert database.rows(con, "select a from t where a > $low", {"low": 1}) == [{"a": 2}]


def test_staging_steps_are_numbered(path: Path) -> None:
    """From nothing to one; the newest is the highest, whatever was written last."""
    with database.writable(path, memory_limit=500_000_000, threads=1) as con:
        assert (database.current_seq(con), database.next_seq(con)) == (0, 1)
        database.insert(con, "stage_changes", [{"seq": 7}, {"seq": 5}])
        assert (database.current_seq(con), database.next_seq(con)) == (7, 8)


def test_a_warehouse_of_an_older_gundog_gets_the_columns_it_lacks(tmp_path: Path) -> None:
    """An upgrade keeps what is stored and adds what is new."""
    path = tmp_path / "warehouse.duckdb"
    with database.writable(path, memory_limit=500_000_000, threads=1) as con:
        con.execute("alter table runs drop column problems")
        con.execute("drop table triage")
        con.execute("insert into runs (command) values ('hunt')")

    with database.writable(path, memory_limit=500_000_000, threads=1) as con:
        rows = con.execute("select command, problems from runs").fetchall()
        con.execute("from triage")

    assert rows == [("hunt", None)]
