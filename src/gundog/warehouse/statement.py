"""One SELECT of a content folder, read before it runs.

DuckDB's own parse of the SQL is walked, and everything is refused that is not on a list: the kind
of statement, its tables, its functions. Nothing of it is bound or run here.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import duckdb

from gundog.core.errors import QueryError
from gundog.warehouse import functions, locks, quoting

_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE"})
_TABLE_NODES = frozenset(
    {"BASE_TABLE", "EMPTY", "EXPRESSION_LIST", "JOIN", "PIVOT", "SUBQUERY", "TABLE_FUNCTION"}
)
# A table's name as it is written: its catalogue and schema, if any, before it.
Path = tuple[str, ...]

_SYSTEM_TABLE = re.compile(r"(duckdb|pg|pragma|sqlite)_")
_SYSTEM_SCHEMAS = frozenset({"information_schema", "pg_catalog", "system", "temp"})
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_FILE_TYPES = frozenset(
    "csv tsv txt json jsonl ndjson parquet db duckdb arrow xlsx gz zst bz2 zip".split()
)


@dataclass(frozen=True)
class References:
    """What a SELECT names: tables as `written` (CTEs left out), the others in lower case.

    `columns` has the parts of qualified names too, so names of tables may be among them.
    """

    tables: frozenset[str]
    columns: frozenset[str]
    functions: frozenset[str]
    table_functions: frozenset[str]


@dataclass
class Seen:
    """Everything in a parse tree that `check_statement` has a rule for."""

    tables: set[Path] = field(default_factory=set)
    columns: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    table_functions: set[str] = field(default_factory=set)
    bare: set[str] = field(default_factory=set)
    shapes: set[str] = field(default_factory=set)


@lru_cache(maxsize=1)
def _parser() -> duckdb.DuckDBPyConnection:
    """A connection that only parses: a statement that acts while it is parsed finds nothing."""
    con = duckdb.connect(config={"threads": 1, "temp_directory": ""})
    locks.lock(con)
    return con


# A hunt's SQL is read again for every interval: what it says is kept for so many texts.
_TEXTS = 256


@lru_cache(maxsize=_TEXTS)
def statements(sql: str) -> tuple[duckdb.Statement, ...]:
    """The statements in a text, parsed; to be looked at, not to be run.

    Raises:
        QueryError: when it is not UTF-8 text, or does not parse.
    """
    try:
        sql.encode()
        return tuple(_parser().cursor().extract_statements(sql))
    except UnicodeEncodeError as error:
        raise QueryError("is not UTF-8 text: write it in UTF-8") from error
    except duckdb.Error as error:
        raise QueryError(f"does not parse: {message(error)}: correct the SQL") from error


@lru_cache(maxsize=_TEXTS)
def parameters(sql: str) -> frozenset[str]:
    """The names of the `$name` parameters in the SQL.

    Raises:
        QueryError: when the SQL does not parse.

    >>> sorted(parameters("select * from logons where hour >= $start and hour < $end"))
    ['end', 'start']
    """
    return frozenset(name for parsed in statements(sql) for name in parsed.named_parameters)


def references(sql: str) -> References:
    """The tables, columns and functions that one SELECT names, in every clause and subquery.

    Names of CTEs are left out where they are in scope; a file in quotes is a table.

    Raises:
        QueryError: when the SQL is not one SELECT.

    >>> sorted(references("with a as (from logons) select max(hour) from a, mail").tables)
    ['logons', 'mail']
    """
    seen = see(sql)
    return References(
        frozenset(map(written, seen.tables)),
        frozenset(seen.columns),
        frozenset(seen.functions),
        frozenset(seen.table_functions),
    )


def written(path: Path) -> str:
    """The name as one text in which two different paths never look the same.

    >>> written(("main", "mail")), written(("main.mail",)), written(("x y.csv",))
    ('main.mail', '"main.mail"', '"x y.csv"')
    """
    return ".".join(part if _PLAIN.fullmatch(part) else quoting.name(part) for part in path)


_NODES: tuple[type[Any], ...] = (dict, list)


@lru_cache(maxsize=_TEXTS)
def see(sql: str) -> Seen:
    """What one SELECT holds, in every part of it.

    Raises:
        QueryError: when the SQL is not one SELECT.
    """
    seen = Seen()
    # A stack, because SQL may nest deeper than Python can recurse.
    stack: list[tuple[Any, frozenset[Path]]] = [(_tree(sql), frozenset())]
    while stack:
        node, hidden = stack.pop()
        if isinstance(node, list):
            stack += [(child, hidden) for child in node if isinstance(child, _NODES)]
        else:
            _note(seen, node, hidden)
            stack += _children(node, hidden)
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
        raise QueryError(f"does not parse: {message(error)}: correct the SQL") from error
    if tree["error"]:
        raise QueryError(f"cannot be checked: {tree['error_message']}: write one SELECT")
    return tree["statements"]


def _children(
    node: dict[str, Any], hidden: frozenset[Path]
) -> Iterator[tuple[Any, frozenset[Path]]]:
    """The parts of a node, each with the paths that name a CTE there and no table."""
    for entry in (node.get("cte_map") or {}).get("map", ()):
        yield entry["value"], hidden
        hidden |= {_folded([entry["key"]])}
    for key, value in node.items():
        if not (value and isinstance(value, _NODES)):
            continue
        if key == "right" and node.get("type") == "RECURSIVE_CTE_NODE":
            yield value, hidden | _recursive(node)
        elif key == "function" and node.get("type") == "TABLE_FUNCTION":
            yield list(value.values()), hidden
        elif key != "cte_map":
            yield value, hidden


def _recursive(node: dict[str, Any]) -> frozenset[Path]:
    """What names a recursive CTE in its own second part: DuckDB knows it as recurring.name too."""
    name = node["cte_name"]
    return frozenset([_folded([name]), _folded(["recurring", name])])


def _folded(path: Iterable[str]) -> Path:
    return tuple(map(quoting.folded, path))


def _note(seen: Seen, node: dict[str, Any], hidden: frozenset[Path]) -> None:
    kind = node.get("type")
    for names in (node.get("column_names"), node.get("using_columns")):
        if names:
            seen.columns.update(map(str.lower, names))
    if "cte_map" in node:
        if kind not in _QUERY_NODES:
            seen.shapes.add(str(kind))
    elif node.get("class") in ("FUNCTION", "WINDOW"):
        seen.functions.add(quoting.folded(node["function_name"]))
    elif node.get("class") == "COLUMN_REF":
        if len(node["column_names"]) == 1:
            seen.bare.add(node["column_names"][0].lower())
    elif "sample" in node and "class" not in node:
        _note_table(seen, node, hidden)
    if node.get("sample"):
        seen.shapes.add("SAMPLE")


def _note_table(seen: Seen, node: dict[str, Any], hidden: frozenset[Path]) -> None:
    kind = node["type"]
    if kind == "TABLE_FUNCTION":
        seen.table_functions.add(quoting.folded(node["function"]["function_name"]))
    elif kind == "BASE_TABLE":
        path = tuple(node["qualified_name"]["path"])
        if _folded(path) not in hidden:
            seen.tables.add(path)
        if node.get("at_clause"):
            seen.shapes.add("AT")
    elif kind not in _TABLE_NODES:
        seen.shapes.add(kind)


SHAPES = {
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
        tables: the tables that it may read; None for any that is neither a file nor a system table.
        where: the file, as people know it.

    Returns:
        One sentence a problem, without `where`, each saying what to do; empty when it may run.
    """
    try:
        parsed = statements(sql)
        if len(parsed) != 1:
            return [f"holds {len(parsed)} statements: keep exactly one SELECT in {where}"]
        kind = kind_of(parsed[0])
        if kind != "SELECT":
            return [f"holds {kind}: write exactly one SELECT in {where}"]
        seen = see(sql)
    except QueryError as error:
        return [str(error)]
    return [
        *(
            SHAPES.get(shape, f"uses {shape}: write a plain SELECT")
            for shape in sorted(seen.shapes)
        ),
        *_parameter_problems(parsed[0]),
        *_table_problems(seen, tables),
        *_function_problems(seen),
    ]


