"""The events behind joined and then grouped rows: all of them, each once."""

from __future__ import annotations

import random

import duckdb
import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.kql_import import join_marks, preparing, probing, translator, weaving
from gundog.kql_import.weaving import MARK
from tests import draws

COLUMNS = {"k": "VARCHAR", "s": "VARCHAR", "n": "BIGINT"}
TABLES = ("A", "B", "C")
GROUPED = (
    "A | join kind=inner B on k | summarize make_set(s), count(), make_set(n) by k",
    "A | join kind=inner B on k | join kind=inner C on k | summarize make_set_if(s1, n > 0) by s",
    "A | join kind=leftouter B on k | join kind=fullouter (C | project s, m = n) on s | distinct k",
    "A | join kind=rightouter B on k | summarize dcount(s) by s1 | where dcount_s > 0",
    "A | join kind=inner (B | join kind=inner C on s) on k | count",
    "A | lookup (B | summarize n = max(n) by k) on k | project k, n1 | summarize sum(n1) by k",
    "let pairs = A | join kind=inner B on k; pairs | summarize count() by k",
    "let pairs = A | join kind=inner B on k; pairs | join kind=inner pairs on s | distinct s, n",
    "A | join kind=inner B on k | summarize arg_max(n, *) by k | project k, n, s",
    (
        "A | join kind=inner B on k | summarize c = count() by k"
        " | union (C | join kind=inner B on s) | summarize sum(c) by k"
    ),
    (
        "A | join kind=leftsemi B on k | join kind=rightsemi (B | join kind=inner C on k) on s"
        " | summarize count() by k"
    ),
    (
        "A | join kind=inner B on k | summarize c = count() by k | join kind=inner C on k"
        " | summarize sum(c), make_set(s) by k"
    ),
    "A | join kind=inner B on k | sort by n asc, s asc, s1 asc, n1 asc | summarize count() by s",
    "A | join kind=inner B on k | take 3 | count",
)
UNGROUPED = (
    "A | join kind=inner B on k",
    "A | summarize c = count() by k | join kind=inner B on k",
    "A | join kind=leftanti B on k | summarize count() by k",
    "A | join kind=inner B on k | union (C | join kind=inner B on s) | summarize count() by k",
)


def _woven(kql: str) -> str:
    """The SELECT of a query over the three tables."""
    columns = {name: [*COLUMNS, MARK] for name in TABLES}
    parsed = translator.parse(preparing.prepare(kql).kql)
    with probing.over({name: {**COLUMNS, MARK: "VARCHAR"} for name in TABLES}) as types_of:
        return translator.sql_of(weaving.woven(parsed, columns, types_of).query, columns)


def _rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[str, list[str]]]:
    """Each row as text, and the sorted marks of its events."""
    shown = con.execute(f"select columns(* exclude ({MARK}))::varchar, {MARK} from ({sql})")
    return sorted((repr(row[:-1]), sorted({*(row[-1] or "").split()})) for row in shown.fetchall())


def _fill(con: duckdb.DuckDBPyConnection, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311 - no secret
    for name in TABLES:
        columns = ", ".join(f"{column} {kind}" for column, kind in COLUMNS.items())
        con.execute(f"create or replace table {name} ({columns}, {MARK} varchar)")
        for number in range(draw.randrange(1, 9)):
            row = (draw.choice("xyz"), draw.choice("pq"), draw.choice((0, 1, 2, None)))
            con.execute(f"insert into {name} values (?, ?, ?, ?)", [*row, f"{name}{number}/0"])


@pytest.mark.parametrize("kql", draws.spread(GROUPED, every=3))
def test_grouped_rows_have_the_events_that_texts_of_pairs_give(
    kql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks apart until the end, and marks joined at each join: the same rows and events."""
    apart = _woven(kql)
    monkeypatch.setattr(join_marks, "are_grouped", lambda _query: False)
    joined = _woven(kql)

    assert apart != joined
    with duckdb.connect() as con:
        for seed in range(5):
            _fill(con, seed)
            if "take" in kql:  # which rows it takes hangs on the marks
                assert len(_rows(con, apart)) == len(_rows(con, joined))
            else:
                assert _rows(con, apart) == _rows(con, joined)


@pytest.mark.parametrize("kql", UNGROUPED)
def test_marks_are_joined_at_once_where_nothing_groups_joined_rows(kql: str) -> None:
    """Their SQL stays as short as it was."""
    assert "gundog_joined" not in _woven(kql)


def test_three_tables_that_all_meet_keep_each_event_once() -> None:
    """30 rows each make 27,000 pairs; their count needs 90 marks, and sets of 30 values."""
    sql = _woven(
        "A | join kind=inner B on k | join kind=inner C on k | summarize make_set(n1), count() by k"
    )
    with duckdb.connect() as con:
        for name in TABLES:
            con.execute(
                f"create table {name} as select 'x' as k, 'p' as s, i as n,"
                f" '{name}' || i || '/0' as {MARK} from range(30) as numbers (i)"
            )
        ((count, marks),) = con.execute(f"select count_, {MARK} from ({sql})").fetchall()

    assert (count, len(marks.split())) == (27_000, 90)
    assert "list(DISTINCT" in sql
