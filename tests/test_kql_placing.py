"""Refusals that come without a place get one from the query's own words."""

from __future__ import annotations

import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.kql_import import placing
from gundog.kql_import.refusing import RefusalError
from tests import kql_kit

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
        ("translation", "fails", (2, 0)),
        ("few", "is a word of the query, not of its comments", (2, 5)),
    ],
)
def test_first_word_that_is_named_is_the_place(
    cause: str, reason: str, place: tuple[int, int]
) -> None:
    """Comments are no place; a refusal of the whole query has its first line."""
    placed = placing.placed(RefusalError(cause, reason), QUERY)

    assert (placed.line, placed.column) == place


def test_a_place_that_is_known_stays() -> None:
    """The translator's own place is better than a word that looks like it."""
    assert placing.placed(RefusalError("few", "no", 4, 2), QUERY).line == 4
    assert placing.placed(RefusalError("few", "no"), "").line == 1


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("DeviceProcessEvents\n| extend a = rand2(1)", (2, 14)),
        ("DeviceProcessEvents\n| where FileName == 'a'\n| summarize hll(FileName)", (3, 13)),
        ("DeviceProcessEvents\n| where Nowhere == 1", (2, 9)),
        ("DeviceProcessEvents\n| where Timestamp > ago(9999d)", (2, 21)),
        ("DeviceProcessEvents\n| invoke FileProfile(SHA1)\n| where GlobalPrevalence < 9", (2, 10)),
    ],
)
def test_what_the_translator_names_without_a_place_gets_one(
    query: str, place: tuple[int, int]
) -> None:
    """Functions, aggregates, columns, and what is asked of the clock."""
    with pytest.raises(RefusalError) as caught:
        kql_kit.translate(query)

    assert (caught.value.line, caught.value.column) == place
