"""duckdb-kql, the extra `gundog[kql]`: its structures, and its translation made reproducible.

Everything here holds for exactly one version of it. It is loaded by `gundog import` alone.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from gundog.core.errors import InputError
from gundog.hunting.kusto_outputs import OUTPUTS
from gundog.kql_import import careful, more_functions, series_text
from gundog.kql_import.refusing import RefusalError


def _module(name: str) -> Any:
    """A module of the translator; None where the extra is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None


duckdb_kql = _module("duckdb_kql")
ir = _module("duckdb_kql.ir")
lower = _module("duckdb_kql.lower")
schema = _module("duckdb_kql.schema")
timespans = _module("duckdb_kql.timespans")
emitting = _module("duckdb_kql.translate")
functions = _module("duckdb_kql.translate.functions")
VERSION = "1.1.2"
# What no query may look back; longer timespans are as good as this one.
FARTHEST = timedelta(days=100_000)
# The aggregate that joins the marks of events; no query can name it.
EVENTS = "gundog events"
Schema = Mapping[str, list[str]]
_MOMENT = datetime(2026, 1, 1)
_FIRST = re.compile(r"(\(SELECT DISTINCT ON \((?:\"(?:[^\"]|\"\")*\"(?:, )?)+\) \* FROM _s\d+)\)")
# Sets of values that come again and again: each is kept once while rows are read.
SMALL_SETS = {"make_set": "gundog set", "make_set_if": "gundog set if"}
_SET = (
    "to_json(list_sort(coalesce(list_distinct(flatten(list("
    "CASE WHEN typeof({0}) = 'JSON' AND json_type(TRY_CAST({0} AS JSON)) = 'ARRAY' "
    "THEN CAST(to_json({0}) AS JSON[]) ELSE [to_json({0})] END"
    ") FILTER (WHERE %s))), [])))"
)
_SMALL_SET = _SET.replace("flatten(list(", "flatten(list(DISTINCT ")
# One value for each bin of a key, what is missing filled in.
_FILLED = (
    "to_json(list_transform(range(0, least(greatest(CAST({2} AS BIGINT), 0), 1000000)),"
    " lambda gundog_i: coalesce(map_extract_value(map_from_entries(list(struct_pack(k := {0},"
    " v := %s))), gundog_i), %s)))"
)
_LISTED = _FILLED % ("CAST({1} AS DOUBLE)", "CAST({3} AS DOUBLE)")
_MARKED = _FILLED % ("{1}", "''")
_AXIS = (
    "to_json(list_transform(range(0, least(greatest(CAST({2} AS BIGINT), 0), 1000000)),"
    " lambda gundog_i: strftime({0} + gundog_i * {1}, '%Y-%m-%dT%H:%M:%S.%f0Z')))"
)
_MOST_ARGUMENTS = 7
# Remarks for the translator's own authors.
_INWARD = re.compile(r"in this wave|translate/|^near '|TRANSLATION\.md")


def require() -> None:
    """Raises InputError when the translator is not installed, or is another version."""
    if duckdb_kql is None:
        raise InputError("import: needs the extra kql: pip install 'gundog[kql]'")
    if duckdb_kql.__version__ != VERSION:
        raise InputError(
            f"import: knows duckdb-kql {VERSION}, and {duckdb_kql.__version__} is installed:"
            " pip install 'gundog[kql]'"
        )


def parse(kql: str) -> Any:
    """The query as the translator's own structure.

    Raises:
        RefusalError: when it does not parse, or holds what is not translated.
    """
    with _refusing():
        return lower.lower(kql)


def sql_of(query: Any, columns: Schema) -> str:
    """The SELECT of a structure; `$kqlnow` in it is Kusto's now().

    Raises:
        RefusalError: when it holds what is not translated.
    """
    with _refusing(), _reproducible(), emitting.clock(_MOMENT):
        sql = str(emitting.to_sql(query, {name: list(names) for name, names in columns.items()}))
    # Which row of a key is kept is arbitrary in Kusto; here it is the first of a fixed order.
    return _FIRST.sub(r"\1 ORDER BY ALL)", sql)


def columns_of(query: Any, columns: Schema) -> list[str]:
    """The names of the columns that a structure returns, in their order."""
    with _refusing(), _reproducible():
        return list(schema.output_columns(query, {name: list(c) for name, c in columns.items()}))


