"""SQL is read before it runs: what it names, and everything that is refused."""

from __future__ import annotations

import threading

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.errors import QueryError
from gundog.warehouse import functions, statement


def test_stage_sql_may_undo_obfuscation():
    """gundog's own function is on the list, for the stages that call it."""
    sql = "select normalise_command_line(name).text from ev"

    assert statement.check_statement(sql, {"ev"}, "sql/stage/x.sql") == []


@pytest.mark.parametrize("column", ["age", "now", "today", "random", "user", "version"])
def test_columns_may_be_called_like_functions(column: str):
    """Only words that DuckDB itself turns into calls are taken for calls."""
    assert statement.check_statement(f"select {column} from ev", {"ev"}, "sql/x.sql") == []


def test_every_allowed_function_exists_and_gives_the_same_again():
    """The list names functions of this DuckDB only, none of them volatile."""
    with duckdb.connect() as con:
        known = dict(
            con.execute(
                "select lower(function_name), list(distinct stability) from duckdb_functions()"
                " where not function_type in ('table', 'table_macro', 'pragma') group by 1"
            ).fetchall()
        )
    ours = {"cmdlets_run", "kusto_series", "normalise_command_line", "normalise_record"}
    elsewhere = {*ours, "grouping", "try", "unnest"}

    assert functions.FUNCTIONS - set(known) == elsewhere
    assert [name for name in functions.FUNCTIONS & set(known) if "VOLATILE" in known[name]] == []


# What is read


def test_references_cover_every_clause():
    """Tables and functions are found wherever an expression may stand."""
    sql = """
        with a as (select abs(x) from t1 where y in (select ceil(y) from t2))
        select sum(z) filter (where exists (from t3)) over (order by floor(w)), (select 1 from t4)
        from a join t5 on a.x = (select max(x) from t6), lateral (from t7), range(len(items))
        where case when true then (select 1 from t8) end = 1
        group by (select 1 from t9)
        having (select 1 from t10) = 1
        qualify (select 1 from t11) = 1
        union all
        select list_filter(l, lambda x: lower(x) = 'a') from s.t12
        order by (select 1 from t13)
        limit (select 1 from t14)
    """

    found = statement.references(sql)

    assert found.tables == {*(f"t{i}" for i in range(1, 12)), "s.t12", "t13", "t14"}
    assert {"abs", "ceil", "sum", "floor", "max", "len", "list_filter", "lower"} <= found.functions
    assert found.table_functions == {"range"}


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("with ev as (select * from ev) from ev", {"ev"}),
        ("with a as (select 1) select * from A", set()),
        ("with a as (from b), b as (select 1) from a", {"b"}),
        ("with recursive r as (from r union all from r) from r", {"r"}),
        ("with recursive r as (select 1 union all from r) from r", set()),
        ("(with a as (select 1) from a) union all from a", {"a"}),
        ("with a as (select 1) from a union all from a", set()),
        ("with a as (select 1) from main.a", {"main.a"}),
        ("select (with a as (select 1) from a) from a", {"a"}),
        ("with a as (select 1), b as (with a as (from a) from a) from b", set()),
        ("from 'x y.csv'", {'"x y.csv"'}),
        ('with "main.a" as (select 1) from main.a', {"main.a"}),
        ('with "main.a" as (select 1) from "main.a"', set()),
        ('with "w.main.a" as (select 1) from w.main.a', {"w.main.a"}),
        ('with "main.a" as (select 1) from main."a"', {"main.a"}),
        ('with "/x/y.csv" as (select 1) from "/x/y".csv', {'"/x/y".csv'}),
        ('from a where exists (with "s.b" as (from a) from s.b)', {"a", "s.b"}),
        ('with "\N{KELVIN SIGN}" as (select 1) from k', {"k"}),
        ('with "\N{LATIN CAPITAL LETTER A WITH DIAERESIS}" as (select 1) from "ä"', {'"ä"'}),
        ("with recursive r as (select 1 union from recurring.r) from r", set()),
        ("with csv as (select 1) from recurring.csv", {"recurring.csv"}),
        (
            "with recursive r(a) using key (a) as (select 1 union from r) from recurring.r",
            {"recurring.r"},
        ),
        (
            "with recursive r(a) using key (a) as (select 1 union from recurring.r) from r",
            set(),
        ),
    ],
)
def test_cte_names_count_where_they_are_in_scope(sql: str, tables: set[str]):
    """A CTE hides a table of its name in its scope and nowhere else."""
    assert statement.references(sql).tables == tables


# Names that a careless comparison takes for one another.
_NAMES = st.sampled_from(
    [
        "a",
        "A",
        "b",
        "c",
        "s.a",
        '"s.a"',
        '"c.s.a"',
        "c.s.a",
        "k",
        '"\N{KELVIN SIGN}"',
        "recurring.c",
    ]
)
_CTES = st.sampled_from(["a", "A", "b", '"s.a"', '"c.s.a"', '"\N{KELVIN SIGN}"', '"recurring.c"'])
# Each CTE is read once more at the end, because DuckDB looks nothing up for one that nobody reads.
_SELECTS = st.recursive(
    _NAMES.map("select * from {}".format),
    lambda inner: st.one_of(
        st.builds("select * from ({})".format, inner),
        st.builds("({}) union all ({})".format, inner, inner),
        st.builds(
            "with {0} as ({1}) ({2}) union all select * from {0}".format, _CTES, inner, inner
        ),
        st.builds(
            "with a as ({}), b as ({}) ({}) union all from a union all from b".format,
            inner,
            inner,
            inner,
        ),
        st.builds("select * from {} where x in ({})".format, _NAMES, inner),
        st.builds(
            "with recursive c{} as (({}) union all ({})) ({}) union all from c".format,
            st.sampled_from(["", "(x) using key (x)"]),
            inner,
            inner,
            inner,
        ),
    ),
    max_leaves=8,
)


