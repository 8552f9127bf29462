"""Words in one pattern find what each word alone finds."""

from __future__ import annotations

import random
from collections.abc import Iterator

import duckdb
import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.kql_import import scoped_types, translator
from tests import draws

TEXTS = (
    "net user /add",
    "NET1.exe",
    "a.b",
    "axb",
    "x_add y",
    "\uff4eet",
    "\u017fnet",
    "add",
    "",
    None,
    "..",
)
WORDS = ("net", "/add", "a.b", ".", "add", "", "ADD y", "é")
CALLS = ("has", "hasprefix", "hassuffix", "has_cs")


def _simplified(con: duckdb.DuckDBPyConnection, sql: str) -> str:
    return scoped_types.simplified(
        sql, lambda text: [row[:2] for row in con.execute(f"describe {text}").fetchall()], con
    )


def _condition(draw: random.Random, depth: int = 2) -> str:
    column = draw.choice("ab")
    if not depth:
        word = draw.choice(WORDS)
        return f"{column} {draw.choice(CALLS)} '{word}'"
    if draw.random() < 0.3:
        words = ", ".join(f"'{word}'" for word in draw.sample(WORDS, 3))
        return f"{column} has_any ({words})"
    inner = f" {draw.choice(('or', 'or', 'and'))} ".join(
        _condition(draw, depth - 1) for _ in range(3)
    )
    return f"{draw.choice(('', '', 'not'))}({inner})"


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Each pair of texts."""
    with duckdb.connect() as opened:
        opened.execute(
            "create table things as select a, b from (select unnest($1::varchar[]) as a),"
            " (select unnest($1::varchar[]) as b)",
            [TEXTS],
        )
        yield opened


@pytest.mark.parametrize("seed", draws.spread(range(12)))
def test_random_conditions_find_the_same(con: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Over words with letters and without, in both spellings, of two columns, and over nulls."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    query = f"things | extend hit = {_condition(draw)} | where {_condition(draw)} or hit"
    sql = translator.sql_of(translator.parse(query), {"things": ["a", "b"]})

    assert con.sql(_simplified(con, sql)).fetchall() == con.sql(sql).fetchall()


def test_one_pattern_for_the_words_of_one_value(con: duckdb.DuckDBPyConnection) -> None:
    """Words of another value, or of another kind of search, have their own."""
    query = (
        "things | where a has 'x.y' or a has_any ('net', 'net1') or a hasprefix 'pre'"
        " or b has 'net' or a == 'q'"
    )
    sql = translator.sql_of(translator.parse(query), {"things": ["a", "b"]})
    plain = _simplified(con, sql)

    assert sql.count("regexp_matches") > plain.count("regexp_matches") == 3
    assert r"(?:x\.y|net|net1)" in plain
