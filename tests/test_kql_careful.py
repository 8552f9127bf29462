"""Calls of functions with values that do not fit: null, never the end of a hunt."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from duckdb import DuckDBPyConnection as Con

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from tests import kql_hostile, kql_kit

# Text, a number, and JSON that need not be a list.
CALLS = """
abs(ProcessId)  bin(ProcessId, 10)  floor(ProcessId, 7)  tohex(ProcessId)
binary_shift_left(ProcessId, ParentId)  binary_shift_right(ProcessId, ParentId)
unixtime_seconds_todatetime(ProcessId)  unixtime_milliseconds_todatetime(ProcessId)
array_length(AdditionalFields.a)  array_length(ProcessCommandLine)
array_reverse(AdditionalFields.a)  array_slice(AdditionalFields.a, 0, ParentId)
array_sort_asc(AdditionalFields.a)  array_sort_desc(ProcessCommandLine)
array_sum(ProcessCommandLine)  array_concat(AdditionalFields.a, AdditionalFields.b)
array_index_of(AdditionalFields.a, "x")  set_has_element(AdditionalFields.a, "x")
set_has_element(ProcessCommandLine, "x")  zip(AdditionalFields.a, AdditionalFields.b)
bag_has_key(AdditionalFields.a, "k")  bag_keys(ProcessCommandLine)
set_union(AdditionalFields.a, AdditionalFields.b)  countof(ProcessCommandLine, "a")
todatetime(ProcessCommandLine)  totimespan(ProcessCommandLine)  tolong(ProcessCommandLine)
parse_url(ProcessCommandLine)  url_decode(ProcessCommandLine)  strrep(FileName, 2)
base64_decode_tostring(ProcessCommandLine)  substring(ProcessCommandLine, ParentId, 3)
""".replace(")  ", ")\n").split("\n")
QUERY = (
    "DeviceProcessEvents | extend ParentId = InitiatingProcessId\n| extend "
    + ",\n  ".join(f"v{number} = {call}" for number, call in enumerate(filter(None, CALLS)))
    + "\n| project "
    + ", ".join(f"v{number}" for number in range(len([*filter(None, CALLS)])))
)


@pytest.fixture(scope="module")
def con() -> Iterator[Con]:
    with kql_hostile.connect() as opened:
        yield opened


def test_no_value_of_an_argument_ends_a_hunt(con: Con) -> None:
    """Numbers beyond 64 bits, text that is not a list, JSON of another kind."""
    made = kql_kit.translate(QUERY)

    assert kql_hostile.differing(con, QUERY, made, kql_kit.sources(), 150) == ""


def test_text_in_a_list_of_numbers_is_compared_as_text(con: Con) -> None:
    """Result codes are text in tables of sign-ins, and their queries list numbers."""
    query = "SigninLogs | where ResultType in (0, 50199) | project UserPrincipalName, ResultType"
    made = kql_kit.translate(query)

    assert "'50199'" in made.sql({"SigninLogs": "staged"})
    assert kql_hostile.differing(con, f"{query}//", made, kql_kit.sources(), 150) == ""


# A source's columns of each type; all tables have text.
KINDS = {"VARCHAR": "text", "BIGINT": "number", "INTEGER": "number", "BOOLEAN": "flag"}
SOURCES = sorted(kql_kit.sources().tables)
QUICK = 6


def query_of(source: str, draw: random.Random) -> str:
    """A query on some columns of a source: filters of each type, JSON taken apart, and counts."""
    table = kql_kit.sources().tables[source]
    dynamic = kql_kit.sources().dynamic.get(source, ())
    by_kind: dict[str, list[str]] = {"text": [], "number": [], "flag": [], "json": []}
    for name, kind in table.columns:
        shown = "json" if name in dynamic else KINDS.get(kind, "")
        if shown and name.isidentifier():
            by_kind[shown].append(name)
    picked = {kind: draw.choice(names) for kind, names in by_kind.items() if names}
    tests = {"text": '{} has "alpha"', "number": "{} > 3", "flag": "{} == true",
             "json": 'tostring({}.k) contains "a"'}  # fmt: skip
    kept = " or ".join(tests[kind].format(name) for kind, name in picked.items())
    steps = [source, f"where {kept}"]
    if "json" in picked:
        steps.append(f"mv-expand item = {picked['json']}")
    key = picked["text"]
    values = ", ".join(f"v{i} = make_set({name})" for i, name in enumerate(picked.values()))
    return "\n| ".join([*steps, f"summarize n = count(), {values} by {key}"])


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(name, marks=() if index % (len(SOURCES) // QUICK) == 0 else pytest.mark.slow)
        for index, name in enumerate(SOURCES)
    ],
)
def test_hostile_rows_of_every_source(con: Con, source: str) -> None:
    """Its own stage gives what all rows give, with evidence, and nothing is an error."""
    query = query_of(source, random.Random(source))  # noqa: S311 - no secret
    made = kql_kit.translate(query)

    assert kql_hostile.differing(con, query, made, kql_kit.sources(), 40) == ""
