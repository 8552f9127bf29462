"""Imported hunts: the rows of Kusto with evidence and identity, through staging, as any detection.

The queries are our own. Those with the operators of the two Sentinel hunts are compared with the
detections that hold these.
"""

from __future__ import annotations

import base64
import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("duckdb_kql", reason="the extra kql is not installed")

from gundog.detections import content
from gundog.detections.detection import Example
from gundog.detections.hunt import Content, Hunt
from gundog.findings.model import Hit
from gundog.hunting.scoring import kql
from gundog.kql_import.refusing import RefusalError
from gundog.testing import examples
from tests import benches, draws, kit, kql_hostile, kql_kit

# The same operators in the same order as the Sentinel hunt that detections/kql holds.
EXPORTS = """\
let span = 1h;
DeviceProcessEvents
| where FileName in~ ("powershell.exe", "cmd.exe")
| where ProcessCommandLine contains "New-MailboxExportRequest"
| project-rename exported = ProcessCommandLine
| summarize by DeviceName, timekey = bin(Timestamp, span), exported, AccountName
| join kind=inner (
    DeviceProcessEvents
    | where FileName in~ ("powershell.exe", "cmd.exe")
    | where ProcessCommandLine contains "Remove-MailboxExportRequest"
    | project-rename removed = ProcessCommandLine
    | summarize by DeviceName, timekey = bin(Timestamp, span), removed, AccountName
  ) on DeviceName, timekey, AccountName
| extend commands = pack_array(exported, removed)
| summarize by timekey, DeviceName, tostring(commands), AccountName
| project-reorder timekey, DeviceName, AccountName, ["commands"]
| extend HostCustomEntity = DeviceName, AccountCustomEntity = AccountName
"""
# The same of the other one: a series, its anomalies, and the records exactly on them.
READS = """\
let since = 14d;
let until = 1d;
let width = 1h;
let least = 1.5;
let Counted =
    CloudAppEvents
    | where Timestamp between (startofday(ago(since))..startofday(ago(until)))
    | where ActionType =~ "mailitemsaccessed"
    | where Application has "exchange"
    | extend RawEventData = parse_json(RawEventData)
    | where RawEventData.ResultStatus == "Succeeded"
    | project Timestamp, ActionType, RawEventData.MailboxOwnerUPN
    | make-series Total=count() on Timestamp from startofday(ago(since)) to startofday(ago(until))
      step width;
let Unusual =
    Counted
    | extend (anomalies, score, baseline) = series_decompose_anomalies(Total, least, -1, 'linefit')
    | mv-expand Total to typeof(double), Timestamp to typeof(datetime),
        anomalies to typeof(double), score to typeof(double), baseline to typeof(long)
    | where anomalies > 0
    | project Timestamp, Total, baseline, anomalies, score;
Unusual | where Timestamp > ago(2d)
| join (
    CloudAppEvents
    | where Timestamp > ago(2d)
    | where ActionType =~ "mailitemsaccessed"
    | where Application has "exchange"
    | extend RawEventData = parse_json(RawEventData)
    | where RawEventData.ResultStatus == "Succeeded"
  ) on Timestamp
"""
QUERIES = {
    "exports": EXPORTS,
    "reads": READS,
    "plain": 'DeviceProcessEvents | where FileName =~ "a.exe" and AccountName != "x"',
    "counted": (
        "DeviceProcessEvents | where FileName has_any ('a', 'b') | summarize n = count(),"
        " names = make_set(FileName), newest = max(Timestamp) by DeviceName, AccountName"
    ),
    "several": "DeviceProcessEvents | summarize n = dcount(FileName) by DeviceName | where n > 1",
    "latest": "DeviceProcessEvents | summarize arg_max(ProcessId, *) by DeviceName",
    "distinct_files": "DeviceProcessEvents | distinct DeviceName, FileName",
    "unions": (
        "union (DeviceProcessEvents | where ProcessId > 5 | project DeviceName, n = ProcessId),"
        " (DeviceProcessEvents | where ProcessId < 3 | project DeviceName, n = 0 - ProcessId)"
    ),
    "lets": (
        "let least = 4; let many = DeviceProcessEvents | where ProcessId > least;"
        " many | where FileName == 'a.exe' | extend twice = ProcessId * 2"
        " | project DeviceName, twice"
    ),
    "listed": (
        "DeviceProcessEvents | where DeviceName in ((DeviceProcessEvents"
        " | where ProcessId > 7 | project DeviceName)) | project DeviceName, ProcessId"
    ),
    "first_seen": (
        "let known = DeviceProcessEvents | where Timestamp < ago(1d) | distinct FileName;"
        " DeviceProcessEvents | where Timestamp >= ago(1d) | where FileName !in (known)"
        " | project Timestamp, DeviceName, FileName, unused = ago(5d)"
    ),
    "json": (
        "CloudAppEvents | where RawEventData.Kind == 'x' | mv-expand Item = RawEventData.Items"
        " | project AccountId, Item = tostring(Item)"
    ),
    "sets": "DeviceProcessEvents | summarize s = make_set(ProcessCommandLine) by DeviceName",
    "fields": "DeviceProcessEvents | project DeviceName, k = tostring(AdditionalFields.k)",
    "listed_items": (
        "CloudAppEvents | mv-apply p = RawEventData.Items on (where p.Name == 'a' | project"
        " Value = tostring(p.Value), p) | project AccountId, Value"
    ),
    "function": (
        "let more = (least: int) { let known = DeviceProcessEvents | where ProcessId > least;"
        " known | where FileName == 'a.exe' };\nmore(2) | join kind=inner (more(5)"
        " | project DeviceName, b = ProcessId) on DeviceName | project DeviceName, ProcessId, b"
    ),
    "near": (
        "DeviceProcessEvents | where abs(Timestamp - datetime(2026-02-02 12:00)) < 1h"
        " | project DeviceName, ProcessId"
    ),
    "hours": (
        "let from = 3d; let counted = DeviceProcessEvents | where FileName == 'a.exe'"
        " | make-series Total = count() default = 0 on Timestamp from startofday(ago(from))"
        " to startofday(now()) step 1h by DeviceName;"
        " counted | extend (anomalies, score, baseline) = series_decompose_anomalies(Total, 1.5,"
        " 0, 'none') | mv-expand Total to typeof(double), Timestamp to typeof(datetime), anomalies"
        " to typeof(double), score to typeof(double), baseline to typeof(long)"
        " | where anomalies > 0 | project Timestamp, DeviceName, Total, baseline, anomalies, score"
    ),
    "whole_series": (
        "DeviceProcessEvents | make-series n = count(), most = max(ProcessId) default = -1"
        " on Timestamp from ago(1d) to now() step 6h | extend series_stats(n)"
    ),
    "unpacked": (
        "CloudAppEvents | where ActionType == 'x' | evaluate bag_unpack(RawEventData)"
        " | where Kind == 'k' | project AccountId, Kind, Id = tostring(Id)"
    ),
    "pivot": (
        "DeviceProcessEvents | where ProcessId > 0 | project DeviceName, FileName"
        " | evaluate pivot(FileName)"
    ),
    "text_as_number": (
        "DeviceProcessEvents | extend id = extract('-p ([0-9]+)', 1, ProcessCommandLine)"
        " | where id == ProcessId or AccountName != 5 | project DeviceName"
    ),
    "sevens": "DeviceProcessEvents | summarize n = count() by week = bin(Timestamp, 7d)",
}
KINDS = ("inner", "innerunique", "leftouter", "leftanti", "leftsemi", "rightouter", "fullouter")
for kind in KINDS:
    QUERIES[f"join_{kind}"] = (
        "DeviceProcessEvents | where FileName == 'a.exe' | project DeviceName, a = ProcessId"
        f" | join kind={kind} (DeviceProcessEvents | where FileName == 'b.exe'"
        " | project DeviceName, b = ProcessId) on DeviceName"
    )


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Content:
    return kql_kit.load_alone(tmp_path_factory.mktemp("imported"), QUERIES)


