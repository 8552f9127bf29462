"""Tests of publishTo with PostgreSQL: a real server, whole runs only, no row lost for its text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from gundog.cli import main
from gundog.core.errors import StoreError
from gundog.core.fields import Fields
from gundog.findings import reader
from gundog.targets import config, postgres, postgres_rows, postgres_tables, sections
from gundog.targets.config import PublishTo
from gundog.warehouse import database
from tests import kit, postgres_server
from tests.test_finding_list import NOW, STRINGS, evidence, finding, published
from tests.test_targets_parquet import Killed, hunted, hunted_once, world

__all__ = ["hunted", "hunted_once"]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of one server for all tests of this module."""
    with postgres_server.running() as address:
        yield address


@pytest.fixture
def target(server: str, request: pytest.FixtureRequest) -> PublishTo:
    """A target with a schema of its own for each test."""
    name = f"t{abs(hash(request.node.name)) % 10**12}"
    return PublishTo(server, "soc", schema=name)


def ask(server: str, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a statement, which is committed."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(server) as con, con.cursor() as cursor:
        cursor.execute(sql)
        rows = list(cursor.fetchall()) if cursor.description else []
        con.commit()
    return rows


def sync(target: PublishTo, path: Path, owner: str = "p") -> int:
    with reader.published(path) as con:
        return postgres.publish(con, target, owner)


def plain(value: Any) -> Any:
    """A value in one spelling for both databases."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return [str(item) for item in value] if isinstance(value, list) else value


def there(target: PublishTo, name: str, cursor: Any = None) -> list[Any]:
    """The rows of a table or view as a reader of PostgreSQL sees them, in any order."""
    columns = _described(name)
    chosen = ", ".join(
        f"{column}::text" if kind in ("UUID", "JSON") else
        f"{column}::text[]" if kind == "UUID[]" else column
        for column, kind in columns
    )  # fmt: skip
    sql = f"select {chosen} from {target.schema}.{name}"
    if cursor is None:
        return _sorted(ask(target.place, sql), columns)
    cursor.execute(sql)
    return _sorted(list(cursor.fetchall()), columns)


def here(path: Path, name: str) -> list[Any]:
    """The rows of a table or view of findings.duckdb."""
    with reader.published(path) as con:
        return held(con, name)


def held(con: Any, name: str) -> list[Any]:
    """The same of one that is open."""
    columns = _described(name)
    chosen = ", ".join(
        f"{column}::varchar" if kind in ("UUID", "JSON") else
        f"{column}::varchar[]" if kind == "UUID[]" else column
        for column, kind in columns
    )  # fmt: skip
    return _sorted(con.execute(f"select {chosen} from {name}").fetchall(), columns)


def _described(name: str) -> list[tuple[str, str]]:
    if name in postgres_tables.VIEWS:
        return [("*", "")]
    held = sections.named(name).published_columns
    return [(column.name, column.type.removesuffix(" PRIMARY KEY")) for column in held]


def _sorted(rows: list[Any], columns: list[tuple[str, str]]) -> list[Any]:
    kinds = [kind for _, kind in columns]
    made = []
    for row in rows:
        values = list(map(plain, row))
        for place, kind in enumerate(kinds):
            if kind == "JSON" and values[place] is not None:
                values[place] = json.loads(values[place])
            if kind == "VARCHAR" and values[place] is not None:
                values[place] = values[place].replace("\0", "\ufffd")
        made.append(values)
    return sorted(made, key=repr)


def same(target: PublishTo, path: Path) -> None:
    """Every table is there as it is here."""
    from adbc_driver_postgresql import dbapi

    with (
        reader.published(path) as con,
        dbapi.connect(target.place) as open_there,
        open_there.cursor() as cursor,
    ):
        for table in sections.TABLES:
            assert there(target, table.name, cursor) == held(con, table.name), table.name


def rich(path: Path) -> Path:
    """A published file with rows in every table."""
    path.write_bytes(_rich())
    return path


@cache
def _rich() -> bytes:
    findings = [
        finding(n, account_name=f"a{n % 3}", mailbox="m@example.com", host_name="h",
                tenant="t", risk_score=n, entities=json.dumps([{"n": n}]), updated_at=NOW)
        for n in (1, 2, 3, 30, 200)
    ]  # fmt: skip
    key = findings[0]["finding_id"]
    with TemporaryDirectory() as folder:
        return published(
            Path(folder, "findings.duckdb"),
            findings=findings,
            evidence=[evidence(n, i, line=f"{n} {i}") for n in (1, 2, 30) for i in range(3)],
            finding_contexts=[{"finding_id": key, "kind": "isp", "value": "x", "records": 2}],
            finding_changes=[
                {"finding_id": key, "change": "new", "changed_at": NOW, "before": "{}"}
            ],
            triage=[{"finding_id": key, "said_at": NOW, "status": "in_progress", "note": "n"}],
            runs=[{"run_id": key, "started_at": NOW, "finished_at": NOW, "summary": "{}",
                   "problems": ["p", "q"]}],
            run_intervals=[{"detection_id": key, "interval_start": NOW - timedelta(days=1),
                            "interval_end": NOW, "state": "done", "seconds": 1.5}],
            notifications=[{"notification_id": key, "channel": "c", "finding_ids": [key],
                            "body": "{}", "created_at": NOW}],
            series_points=[{"detection_id": key, "series_key": "t/*", "hour": NOW, "observed": 3.0,
                            "interval_start": NOW, "interval_end": NOW}],
        ).read_bytes()  # fmt: skip


@pytest.mark.slow
def test_every_table_and_view_has_the_same_rows_of_the_same_names(
    target: PublishTo, tmp_path: Path
) -> None:
    """Also where a table is empty; a second time changes nothing. Types are PostgreSQL's own."""
    path = rich(tmp_path / "f.duckdb")

    assert sync(target, path) > 0
    assert sync(target, path) == 0

    same(target, path)
    for view in postgres_tables.VIEWS:
        assert there(target, view) == here(path, view), view
        assert there(target, view), view
    assert_types_and_comments(target)


def assert_types_and_comments(target: PublishTo) -> None:
    """uuid, jsonb and timestamptz; each column says what it is."""
    rows = ask(
        target.place,
        f"""select a.attname::text, format_type(a.atttypid, a.atttypmod),
                   col_description(a.attrelid, a.attnum)
            from pg_attribute as a where a.attrelid = '{target.schema}.findings'::regclass
            and a.attnum > 0""",
    )
    held = {name: (kind, said) for name, kind, said in rows}
    assert held["finding_id"][0] == "uuid"
    assert held["details"][0] == "jsonb"
    assert held["tactics"][0] == "text[]"
    assert held["start_time"] == ("timestamp with time zone", "its first event")
    assert all(said for _, said in held.values())
    [(said,)] = ask(target.place, f"select obj_description('{target.schema}.findings'::regclass)")
    assert said == sections.named("findings").comment


@pytest.mark.slow
def test_no_row_is_lost_for_its_text(target: PublishTo, tmp_path: Path) -> None:
    """U+0000 becomes U+FFFD, in text, lists and JSON; all else is as it came."""
    texts = [
        *STRINGS.values(),
        "a\0b",
        "\\u0000",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    ]
    found = [
        finding(n, title=raw, account_name=raw, tenant=raw, tactics=[raw], mailbox=raw,
                details=json.dumps({"line": raw, raw: [raw]}))
        for n, raw in enumerate(texts, start=1)
    ]  # fmt: skip
    lone = json.dumps({"nul": "\0\0", "text": "\\u0000"})
    path = published(
        tmp_path / "f.duckdb", findings=found,
        evidence=[{**evidence(1), "event": lone}],
    )  # fmt: skip

    sync(target, path)

    rows = ask(
        target.place,
        f"select title, account_name, tactics, details ->> 'line' from {target.schema}.findings",
    )
    expected = [raw.replace("\0", "\ufffd") for raw in texts]
    assert sorted(row[0] for row in rows) == sorted(expected)
    assert all(row == (row[0], row[0], [row[0]], row[0]) for row in rows)
    [(nul, text)] = ask(
        target.place, f"select event ->> 'nul', event ->> 'text' from {target.schema}.evidence"
    )
    assert (nul, text) == ("\ufffd\ufffd", "\\u0000")
    assert json.loads(postgres_rows.for_jsonb('["\\ud800"]') or "") == ["\ufffd"]


@pytest.mark.slow
def test_only_changed_days_are_written_and_what_is_gone_goes(
    target: PublishTo, tmp_path: Path
) -> None:
    """With evidence and contexts, also where a finding moved to another day.

    A snapshot that was open before stays whole, and publishing does not wait for it.
    """
    from adbc_driver_postgresql import dbapi

    first = world(tmp_path / "a.duckdb", 1, 30, 60)
    sync(target, first)
    rows = [finding(1), finding(30, interval_start=NOW - timedelta(days=9))]
    second = published(tmp_path / "b.duckdb", findings=rows, evidence=[evidence(30, who=7)])
    count = f"select count(*) from {target.schema}.findings"
    with dbapi.connect(target.place) as con, con.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read")
        cursor.execute(count)
        assert cursor.fetchall() == [(3,)]

        written = sync(target, second)

        cursor.execute(count)
        assert cursor.fetchall() == [(3,)]
    assert ask(target.place, count) == [(2,)]
    same(target, second)
    assert written < 16
    sync(target, first)
    same(target, first)


def killed_at(number: int, patch: pytest.MonkeyPatch) -> None:
    """Ends the process before the statement of that number; the server then sees it is gone."""
    left, execute = [number], postgres._execute

    def counted(*arguments: Any) -> list[Any]:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return execute(*arguments)

    patch.setattr(postgres, "_execute", counted)


@pytest.mark.slow
@pytest.mark.parametrize("stride", [20, 3])
def test_a_kill_at_any_statement_shows_the_old_run_or_the_new_one(
    target: PublishTo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stride: int
) -> None:
    """Nothing half, nothing lost, nothing twice; also when nothing was there before."""
    old, new = world(tmp_path / "a.duckdb", 1, 30), world(tmp_path / "b.duckdb", 2, 31)
    kills = 0
    for number in range(0, 200, 8 * stride):
        with monkeypatch.context() as patch:
            killed_at(number, patch)
            with pytest.raises(Killed):
                sync(target, old)
        kills += 1
        assert ask(target.place, f"""select count(*) from pg_namespace
                                     where nspname = '{target.schema}'""") == [(0,)]  # fmt: skip
    sync(target, old)
    number = 0
    while True:
        with monkeypatch.context() as patch:
            killed_at(number, patch)
            try:
                sync(target, new)
                break
            except Killed:
                kills += 1
        for name in ("findings", "evidence", "finding_changes"):
            assert there(target, name) == here(old, name)
        number += stride

    same(target, new)
    assert kills > 2


@pytest.mark.slow
def test_a_table_that_is_not_ours_stays(target: PublishTo, tmp_path: Path) -> None:
    """As does what another project published."""
    path = world(tmp_path / "f.duckdb", 1)
    ask(target.place, f"create schema {target.schema}")
    ask(target.place, f"create table {target.schema}.findings (own text)")
    ask(target.place, f"insert into {target.schema}.findings values ('mine')")

    with pytest.raises(StoreError, match="has a table findings that is not gundog's"):
        sync(target, path)

    assert ask(target.place, f"select own from {target.schema}.findings") == [("mine",)]
    other = replace(target, schema=f"{target.schema}x")
    sync(other, path, "one")
    with pytest.raises(StoreError, match="belongs to another project"):
        sync(other, path, "two")


@pytest.mark.slow
def test_a_new_column_comes_and_changed_ones_are_made_again(
    target: PublishTo, tmp_path: Path
) -> None:
    """After an upgrade all rows are as they are published; grants of whole tables stay."""
    path = rich(tmp_path / "f.duckdb")
    sync(target, path)
    for view in postgres_tables.VIEWS:
        ask(target.place, f"drop view {target.schema}.{view}")
    ask(target.place, f"alter table {target.schema}.findings drop column reason")
    ask(target.place, f"update {target.schema}.gundog_target set layout = 'old'")

    sync(target, path)
    same(target, path)
    for view in postgres_tables.VIEWS:
        ask(target.place, f"drop view {target.schema}.{view}")
    ask(
        target.place,
        f"alter table {target.schema}.findings alter column title type varchar(9) using 'x'",
    )

    sync(target, path)
    same(target, path)
    for view in postgres_tables.VIEWS:
        assert there(target, view) == here(path, view), view


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("postgresql://postgres:word@/nobody?host=HOST", "create the database"),
        ("postgresql://ana:word@/postgres?host=HOST", "check the user and password"),
        ("postgresql://ana:word@127.0.0.1:9/postgres", "check the address and the server"),
    ],
)
def test_a_server_that_refuses_is_named_without_the_password(
    server: str, tmp_path: Path, address: str, problem: str
) -> None:
    """With what to do."""
    text = address.replace("HOST", server.partition("host=")[2])
    [target] = config.read(Fields({"publishTo": text}, "gundog.yaml", []), tmp_path)

    with pytest.raises(StoreError) as told:
        sync(target, world(tmp_path / "f.duckdb", 1))

    assert problem in str(told.value)
    assert "word@" not in str(told.value)
    assert str(told.value).startswith("postgresql://")


