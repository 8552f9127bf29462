"""Copies of events are told from what counts, whatever comes and goes, and in whatever order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from gundog.core.times import parse_time
from gundog.detections import content
from gundog.findings import purging
from gundog.warehouse import database, redeliveries, schema
from tests import draws, engines, kit

TABLE = "staged.things"
START = parse_time("2026-03-01")
HOUR = timedelta(hours=1)


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with engines.memory() as con:
        con.execute("create schema staged")
        con.execute(
            f"""create table {TABLE} (file_id bigint, event_id uuid, event_time timestamptz,
                reject_reason varchar, tenant varchar, {schema.IS_COPY} boolean default false)"""
        )
        yield con


def add(con: duckdb.DuckDBPyConnection, file_id: int, events: list[tuple[int, int]]) -> None:
    """Rows of a file: the number of an event, and its minute after START."""
    con.executemany(
        f"""insert into {TABLE} (file_id, event_id, event_time, reject_reason, tenant)
            select $1, md5($2::varchar)::uuid, $3::timestamptz,
                   case when $2 % 11 = 0 then 'bad' end,
                   case when $1 % 2 = 0 then 'b' else '' end""",
        [[file_id, number, START + timedelta(minutes=minute)] for number, minute in events],
    )


def hours_of(con: duckdb.DuckDBPyConnection, file_id: int) -> list[tuple[datetime, int]]:
    return con.execute(
        f"""select date_trunc('hour', event_time) as hour, count(*) from {TABLE}
            where date_trunc('hour', event_time) in
                (select date_trunc('hour', event_time) from {TABLE} where file_id = ?)
            group by hour order by hour""",
        [file_id],
    ).fetchall()


def counted(con: duckdb.DuckDBPyConnection, where: str) -> list[tuple[object, ...]]:
    return con.execute(
        f"""select event_id, event_time, file_id from {TABLE} where reject_reason is null {where}
            order by all"""
    ).fetchall()


MARKED = f"and not {schema.IS_COPY}"
ORACLE = """qualify row_number() over (
    partition by event_time, event_id, tenant order by file_id) = 1"""


@pytest.mark.parametrize("seed", draws.spread(range(12), 4))
def test_marks_follow_what_comes_and_goes(con: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Against the rule itself, after every one of a few dozen random changes."""
    rng = random.Random(seed)  # noqa: S311 - no secret
    for _ in range(rng.randint(10, 40)):
        file_id = rng.randint(-3, 4)
        there = con.execute(
            f"select min(event_time), max(event_time) from {TABLE} where file_id = ?", [file_id]
        ).fetchall()[0]
        con.execute(f"delete from {TABLE} where file_id = ?", [file_id])
        if there[0]:
            redeliveries.promote(con, TABLE, *there)
            assert counted(con, MARKED) == counted(con, ORACLE)
        if rng.random() < 0.8:
            events = [(rng.randint(0, 40), rng.choice([0, 59, 60, 61, 200]))
                      for _ in range(rng.randint(1, 12))]  # fmt: skip
            add(con, file_id, events)
            redeliveries.mark(con, TABLE, hours_of(con, file_id))
        assert counted(con, MARKED) == counted(con, ORACLE)