def span_of(text: str) -> timedelta | None:
    """A timespan as KQL writes it, such as 14.5h, at most FARTHEST; None for what is none."""
    try:
        return timedelta(microseconds=timespans.ticks(text) / 10)
    except OverflowError:
        return FARTHEST
    except (ArithmeticError, ValueError):
        return None


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    """What the translator refuses, as a RefusalError with the construct and its line."""
    try:
        yield
    except duckdb_kql.KqlSyntaxError as error:
        first = error.diagnostics[0] if error.diagnostics else None
        line, column = (first.span.line, first.span.column + 1) if first else (0, 0)
        said = first.message if first else str(error)
        raise RefusalError("syntax", f"{said[:200]}: correct the KQL", line, column) from error
    except duckdb_kql.KqlUnsupportedError as error:
        line, column = (error.span.line, error.span.column + 1) if error.span else (0, 0)
        reason = f"is not translated{_hint(error.hint)}: write the step in another way"
        raise RefusalError(_plain(error.construct), reason, line, column) from error
    except duckdb_kql.KqlSchemaError as error:
        hint = f" ({str(error.hint)[:150]})" if error.hint else ""
        raise RefusalError(f"name {error.name}", f"is not known{hint}: correct the name") from error
    except duckdb_kql.KqlError as error:
        raise RefusalError("translation", f"{str(error)[:200]}: write it in another way") from error
    except RecursionError as error:
        raise RefusalError("depth", "nests too deep: split the query with let") from error
    except (AssertionError, AttributeError, KeyError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {str(error)[:150]}"
        raise RefusalError("translation", f"fails ({said}): write it in another way") from error


def _hint(text: str | None) -> str:
    """What the translator advises, in brackets, without what only its authors understand."""
    parts = re.split(r"; ", text or "")
    told = "; ".join(part for part in parts if not _INWARD.search(part))
    return f" ({told[:300]})" if told else ""


def _plain(construct: str) -> str:
    """`ProjectReorderOperator` as `project-reorder`."""
    name = re.sub(r"(Operator|Expression|Context)$", "", construct)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower() if name != construct else construct


@contextlib.contextmanager
def _reproducible() -> Iterator[None]:
    """Aggregates that depend on the order of rows, and calls that one text can end, replaced."""
    registry = functions.AGGREGATE_FUNCTIONS
    spec = type(registry["count"])
    ours = {
        **_sets(spec, _SET, SMALL_SETS),
        **_sets(spec, _SMALL_SET, SMALL_SETS.values()),
        "make_list": spec(
            "make_list",
            "coalesce(list({0} ORDER BY {0}) FILTER (WHERE {0} IS NOT NULL), [])",
            (1, 2),
            name_prefix="list",
        ),
        "make_list_if": spec(
            "make_list_if",
            "coalesce(list({0} ORDER BY {0}) FILTER (WHERE {0} IS NOT NULL AND {1}), [])",
            (2, 3),
            name_prefix="list",
        ),
        "any": spec("any", "min({0})", (1,)),
        "take_any": spec("take_any", "min({0})", (1,), name_is_argument=True),
        "count_distinct": spec("count_distinct", "count(DISTINCT {0})", (1,)),
        "count_distinctif": spec(
            "count_distinctif", "count(DISTINCT {0}) FILTER (WHERE {1})", (2,)
        ),
        series_text.SERIES: spec(series_text.SERIES, _LISTED, (4,)),
        series_text.AXIS: spec(series_text.AXIS, _AXIS, (3,)),
        series_text.BINS: spec(series_text.BINS, _MARKED, (3,)),
        "gundog_bag": spec(
            "gundog_bag",
            "to_json(map_from_entries(list(struct_pack(k := {0}, v := {1}) ORDER BY {0})))",
            (2,),
        ),
        EVENTS: spec(EVENTS, "string_agg(DISTINCT {0}, ' ' ORDER BY {0})", (1,)),
    }
    with (
        _replaced(registry, ours),
        _replaced(functions.SCALAR_FUNCTIONS, _scalars()),
        _replaced(functions.BINARY_OPERATORS, _arithmetic()),
        _replaced(forms := emitting._SPECIAL_FORMS, careful.forms(forms)),
    ):
        yield


def _sets(spec: Callable[..., Any], template: str, names: Iterable[str]) -> dict[str, Any]:
    """`make_set` and `make_set_if` under these names."""
    plain, conditional = names
    return {
        plain: spec(plain, template % "{0} IS NOT NULL", (1, 2), name_prefix="set"),
        conditional: spec(
            conditional, template % "{0} IS NOT NULL AND {1}", (2, 3), name_prefix="set"
        ),
    }


def _arithmetic() -> dict[str, Any]:
    """The operators that can overflow or fail to convert, made careful."""
    registry = functions.BINARY_OPERATORS
    kinds = dict.fromkeys(("+", "-", "*", "/", "%"), careful.Careful)
    kinds |= dict.fromkeys(("==", "!=", "<>", "<", "<=", ">", ">="), careful.Compared)
    return {
        sign: replace(registry[sign], template=kind(registry[sign].template))
        for sign, kind in kinds.items()
    }


def _scalars() -> dict[str, Any]:
    """Functions that the translator lacks, or knows for numbers only."""
    spec = type(functions.SCALAR_FUNCTIONS["strlen"])
    texts = {name: forms for name, forms in more_functions.FUNCTIONS.items() if len(forms) == 1}
    made = {
        name: spec(name, "template", text, (many,))
        for name, forms in texts.items()
        for many, text in forms.items()
    }
    made |= careful.templates(functions.SCALAR_FUNCTIONS)
    for name, text, many in _series_functions():
        made[name] = spec(name, "template", text, (many,))
    return made


def _series_functions() -> Iterator[tuple[str, str, int]]:
    """Each output of a series function as a function of its own, for any number of arguments."""
    for name, outputs in OUTPUTS.items():
        for output in outputs:
            arguments = [f"{{{place}}}" for place in range(_MOST_ARGUMENTS)]
            for many in range(1, _MOST_ARGUMENTS + 1):
                more = ", ".join(arguments[1:many])
                template = (
                    f"(kusto_series('{name}', TRY_CAST({{0}} AS DOUBLE[]),"
                    f" CAST(json_array({more}) AS VARCHAR))::JSON -> '$.{output}')"
                )
                yield f"{name}_{output}_{many}", template, many


@contextlib.contextmanager
def _replaced(registry: dict[str, Any], ours: Mapping[str, Any]) -> Iterator[None]:
    """A table of the translator's functions with ours in it."""
    before = dict(registry)
    registry.update(ours)
    try:
        yield
    finally:
        registry.clear()
        registry.update(before)


def changed(node: Any, change: Callable[[Any], Any]) -> Any:
    """A structure with `change` applied to each of its nodes, the inner ones first.

    A node that is reached twice is changed once: what a let stands for is shared.
    """
    return _changed(node, change, {})


def _changed(node: Any, change: Callable[[Any], Any], done: dict[int, tuple[Any, Any]]) -> Any:
    if isinstance(node, (tuple, list)):
        return type(node)(_changed(item, change, done) for item in node)
    if not is_dataclass(node) or isinstance(node, type):
        return node
    if id(node) not in done:
        values = {field.name: getattr(node, field.name) for field in fields(node)}
        new = {name: _changed(value, change, done) for name, value in values.items()}
        same = all(_same(values[name], new[name]) for name in new)
        done[id(node)] = node, change(node if same else replace(node, **new))
    return done[id(node)][1]


def _same(before: Any, after: Any) -> bool:
    """True where nothing within was changed."""
    if isinstance(before, (tuple, list)):
        pairs = zip(before, after, strict=True)
        return len(before) == len(after) and all(_same(*pair) for pair in pairs)
    return before is after or (not is_dataclass(before) and bool(before == after))


def nodes(node: Any) -> Iterator[Any]:
    """A structure's nodes, each once and before the ones within it."""
    stack, seen = [node], set[int]()
    while stack:
        item = stack.pop()
        if isinstance(item, (tuple, list)):
            stack.extend(reversed(item))
        elif is_dataclass(item) and not isinstance(item, type) and id(item) not in seen:
            seen.add(id(item))
            yield item
            stack.extend(getattr(item, field.name) for field in reversed(fields(item)))