@pytest.mark.slow
def test_a_run_and_a_purge_reach_postgres(
    hunted: Path, server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what messages changed; nothing of the purged is left in any table."""
    project = hunted
    kit.write_text(
        project / "gundog.yaml",
        f"{kit.CONFIG}publishTo: {{to: '{server}', name: db, schema: hunted}}\n",
    )
    target, findings = PublishTo(server, "db", "hunted"), project / ".gundog/findings.duckdb"

    assert kit.hunt(project, now=kit.NOW + timedelta(minutes=1)).problems == []
    same(target, findings)
    assert len(there(target, "findings")) == 1

    assert main.main(["purge", "--account", "a", "--project", str(project)]) == 0
    same(target, findings)
    assert there(target, "findings") == there(target, "evidence") == []


def test_without_the_driver_the_extra_is_named(
    target: PublishTo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the night goes on."""
    import builtins

    real = builtins.__import__

    def no_driver(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("adbc_driver"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", no_driver)
    with pytest.raises(StoreError, match=r"install gundog\[postgres\]"):
        sync(target, world(tmp_path / "f.duckdb", 1))


def test_sections_of_postgres_are_those_of_duckdb(tmp_path: Path) -> None:
    """Each published table says in both how its rows are filed."""
    for table in sections.TABLES:
        assert postgres_tables.day_of("s", table.name)
        assert postgres_tables.columns(table)
    assert postgres_rows.for_jsonb(None) is None
    assert postgres_rows.for_jsonb("not json \\u0000") == '"not json \\\\u0000"'


@pytest.mark.slow
def test_days_are_cut_alike(target: PublishTo, tmp_path: Path) -> None:
    """A row without a time, and one at the edge of a day."""
    rows = [finding(n, interval_start=at) for n, at in
            enumerate([None, NOW.replace(hour=0), NOW.replace(hour=23, minute=59)], 1)]  # fmt: skip
    path = published(tmp_path / "f.duckdb", findings=rows)
    sync(target, path)

    held = ask(
        target.place,
        f"""select {postgres_tables.day_of(target.schema, "findings")}
            from {target.schema}.findings as t""",
    )
    with reader.published(path) as con:
        mine = database.rows(con, f"select {sections.day_of('findings')} as d from findings as t")
    assert sorted(row[0] for row in held) == sorted(row["d"] for row in mine)
