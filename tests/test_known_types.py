"""SQL without the branches of other types gives the same rows."""

from __future__ import annotations

import duckdb
import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.kql_import import known_types, translator

TYPES = {"a": "VARCHAR", "n": "BIGINT", "j": "JSON", "b": "BOOLEAN"}
ROWS = """
    select * from (values
        ('x', 1::bigint, '"x"'::json, true), ('X y', 2, '{"k": 1}', false),
        ('', null, '[1]', null), (null, -1, null, true), ('[1]', 3, '"X y"', false)
    ) as t(a, n, j, b)
"""
CONDITIONS = (
    "a =~ 'x'",
    "a has 'y'",
    "a has_any ('x', 'q')",
    "tostring(j) == 'x'",
    "tostring(n) == '1'",
    "tostring(b) == 'True'",
    "j has 'y'",
    "isempty(a) or not(a contains 'X')",
    "case(a has 'x', 'one', n > 1, 'two', '') != ''",
    "extract(@'(y)', 1, a) == 'y'",
)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_same_rows_by_less_sql(condition: str) -> None:
    """For columns of text, numbers, JSON and truth values."""
    query = translator.parse(f"things | where {condition}")
    sql = translator.sql_of(query, {"things": list(TYPES)})
    plain = known_types.simplified(sql, TYPES)

    with duckdb.connect() as con:
        con.execute(f"create view things as {ROWS}")
        assert con.sql(plain).fetchall() == con.sql(sql).fetchall()
    assert len(plain) <= len(sql) + 200
    assert "typeof(a)" not in plain
    assert known_types.simplified(plain, TYPES) == plain


def test_columns_of_unknown_type_keep_their_branches() -> None:
    """What is not known is asked in SQL, as before."""
    sql = "select case when typeof(a) = 'JSON' then 1 else 2 end as x from things"

    assert "typeof(a)" in known_types.simplified(sql, {"b": "VARCHAR"})
    assert known_types.simplified(sql, {"a": "JSON"}) == "SELECT 1 AS x FROM things"
    with pytest.raises(ValueError, match="not one SELECT"):
        known_types.simplified("drop table things", {})