def kind_of(statement: duckdb.Statement) -> str:
    """The statement's first word; PIVOT for one whose columns depend on the rows."""
    try:
        name = statement.type.name
    except ValueError:  # a kind that DuckDB's Python side has no name for, such as MERGE
        return "a statement of another kind"
    return "PIVOT" if name == "MULTI" else name


def _parameter_problems(statement: duckdb.Statement) -> Iterator[str]:
    if any(name.isdigit() for name in statement.named_parameters):
        yield "uses parameters by position: name each one, such as $start"


def _table_problems(seen: Seen, tables: Collection[str] | None) -> Iterator[str]:
    for path in sorted(seen.tables):
        name = written(path)
        if is_file(path):
            yield f"reads the file {'.'.join(path)!r}: read tables only, so remove it"
        elif tables is None:
            if is_system(path):
                yield f"reads {name}, which describes the database: remove it"
        elif len(path) > 1 or name not in tables:
            yield f"reads {name}, which is not one of its tables: {_nearest(name, tables)}"
    for name in sorted(seen.table_functions - functions.TABLE_FUNCTIONS):
        allowed = ", ".join(sorted(functions.TABLE_FUNCTIONS))
        yield f"reads from {name}(): of the table functions use only {allowed}"


def is_file(path: Path) -> bool:
    """True for what DuckDB may take for a file, where no table has the name."""
    is_typed = len(path) > 1 and quoting.folded(path[-1]) in _FILE_TYPES
    return is_typed or len(path) > 3 or not all(map(_PLAIN.fullmatch, path))


