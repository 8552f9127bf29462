"""Every refusal names a line and a column, also where the translator or DuckDB gives none."""

from __future__ import annotations

import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.kql_import import locating
from gundog.kql_import.refusing import RefusalError
from tests import kql_kit

SCALARS = (
    """around array_iff array_sort_asc assert base64_decode_toguid bin_at column_ifexists
    cursor_after dcount_hll format_timespan has_any_ipv4 hash_many ipv4_compare make_string
    new_guid next pack_all parse_path parse_user_agent prev row_cumsum row_number series_fir strcmp
    toguid translate zip no_such_function"""
).split()
LET = "let A = DeviceProcessEvents | where Timestamp > ago(1d)"
AGGREGATES = (
    "binary_all_and buildschema hll make_bag percentilew tdigest no_such_aggregate"
).split()


def refusal(kql: str) -> RefusalError | None:
    """Why a query is not imported; None for one that is."""
    try:
        kql_kit.translate(kql)
    except RefusalError as error:
        return error
    return None


@pytest.mark.parametrize("names", [SCALARS, AGGREGATES], ids=["scalars", "aggregates"])
def test_a_function_that_is_refused_has_its_place(names: tuple[str, ...]) -> None:
    """Its name in the step that fails, not where else the word is."""
    step = "extend  x =" if names is SCALARS else "summarize  x ="
    refused = 0
    for name in names:
        kql = f"// {name}\nDeviceProcessEvents | where ProcessId > 1\n| {step} {name}(FileName)"
        error = refusal(kql)
        if error is not None:
            refused += 1
            assert (error.line, error.column) == (3, len(f"| {step} ") + 1), name
            assert name in str(error)
            assert ": " in error.reason  # how to go on

    assert refused > len(names) * 3 / 4


@pytest.mark.parametrize(
    ("kql", "line", "column"),
    [
        # The name is there more than once: the step that fails has it.
        ("DeviceProcessEvents\n| extend hash_many = 1\n| take 1\n| extend y = hash_many(FileName)",
         4, 14),
        # Nothing in the message has a name: the step that fails.
        ("DeviceProcessEvents\n| where ProcessId > 1\n| where (Timestamp + 1) > 7\n| take 3", 3, 3),
        (f"{LET};\nlet B = DeviceEvents\n  | where Timestamp == dynamic([1]) + 1h;\nA | union B",
         3, 5),
        ("DeviceProcessEvents\n| where NoColumn == 1 | take 3", 2, 9),
        ("DeviceProcessEvents\n| summarize count(), FileName by DeviceName", 2, 3),
        ("DeviceProcessEvents | where Timestamp > ago(1d)\n| getschema", 2, 3),
        ("let f = (n: long) { f(n) | take 1 };\nDeviceProcessEvents | invoke f()", 2, 30),
        ("DeviceProcessEvents\n| where Timestamp > ago(900d)", 2, 21),
        ("print x = 1", 1, 1),
        # An edit before it on its line does not move it.
        ("DeviceEvents\n| where AccountName notcontains 'a' | extend h = hash_many(1)", 2, 50),
    ],
)  # fmt: skip
def test_a_refusal_has_its_place(kql: str, line: int, column: int) -> None:
    """In the text as the file has it."""
    with pytest.raises(RefusalError) as caught:
        kql_kit.translate(kql)

    assert (caught.value.line, caught.value.column) == (line, column), caught.value


def test_a_long_query_is_not_tried_for_each_step() -> None:
    """The failing step is found by halving."""
    tried = []

    def fails(kql: str) -> bool:
        tried.append(kql)
        return "step 70" in kql

    kql = "T\n" + "\n".join(f"| where x == 'step {n}'" for n in range(1, 100))
    error = locating.located(kql, RefusalError("types", "cannot be"), fails)

    assert (error.line, error.column) == (71, 3)
    assert len(tried) < 12


QUERY = """\
// a hash of names
let few = 3;
DeviceProcessEvents
| extend h = hash_sha1(FileName), Wrong
"""


@pytest.mark.parametrize(
    ("cause", "reason", "place"),
    [
        ("function:hash_sha1", "is not translated", (4, 14)),
        ("column wrong", "is not a column there", (4, 35)),
        ("let:few", "is not translated", (2, 5)),
        ("types", 'Column "FileName" cannot be compared', (4, 24)),
        ("translation", "fails", (2, 1)),
        ("few", "is a word of the query, not of its comments", (2, 5)),
    ],
)
def test_the_word_that_is_named_is_the_place(
    cause: str, reason: str, place: tuple[int, int]
) -> None:
    """Comments do not count as a place; a refusal of the whole query has its first word."""
    error = locating.located(QUERY, RefusalError(cause, reason), lambda _: False)

    assert (error.line, error.column) == place


def test_a_place_that_is_known_stays() -> None:
    """The translator's own line is better than a word that looks like it."""
    for text in (QUERY, ""):
        error = locating.located(text, RefusalError("few", "no", 4, 2), lambda _: False)
        assert error.line == 4
    assert locating.located("", RefusalError("few", "no"), lambda _: False).line == 1
