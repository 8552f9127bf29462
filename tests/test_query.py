"""Detection SQL is read before it runs, and runs where it reaches nothing but its tables."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.errors import InputError, QueryError
from gundog.warehouse import query, statement
from tests import draws, kit
from tests.escapes import ESCAPES, INWARD, OTHER_TABLES, OUTWARD, fill

MEMORY = 200_000_000
MARK = "tell-nobody"
DAY = datetime(2026, 1, 5, tzinfo=UTC)


def named(cases: tuple[tuple[str, str], ...], every: int = 5) -> list[object]:
    """Each kind of escape keeps some; all of them run in `make check`."""
    return draws.spread((pytest.param(sql, id=name) for name, sql in cases), every)


class Place:
    """A warehouse with one view to read, and everything around it that must stay as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = folder / "secret"
        self.out = folder / "out"
        self.spill = folder / "spill"
        self.database = folder / "warehouse.duckdb"
        for path in (self.secret, self.out, self.spill):
            path.mkdir()
        (self.secret / "secret.csv").write_text(f"secret\n{MARK}\n")
        (self.secret / "secret.txt").write_text(MARK)
        (self.secret / "secret.json").write_text(f'{{"secret": "{MARK}"}}\n')
        with duckdb.connect(str(self.secret / "other.duckdb")) as con:
            con.execute(f"create table t as select '{MARK}' as secret")
            con.execute(f"copy t to '{self.secret}/secret.parquet'")
        with duckdb.connect(str(self.database)) as con:
            con.execute("create schema private")
            con.execute("create table private.people as select 'ana' as name")
            con.execute(
                "create table private.events as select i as id, 'e' || i as name,"
                " timestamptz '2026-01-05 00:00:00Z' + to_hours(i) as at_time,"
                ' [i, i + 1] as items, \'{"a": {"b": "c"}}\' as body from range(100) r(i)'
            )
            con.execute("create view ev as from private.events")

    def fill(self, sql: str) -> str:
        return fill(sql, secret=self.secret, out=self.out, database=self.database)

    def state(self) -> dict[str, str]:
        """Every file below the folder with the hash of its bytes."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Where nothing is open yet."""
    return Place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Where `con` is open."""
    return Place(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def con(home: Place) -> Iterator[duckdb.DuckDBPyConnection]:
    with query.sandbox(
        home.database,
        memory_limit=MEMORY,
        threads=1,
        temp_directory=home.spill,
        timeout_s=kit.HUNG_S,
    ) as con:
        yield con


@pytest.fixture
def fresh(place: Place) -> Iterator[duckdb.DuckDBPyConnection]:
    """A sandbox for one test, for what may leave something in its connection."""
    with query.sandbox(
        place.database, memory_limit=MEMORY, threads=1, temp_directory=None, timeout_s=kit.HUNG_S
    ) as con:
        yield con


@pytest.fixture(autouse=True)
def _secret_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUNDOG_SECRET", MARK)


def settings(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    ours = (
        "access_mode allow_community_extensions allowed_directories allowed_paths"
        " autoinstall_known_extensions autoload_known_extensions enable_external_access"
        " enable_logging enable_profiling enable_progress_bar lock_configuration"
        " max_execution_time"
        " max_temp_directory_size memory_limit profiling_output python_enable_replacements"
        " secret_directory temp_directory threads timezone"
    ).split()
    # Compared here and not in SQL, because what was tried may have changed what SQL means.
    rows = con.execute("select name, value from duckdb_settings()").fetchall()
    return sorted((name.lower(), value) for name, value in rows if name.lower() in ours)


def run(con: duckdb.DuckDBPyConnection, sql: str) -> str:
    """What the bare connection gives back, as text; duckdb.Error when it refuses."""
    leaked = pa.table({"secret": [MARK]})  # a Python variable that SQL could name
    assert leaked.num_rows
    result = con.execute(sql)
    return str(result.fetchall()) if result else ""


# Escapes


def test_the_corpus_is_large_and_its_names_are_unique():
    """At least 60 attempts, each with a name of its own."""
    assert len(ESCAPES) >= 60
    assert len({name for name, _ in ESCAPES}) == len(ESCAPES)


@pytest.mark.parametrize("sql", named(ESCAPES))
def test_reading_refuses_every_escape(sql: str, place: Place):
    """Reading the SQL is enough to refuse it, with a sentence that says what to do."""
    problems = statement.check_statement(place.fill(sql), {"ev"}, "sql/x.sql")

    assert problems
    assert all(": " in one for one in problems)


@pytest.mark.parametrize("sql", named(OUTWARD))
def test_the_connection_alone_refuses_what_leaves_the_database(
    sql: str, home: Place, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
):
    """Files, writes and settings are refused even by a connection that nothing was read for."""
    monkeypatch.chdir(home.folder)
    before, locked = home.state(), settings(con)

    with pytest.raises(duckdb.Error) as refused:
        run(con, home.fill(sql))

    assert MARK not in str(refused.value)
    assert (home.state(), settings(con)) == (before, locked)


@pytest.mark.parametrize("sql", named(INWARD))
def test_the_connection_alone_leaves_no_trace(
    sql: str, place: Place, fresh: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
):
    """What only reading refuses still changes no file and no setting, and tells no secret."""
    monkeypatch.chdir(place.folder)
    before, locked = place.state(), settings(fresh)

    try:
        answer = run(fresh, place.fill(sql))
    except duckdb.Error as error:
        answer = str(error)

    assert MARK not in answer
    assert (place.state(), settings(fresh)) == (before, locked)


@pytest.mark.parametrize("sql", named(ESCAPES))
def test_hunts_refuse_every_escape(
    sql: str, home: Place, con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch
):
    """The way that hunts take refuses each attempt, even where nothing checked the SQL before."""
    monkeypatch.chdir(home.folder)
    before, locked = home.state(), settings(con)

    try:
        answer = str(query.arrow(con, home.fill(sql), {}).to_pylist())
    except QueryError as error:
        answer = str(error)
    else:
        # Which tables a hunt may read is known to whoever loads it, not to the connection.
        assert sql in dict(OTHER_TABLES).values()

    assert MARK not in answer
    assert (home.state(), settings(con)) == (before, locked)


@pytest.mark.parametrize("sql", named(ESCAPES))
def test_questions_of_people_leave_no_trace(
    sql: str, place: Place, monkeypatch: pytest.MonkeyPatch
):
    """What people ask of the findings changes nothing and tells no secret."""
    monkeypatch.chdir(place.folder)
    before = place.state()

    try:
        answer = str(query.user_query(place.database, place.fill(sql)).to_pylist())
    except InputError as error:
        answer = str(error)
    else:
        assert sql in dict(INWARD).values()

    assert MARK not in answer
    assert place.state() == before


def test_sql_can_use_no_file_of_the_spill_folder(home: Place, con: duckdb.DuckDBPyConnection):
    """The folder for spilling is the sandbox's own, and neither read nor written by SQL."""
    (home.spill / "secret.csv").write_text(MARK)
    ((spill,),) = con.execute("select current_setting('temp_directory')").fetchall()

    for sql in (
        f"from read_text('{home.spill}/secret.csv')",
        f"from read_text('{spill}/../../secret.csv')",
        f"copy (select 1) to '{home.spill}/x.csv'",
        f"copy (select 1) to '{spill}/x.csv'",
        f"copy (select 1) to '{spill}/../x.csv'",
    ):
        with pytest.raises(duckdb.Error):
            con.execute(sql).fetchall()

    (home.spill / "secret.csv").unlink()


