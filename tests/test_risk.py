"""Tests of risk_by_entity: small findings add up, hidden and harmless ones do not count."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from gundog.findings import reader
from tests import draws
from tests.test_finding_list import DETECTION, NOW, finding, published

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HARMLESS = ("false_positive", "benign", "test", "duplicate", "disregard")
BY_SEVERITY = {"critical": 100, "high": 75, "medium": 50, "low": 25, "informational": 10}
TRIAL = UUID(int=78)


def risk(tmp_path: Path, rows: list[dict[str, Any]], newest: Any = NOW) -> list[tuple[Any, ...]]:
    """Rows of the view over these findings; hunted up to `newest`."""
    said = [
        {"finding_id": row["finding_id"], "said_at": NOW, "status": "resolved", "verdict": verdict}
        for row in rows
        if (verdict := row.pop("said", None))
    ]
    ledger = {"detection_id": DETECTION, "detection_hash": "h", "state": "done",
              "interval_start": newest - DAY, "interval_end": newest}  # fmt: skip
    trial = {"detection_id": TRIAL, "status": "experimental"}
    stable = {"detection_id": DETECTION, "status": "stable"}
    path = published(
        tmp_path / "f.duckdb", findings=rows, triage=said, detections=[stable, trial],
        run_intervals=[ledger] if newest else [],
    )  # fmt: skip
    with reader.published(path) as con:
        return con.execute("from risk_by_entity").fetchall()


def test_three_low_findings_on_one_account_rise_to_the_top(tmp_path: Path) -> None:
    """Above a single medium one on another."""
    rows = [
        finding(n, account_name="ana", host_name=f"h{n}", severity="low", risk_score=20)
        for n in (1, 2, 3)
    ]
    rows.append(finding(4, account_name="bob", severity="medium", risk_score=50))

    first, second, *_ = risk(tmp_path, rows)
    ids = [UUID(int=n << 96) for n in (1, 2, 3)]
    assert first == ("account", "ana", "", 60, 60, ids)
    assert second[:5] == ("account", "bob", "", 50, 50)


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ({}, True),
        ({"suppressed_by": "exception 0a1b2c3d: x"}, False),
        ({"suppressed_by": "alertBudget"}, False),
        ({"detection_id": TRIAL}, False),
        ({"said": "benign"}, False),
        ({"said": "true_positive"}, True),
        ({"said": "suspicious"}, True),
        ({"account_name": ""}, False),
        ({"account_name": "*"}, False),
        ({"end_time": NOW - 30 * DAY}, False),
        ({"end_time": NOW + HOUR}, False),
    ],
)
def test_what_counts(tmp_path: Path, values: dict[str, Any], counts: bool) -> None:
    """Open or confirmed ones of stable detections, about somebody, in the last thirty days."""
    rows = risk(tmp_path, [finding(1, **{"account_name": "ana", "risk_score": 5, **values})])

    assert [row[:5] for row in rows] == ([("account", "ana", "", 5, 5)] if counts else [])


def test_days_count_from_what_was_hunted_last(tmp_path: Path) -> None:
    """A quiet month after it takes a finding out, and one of another tenant stays apart."""
    row = finding(1, account_name="ana", risk_score=5)
    other = finding(2, account_name="ana", risk_score=7, tenant="t2")
    ranked = risk(tmp_path, [row, other], NOW + 10 * DAY)
    assert [one[:5] for one in ranked] == [
        ("account", "ana", "t2", 0, 7), ("account", "ana", "", 0, 5)
    ]  # fmt: skip
    assert risk(tmp_path, [finding(1, account_name="ana")], NOW + 31 * DAY) == []


found = st.builds(
    dict,
    hours=st.integers(0, 40 * 24),
    host_name=st.sampled_from([None, "h"]),
    account_name=st.sampled_from([None, "a", "b"]),
    mailbox=st.sampled_from([None, "*", "m"]),
    risk_score=st.sampled_from([None, 0, 10, 47]),
    severity=st.sampled_from(list(BY_SEVERITY)),
    said=st.sampled_from([None, None, "suspicious", *HARMLESS]),
    suppressed_by=st.sampled_from([None, None, "alertBudget"]),
)


@draws.law(12, suppress_health_check=list(HealthCheck))
@given(st.lists(found, max_size=12))
def test_sums_are_those_of_a_plain_loop(tmp_path: Path, drawn: list[dict[str, Any]]) -> None:
    """Whatever findings there are, each entity has the risk of its own, over 7 and 30 days."""
    rows, week, month = [], defaultdict[Any, int](int), defaultdict[Any, int](int)
    for number, one in enumerate(drawn, 1):
        end = NOW - one["hours"] * HOUR
        kept = {name: value for name, value in one.items() if name != "hours"}
        rows.append({**finding(number), **kept, "end_time": end, "start_time": end})
        if one["suppressed_by"] or one["said"] in HARMLESS or end <= NOW - 30 * DAY:
            continue
        score = one["risk_score"] if one["risk_score"] is not None else BY_SEVERITY[one["severity"]]
        for kind, column in (
            ("host", "host_name"), ("account", "account_name"), ("mailbox", "mailbox")
        ):  # fmt: skip
            if one[column] not in (None, "*"):
                month[kind, one[column]] += score
                week[kind, one[column]] += score if end > NOW - 7 * DAY else 0

    ranked = risk(tmp_path, rows)
    assert {(row[0], row[1]): (row[3], row[4]) for row in ranked} == {
        key: (week[key], total) for key, total in month.items()
    }
    assert [row[4] for row in ranked] == sorted(month.values(), reverse=True)