def test_many_rows_are_looked_through_in_parts(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours are never split: deliveries of one event have one time and are seen together."""
    monkeypatch.setattr(redeliveries, "_ROWS_AT_A_TIME", 3)
    for file_id in (3, 1):
        add(con, file_id, [(number, number * 7 % 300) for number in range(1, 11)])

    redeliveries.mark(con, TABLE)

    assert counted(con, MARKED) == counted(con, ORACLE)
    assert {row[2] for row in counted(con, MARKED)} == {1}
    assert len(counted(con, MARKED)) == 10


@pytest.mark.slow
def test_hunts_see_a_redelivery_once_its_first_row_left_the_lake_and_expired(
    tmp_path: Path,
) -> None:
    """Retention takes the row that counted; the redelivered row then stands for the event."""
    root = kit.make_project(tmp_path)
    config = root / "gundog.yaml"
    kit.write_text(config, config.read_text() + "retention: {staged: 10d}\n")
    kit.fill_days(root, "2026-03-08", 2)
    pair = [kit.event("2026-03-09T05:00", "open", number=1),
            kit.event("2026-03-09T06:00", "close", number=2)]  # fmt: skip
    names = sorted(["one", "two"], key=lambda name: _place(root, name))
    kit.write_file(root, "2026-03-09", pair, names[0])
    kit.hunt(root, now=parse_time("2026-03-10T04:00"))
    kit.write_file(root, "2026-03-09", pair, names[1])
    kit.hunt(root, now=parse_time("2026-03-16T04:00"))
    assert seen(root) == (2, 2)

    (root / f"lake/date=2026-03-09/{names[0]}.parquet").unlink()
    kit.hunt(root, now=parse_time("2026-03-22T04:00"))

    assert seen(root) == (2, 0)


def test_redelivery_counts_once_the_file_of_the_first_row_changed(tmp_path: Path) -> None:
    """A file is replaced by one without the event, within the same run that hunts."""
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-08", 2)
    pair = [kit.event("2026-03-09T05:00", "open", number=1),
            kit.event("2026-03-09T06:00", "close", number=2)]  # fmt: skip
    names = sorted(["one", "two"], key=lambda name: _place(root, name))
    for name in names:
        kit.write_file(root, "2026-03-09", pair * 2, name)
    kit.hunt(root)
    assert seen(root) == (2, 6)

    other = [kit.event("2026-03-09T07:00", "other", number=3)]
    kit.write_file(root, "2026-03-09", other, names[0])
    kit.hunt(root)

    assert seen(root) == (2, 2)
    assert kit.table(root, "select distinct source_file from evidence") == [
        (f"lake/date=2026-03-09/{names[1]}.parquet",)
    ]


def test_redelivery_counts_once_its_first_row_was_purged(tmp_path: Path) -> None:
    """Two records with one id, of two mailboxes: the other one's is not lost with the purged."""
    with database.writable(tmp_path / "w.duckdb", memory_limit=10**9, threads=1) as con:
        con.execute(
            f"""create table {TABLE} (
                file_id bigint, event_id uuid, event_time timestamptz, reject_reason varchar,
                tenant varchar, mailbox varchar, {schema.IS_COPY} boolean default false)"""
        )
        con.executemany(
            f"insert into {TABLE} values (?, md5('1')::uuid, ?, null, '', ?, false)",
            [[1, START, "ana@example.com"], [2, START, "bob@example.com"]],
        )
        redeliveries.mark(con, TABLE)
        assert shown(con) == [("ana@example.com",)]

        purging.purge(con, purging.Whom(mailbox="ana@example.com"), tmp_path / "triage.jsonl")

        assert shown(con) == [("bob@example.com",)]


def shown(con: duckdb.DuckDBPyConnection) -> list[tuple[str]]:
    return con.execute(f"select mailbox from {TABLE} where not {schema.IS_COPY}").fetchall()


def test_stage_sql_may_not_return_the_mark(tmp_path: Path) -> None:
    """It would stand beside gundog's own column of that name."""
    root = kit.make_project(tmp_path)
    path = root / "sql/stage/happenings.sql"
    kit.write_text(path, path.read_text().replace("N as n", "N as n, false as is_copy"))

    told = content.load([root]).problems[0]

    assert (told.path, told.key) == (str(path), "is_copy")
    assert "reserved by gundog" in told.reason


def _place(root: Path, name: str) -> int:
    from gundog.staging import stage

    return stage.file_id("Things", f"lake/date=2026-03-09/{name}.parquet")


def seen(root: Path) -> tuple[int, int]:
    """Rows that hunts see of the pair, and rows of it that are marked as redelivered."""
    [stage] = kit.load_content(root).hunt("pair").stages
    con = duckdb.connect(str(root / ".gundog/warehouse.duckdb"), read_only=True)
    try:
        shown = con.execute("select count(*) from happenings where id in (1, 2)").fetchall()
        marked = con.execute(
            f"select count(*) from {stage.table} where {schema.IS_COPY}"
        ).fetchall()
    finally:
        con.close()
    return shown[0][0], marked[0][0]