def drawn(seed: int, most: int = 14) -> list[dict[str, Any]]:
    """Random process events of a day; few values, so that they meet."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    return [
        {
            "Timestamp": f"2026-02-02T{draw.randrange(24):02}:{draw.randrange(60):02}:00Z",
            "ReportId": number,
            "DeviceName": draw.choice(["d1", "D1", "d2.example.com", None]),
            "AccountName": draw.choice(["x", "y", "", None]),
            "FileName": draw.choice(["a.exe", "A.EXE", "b.exe", "ab.exe"]),
            "ProcessId": draw.randrange(9),
        }
        for number in range(draw.randrange(1, most))
    ]


def text(value: Any) -> str:
    """Kusto has no null text."""
    return value or ""


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return sorted(row["ReportId"] for row in rows)


@pytest.mark.parametrize("seed", draws.spread(range(4)))
def test_filter_and_summaries_give_what_plain_python_gives(loaded: Content, seed: int) -> None:
    """Rows, and as many events as evidence as lie behind each."""
    rows = drawn(seed)
    given = {"DeviceProcessEvents": rows}

    kept = [r for r in rows if r["FileName"].lower() == "a.exe" and text(r["AccountName"]) != "x"]
    found = kql_kit.hits(loaded, "plain", given)
    assert sorted(hit.row["ReportId"] for hit in found) == ids(kept)
    assert all(hit.evidence_count == 1 for hit in found)

    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["FileName"].lower() in ("a.exe", "b.exe"):
            groups.setdefault((text(row["DeviceName"]), text(row["AccountName"])), []).append(row)
    found = kql_kit.hits(loaded, "counted", given)
    assert kql_kit.values(found, "DeviceName", "AccountName", "n") == sorted(
        ((device, account, len(group)) for (device, account), group in groups.items()), key=repr
    )
    assert sorted(hit.evidence_count for hit in found) == sorted(map(len, groups.values()))


@pytest.mark.parametrize("seed", range(3))
def test_distinct_union_let_and_subquery(loaded: Content, seed: int) -> None:
    """Each is what its rows in Python are."""
    rows = drawn(seed)
    given = {"DeviceProcessEvents": rows}
    pairs = {(text(r["DeviceName"]), r["FileName"]) for r in rows}
    assert kql_kit.values(
        kql_kit.hits(loaded, "distinct_files", given), "DeviceName", "FileName"
    ) == sorted(pairs, key=repr)

    both = [(text(r["DeviceName"]), r["ProcessId"]) for r in rows if r["ProcessId"] > 5]
    both += [(text(r["DeviceName"]), -r["ProcessId"]) for r in rows if r["ProcessId"] < 3]
    assert kql_kit.values(kql_kit.hits(loaded, "unions", given), "DeviceName", "n") == sorted(
        both, key=repr
    )

    doubled = [
        (text(r["DeviceName"]), r["ProcessId"] * 2)
        for r in rows
        if r["ProcessId"] > 4 and r["FileName"] == "a.exe"
    ]
    assert kql_kit.values(kql_kit.hits(loaded, "lets", given), "DeviceName", "twice") == sorted(
        doubled, key=repr
    )

    names = {text(r["DeviceName"]) for r in rows if r["ProcessId"] > 7}
    listed = [
        (text(r["DeviceName"]), r["ProcessId"]) for r in rows if text(r["DeviceName"]) in names
    ]
    assert kql_kit.values(
        kql_kit.hits(loaded, "listed", given), "DeviceName", "ProcessId"
    ) == sorted(listed, key=repr)


@pytest.mark.parametrize("kind", KINDS)
def test_join_kinds(loaded: Content, kind: str) -> None:
    """Missing names are empty texts and meet; innerunique keeps one left row of a key."""
    for seed in range(2):
        rows = drawn(seed)
        left = [(text(r["DeviceName"]), r["ProcessId"]) for r in rows if r["FileName"] == "a.exe"]
        right = [(text(r["DeviceName"]), r["ProcessId"]) for r in rows if r["FileName"] == "b.exe"]
        found = kql_kit.hits(loaded, f"join_{kind}", {"DeviceProcessEvents": rows})
        shown = [(hit.row.get("a"), hit.row.get("b")) for hit in found]
        both = [(a, b) for (k, a), (j, b) in itertools.product(left, right) if k == j]
        keys = {k for k, _ in left} & {k for k, _ in right}
        lone_left = [(a, None) for k, a in left if k not in keys]
        lone_right = [(None, b) for k, b in right if k not in keys]
        wanted = {
            "inner": both,
            "leftouter": both + lone_left,
            "rightouter": both + lone_right,
            "fullouter": both + lone_left + lone_right,
            "leftanti": lone_left,
            "leftsemi": [(a, None) for k, a in left if k in keys],
        }
        if kind == "innerunique":
            assert len(found) == sum(1 for k, _ in right if k in keys)
            assert {(hit.row["a"], hit.row["b"]) for hit in found} <= set(both)
        else:
            assert sorted(map(repr, shown)) == sorted(map(repr, wanted[kind]))


def both(
    loaded: Content, published: Hunt, imported: Hunt, example: Example
) -> tuple[tuple[Hit, ...], ...]:
    """What a hunt that ships and an imported one find in the events of an example."""
    return tuple(
        examples.run(given, hunt, example, benches.of(given, hunt))
        for given, hunt in ((kit.shipped(), published), (loaded, imported))
    )


def test_published_operators_give_the_rows_of_the_published_hunt(loaded: Content) -> None:
    """Every example of the detection that holds the Sentinel hunt, through the import."""
    published = kit.shipped().hunt("host_exporting_mailbox_and_removing_export")
    names = "timekey DeviceName AccountName commands HostCustomEntity AccountCustomEntity".split()
    compared = 0
    for example in published.detection.examples:
        theirs, ours = both(loaded, published, loaded.hunt("exports"), example)
        rows = [tuple(hit.row["details"][name] for name in names) for hit in theirs]
        assert kql_kit.values(ours, *names) == sorted(rows, key=repr)
        assert sorted(hit.evidence_count for hit in ours) == sorted(
            len({event.event_id for event in hit.events}) + _both_roles(hit) for hit in theirs
        )
        compared += len(rows)

    assert compared >= 10


# Where the detection goes beyond Kusto: odd shapes of records, and tenants told apart.
BEYOND = ("records on it in other shapes", "another tenant's load")


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, 1])
def test_published_operators_give_the_rows_of_the_published_series(
    loaded: Content, first: int
) -> None:
    """All 46 columns of Kusto; a record one tick of 100 ns beside the hour does not join."""
    published = kit.shipped().hunt("mail_items_accessed_time_series")
    compared = 0
    chosen = [
        example
        for example in published.detection.examples[first::2]
        if not example.name.startswith(BEYOND)
    ]
    for example in chosen:
        theirs, ours = both(loaded, published, loaded.hunt("reads"), example)
        names = list(theirs[0].row["details"]) if theirs else []
        rows = [tuple(hit.row["details"][name] for name in names) for hit in theirs]
        kept = [name if name in ours[0].row else f"kql_{name}" for name in names]
        assert kql_kit.values(ours, *kept) == sorted(rows, key=repr), example.name
        compared += len(rows)

    assert compared == sum(len(example.findings) for example in chosen)
    assert compared >= 5 or first


def _both_roles(hit: Any) -> int:
    """Events that are there in two roles: an export that is also a removal."""
    roles: dict[Any, set[str]] = {}
    for event in hit.events:
        roles.setdefault(event.event_id, set()).add(event.role)
    return sum(len(held) - 1 for held in roles.values())


def test_columns_of_the_result_keep_the_query_s_order(loaded: Content) -> None:
    """project-reorder changes no row, and still says what comes first."""
    (hit,) = kql_kit.hits(
        loaded, "exports", {"DeviceProcessEvents": [export("New"), export("Remove")]}
    )
    shown = [name for name in hit.row if name[0].isupper() or name in ("timekey", "commands")]

    assert shown[:4] == ["timekey", "DeviceName", "AccountName", "commands"]


def export(verb: str) -> dict[str, Any]:
    return {
        "Timestamp": "2026-02-02T10:00:00Z", "DeviceName": "d1", "AccountName": "a",
        "FileName": "cmd.exe", "ProcessCommandLine": f"{verb}-MailboxExportRequest",
    }  # fmt: skip


def test_now_is_the_end_of_the_interval(loaded: Content) -> None:
    """What was there in the five days before is known; nothing reads a clock."""
    rows = [
        {"Timestamp": "2026-02-01T10:00:00Z", "DeviceName": "d", "FileName": "old.exe"},
        {"Timestamp": "2026-02-02T10:00:00Z", "DeviceName": "d", "FileName": "old.exe"},
        {"Timestamp": "2026-02-02T11:00:00Z", "DeviceName": "d", "FileName": "new.exe"},
    ]
    found = kql_kit.hits(loaded, "first_seen", {"DeviceProcessEvents": rows})

    assert kql_kit.values(found, "FileName") == [("new.exe",)]


def test_week_begins_on_monday(loaded: Content) -> None:
    """2026-02-02 is a Monday: bin(…, 7d) counts from 0001-01-01, a Monday, and not from 1970."""
    rows = [{"Timestamp": "2026-02-02T10:00:00Z", "DeviceName": "d", "FileName": "a"}]
    (hit,) = kql_kit.hits(loaded, "sevens", {"DeviceProcessEvents": rows})

    assert hit.row["week"].isoformat() == "2026-02-02T00:00:00+00:00"


def test_first_moment_of_an_interval_is_its_own(
    loaded: Content,
) -> None:
    """A row is told on the day of its newest event: neither twice nor never at midnight."""
    times = ("2026-02-01T23:59:59.999999Z", "2026-02-02T00:00:00Z", "2026-02-03T00:00:00Z")
    rows = [{"Timestamp": time, "DeviceName": time, "FileName": f"{time}.exe"} for time in times]
    (hit,) = kql_kit.hits(loaded, "sevens", {"DeviceProcessEvents": rows})

    assert hit.row["end_time"].isoformat() == "2026-02-02T00:00:00+00:00"


HOSTILE = ["[1,2]", "{bad", '"', "[", "null", '{"k": 1}', "1e999", "\x1f", "\u017f", "[" * 500, ""]


def test_no_text_ends_a_hunt(loaded: Content) -> None:
    """A text that looks like JSON is a text; one that is malformed is not a field."""
    rows = [
        {
            "Timestamp": "2026-02-02T10:00:00Z",
            "DeviceName": f"d{number}",
            "FileName": "a",
            "ProcessCommandLine": value,
            "AdditionalFields": value,
        }
        for number, value in enumerate(HOSTILE)
    ]
    given = {"DeviceProcessEvents": rows}

    assert len(kql_kit.hits(loaded, "sets", given)) == len(rows)
    assert len(kql_kit.hits(loaded, "fields", given)) == len(rows)


def test_base64_of_any_text(tmp_path: Path) -> None:
    """PowerShell's two bytes a letter are kept as they are, and no text ends the hunt."""
    kql = """
        DeviceProcessEvents
        | project DeviceName, Decoded = replace_regex(
            base64_decode_tostring(ProcessCommandLine), @"\\x00", ""),
            Encoded = base64_encode_tostring(ProcessCommandLine)
    """
    encoded = {"SQBFAFgA": "IEX", "SUVY": "IEX", "A": "", "AAAAA": "", "/w==": "", "C:\\x": ""}
    rows = [
        {"Timestamp": "2026-02-02T10:00:00Z", "DeviceName": f"pc{n}", "ProcessCommandLine": text}
        for n, text in enumerate(encoded)
    ]
    found = kql_kit.hits(
        kql_kit.load_alone(tmp_path, {"decoded": kql}), "decoded", {"DeviceProcessEvents": rows}
    )

    assert [decoded for _, decoded in kql_kit.values(found, "DeviceName", "Decoded")] == [
        *encoded.values()
    ]
    assert [text for _, text in kql_kit.values(found, "DeviceName", "Encoded")] == [
        base64.b64encode(text.encode()).decode() for text in encoded
    ]


