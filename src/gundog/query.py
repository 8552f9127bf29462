"""One SELECT, read before it runs and run where it can reach nothing but its tables.

Two layers, each enough for what it stops. `check_statement` reads DuckDB's own parse of the SQL
and refuses everything that is not on a list: statements, tables, functions. `sandbox` opens the
file read only with settings that cannot be changed again.
"""

from __future__ import annotations

import difflib
import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from gundog.errors import GundogError, InputError, QueryError

_TABLE_FUNCTIONS = frozenset("generate_series json_each json_tree range unnest".split())

# What a hunt may call. New functions of a newer DuckDB stay out until they are read and added.
_FUNCTIONS = frozenset(
    """
    abs ceil ceiling even exp floor fmod gcd greatest lcm least ln log log10 log2 mod nextafter pow
    power round round_even sign sqrt cbrt trunc pi isfinite isinf isnan fdiv divide bit_count xor
    add subtract multiply factorial degrees radians sin cos tan asin acos atan atan2

    any_value arbitrary arg_max arg_max_null arg_min arg_min_null argmax argmin array_agg avg mean
    bit_and bit_or bit_xor bool_and bool_or corr count count_if count_star countif covar_pop
    covar_samp entropy favg first fsum group_concat grouping histogram kurtosis kurtosis_pop last
    list listagg mad max max_by median min min_by mode product quantile quantile_cont quantile_disc
    regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy sem
    skewness stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance geomean

    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank
    rank_dense row_number

    ascii bit_length char_length character_length chr concat concat_ws contains decode encode
    damerau_levenshtein ends_with format from_base64 from_hex base64 to_base64 hamming hex
    ilike_escape instr jaccard jaro_similarity jaro_winkler_similarity lcase left length len
    levenshtein like_escape lower lpad ltrim md5 mismatches nfc_normalize not_ilike_escape
    not_like_escape octet_length ord overlay position prefix printf repeat replace reverse right
    rpad rtrim sha1 sha256 split split_part starts_with str_split str_split_regex string_split
    string_split_regex string_to_array array_to_string strip_accents strlen strpos substr substring
    suffix to_hex translate trim ucase unhex unicode upper url_decode url_encode parse_dirname
    parse_filename parse_path bin unbin to_base regexp_escape regexp_extract regexp_extract_all
    regexp_full_match regexp_matches regexp_replace regexp_split_to_array
    normalise_command_line

    century date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day
    dayname dayofmonth dayofweek dayofyear days_in_month decade epoch epoch_ms epoch_ns epoch_us
    hour isodow isoyear last_day make_date make_time make_timestamp make_timestamp_ms
    make_timestamptz microsecond millisecond minute month monthname quarter second strftime strptime
    time_bucket timezone to_days to_hours to_microseconds to_milliseconds to_minutes to_months
    to_quarters to_seconds to_timestamp to_weeks to_years try_strptime week weekday weekofyear year
    yearweek normalized_interval

    array_append array_cat array_concat array_contains array_distinct array_extract array_filter
    array_has array_has_all array_has_any array_indexof array_intersect array_length array_pop_back
    array_pop_front array_position array_prepend array_reverse array_slice array_sort
    array_transform array_unique array_value array_zip cardinality element_at filter flatten
    generate_series generate_subscripts len list_aggregate list_any_value list_append list_apply
    list_avg list_bool_and list_bool_or list_cat list_concat list_contains list_count list_distinct
    list_element list_extract list_filter list_first list_has list_has_all list_has_any list_indexof
    list_intersect list_last list_max list_median list_min list_mode list_pack list_position
    list_prepend list_product list_reduce list_reverse list_reverse_sort list_select list_slice
    list_sort list_string_agg list_sum list_transform list_unique list_value list_where list_zip map
    map_concat map_contains map_entries map_extract map_extract_value map_from_entries map_keys
    map_values range row struct_concat struct_contains struct_extract struct_extract_at
    struct_insert struct_keys struct_pack struct_position struct_update struct_values unnest
    union_extract union_tag union_value

    array_to_json from_json from_json_strict json json_array json_array_length json_contains
    json_exists json_extract json_extract_path json_extract_path_text json_extract_string
    json_group_array json_group_object json_keys json_merge_patch json_object json_quote
    json_structure json_transform json_transform_strict json_type json_valid json_value row_to_json
    to_json

    alias constant_or_null enum_code enum_first enum_last enum_range if nullif try typeof
    """.split()
)
_CLOCK = frozenset(
    """
    age ago current_date current_localtime current_localtimestamp current_time current_timestamp
    get_current_time get_current_timestamp localtime localtimestamp now pg_conf_load_time
    pg_postmaster_start_time today transaction_timestamp uuidv7
    """.split()
)
_RANDOM = frozenset(
    "approx_quantile approx_top_k gen_random_uuid random reservoir_quantile setseed uuid"
    " uuidv4".split()
)
# Words that DuckDB turns into a call where no column has the name.
_BARE = frozenset(
    """
    current_catalog current_date current_role current_schema current_time current_timestamp
    localtime localtimestamp
    """.split()
)

