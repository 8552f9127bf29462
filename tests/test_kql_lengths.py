"""Queries that are too long or too deep are refused with their place, and soon."""

from __future__ import annotations

import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.kql_import import lengths, preparing, translator
from gundog.kql_import.refusing import RefusalError
from tests import kql_kit

DOUBLED = "".join(
    f"let a{number} = a{number - 1} | where FileName != '{number}' | union (a{number - 1});\n"
    for number in range(1, 22)
)


@pytest.mark.parametrize(
    ("kql", "steps"),
    [
        ("T", 0),
        ("T | where a == 1 | take 5", 2),
        ("let x = T | where a == 1; x | join kind=inner (x | take 1) on a | union x", 6),
        ("let x = 5; T | where a == x", 1),
    ],
)
def test_steps_are_counted_with_lets_written_out(
    kql: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reference of a let counts its steps again."""
    parsed = translator.parse(preparing.prepare(kql).kql)
    monkeypatch.setattr(lengths, "MOST_STEPS", steps)
    lengths.refuse_long(parsed)
    monkeypatch.setattr(lengths, "MOST_STEPS", steps - 1)

    with pytest.raises(RefusalError, match=f"^line 1, column 1: query: has {steps} steps"):
        lengths.refuse_long(parsed)


@pytest.mark.parametrize(
    ("kql", "said"),
    [
        (f"let a0 = DeviceProcessEvents;\n{DOUBLED}a21 | count", "query: has 4,194,303 steps"),
        (
            "DeviceProcessEvents\n| where "
            + " or ".join(f"ProcessCommandLine has 'w{number}'" for number in range(640)),
            "line 2, column 3: depth: nests too deep: write a chain of or as has_any or in",
        ),
        (
            "DeviceProcessEvents\n| where Timestamp > ago(99999999999999d)",
            "line 2, column 21: reach: is 100000 days: look back 366 at most",
        ),
        (
            "DeviceProcessEvents\n| where Timestamp > now() - 9999999999 * 9999999d",
            "reach: is 100000 days: look back 366 at most",
        ),
    ],
    ids=["lets", "or", "ago", "product"],
)
def test_what_is_too_long_is_refused(kql: str, said: str) -> None:
    """With what is too much, where it is, and what to do."""
    with pytest.raises(RefusalError) as caught:
        kql_kit.translate(kql)

    assert said in str(caught.value)
    assert str(caught.value).startswith("line ")