def test_dynamic_values_are_expanded(loaded: Content) -> None:
    """A path into JSON, and a row for each item."""
    rows = [
        {
            "Timestamp": "2026-02-02T10:00:00Z",
            "AccountId": "a",
            "RawEventData": {"Kind": kind, "Items": ["i", "j"]},
        }
        for kind in ("x", "X")
    ]
    found = kql_kit.hits(loaded, "json", {"CloudAppEvents": rows})

    assert kql_kit.values(found, "AccountId", "Item") == [("a", "i"), ("a", "j")]


def test_items_of_a_list_are_looked_at_one_by_one(loaded: Content) -> None:
    """mv-apply keeps the row's columns and the items that pass."""
    items = [{"Name": "a", "Value": "1"}, {"Name": "b", "Value": "2"}, {"Name": "a", "Value": "3"}]
    row = {"Timestamp": "2026-02-02T10:00:00Z", "AccountId": "x", "RawEventData": {"Items": items}}
    found = kql_kit.hits(loaded, "listed_items", {"CloudAppEvents": [row]})

    assert kql_kit.values(found, "AccountId", "Value") == [("x", "1"), ("x", "3")]


def test_functions_that_return_tables_and_spans_of_time(loaded: Content) -> None:
    """Each call with its own arguments; a span has an absolute value."""
    rows = drawn(7, 30)
    given = {"DeviceProcessEvents": rows}
    plain = [(text(r["DeviceName"]), r["ProcessId"]) for r in rows if r["FileName"] == "a.exe"]
    joined = [(k, a, b) for k, a in plain for j, b in plain if k == j and a > 2 and b > 5]
    near = [
        (text(r["DeviceName"]), r["ProcessId"])
        for r in rows
        if "2026-02-02T11:00" < r["Timestamp"][:16] < "2026-02-02T13:00"
    ]

    found = kql_kit.hits(loaded, "function", given)
    assert kql_kit.values(found, "DeviceName", "ProcessId", "b") == sorted(joined, key=repr)
    found = kql_kit.hits(loaded, "near", given)
    assert kql_kit.values(found, "DeviceName", "ProcessId") == sorted(near, key=repr)