# What hunts use

LEGAL = (
    "select id, name from ev where at_time >= $start and at_time < $end order by id",
    "with a as (select * from ev), b as (select id from a) select * from a join b using (id)",
    "with recursive r as (select 1 as n union all select n + 1 from r where n < 9) from r",
    "select * from ev as a join ev as b on a.at_time between b.at_time and b.at_time + $within",
    "select id, row_number() over (partition by name order by at_time, id) as n from ev",
    "select id from ev qualify lag(at_time) over (order by at_time) < at_time",
    "select sum(id) over (order by at_time range interval 5 hours preceding) from ev",
    "select id from ev qualify row_number() over (partition by id order by at_time) = 1",
    "select date_trunc('hour', at_time) as hour, count(*) as n from ev group by all order by all",
    "select date_diff('second', min(at_time), max(at_time)) from ev having count(*) > 1",
    "select json_extract_string(body, '$.a.b'), body ->> '$.a.b', body -> 'a' from ev",
    "select try(json_extract_string(body, ['$.a', '$.a.b'])) from ev",
    "select json_valid(body), json_type(body::json), to_json({'a': id}) from ev",
    "select id from ev where regexp_matches(name, '^e[0-9]+$') and contains(lower(name), 'e')",
    "select id from ev where lower(name) in ('e1', 'e2') or name = any(select name from ev)",
    "select id from ev where list_contains($names, name) or name in (select unnest($names))",
    "select id, unnest(items) as item from ev",
    "select id, item.i from ev, unnest(items) as item(i)",
    "select e.id, i.u from ev as e left join lateral (select unnest(e.items) as u) as i on true",
    "select hour from generate_series($start, $end, interval 1 hour) as hours(hour)",
    "select list_filter(items, lambda x: x > $least), list_transform(items, lambda x: x) from ev",
    "select [x for x in items if x > 1] from ev",
    "select list(name order by id), string_agg(name, ',' order by id), max_by(name, id) from ev",
    "select [{'role': 'event', 'event_id': id}] as evidence, {'a': id}.a, items[1:2] from ev",
    "select count(*) filter (where id > 3), count(distinct name), bool_or(id > 1) from ev",
    "select case when id > 1 then 'a' else 'b' end, coalesce(name, ''), nullif(name, '') from ev",
    "select try_cast(name as bigint), name::varchar, cast(id as double) / 2, id // 2 from ev",
    "select id from ev where exists (select 1 from ev as o where o.id = ev.id + 1)",
    "select id from ev where id not in (select id + 1 from ev) and name is distinct from 'e1'",
    "select id from ev union all by name select id from ev except select 3 as id",
    "select distinct on (name) name, id from ev order by name, id",
    "select * exclude (body) replace (id + 1 as id) from ev",
    "select extract(hour from at_time), at_time at time zone 'UTC' - interval 1 day from ev",
    "select grouping(name), count(*) from ev group by cube (name)",
    "select * from (values (1, 'a'), (2, 'b')) as v(n, c)",
    "from (pivot (select id, name from ev) on name in ('e1', 'e2') using sum(id))",
    "select quantile_cont(id, 0.5), median(id), stddev_samp(id), arg_max(name, id) from ev",
    "select md5(name)::uuid, sha256(name), split_part(name, 'e', 2), substring(name, 1, 2) from ev",
    "select name like 'e%', name ilike 'E_', name not like 'x!%' escape '!', name ~ 'e' from ev",
    "select strftime(at_time, '%Y'), strptime('2026', '%Y'), epoch(at_time) from ev",
    "select sum(id) over w from ev window w as (order by id rows 3 preceding)",
    "select id from ev limit 3; -- with a comment after it",
    "from ev select id",
)
PARAMS = {
    "start": DAY,
    "end": DAY + timedelta(days=1),
    "within": timedelta(hours=6),
    "names": ["e1", "e2"],
    "least": 3,
}


