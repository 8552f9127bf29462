"""Imported hunts over random lakes of several days: the rows of the detections that hold them.

The queries are our own, with the operators of the two Sentinel hunts in the same order. For the
queries as published: `python -m tests.kql_lakes EXPORTS MAIL`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from tests import kql_lakes
from tests.test_kql_import import EXPORTS, READS

pytestmark = pytest.mark.stress
# `make test` compares the first hunt over the examples of the published one (test_kql_import).
ALL = 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("imported", "kql", "seed"),
    [
        (name, kql, seed)
        for name, kql in ((kql_lakes.EXPORTS, EXPORTS), (kql_lakes.MAIL, READS))
        for seed in range(ALL)
    ],
)
def test_rows_are_those_of_the_published_hunts(
    imported: str, kql: str, seed: int, tmp_path: Path
) -> None:
    """Night by night, before and after files that come late, with rows that files repeat."""
    root = kql_lakes.started(tmp_path, imported, kql)
    many, wrong = kql_lakes.compared(root, imported, seed)

    assert wrong == []
    assert many > 0


def test_lakes_hold_what_hunts_get_wrong() -> None:
    """Pairs within an hour and across its edge, and records exactly on an hour."""
    rows = [row for seed in range(ALL) for row in kql_lakes.processes(seed)]
    moments = {(row["Timestamp"].minute, row["Timestamp"].microsecond) for row in rows}
    assert {(0, 0), (0, 1), (59, 0), (59, 999_999)} <= moments
    assert len({row["Timestamp"].date() for row in rows}) >= 3
    records = [row for seed in range(ALL) for row in kql_lakes.mails(seed)]
    assert any(not row["Timestamp"].minute and not row["tick"] for row in records)
    assert len({row["Timestamp"].date() for row in records}) >= 15