def test_series_are_counted_and_scored_as_gundog_s_own_functions_do(loaded: Content) -> None:
    """Hours without rows count 0; a flagged hour has its own events as evidence."""
    draw = random.Random(3)  # noqa: S311 - no secret
    moments = [f"2026-02-0{draw.randrange(1, 3)}T{draw.randrange(24):02}:00:00Z" for _ in range(60)]
    moments += ["2026-02-02T05:30:00Z"] * 30
    rows = [
        {"Timestamp": t, "ReportId": n, "DeviceName": draw.choice("de"), "FileName": "a.exe"}
        for n, t in enumerate(moments, 1)
    ]
    found = kql_kit.hits(loaded, "hours", {"DeviceProcessEvents": rows})
    wanted = []
    for device in "de":
        counts = np.zeros(72)
        for row in rows:
            if row["DeviceName"] == device:
                hour = 24 * (int(row["Timestamp"][9]) + 1) + int(row["Timestamp"][11:13])
                counts[hour - 24] += 1
        scored = kql.series_decompose_anomalies(counts, 1.5, 0, "none")
        wanted += [
            (device, counts[i], round(float(scored.score[i]), 9), counts[i])
            for i in np.flatnonzero(scored.anomalies > 0)
        ]

    assert len(wanted) >= 2
    shown = [
        (hit.row["DeviceName"], hit.row["Total"], hit.row["kql_score"], hit.evidence_count)
        for hit in found
    ]
    assert sorted(shown) == sorted(wanted)