@pytest.mark.parametrize("sql", LEGAL)
def test_what_hunts_use_passes_and_runs(sql: str, con: duckdb.DuckDBPyConnection):
    """Every construct of an honest hunt is allowed by reading and by the sandbox."""
    assert statement.check_statement(sql, {"ev"}, "sql/x.sql") == []

    assert query.arrow(con, sql, PARAMS).num_rows > 0


# Running


@given(
    st.one_of(
        st.datetimes(
            datetime(1970, 1, 2),
            datetime(2200, 1, 1),
            timezones=st.just(timezone(timedelta(hours=5))),
        ),
        st.text(),
        st.integers(-(2**63), 2**63 - 1),
        st.booleans(),
        st.none(),
        st.floats(allow_nan=False),
        st.lists(st.text(), max_size=3),
    )
)
def test_values_arrive_as_they_were_given(con: duckdb.DuckDBPyConnection, value: object):
    """A parameter is a value and never SQL, whatever it holds."""
    rows = query.arrow(con, "select $value as value", {"value": value}).to_pylist()

    assert rows == [{"value": value}]


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (timedelta(hours=36), "INTERVAL"),
        (DAY, "TIMESTAMP WITH TIME ZONE"),
        (["a"], "VARCHAR[]"),
        (("a", "b"), "VARCHAR[]"),
        (3, "INTEGER"),
        (1.5, "DOUBLE"),
        (True, "BOOLEAN"),
        ("a", "VARCHAR"),
    ],
)
def test_values_have_the_types_hunts_count_on(
    value: object, kind: str, con: duckdb.DuckDBPyConnection
):
    """Durations arrive as INTERVAL, times with a zone as TIMESTAMPTZ, lists as lists."""
    assert query.arrow(con, "select typeof($x) as t", {"x": value}).to_pylist() == [{"t": kind}]