def is_system(path: Path) -> bool:
    """True for a table that describes the database."""
    *above, name = _folded(path)
    return bool(_SYSTEM_TABLE.match(name) or _SYSTEM_SCHEMAS.intersection(above))


def _function_problems(seen: Seen) -> Iterator[str]:
    for name in sorted(seen.functions | (seen.bare & functions.BARE)):
        if name in functions.CLOCK:
            yield f"calls {name}, which reads the clock: use $start or $end"
        elif name in functions.RANDOM:
            yield (
                f"calls {name}, which gives another value each time: "
                "a hunt must give the same rows again, so remove it"
            )
        elif name not in functions.FUNCTIONS and re.search("[a-z]", name):
            nearest = _nearest(name, functions.FUNCTIONS)
            yield f"calls {name}, which is not a function it may call: {nearest}"


def _nearest(name: str, names: Collection[str]) -> str:
    if match := difflib.get_close_matches(name.lower(), sorted(names), 1, 0.7):
        return f"did you mean {match[0]}?"
    return "remove it" if len(names) > 20 else f"use {' or '.join(sorted(names)) or 'none'}"


def message(error: BaseException) -> str:
    """DuckDB's message without its kind and picture, on one line, safe to print.

    A message may quote an event, so control characters are replaced and it is cut.
    """
    head = re.split(r"\n\n(?!Candidate)|\nLINE \d", str(error).strip())[0]
    text = re.sub(r"^[A-Za-z ]+ Error: ", "", " ".join(head.split()))
    text = text.replace(" Candidate bindings: : ", "; candidates: ")
    text = text.replace("! Candidate bindings: ", "; candidates: ")
    # For an unknown table DuckDB may suggest one of its own, which nobody here may read.
    text = re.sub(r'! Did you mean "(duckdb|pg|sqlite)_\w+"\?', "", text)
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return text[:300].rstrip(".!")