def test_series_of_a_day_is_a_row(loaded: Content) -> None:
    """Lists with a value for each step, and the numbers that series_stats makes of them."""
    rows = [
        {"Timestamp": f"2026-02-02T{hour:02}:00:00Z", "ProcessId": hour, "DeviceName": "d"}
        for hour in (0, 1, 7, 18)
    ]
    (hit,) = kql_kit.hits(loaded, "whole_series", {"DeviceProcessEvents": rows})

    assert json.loads(hit.row["n"]) == [2, 1, 0, 1]
    assert json.loads(hit.row["most"]) == [1, 7, -1, 18]
    assert hit.row["series_stats_n_max"] in (2, "2")
    assert hit.evidence_count == 4


def test_columns_that_depend_on_the_data(loaded: Content) -> None:
    """bag_unpack gives what later steps name; pivot counts into fields of one column."""
    records = [
        {
            "Timestamp": "2026-02-02T10:00:00Z", "AccountId": "a", "ActionType": "x",
            "RawEventData": {"Kind": kind, "Id": "1"},
        }
        for kind in ("k", "K")
    ]  # fmt: skip
    found = kql_kit.hits(loaded, "unpacked", {"CloudAppEvents": records})
    assert kql_kit.values(found, "AccountId", "Id") == [("a", "1")]

    rows = drawn(11, 30)
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["ProcessId"] > 0:
            files = counts.setdefault(text(row["DeviceName"]), {})
            files[row["FileName"]] = files.get(row["FileName"], 0) + 1
    found = kql_kit.hits(loaded, "pivot", {"DeviceProcessEvents": rows})
    assert {hit.row["DeviceName"]: json.loads(hit.row["pivot_FileName"]) for hit in found} == counts


