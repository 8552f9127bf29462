"""A file of sql/sources is one table with plain columns, or says what else it holds."""

from __future__ import annotations

from functools import cache

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.errors import QueryError
from gundog.detections import content_folder, source_ddl
from gundog.warehouse import quoting


@cache
def connected() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def described(sql: str, table: str = "Evil") -> list[tuple[str, str]]:
    con = connected()
    con.execute("begin")
    try:
        con.execute(sql)
        rows = con.execute(f"describe {quoting.name(table)}").fetchall()
    finally:
        con.execute("rollback")  # no table stays
    return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize(
    "kind",
    [
        "bigint", "VARCHAR", "decimal(18, 3)", "varchar(20)", "timestamp with time zone",
        "TIMESTAMPTZ", "double precision", "character varying",
        "varchar[]", "integer[3][]", "struct(a integer, \"b c\" varchar[])", "map(varchar, bigint)",
        "union(n integer, t varchar)", "enum('a', 'it''s')", "json", "struct(x struct(y date))",
    ],
)  # fmt: skip
def test_every_plain_type_is_what_duckdb_makes_of_the_file(kind: str):
    """What is rewritten gives the columns
    ---- that the file itself would give."""
    text = f'/* a */ create table if not exists evil (\n  Id {kind}, -- b\n  "a ""b" text\n);'

    assert described(source_ddl.read(text, "Evil")) == described(text)


@pytest.mark.parametrize("path", sorted(content_folder.builtin().glob("sql/sources/*.sql")))
def test_what_ships_is_plain(path):
    """The sources that ship give the same columns as before."""
    text = path.read_text()

    assert described(source_ddl.read(text, path.stem), path.stem) == described(text, path.stem)


REFUSED = {
    "nothing": "",
    "another statement": "copy (select 1) to 'x'",
    "a statement before": "attach 'x' as p; create table Evil (a text)",
    "a statement behind": "create table Evil (a text); copy (select 1) to 'x'",
    "an empty one behind": "create table Evil (a text);;",
    "as select": "create table Evil as select 1 as a",
    "columns as select": "create table Evil (a) as select 1",
    "or replace": "create or replace table Evil (a text)",
    "temp": "create temp table Evil (a text)",
    "temporary": "create temporary table Evil (a text)",
    "a view": "create view Evil as select 1",
    "another name": "create table Good (a text)",
    "another schema": "create table main.Evil (a text)",
    "another catalogue": "create table x.main.Evil (a text)",
    "a schema in quotes": 'create table "x".Evil (a text)',
    "a name in one": 'create table "Evil"" (a text)',
    "default": "create table Evil (a text default (select 1))",
    "default of a call": "create table Evil (a text default getenv('x'))",
    "check": "create table Evil (a text check (a > (select 1)))",
    "generated": "create table Evil (a text, b text generated always as (a))",
    "as": "create table Evil (a text, b text as (a))",
    "no type": "create table Evil (a text, b as (a))",
    "not null": "create table Evil (a text not null)",
    "primary key": "create table Evil (a text primary key)",
    "a key of its own": "create table Evil (a text, primary key (a))",
    "a named constraint": "create table Evil (a text, constraint x check (true))",
    "foreign key": "create table Evil (a text, foreign key (a) references b (a))",
    "references": "create table Evil (a text references b (a))",
    "collate": "create table Evil (a text collate nocase)",
    "compression": "create table Evil (a text using compression zstd)",
    "like": "create table Evil (like b)",
    "with": "create table Evil (a text) with (x = 1)",
    "a type in quotes": 'create table Evil (a "text")',
    "a type that nobody knows": "create table Evil (a my_type)",
    "a type of another schema": "create table Evil (a main.text)",
    "a call in a type": "create table Evil (a varchar(length('x')))",
    "an enum of rows": "create table Evil (a enum (select 'x'))",
    "no columns": "create table Evil ()",
    "a comma too much": "create table Evil (a text,)",
    "an open bracket": "create table Evil (a text",
    "a control character": 'create table Evil ("a\nb" text)',
    "a long name": f'create table Evil ("{"a" * 129}" text)',
    "a column twice": "create table Evil (a text, A text)",
    "dollar quotes": "create table Evil (a enum($$x$$))",
    "an escape": "create table Evil (a enum(e'x'))",
    "a nested comment": "create table Evil (a text /* /* */ default 1 */)",
    "a null": "create table Evil (a text)\x00; copy (select 1) to 'x'",
}


def test_types_nest_as_deep_as_anybody_writes_them_and_no_deeper():
    """What would exhaust the stack is refused; lists need no depth."""
    deep = "create table Evil (a {}integer{})"

    assert described(source_ddl.read(deep.format("struct(a " * 48, ")" * 48), "Evil"))
    assert described(source_ddl.read(deep.format("", "[]" * 40), "Evil"))
    for depth in (60, 5_000):
        with pytest.raises(QueryError, match="50 deep: read the column as json"):
            source_ddl.read(deep.format("struct(a " * depth, ")" * depth), "Evil")


@pytest.mark.parametrize("text", [pytest.param(sql, id=name) for name, sql in REFUSED.items()])
def test_everything_else_is_refused_with_what_to_do(text: str):
    """No value, no constraint, no other table, no other statement."""
    with pytest.raises(QueryError, match=r": (write|rename|use|remove) "):
        source_ddl.read(text, "Evil")


_COLUMNS = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF), min_size=1, max_size=12)


@given(st.lists(_COLUMNS, min_size=1, max_size=4))
def test_a_column_may_have_any_printable_name(columns: list[str]):
    """Whatever a name holds, DuckDB has that column; names it cannot have are refused."""
    inner = ", ".join(f"{quoting.name(column)} text" for column in columns)
    try:
        sql = source_ddl.read(f"create table Evil ({inner})", "Evil")
    except QueryError:
        folded = [quoting.folded(column) for column in columns]
        assert len(set(folded)) < len(folded) or any(map(quoting.column_problem, columns))
    else:
        assert described(sql) == [(column, "VARCHAR") for column in columns]