_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"})
_TABLE_NODES = frozenset(
    {"BASE_TABLE", "EMPTY", "EXPRESSION_LIST", "JOIN", "PIVOT", "SUBQUERY", "TABLE_FUNCTION"}
)
_SYSTEM = re.compile(r"(duckdb|pg|pragma|sqlite)_|(information_schema|pg_catalog|system|temp)\.")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*){0,2}")
_FILE_TYPE = re.compile(r"\.(csv|tsv|txt|json|jsonl|ndjson|parquet|db|duckdb|arrow|xlsx)$")


@dataclass(frozen=True)
class References:
    """What a SELECT names: tables as written (CTEs left out), the others in lower case.

    `columns` has the parts of qualified names too, so names of tables may be among them.
    """

    tables: frozenset[str]
    columns: frozenset[str]
    functions: frozenset[str]
    table_functions: frozenset[str]


@dataclass
class _Seen:
    """Everything in a parse tree that `check_statement` has a rule for."""

    tables: set[str] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    table_functions: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)
    shapes: set[str] = field(default_factory=set)


@lru_cache(maxsize=1)
def _parser() -> duckdb.DuckDBPyConnection:
    """A connection that only parses: a statement that acts while it is parsed finds nothing."""
    con = duckdb.connect(config={"threads": 1, "temp_directory": ""})
    for setting in _LOCKS:
        con.execute(f"set {setting}")
    return con


_LOCKS = (
    "python_enable_replacements = false",
    "autoinstall_known_extensions = false",
    "autoload_known_extensions = false",
    "allow_community_extensions = false",
    "enable_external_access = false",
    "lock_configuration = true",
)


# A hunt's SQL is read again for every interval: what it says is kept for so many texts.
_TEXTS = 256


def _statements(sql: str) -> list[duckdb.Statement]:
    try:
        sql.encode()
        return _parser().cursor().extract_statements(sql)
    except UnicodeEncodeError as error:
        raise QueryError("is not UTF-8 text: write it in UTF-8") from error
    except duckdb.Error as error:
        raise QueryError(f"does not parse: {_text(error)}: correct the SQL") from error


@lru_cache(maxsize=_TEXTS)
def parameters(sql: str) -> frozenset[str]:
    """The names of the `$name` parameters in the SQL.

    Raises:
        QueryError: when the SQL does not parse.

    >>> sorted(parameters("select * from logons where hour >= $start and hour < $end"))
    ['end', 'start']
    """
    return frozenset(name for one in _statements(sql) for name in one.named_parameters)


def references(sql: str) -> References:
    """The tables, columns and functions that one SELECT names, in every clause and subquery.

    Names of CTEs are left out where they are in scope; a quoted file name is a table.

    Raises:
        QueryError: when the SQL is not one SELECT.

    >>> sorted(references("with a as (from logons) select max(hour) from a, mail").tables)
    ['logons', 'mail']
    """
    seen = _see(sql)
    return References(
        frozenset(seen.tables),
        frozenset(seen.columns),
        frozenset(seen.functions),
        frozenset(seen.table_functions),
    )


@lru_cache(maxsize=_TEXTS)
def _see(sql: str) -> _Seen:
    """Walks the parse tree; a stack, because SQL may nest deeper than Python can recurse."""
    seen = _Seen()
    stack: list[tuple[Any, frozenset[str]]] = [(_tree(sql), frozenset())]
    while stack:
        node, ctes = stack.pop()
        if isinstance(node, list):
            stack.extend((child, ctes) for child in node)
        elif isinstance(node, dict):
            _note(seen, node, ctes)
            stack.extend(_children(node, ctes))
    return seen