def test_the_order_of_rows_changes_nothing(loaded: Content) -> None:
    """Sets, first rows and ids are the same for any order of the rows."""
    rows = drawn(3, 40)
    for name in ("counted", "join_innerunique", "sets", "latest"):
        shown = []
        for seed in range(3):
            random.Random(seed).shuffle(rows)  # noqa: S311
            found = kql_kit.hits(loaded, name, {"DeviceProcessEvents": rows})
            shown.append(
                sorted((str(hit.finding_id), repr(sorted(hit.row.items()))) for hit in found)
            )
        if name != "latest":  # ties of arg_max are arbitrary, and said to be
            assert shown[0] == shown[1] == shown[2]
        assert [i for i, _ in shown[0]] == [i for i, _ in shown[1]]


@pytest.mark.parametrize(
    ("query", "cause", "line"),
    [
        ("DeviceProcessEvents\n| where\n", "syntax", 2),
        ("let a = externaldata(x: string)['https://x'];\na", "externaldata", 1),
        ("DeviceProcessEvents\n| where FileName in (_GetWatchlist('x'))", "_GetWatchlist", 2),
        ("Unheard | where A == 1", "table Unheard", 1),
        (
            "DeviceProcessEvents\n| invoke FileProfile(SHA1)\n| where GlobalPrevalence < 9",
            "FileProfile",
            2,
        ),
        (
            "let f = (a: string, b: string) { strcat(a, b) };\nT | extend x = f(b = 'x', a = 'y')",
            "f(b = …)",
            2,
        ),
        ("DeviceProcessEvents\n| evaluate narrow()", "evaluate", 2),
        ("let a = 1;\nsearch in (DeviceEvents) 'x'", "search", 2),
        ("DeviceProcessEvents\n| search 'x'", "search", 2),
        ("let s =\nfind in (DeviceEvents) where FileName == 'x';\ns", "find", 2),
        ("DeviceProcessEvents\n| where hash(DeviceId, 8) == 1", "hash", 2),
        ("DeviceEvents\n| extend a = parse_user_agent(FileName, 'os')", "parse_user_agent", 2),
        (
            "DeviceEvents\n| extend a = parse_command_line(FileName, 'linux')",
            "parse_command_line",
            2,
        ),
        ("DeviceProcessEvents\n| evaluate pivot(Nowhere)", "evaluate", 2),
        ("print x = 1", "no table", 1),
        (
            "let k = DeviceInfo | summarize make_set(DeviceId);\nDeviceInfo | where DeviceId in(k)",
            "make_set",
            1,
        ),
        ("DeviceProcessEvents | where Timestamp > ago(9999d)", "reach", 1),
        ("DeviceProcessEvents | where Nowhere == 1", "column Nowhere", 1),
    ],
)
def test_what_is_not_understood_is_refused_by_name(query: str, cause: str, line: int) -> None:
    """Never guessed: the construct, its line and column, and how to go on."""
    with pytest.raises(RefusalError) as caught:
        kql_kit.translate(query)

    assert caught.value.cause == cause
    assert caught.value.line == line
    assert caught.value.column
    assert ":" in str(caught.value)
    assert "wave" not in str(caught.value)  # what only the translator's authors understand


