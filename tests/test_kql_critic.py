"""What the critic says of a query: each kind of remark, with the line that it is about."""

from __future__ import annotations

from datetime import timedelta

import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.core.times import DAY
from tests import kql_kit

DPE = "DeviceProcessEvents\n| where Timestamp > ago(1d)\n"
SIDE = "(DeviceEvents | project DeviceId, Timestamp)"
# The query, the line, and what the remark says.
REMARKS = [
    # Bins that part a pair: the share that is missed is gap / width.
    (DPE + "| summarize count() by DeviceName, bin(Timestamp, 1h)", 3,
     "a pair 15m apart in bins of 1h is missed 25 % of the time, one 30m apart 50 %"),
    ("let w = 10m;\n" + DPE + "| summarize n = count() by DeviceName, t = bin(Timestamp, w)", 4,
     "a pair 2m30s apart in bins of 10m is missed 25 % of the time"),
    (DPE + "| summarize count() by DeviceName, startofday(Timestamp)", 3,
     "a pair 6h apart in bins of 1d is missed 25 %"),
    (DPE + "| summarize count() by DeviceName, bin(Timestamp, 1s)", 3, "the chance gap / width"),
    (DPE + "| summarize count() by DeviceName, bin(Timestamp, 1h)", 3, "gundog import --rewrite"),
    # Joins.
    (DPE + f"| join kind=inner {SIDE} on DeviceId, Timestamp", 3, "only events at the same 100 ns"),
    (DPE + f"| join {SIDE} on DeviceId", 3, "join without kind is innerunique"),
    # Series.
    (DPE + "| make-series n = count() on Timestamp from ago(1d) to now() step 1h by DeviceName\n"
     "| extend a = series_decompose_anomalies(n)", 4, "scores the points that it learns from"),
    (DPE + "| make-series n = count() on Timestamp from ago(1d) to now() step 1h by DeviceName", 3,
     "found again in each night"),
    # Reach.
    (DPE + f"| join kind=inner {SIDE} on DeviceId\n| where Timestamp1 - Timestamp < 3d", 4,
     "events up to 3d apart and reads back only 1d"),
    (DPE + f"| join kind=inner {SIDE} on DeviceId\n"
     "| where Timestamp1 between (Timestamp .. (Timestamp + 2d))", 4, "up to 2d apart"),
    (DPE + "| summarize count() by DeviceName, bin(Timestamp, 7d)", 3, "up to 7d apart"),
    ("DeviceProcessEvents\n| where FileName =~ 'x'", 1, "no time bound"),
    ("DeviceProcessEvents\n| where Timestamp > ago(7d)\n| summarize count() by DeviceName", 3,
     "counts over 7d and runs every 1d"),
    # Rows that are dropped, or arbitrary.
    (DPE + "| take 5", 3, "take 5 drops all other rows"),
    (DPE + "| limit 5", 3, "limit 5 drops all other rows"),
    (DPE + "| top 3 by ProcessId", 3, "top 3 drops all other rows"),
    (DPE + "| summarize any(FileName) by DeviceName", 3, "arbitrary value in Kusto"),
    (DPE + "| summarize arg_max(ProcessId, *) by DeviceName", 3, "rows with the same value"),
    (DPE + "| summarize make_list(FileName) by DeviceName", 3, "sorted by its values"),
    (DPE + "| summarize dcount(FileName) by DeviceName", 3, "an estimate in Kusto"),
    # Words.
    (DPE + "| where FileName has 'ex'", 3, "whole word of 2 letters"),
    (DPE + "| where ProcessCommandLine has '-enc'", 3, "misses longer forms of the switch"),
    (DPE + "| where ProcessCommandLine has_any ('x.exe', '-w')", 3, "whole word of 2 letters"),
    (DPE + "| where FileName has 'shadow'\n    or FileName has_any ('x y', 'shadows')", 3,
     "it misses 'shadows', write contains"),
    ("DeviceEvents\n| where Timestamp > ago(1d) and ActionType has 'Alert'", 2,
     "not within a longer action type"),
    (DPE + "| where FileName == 'cmd.exe'", 3, "FileName == looks at case"),
    (DPE + "| where FileName in ('cmd.exe', 'a')", 3, "FileName in looks at case"),
    # The result.
    (DPE + "| project Timestamp, FileName\n| where FileName =~ 'a'", 3, "no column names a device"),
    (DPE + "| project DeviceName\n| where DeviceName =~ 'a'", 3, "no column is a time"),
    (DPE + "| where ingestion_time() > ago(1d)", 3, "ingestion_time() is the time of the event"),
]  # fmt: skip


@pytest.mark.parametrize(("kql", "line", "text"), REMARKS)
def test_critic_says(kql: str, line: int, text: str) -> None:
    """What a person has to know before the hunt is trusted, once and at its line."""
    told = [remark for remark in kql_kit.remarks(kql) if text in remark.text]

    assert [remark.line for remark in told] == [line]


def test_every_remark_has_a_line() -> None:
    """Also those on the query as a whole."""
    for kql, _, _ in REMARKS[::6]:
        assert all(remark.line for remark in kql_kit.remarks(kql))


@pytest.mark.parametrize(
    "kql",
    [
        "| where FileName =~ 'cmd.exe' and ProcessCommandLine has 'powershell'",
        "| where ProcessCommandLine has_any ('.exe', 'whoami')",
        "| where ProcessCommandLine contains '-e'",
        "| where ProcessCommandLine has_any ('group', 'localgroup')",
        "| where FileName in~ ('a', 'b')",
        f"| join kind=inner {SIDE} on DeviceId",
        f"| join kind=inner {SIDE} on DeviceId | where Timestamp1 - Timestamp < 1h",
    ],
)
def test_critic_keeps_quiet(kql: str) -> None:
    """A query that bounds its time, keeps its entities and says what it means has no remark."""
    assert kql_kit.remarks(DPE + kql) == ()


@pytest.mark.parametrize(
    ("kql", "is_counted"),
    [
        ("{T} | join kind=leftanti ({T} | summarize by DeviceId) on DeviceId", False),
        ("let old = {T} | summarize by DeviceId; {T} | join kind=leftsemi old on DeviceId", False),
        ("{T} | join kind=inner ({T} | summarize count() by DeviceId) on DeviceId", True),
        ("let n = {T} | summarize count() by DeviceId; n | where count_ > 5", True),
        ("{T} | union ({T} | summarize count() by DeviceId)", True),
    ],
)
def test_a_list_that_only_filters_is_no_count(kql: str, is_counted: bool) -> None:
    """Rows that it keeps or drops are told once, in the night of their events."""
    table = "DeviceProcessEvents | where Timestamp > ago(7d)"
    told = [r for r in kql_kit.remarks(kql.replace("{T}", table)) if "counts over 7d" in r.text]

    assert bool(told) == is_counted


def test_a_period_shorter_than_the_query() -> None:
    """Sentinel would cut it, gundog does not."""
    kql = "DeviceProcessEvents\n| where Timestamp > ago(14d)"
    made = kql_kit.translate(kql, period=DAY, frequency=timedelta(hours=1))

    assert any("its period is 1d" in r.text and r.line == 2 for r in made.remarks)