def _tree(sql: str) -> Any:
    cursor = _parser().cursor()
    try:
        (text,) = cursor.execute(
            "select json_serialize_sql($sql::varchar)", {"sql": sql}
        ).fetchall()[0]
        tree = json.loads(text)
    except RecursionError as error:
        raise QueryError("nests too deep to be checked: split it into CTEs") from error
    except duckdb.Error as error:
        raise QueryError(f"does not parse: {_text(error)}: correct the SQL") from error
    if tree["error"]:
        raise QueryError(f"cannot be checked: {tree['error_message']}: write one SELECT")
    return tree["statements"]


def _children(node: dict[str, Any], ctes: frozenset[str]) -> Iterator[tuple[Any, frozenset[str]]]:
    """The parts of a node, each with the CTE names that it can see."""
    for entry in (node.get("cte_map") or {}).get("map", ()):
        yield entry["value"], ctes
        ctes |= {entry["key"].lower()}
    for key, value in node.items():
        if key == "right" and node.get("type") == "RECURSIVE_CTE_NODE":
            yield value, ctes | {node["cte_name"].lower()}
        elif key == "function" and node.get("type") == "TABLE_FUNCTION":
            yield list(value.values()), ctes
        elif key != "cte_map":
            yield value, ctes


def _note(seen: _Seen, node: dict[str, Any], ctes: frozenset[str]) -> None:
    kind = node.get("type")
    for names in (node.get("column_names"), node.get("using_columns")):
        seen.columns.update(name.lower() for name in names or ())
    if "cte_map" in node:
        if kind not in _QUERY_NODES:
            seen.shapes.add(str(kind))
    elif node.get("class") in ("FUNCTION", "WINDOW"):
        seen.functions.add(node["function_name"].lower())
    elif node.get("class") == "COLUMN_REF":
        if len(node["column_names"]) == 1:
            seen.bare.add(node["column_names"][0].lower())
    elif "sample" in node and "class" not in node:
        _note_table(seen, node, ctes)
    if node.get("sample"):
        seen.shapes.add("SAMPLE")


def _note_table(seen: _Seen, node: dict[str, Any], ctes: frozenset[str]) -> None:
    kind = node["type"]
    if kind == "TABLE_FUNCTION":
        seen.table_functions.add(node["function"]["function_name"].lower())
    elif kind == "BASE_TABLE":
        path = node["qualified_name"]["path"]
        # USING KEY names the whole of a recursive CTE as recurring.name.
        name = path[1] if len(path) == 2 and path[0].lower() == "recurring" else ".".join(path)
        if name.lower() not in ctes:
            seen.tables.add(".".join(path))
        if node.get("at_clause"):
            seen.shapes.add("AT")
    elif kind not in _TABLE_NODES:
        seen.shapes.add(kind)


_SHAPES = {
    "AT": "reads a table as it was at another time: remove the at (…) clause",
    "SAMPLE": "takes a random sample: a hunt must give the same rows again, so remove it",
    "SHOW_REF": "uses show, describe or summarize: write a SELECT",
    "COPY_QUERY_NODE": "writes a file with copy: SQL here only reads, so remove it",
    "INSERT_QUERY_NODE": "inserts rows: SQL here only reads, so remove it",
    "UPDATE_QUERY_NODE": "updates rows: SQL here only reads, so remove it",
    "DELETE_QUERY_NODE": "deletes rows: SQL here only reads, so remove it",
}


def check_statement(sql: str, tables: Collection[str] | None, where: str) -> list[str]:
    """What is wrong with a hunt's or stage's SQL, found by reading it only.

    Args:
        sql: the text of one SQL file.
        tables: the tables that it may read; None for any that is no file and no system table.
        where: the file, as people know it.

    Returns:
        One sentence a problem, without `where`, each saying what to do; empty when it may run.
    """
    try:
        statements = _statements(sql)
        if len(statements) != 1:
            return [f"holds {len(statements)} statements: keep exactly one SELECT in {where}"]
        kind = _kind(statements[0])
        if kind != "SELECT":
            return [f"holds {kind}: write exactly one SELECT in {where}"]
        seen = _see(sql)
    except QueryError as error:
        return [str(error)]
    return [
        *(_SHAPES.get(one, f"uses {one}: write a plain SELECT") for one in sorted(seen.shapes)),
        *_parameter_problems(statements[0]),
        *_table_problems(seen, tables),
        *_function_problems(seen),
    ]