@given(_SELECTS)
def test_tables_are_the_ones_duckdb_would_look_up(sql: str):
    """However CTEs are nested, the tables are those that DuckDB's own binder looks up."""
    looked_up = _BINDER.get_table_names(sql, qualified=True)

    assert statement.references(sql).tables == looked_up


_BINDER = duckdb.connect()


def test_parameters_are_found_everywhere():
    """A parameter counts once, wherever it stands."""
    sql = "with a as (select $x) select list_filter(l, lambda i: i > $y) from a limit $x"

    assert statement.parameters(sql) == {"x", "y"}


def test_sql_that_does_not_parse_is_a_query_error():
    """Functions that take SQL say what does not parse."""
    with pytest.raises(QueryError, match='syntax error at or near "selec": correct the SQL'):
        statement.parameters("selec 1")
    with pytest.raises(QueryError, match="write one SELECT"):
        statement.references("drop table x")


_AGAIN = "gives another value each time: a hunt must give the same rows again, so remove it"


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("select now() from ev", "calls now, which reads the clock: use $start or $end"),
        ("select uuid() from ev", f"calls uuid, which {_AGAIN}"),
        (
            "select lowr(name) from ev",
            "calls lowr, which is not a function it may call: did you mean lower?",
        ),
        (
            "select * from shel_commands",
            "reads shel_commands, which is not one of its tables: did you mean shell_commands?",
        ),
        (
            "select * from Shell_Commands",
            "reads Shell_Commands, which is not one of its tables: did you mean shell_commands?",
        ),
        ("from 'x.csv'", "reads the file 'x.csv': read tables only, so remove it"),
        ("select ? from ev", "uses parameters by position: name each one, such as $start"),
        ("select 1; select 2", "holds 2 statements: keep exactly one SELECT in sql/x.sql"),
        ("", "holds 0 statements: keep exactly one SELECT in sql/x.sql"),
        ("delete from ev", "holds DELETE: write exactly one SELECT in sql/x.sql"),
        ("pivot ev on id", "holds PIVOT: write exactly one SELECT in sql/x.sql"),
        ("describe ev", "uses show, describe or summarize: write a SELECT"),
        (
            "select 'a' from ev where",
            'does not parse: syntax error at or near "where": correct the SQL',
        ),
        ("select \udcff", "is not UTF-8 text: write it in UTF-8"),
    ],
)
def test_problems_say_what_to_do(sql: str, problem: str):
    """Each problem is one sentence that ends with what to do about it."""
    assert statement.check_statement(sql, {"ev", "shell_commands"}, "sql/x.sql") == [problem]


def test_all_problems_come_at_once():
    """A file with several things wrong is corrected in one go."""
    sql = "select now(), random() from other, read_csv('x') using sample 3"

    assert len(statement.check_statement(sql, {"ev"}, "sql/x.sql")) == 5


def test_any_table_is_allowed_when_none_are_named():
    """Without a list, only files and the database's own tables are refused."""
    assert statement.check_statement("from a join s.b on true", None, "x") == []
    assert statement.check_statement("from 'a.csv'", None, "x")
    assert statement.check_statement("from duckdb_settings", None, "x")
    for system in ("pg_catalog.pg_class", "w.pg_catalog.x", "information_schema.tables"):
        assert statement.check_statement(f"from {system}", None, "x")
    for file in ("x.csv.gz", "a.b.csv", '"a.csv"', '"a.b"', 'main."x.parquet"'):
        assert statement.check_statement(f"from {file}", None, "x")


def test_a_name_in_quotes_is_one_name():
    """A table whose name holds a dot is not the table of that name in that schema."""
    assert statement.check_statement('from "s.a"', {"s.a"}, "x")
    assert statement.check_statement("from s.a", {"s.a"}, "x")


def test_sql_too_deep_to_read_is_refused():
    """What cannot be taken apart does not pass."""
    deep = "select " + "abs(" * 400 + "1" + ")" * 400

    assert statement.check_statement(deep, set(), "x") == [
        "nests too deep to be checked: split it into CTEs"
    ]


def test_long_sql_is_read():
    """Length alone is not a problem: a hunt may list thousands of values."""
    sql = "select 1 from ev where " + " or ".join(f"id = {i}" for i in range(5000))

    assert statement.check_statement(sql, {"ev"}, "x") == []


def test_sql_is_read_by_many_threads_at_once():
    """Batches that run side by side can each read their SQL."""
    found: list[frozenset[str]] = []
    threads = [
        threading.Thread(target=lambda: found.append(statement.references("from ev").tables))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [frozenset({"ev"})] * 8