@given(
    span=st.timedeltas(timedelta(days=-4000), timedelta(days=4000)),
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_durations_add_up_as_in_python(
    con: duckdb.DuckDBPyConnection, span: timedelta, moment: datetime
):
    """A time minus a duration is the same instant in SQL as in Python."""
    rows = query.arrow(con, "select $at - $span as t", {"at": moment, "span": span})

    assert rows.to_pylist() == [{"t": moment - span}]


def test_an_empty_list_holds_nothing(con: duckdb.DuckDBPyConnection):
    """A list parameter may be empty."""
    sql = "select list_contains($names, 'a') as l, 'a' in (select unnest($names)) as i"

    assert query.arrow(con, sql, {"names": []}).to_pylist() == [{"l": False, "i": False}]


def test_only_the_named_parameters_are_bound(con: duckdb.DuckDBPyConnection):
    """A hunt is offered every value and takes the ones it names."""
    assert query.arrow(con, "select $least as n", PARAMS).to_pylist() == [{"n": 3}]


def test_rows_keep_their_order_over_many_batches(con: duckdb.DuckDBPyConnection):
    """ORDER BY holds for results of any size."""
    sql = "select i from range(350_000) as r(i) order by i desc"

    numbers = query.arrow(con, sql, {})["i"].to_pylist()

    assert numbers == list(range(349_999, -1, -1))


def test_a_result_without_rows_keeps_its_columns(con: duckdb.DuckDBPyConnection):
    """No rows still say which columns and types there would be."""
    table = query.arrow(con, "select id, name from ev where false", {})

    assert (table.num_rows, table.schema.names) == (0, ["id", "name"])
    assert table.schema.field("id").type == pa.int64()


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("select $x", r"^\$x has no value: add x to params$"),
        ("select nme from ev", r'"nme" not found .*"name".*: correct the name or type in the SQL$'),
        ("from nope", r"^Table with name nope does not exist: correct the name"),
        ("select id + name from ev", r": correct the name or type in the SQL$"),
        ("select name::bigint from ev", r"^failed: Could not convert string 'e0' to INT64"),
        ("select json_extract('{', '$.a')", r"^failed: Malformed JSON"),
        ("select now()", r"^calls now, which reads the clock: use \$start or \$end$"),
        ("from ev; from ev", r"^holds 2 statements: keep exactly one SELECT in the query$"),
    ],
)
def test_failures_say_what_to_do(sql: str, message: str, con: duckdb.DuckDBPyConnection):
    """What DuckDB says comes on one line, with what to do about it."""
    with pytest.raises(QueryError, match=message) as failed:
        query.arrow(con, sql, {})

    assert "\n" not in str(failed.value)


def test_text_from_events_cannot_steer_a_terminal_through_a_message(
    con: duckdb.DuckDBPyConnection,
):
    """A message that quotes a value holds no control characters and has an end."""
    with pytest.raises(QueryError) as failed:
        query.arrow(con, "select $x::bigint", {"x": "\x1b[31m" + "x" * 5000})

    assert str(failed.value).isprintable()
    assert len(str(failed.value)) < 400


def test_a_time_without_a_zone_is_refused(con: duckdb.DuckDBPyConnection):
    """A naive time would be read in a zone that nobody named."""
    with pytest.raises(QueryError, match=r"^\$x is a time without a time zone: give it one$"):
        query.arrow(con, "select $x", {"x": datetime(2026, 1, 5)})


def test_times_come_back_in_utc(con: duckdb.DuckDBPyConnection):
    """The sandbox reckons in UTC, wherever the machine stands."""
    sql = "select date_trunc('day', timestamptz '2026-01-05T23:30:00-05:00') as day"

    assert query.arrow(con, sql, {}).to_pylist() == [{"day": DAY + timedelta(days=1)}]


# Limits


def test_a_query_over_the_memory_limit_is_stopped_and_the_next_one_runs(place: Place):
    """The message names the setting to raise; the connection stays usable."""
    with query.sandbox(
        place.database, memory_limit=60_000_000, threads=1, temp_directory=None
    ) as con:
        with pytest.raises(QueryError, match=r"needs more memory .* memoryLimit in gundog\.yaml"):
            query.arrow(con, "select count(distinct i::varchar) from range(3_000_000) r(i)", {})

        assert query.arrow(con, "select count(*) as n from ev", {}).to_pylist() == [{"n": 100}]