def _kind(statement: duckdb.Statement) -> str:
    """The statement's first word; PIVOT for one whose columns depend on the rows."""
    try:
        name = statement.type.name
    except ValueError:  # a kind that DuckDB's Python side has no name for, such as MERGE
        return "a statement of another kind"
    return "PIVOT" if name == "MULTI" else name


def _parameter_problems(statement: duckdb.Statement) -> Iterator[str]:
    if any(name.isdigit() for name in statement.named_parameters):
        yield "uses parameters by position: name each one, such as $start"


def _table_problems(seen: _Seen, tables: Collection[str] | None) -> Iterator[str]:
    for name in sorted(seen.tables):
        if _is_file(name):
            yield f"reads the file {name!r}: read tables only, so remove it"
        elif tables is None:
            if _SYSTEM.match(name.lower()):
                yield f"reads {name}, which tells about the database: remove it"
        elif name not in tables:
            yield f"reads {name}, which is not one of its tables: {_nearest(name, tables)}"
    for name in sorted(seen.table_functions - _TABLE_FUNCTIONS):
        allowed = ", ".join(sorted(_TABLE_FUNCTIONS))
        yield f"reads from {name}(): of the table functions use only {allowed}"


def _is_file(name: str) -> bool:
    return not _PLAIN.fullmatch(name) or bool(_FILE_TYPE.search(name.lower()))


def _function_problems(seen: _Seen) -> Iterator[str]:
    for name in sorted(seen.functions | (seen.bare & _BARE)):
        if name in _CLOCK:
            yield f"calls {name}, which reads the clock: use $start or $end"
        elif name in _RANDOM:
            yield (
                f"calls {name}, which gives another value each time: "
                "a hunt must give the same rows again, so remove it"
            )
        elif name not in _FUNCTIONS and re.search("[a-z]", name):
            yield f"calls {name}, which is not a function it may call: {_nearest(name, _FUNCTIONS)}"


def _nearest(name: str, known: Collection[str]) -> str:
    if match := difflib.get_close_matches(name.lower(), sorted(known), 1, 0.7):
        return f"did you mean {match[0]}?"
    return "remove it" if len(known) > 20 else f"use {' or '.join(sorted(known)) or 'none'}"