def test_a_profile_that_is_only_shown_is_null_and_told() -> None:
    """What only decorates a row costs no hunt."""
    made = kql_kit.translate(
        "DeviceProcessEvents | where FileName == 'a'\n| invoke FileProfile(SHA1)"
        "\n| project DeviceName, GlobalPrevalence"
    )

    assert "GlobalPrevalence" in made.types
    assert any("FileProfile" in str(remark) and remark.line == 2 for remark in made.remarks)


def test_stage_looks_for_long_words_by_their_text(tmp_path: Path) -> None:
    """It may stage a row too many, which the hunt itself leaves out, and takes no regex for it."""
    kql = """
        DeviceProcessEvents
        | where FileName =~ "a.exe" or ProcessCommandLine has_any ("vssadmin", "shadows")
            or (ProcessCommandLine has "delete" and not(ProcessCommandLine has "catalog"))
        | project DeviceName
    """
    lines = ["x vssadmin y", "xvssadminy", "Delete it", "delete catalog", "undelete", "other"]
    rows = [
        {"Timestamp": "2026-02-02T10:00:00Z", "DeviceName": line, "ProcessCommandLine": line}
        for line in lines
    ]
    loaded = kql_kit.load_alone(tmp_path, {"words": kql})
    (stage,) = loaded.hunt("words").stages

    assert "vssadmin" in stage.sql
    assert stage.sql.count("regexp_matches") == 1  # of the word that must not be there
    found = kql_kit.hits(loaded, "words", {"DeviceProcessEvents": rows})
    assert kql_kit.values(found, "DeviceName") == [("Delete it",), ("x vssadmin y",)]