def test_a_query_over_the_memory_limit_may_spill(place: Place):
    """With a folder to spill to, the same query finishes, and leaves nothing behind."""
    sql = "select count(*) as n from (select distinct i::varchar from range(3_000_000) r(i))"
    with query.sandbox(
        place.database, memory_limit=60_000_000, threads=1, temp_directory=place.spill
    ) as con:
        assert query.arrow(con, sql, {}).to_pylist() == [{"n": 3_000_000}]

    assert list(place.spill.iterdir()) == []


def test_a_query_that_spills_too_much_is_stopped(place: Place, monkeypatch: pytest.MonkeyPatch):
    """It names gundog's setting, not DuckDB's."""
    monkeypatch.setattr(query, "_SPILL", 0)
    sql = "select count(*) as n from (select distinct i::varchar from range(3_000_000) r(i))"
    with (
        query.sandbox(
            place.database, memory_limit=60_000_000, threads=1, temp_directory=place.spill
        ) as con,
        pytest.raises(QueryError, match=r"^needs more memory .* used\)\): raise memoryLimit in"),
    ):
        query.arrow(con, sql, {})


def test_a_result_over_the_memory_limit_is_stopped(place: Place):
    """Rows that left DuckDB count too, so a hunt cannot fill the machine with its result."""
    with query.sandbox(
        place.database, memory_limit=60_000_000, threads=1, temp_directory=None
    ) as con:
        with pytest.raises(QueryError, match=r"^returns more than the 60 MB .*fewer rows"):
            query.arrow(con, "select repeat('x', 1000) from range(200_000)", {})

        assert query.arrow(con, "select count(*) as n from ev", {}).to_pylist() == [{"n": 100}]


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) from range(90_000_000) a(i), range(90_000) b(j) where i * j % 7 = 3",
        "with recursive r as (select 1 as n union all select n + 1 from r) select count(*) from r",
    ],
)
def test_a_query_over_the_time_limit_is_stopped_and_the_next_one_runs(sql: str, place: Place):
    """An endless join or recursion ends with a message, and the connection stays usable."""
    with query.sandbox(
        place.database, memory_limit=MEMORY, threads=1, temp_directory=None, timeout_s=0.3
    ) as con:
        with pytest.raises(QueryError, match=r"^took longer than allowed: read fewer rows"):
            query.arrow(con, sql, {})

        assert query.arrow(con, "select count(*) as n from ev", {}).to_pylist() == [{"n": 100}]


def test_a_sandbox_has_the_settings_it_was_given(home: Place, con: duckdb.DuckDBPyConnection):
    """Limits are what was asked for and everything else is shut."""
    found = dict(settings(con))

    assert found["memory_limit"] == "190.7 MiB"
    assert found["threads"] == "1"
    assert found["max_execution_time"] == f"{kit.HUNG_S * 1000}"
    assert str(found["temp_directory"]).startswith(f"{home.spill}/sandbox-")
    assert found["timezone"] == "UTC"
    assert found["enable_progress_bar"] == "false"
    assert found["lock_configuration"] == "true"
    assert found["enable_external_access"] == "false"
    assert found["python_enable_replacements"] == "false"


def test_a_sandbox_needs_the_file_and_lets_go_of_it(tmp_path: Path):
    """A missing or open file is a clear error, and a closed sandbox leaves the file free."""
    path = tmp_path / "it's.duckdb"
    arguments = {"memory_limit": MEMORY, "threads": 1, "temp_directory": tmp_path / "it's"}
    with (
        pytest.raises(QueryError, match="cannot be opened read-only"),
        query.sandbox(path, **arguments),
    ):
        pass
    with duckdb.connect(str(path)) as writer:
        writer.execute("create table t as select 1 as n")
        with (
            pytest.raises(QueryError, match="cannot be opened read-only"),
            query.sandbox(path, **arguments),
        ):
            pass

    with query.sandbox(path, **arguments) as con:
        assert query.arrow(con, "from t", {}).to_pylist() == [{"n": 1}]

    with duckdb.connect(str(path)) as writer:
        writer.execute("insert into t values (2)")


