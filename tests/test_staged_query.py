"""Questions of the staged tables: read only, and never in the way of a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from gundog.core.errors import InputError, LockError
from gundog.warehouse import database, staged_query
from tests import deaths, kit
from tests.forks import Fork
from tests.kit import DAY
from tests.test_looked_at import CONFIG, FIRST, write

MEMORY = 300_000_000
HUNTED = ("mail_read_from_new_context",)
ENDLESS = "select count(*) from range(4000000000) as a, range(1000) as b"


def ask(path: Path, sql: str, wait: float = 0.0) -> list[tuple[object, ...]]:
    rows = staged_query.ask(path, sql, memory_limit=MEMORY, threads=1, wait=timedelta(seconds=wait))
    return [tuple(row.values()) for row in rows.to_pylist()]


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("create table mail_access as select 7 as items")
    return path


@contextmanager
def run_beside(path: Path) -> Iterator[Fork]:
    """Another process that has the warehouse open for writing, until it is told to let go."""
    run = Fork(deaths.write, path, MEMORY)
    try:
        assert run.connection.poll(60)
        yield run
    finally:
        let_go(run)


def let_go(run: Fork) -> None:
    with suppress(OSError):  # it has ended
        run.connection.send("close")
    run.wait(60)


def test_staged_rows_are_read(warehouse: Path) -> None:
    """A SELECT over a staged table gives its rows."""
    assert ask(warehouse, "select items from mail_access") == [(7,)]


@pytest.mark.parametrize(
    "sql",
    [
        "delete from mail_access",
        "create table other as select 1 as one",
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "attach ':memory:' as other",
        "copy mail_access to '/tmp/out.csv'",
        "set memory_limit = '1TB'",
        "select 1; select 2",
    ],
)
def test_nothing_else_is_done(warehouse: Path, sql: str) -> None:
    """No writing, no file, no setting, and one statement at a time."""
    with pytest.raises(InputError):
        ask(warehouse, sql)
    assert ask(warehouse, "select items from mail_access") == [(7,)]


def test_a_question_waits_until_a_run_lets_go(warehouse: Path) -> None:
    """At once it is refused in one sentence; with --wait it is answered after the run."""
    with run_beside(warehouse) as run:
        with pytest.raises(LockError, match="a run is writing it"):
            ask(warehouse, "select items from mail_access")
        threading.Timer(0.5, let_go, [run]).start()
        assert ask(warehouse, "select items from mail_access", wait=60) == [(7,)]


def test_a_run_never_waits_for_a_question(warehouse: Path) -> None:
    """A question that would take hours is stopped when a run wants the warehouse."""
    with run_beside(warehouse):
        pass
    refused = list[BaseException]()

    def question() -> None:
        try:
            ask(warehouse, ENDLESS)
        except LockError as error:
            refused.append(error)

    asking = threading.Thread(target=question)
    asking.start()
    time.sleep(0.5)
    with run_beside(warehouse):
        asking.join(60)
        assert not asking.is_alive()
    assert len(refused) == 1
    assert not database.wanted(warehouse).exists()


def test_a_sign_that_a_killed_run_left_stops_nobody(warehouse: Path) -> None:
    """Only a sign that is set while the question runs counts."""
    database.wanted(warehouse).touch()
    time.sleep(0.02)
    sql = "select count(*) from range(30000000) as a where a.range % 7 = 3"
    assert ask(warehouse, sql) == [(4285714,)]


def test_a_question_that_was_answered_is_not_stopped(warehouse: Path) -> None:
    """A run wants the warehouse in the moment in which the answered question lets go of it."""
    watcher = staged_query._Watcher(warehouse)
    con = duckdb.connect()
    watcher.watch(con)
    con.close()
    with watcher.on():
        database.wanted(warehouse).touch()
        until = time.monotonic() + 60
        while not watcher.was_stopped and time.monotonic() < until:
            time.sleep(0.01)
    assert watcher.was_stopped


@pytest.mark.slow
def test_questions_are_answered_beside_a_real_run(tmp_path: Path) -> None:
    """Each sees the rows as they were or as they are, and the run ends well."""
    kit.write_text(tmp_path / "gundog.yaml", CONFIG)
    write(tmp_path, FIRST, ["ana", "bob"])
    span = (f"{FIRST:%Y-%m-%d}", f"{FIRST:%Y-%m-%d}")
    kit.hunt(tmp_path, span, FIRST + 3 * DAY, detections=HUNTED)
    write(tmp_path, FIRST + DAY, ["ana"])
    warehouse = tmp_path / ".gundog" / "warehouse.duckdb"
    later = f"{FIRST + DAY:%Y-%m-%d}"
    run = Fork(deaths.hunt, tmp_path, (later, later), FIRST + 3 * DAY, HUNTED)

    seen = set()
    while run.is_alive():
        seen |= {rows for (rows,) in ask(warehouse, "select count(*) from mail_access", wait=120)}
        time.sleep(0.05)

    assert run.wait() == 0
    assert seen <= {2, 3}
    assert ask(warehouse, "select count(*) from mail_access") == [(3,)]
    assert ask(warehouse, "select count(*) from mail_access_contexts where kind = '*'") == [(3,)]
