"""A query's SQL without the branches of other types gives the same rows, in every step of it."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.kql_import import scoped_types, translator

TYPES = {"a": "VARCHAR", "n": "BIGINT", "j": "JSON", "b": "BOOLEAN", "t": "TIMESTAMP"}
ROWS = """
    select * from (values
        ('x', 1::bigint, '"x"'::json, true, timestamp '2026-01-02 03:04:05'),
        ('X y', 2, '{"k": 1}', false, timestamp '2026-01-02 03:14:05'),
        ('', null, '["x", "q"]', null, null), (null, -1, null, true, null),
        ('[1]', 3, '"X y"', false, timestamp '2026-01-03')
    ) as t(a, n, j, b, t)
"""
# A column has another type in each step, or in each branch of one.
QUERIES = (
    "things | extend a = n | where tostring(a) == '1'",
    "things | extend a = j | where tostring(a) has 'y' or a.k == 1",
    "things | summarize s = make_set(a), c = dcount(tolower(a)) by b | where array_length(s) > 0",
    "things | summarize c = count() by bin(t, 5m), k = tostring(j)",
    "things | join kind=inner (things | extend n = j | project a, m = n) on a | where m has 'x'",
    "let few = things | project a = tostring(j);\nthings | where a in (few) or isempty(a)",
    "things | mv-expand one = j to typeof(string) | where one has_any ('q', 'x')",
    "things | extend w = case(b, tostring(j), n > 1, a, 'none') | project w, e = isempty(w)",
    "union (things | project v = a), (things | project v = tostring(n)) | where v != ''",
    "things | extend w = iff(b, strlen(tostring(j)), toint(n)) | summarize sum(w)",
)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the rows; nothing else is written to it."""
    with duckdb.connect() as opened:
        opened.execute(f"create table things as {ROWS}")
        yield opened


def _described(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in con.execute(f"describe {sql}").fetchall()]


@pytest.mark.parametrize("query", QUERIES)
def test_the_same_columns_and_rows_by_less_sql(con: duckdb.DuckDBPyConnection, query: str) -> None:
    """With joins, lets, unions and columns that change their type."""
    sql = translator.sql_of(translator.parse(query), {"things": list(TYPES)})
    plain = scoped_types.simplified(sql, lambda text: _described(con, text), con)

    assert _described(con, plain) == _described(con, sql)
    assert sorted(map(str, con.sql(plain).fetchall())) == sorted(map(str, con.sql(sql).fetchall()))
    assert plain.count("typeof") < max(1, sql.count("typeof"))
    assert scoped_types.simplified(plain, lambda text: _described(con, text), con) == plain


@pytest.mark.parametrize(
    ("sql", "plain"),
    [
        (
            (
                "select case when typeof(a) = 'JSON' and n = 1 then 1"
                " when typeof(a) = 'VARCHAR' and n = 2 then 2 else 3 end as x from things"
            ),
            "SELECT CASE  WHEN ((n = 2)) THEN (2) ELSE 3 END AS x FROM things",
        ),
        (  # the branch that never runs is a double, so the value stays one
            "select case when typeof(n) = 'JSON' then 1e0 else n end as x from things",
            "SELECT CAST(n AS DOUBLE) AS x FROM things",
        ),
        (  # the inner step reads the outer one of the same name
            (
                "with s as (select n as a from things), u as (with s as (select to_json(a) as a"
                " from s) select case typeof(a) when 'JSON' then 1 else 2 end as x from s)"
                " select * from u"
            ),
            (
                'WITH "s" AS (SELECT n AS a FROM things),\n'
                '     "u" AS (WITH s AS (SELECT to_json(a) AS a FROM s) SELECT 1 AS x FROM s)\n'
                "SELECT * FROM u"
            ),
        ),
        (  # the parameter of a lambda is not the column of that name
            (
                "select list_transform([1], lambda a: case typeof(a) when 'VARCHAR' then 1"
                " else 2 end) as x from things"
            ),
            None,
        ),
        (  # `a` is a column of the inner SELECT and another one of the outer
            (
                "select (select case typeof(a) when 'BIGINT' then 1 else 2 end from (select n as a"
                " from things limit 1)) as x, case typeof(a) when 'BIGINT' then 1 else 2 end as y"
                " from things"
            ),
            "SELECT (SELECT 1 FROM (SELECT n AS a FROM things LIMIT 1)) AS x, 2 AS y FROM things",
        ),
        (  # what sorts rows may be a name of the SELECT itself
            "select to_json(a) as a from things order by case typeof(a) when 'JSON' then 1 end",
            None,
        ),
        ("select 1 as x from things limit 2", "SELECT 1 AS x FROM things LIMIT 2"),
    ],
)
def test_only_what_never_runs_is_left_out(
    con: duckdb.DuckDBPyConnection, sql: str, plain: str | None
) -> None:
    """Questions that stay open stay in the SQL; no value changes its type."""
    made = scoped_types.simplified(sql, lambda text: _described(con, text), con)

    assert made == plain or (plain is None and made.count("typeof") == sql.count("typeof"))
    assert con.sql(made).fetchall() == con.sql(sql).fetchall()
    with pytest.raises(ValueError, match="not one SELECT"):
        scoped_types.simplified("drop table things", lambda _: [], con)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("extend w = case(b, j, a) | project w = tostring(w)", ["x", "X y", "", "", "[1]"]),
        ("extend w = iff(n > 1, a, j.k) | project w = tostring(w)", ["", "X y", "", "", "[1]"]),
        ("extend w = coalesce(j.k, a) | where tostring(w) == 'x'", None),
        ("project w = j | union (things | project w = a) | where tostring(w) has 'x'", None),
        ("project z = j, w = j, k = j | union (things | project z = a, w = a, k = a)", None),
    ],
)
def test_a_text_beside_json_ends_nothing(
    con: duckdb.DuckDBPyConnection, query: str, shown: list[str] | None
) -> None:
    """DuckDB would read each text as JSON, and end the hunt at the first that is not."""
    sql = translator.sql_of(translator.parse(f"things | {query}"), {"things": list(TYPES)})
    with pytest.raises(duckdb.ConversionException, match="JSON"):
        con.sql(sql).fetchall()
    rows = con.sql(scoped_types.simplified(sql, lambda text: _described(con, text), con)).fetchall()

    assert rows
    assert shown is None or [row[-1] for row in rows] == shown