@contextmanager
def sandbox(
    path: Path,
    *,
    memory_limit: int,
    threads: int,
    temp_directory: Path | None,
    timeout_s: float | None = None,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that reads one DuckDB file and can reach nothing else.

    Nothing else may have the file open for writing meanwhile, and no second sandbox of the same
    process; `con.cursor()` is another connection of the same sandbox.

    The limits stop queries over too many rows. They are looked at between batches of rows, so one
    call that builds one huge value can outgrow both for a while.

    Args:
        path: the DuckDB file; opened read only.
        memory_limit: bytes that queries may use.
        threads: how many at a time.
        temp_directory: where queries that need more memory may spill; None when they may not.
        timeout_s: seconds a statement may take; None for no limit.

    Raises:
        QueryError: when the file is not there, or open elsewhere.
    """
    # DuckDB lets SQL read and write in its temp directory, whatever else is locked: so each
    # sandbox gets one of its own, which holds nothing and goes when the sandbox closes.
    if temp_directory is None:
        with _locked(path, memory_limit, threads, "", timeout_s) as con:
            yield con
        return
    temp_directory.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="sandbox-", dir=temp_directory) as own,
        _locked(path, memory_limit, threads, f"{own}/spill", timeout_s) as con,
    ):
        yield con


_SPILL = 8  # times the memory limit; stops a query that would fill the disk


@contextmanager
def _locked(
    path: Path, memory_limit: int, threads: int, spill: str, timeout_s: float | None
) -> Iterator[duckdb.DuckDBPyConnection]:
    settings = [
        f"memory_limit = '{memory_limit}B'",
        f"threads = {threads}",
        f"temp_directory = {_quote(spill)}",
        f"max_temp_directory_size = '{memory_limit * _SPILL}B'",
        "timezone = 'UTC'",
        *([f"max_execution_time = {max(1, round(timeout_s * 1000))}"] if timeout_s else []),
        *_LOCKS,
    ]
    con = None
    try:
        con = duckdb.connect(str(path), read_only=True)
        for setting in settings:
            con.execute(f"set {setting}")
    except duckdb.Error as error:
        if con:
            con.close()
        # Connections of one process to one file share their settings, locked ones too.
        raise QueryError(
            f"{path} cannot be opened to read only: {_text(error)}: close what else has it open"
        ) from error
    try:
        yield con
    finally:
        con.close()


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def arrow(con: duckdb.DuckDBPyConnection, sql: str, params: Mapping[str, object]) -> pa.Table:
    """The rows of one SELECT, in its own order, with those of `params` that it names.

    Args:
        con: an open connection, such as `sandbox` gives.
        sql: one SELECT that `check_statement` allows.
        params: values by name; a datetime has a time zone and arrives as TIMESTAMPTZ, a timedelta
            as INTERVAL, a list or tuple as a list.

    Raises:
        QueryError: when the SQL is refused, fails, takes too long or needs too much memory.
    """
    if problems := _problems(sql):
        raise QueryError("; ".join(problems))
    named = parameters(sql)
    if missing := sorted(named - params.keys()):
        raise QueryError(f"${missing[0]} has no value: add {missing[0]} to params")
    bound = {name: _bindable(name, params[name]) for name in named}
    try:
        return _rows(con.sql(sql, params=bound), _memory_limit(con))
    except _FAILURES as error:
        raise _failure(error) from error


@lru_cache(maxsize=_TEXTS)
def _problems(sql: str) -> list[str]:
    return check_statement(sql, None, "the query")


# What goes wrong while rows stream out comes from Arrow, with DuckDB's message inside.
_FAILURES = (duckdb.Error, OSError, pa.ArrowException)
_BATCH = 100_000  # rows


def _rows(relation: duckdb.DuckDBPyRelation, limit: float) -> pa.Table:
    """All rows; DuckDB does not count what has left it, so their bytes are counted here."""
    reader = relation.to_arrow_reader(_BATCH)
    batches, size = [], 0
    for batch in reader:
        size += batch.nbytes
        if size > limit:
            reader.close()
            raise QueryError(
                f"returns more than the {limit / 1e6:.0f} MB of memory that it may use: return "
                "fewer rows or columns, or raise memoryLimit in gundog.yaml"
            )
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def _memory_limit(con: duckdb.DuckDBPyConnection) -> float:
    """The connection's memory limit in bytes; DuckDB tells it as `3.7 GiB`."""
    (text,) = con.execute("select current_setting('memory_limit')").fetchall()[0]
    number, unit = text.split()
    return float(number) * (1 << 10 * ("bytes", "KiB", "MiB", "GiB", "TiB").index(unit))


def _bindable(name: str, value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is None:
        raise QueryError(f"${name} is a time without a time zone: give it one")
    return list(value) if isinstance(value, tuple) else value


def _failure(error: Exception) -> QueryError:
    """What a failed statement means and what to do about it."""
    kind, text = str(error).partition(":")[0], _text(error)
    if kind == "Out of Memory Error":
        text = text.partition(" Database is launched")[0]
        return QueryError(
            f"needs more memory than it may use ({text}): raise memoryLimit in gundog.yaml, "
            "or read fewer rows or columns"
        )
    if kind == "INTERRUPT Error":
        return QueryError("took longer than it may: read fewer rows, or raise the time limit")
    if kind in ("Binder Error", "Catalog Error"):
        return QueryError(f"{text}: correct the name or type in the SQL")
    return QueryError(f"failed: {text}")


def _text(error: BaseException) -> str:
    """DuckDB's message without its kind and picture, on one line, safe to print.

    A message may quote an event, so control characters are replaced and it is cut.
    """
    head = re.split(r"\n\n|\nLINE \d", str(error).strip())[0]
    text = re.sub(r"^[A-Za-z ]+ Error: ", "", " ".join(head.split()))
    # For an unknown table DuckDB may suggest one of its own, which nobody here may read.
    text = re.sub(r'! Did you mean "(duckdb|pg|sqlite)_\w+"\?', "", text)
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text[:300].rstrip(".!")


_USER_KINDS = frozenset({"SELECT", "EXPLAIN", "PIVOT"})
_USER_SHAPES = frozenset({"SHOW_REF", "SAMPLE"})
_USER_TABLE_FUNCTIONS = _TABLE_FUNCTIONS | frozenset(
    "duckdb_columns duckdb_tables duckdb_views pragma_table_info".split()
)
_USER_SYSTEM = re.compile(r"duckdb_(columns|tables|views)$|information_schema\.")
_USER_REFUSED = frozenset(
    "current_setting getvariable json_serialize_plan pg_sleep sleep_ms write_log".split()
)
_ONLY_READS = "gundog sql only reads"


def user_query(
    path: Path,
    sql: str,
    *,
    memory_limit: int = 2_000_000_000,
    threads: int = 2,
    timeout_s: float | None = None,
    prepare: Callable[[duckdb.DuckDBPyConnection], None] | None = None,
) -> pa.Table:
    """The rows of what a person asks of the published findings.

    Allowed are SELECT, FROM-first, SHOW, DESCRIBE, SUMMARIZE, EXPLAIN and PIVOT; the clock too.

    Args:
        path: the published findings.
        sql: what is asked.
        memory_limit: bytes it may use.
        threads: how many at a time.
        timeout_s: seconds it may take; None for no limit.
        prepare: puts temporary views over what is published.

    Raises:
        InputError: when the SQL is wrong, or would do more than read.
        QueryError: when it fails, takes too long or needs too much memory.
    """
    _check_user(sql)
    with sandbox(
        path, memory_limit=memory_limit, threads=threads, temp_directory=None, timeout_s=timeout_s
    ) as con:
        if prepare:
            prepare(con)
        try:
            relation = con.sql(sql)
            if relation is None:
                raise InputError(f"{_ONLY_READS}; this statement returns no rows: give a SELECT")
            return _rows(relation, memory_limit)
        except _FAILURES as error:
            raise _user_error(error) from error


def _check_user(sql: str) -> None:
    try:
        statements = _statements(sql)
        if len(statements) != 1:
            raise InputError(
                f"{_ONLY_READS}, one statement at a time: {len(statements)} were given"
            )
        kind = _kind(statements[0])
        if kind not in _USER_KINDS:
            raise InputError(f"{_ONLY_READS}; {kind} does more: give a SELECT")
        # EXPLAIN and PIVOT cannot be taken apart: them the sandbox alone keeps in.
        if kind == "SELECT":
            for problem in _user_problems(_see(sql)):
                raise InputError(f"{_ONLY_READS} the findings; the SQL {problem}")
    except QueryError as error:
        raise InputError(f"the SQL {error}") from error


def _user_problems(seen: _Seen) -> Iterator[str]:
    for shape in sorted(seen.shapes - _USER_SHAPES):
        yield _SHAPES.get(shape, f"uses {shape}: give a SELECT")
    for name in sorted(seen.tables):
        if _is_file(name):
            yield f"reads the file {name!r}: read tables only (gundog sql 'show tables')"
        elif _SYSTEM.match(name.lower()) and not _USER_SYSTEM.match(name.lower()):
            yield f"reads {name}: read tables only (gundog sql 'show tables')"
    for name in sorted(seen.table_functions - _USER_TABLE_FUNCTIONS):
        yield f"reads from {name}(): read tables only (gundog sql 'show tables')"
    for name in sorted(seen.functions & _USER_REFUSED):
        yield f"calls {name}: remove it"


def _user_error(error: Exception) -> GundogError:
    kind, text = str(error).partition(":")[0], _text(error)
    if "read-only mode" in text:
        return InputError(f"{_ONLY_READS}; this statement would write: give a SELECT")
    if kind in ("Parser Error", "Binder Error", "Catalog Error"):
        return InputError(f"the SQL is wrong: {text}: see gundog sql 'show tables'")
    if kind == "Permission Error":
        return InputError(f"{_ONLY_READS} the findings; {text}: read tables only")
    return _failure(error)