def test_stage_has_only_the_rows_and_columns_of_the_query() -> None:
    """Filters on the rows themselves are in the stage, and columns that nobody names are not."""
    made = kql_kit.translate(
        "DeviceProcessEvents | where Timestamp > ago(1d) | extend f = tolower(FileName)"
        " | where f == 'a.exe' and ProcessCommandLine has 'x' | project DeviceName, f"
    )
    (sql,) = kql_kit.stages(made).values()

    assert "'a.exe'" in sql
    assert "ilike" in sql  # the cheap test before the one for whole words
    assert "kqlnow" not in sql
    assert "FolderPath" not in sql


def test_spelling_of_the_time_is_the_query_s() -> None:
    """Sentinel's TimeGenerated and Defender's Timestamp are one column."""
    for name in ("Timestamp", "TimeGenerated"):
        made = kql_kit.translate(f"DeviceProcessEvents | project {name}, DeviceName")
        assert list(made.types) == [name, "DeviceName"]


def test_shipped_hashes_do_not_hang_on_sources(tmp_path: Path) -> None:
    """An import changes no stage and no hunt of others."""
    before = {hunt.detection.stem: hunt.hash for hunt in kit.shipped().hunts}
    now = kql_kit.load(tmp_path, {"one": QUERIES["plain"]})

    assert {h.detection.stem: h.hash for h in now.hunts if h.detection.stem != "one"} == before


@pytest.mark.slow
def test_stage_drops_no_row_that_the_query_would_keep(loaded: Content, tmp_path: Path) -> None:
    """Each query over its own stage gives what it gives over all rows, hostile values included."""
    names = ("exports", "plain", "counted", "unions", "lets", "listed", "json", "join_leftouter")
    for name in names:
        kql_kit.write(tmp_path, QUERIES[name], name)
    for table in ("DeviceProcessEvents", "CloudAppEvents"):
        kql_kit.write_source(tmp_path, table)
    for path in (tmp_path / "sql/stage").iterdir():
        head = path.read_text(encoding="utf-8").partition("\nselect * from")[0]
        path.write_text(head + "\nselect * from typed\n", encoding="utf-8")
    unfiltered = content.load([tmp_path], None, tmp_path)
    assert unfiltered.problems == ()
    draw = random.Random(5)  # noqa: S311 - no secret
    rows = drawn(5, 60)
    for row in rows:
        row["ProcessCommandLine"] = draw.choice([*HOSTILE, "New-MailboxExportRequest", None])
        row["AdditionalFields"] = draw.choice([*HOSTILE, None])
        row["FileName"] = draw.choice([row["FileName"], "cmd.exe", "a", None, "x\u00e9.exe"])
    records = [
        {**row, "AccountId": "a", "RawEventData": draw.choice([*HOSTILE, {"Kind": "x"}, None])}
        for row in ({"Timestamp": row["Timestamp"]} for row in rows)
    ]
    given = {"DeviceProcessEvents": rows, "CloudAppEvents": records}
    for name in names:
        ours = kql_kit.hits(loaded, name, kql_kit.read_by(loaded, name, given))
        theirs = kql_kit.hits(unfiltered, name, kql_kit.read_by(loaded, name, given))
        assert sorted(str(hit.finding_id) for hit in ours) == sorted(
            str(hit.finding_id) for hit in theirs
        ), name
        assert sum(hit.evidence_count for hit in ours) == sum(h.evidence_count for h in theirs)


@pytest.mark.slow
def test_hostile_values_change_nothing() -> None:
    """Each query over 200 rows: its own stage gives what all rows give, and nothing is an error."""
    con = kql_hostile.connect()
    for name, query in QUERIES.items():
        made = kql_kit.translate(query, name)
        assert kql_hostile.differing(con, query, made, kql_kit.sources(), 200) == "", name
    con.close()