@pytest.mark.parametrize(
    "sql",
    [
        "select nme from ev",
        "select cast(case when i = 299_999 then 'x' else '1' end as int) from range(300_000) r(i)",
        "select repeat('x', 1000) from range(200_000)",
        "with recursive r as (select 1 as n union all select n + 1 from r) from r",
    ],
)
def test_a_failed_hunt_lets_go_of_the_warehouse(sql: str, place: Place):
    """While its error is kept, the file can be opened for writing to store what else was found."""
    with (
        pytest.raises(QueryError) as kept,
        query.sandbox(
            place.database, memory_limit=60_000_000, threads=1, temp_directory=None, timeout_s=0.3
        ) as con,
    ):
        query.arrow(con, sql, {})

    assert kept.value.__traceback__
    duckdb.connect(str(place.database)).close()


def test_a_second_sandbox_in_one_process_says_so(home: Place, con: duckdb.DuckDBPyConnection):
    """Locked settings cannot be set twice, and the error says what to do."""
    with (
        pytest.raises(QueryError, match="close what else has it open"),
        query.sandbox(home.database, memory_limit=MEMORY, threads=1, temp_directory=None),
    ):
        pass

    assert query.arrow(con.cursor(), "select count(*) as n from ev", {})["n"].to_pylist() == [100]


# Questions of people


@pytest.mark.parametrize(
    "sql",
    [
        "select count(*) from ev",
        "from ev limit 1",
        "select * from ev where at_time < now() + interval 1000 days",
        "show tables",
        "show all tables",
        "describe ev",
        "from (describe ev)",
        "summarize ev",
        "explain from ev",
        "explain analyze from ev",
        "pivot ev on id % 3 using count(*)",
        "from (pivot ev on id in (1, 2) using count(*))",
        "unpivot (select id, 2 as two from ev) on id, two",
        "values (1)",
        "table ev",
        "from ev using sample 3",
        "with a as (from ev) select age(at_time), typeof(items) from a",
        "select table_name, comment from duckdb_tables()",
        "select column_name, comment from duckdb_columns()",
        "from information_schema.columns",
        "from pragma_table_info('ev')",
    ],
)
def test_people_may_read_in_any_way(sql: str, place: Place):
    """Every way of reading that DuckDB has works on the findings."""
    assert query.user_query(place.database, sql).num_rows > 0


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("delete from ev", "^gundog sql only reads; DELETE does more: give a SELECT$"),
        ("create table x as select 1", "^gundog sql only reads; CREATE does more"),
        ("create table x as pivot ev on id", "^gundog sql only reads; this statement would write"),
        ("set threads = 3", "^gundog sql only reads; SET does more"),
        ("select 1; select 2", "^gundog sql only reads, one statement at a time: 2 were given$"),
        ("", "^gundog sql only reads, one statement at a time: 0 were given$"),
        ("from '/etc/passwd'", "^gundog sql only reads the findings; .*'/etc/passwd': read tables"),
        ("with a as (copy ev to 'x') from a", "^gundog sql only reads the findings; .* a file"),
        ("selec 1", '^the SQL does not parse: syntax error at or near "selec": correct the SQL$'),
        ("select nme from ev", '^the SQL is wrong: .*"nme" not found.*"name"'),
        ("from nope", "^the SQL is wrong: Table with name nope does not exist: see gundog sql"),
        ("select \udcff", "^the SQL is not UTF-8 text"),
    ],
)
def test_people_are_told_what_is_wrong_with_their_question(sql: str, message: str, place: Place):
    """A question that cannot be answered is wrong input, with what to do about it."""
    with pytest.raises(InputError, match=message):
        query.user_query(place.database, sql)


def test_a_question_that_fails_on_its_rows_is_a_query_error(place: Place):
    """SQL that is right and fails all the same is not the asker's input that is wrong."""
    with pytest.raises(QueryError, match=r"^failed: Could not convert string"):
        query.user_query(place.database, "select name::bigint from ev")


def test_a_question_has_limits_too(place: Place):
    """People's queries are stopped like hunts are."""
    sql = (
        "select count(*) from range(100_000_000) a(i), range(100_000_000) b(i) where a.i = -b.i * 3"
    )
    with pytest.raises(QueryError, match="took longer"):
        query.user_query(place.database, sql + " or a.i % 7 = b.i % 5", timeout_s=0.3)
