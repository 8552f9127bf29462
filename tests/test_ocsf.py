"""Tests of `gundog export ocsf`: every event is valid by OCSF's own schema, and says what is so."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from jsonschema import Draft202012Validator

from gundog.cli import main
from gundog.core.times import parse_time
from gundog.export import ocsf, ocsf_columns
from gundog.findings import reader
from tests import kit
from tests.test_finding_list import DETECTION, NOW, STRINGS, evidence, finding, published

HOUR = timedelta(hours=1)
SERIES = {
    "series_key": "tenant/a@example.com", "n_train": 300,
    "hours": [
        {"hour": "2026-03-09T02:00:00Z", "observed": 538.0, "expected": 221.8, "upper": 300.0,
         "score": 5.5, "window_h": 1},
        {"hour": "2026-03-09T03:00:00Z", "observed": 90.0, "expected": 2.0, "upper": 9.0,
         "score": 4.0, "window_h": 2},
    ],
}  # fmt: skip


@cache
def validator(version: str = ocsf.VERSION) -> Draft202012Validator:
    """The published schema of a Detection Finding with the profiles that events name."""
    from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=version))
    return Draft202012Validator(schema.get_class_schema("detection_finding", [*ocsf.PROFILES]))


def problems(event: dict[str, Any], version: str = ocsf.VERSION) -> list[str]:
    """What the schema has against an event."""
    own = event | {"metadata": event["metadata"] | {"version": version}}
    return [f"{error.json_path}: {error.message}" for error in validator(version).iter_errors(own)]


def triaged(number: int, status: str, verdict: str | None = None) -> dict[str, Any]:
    return {
        "finding_id": finding(number)["finding_id"], "said_at": NOW, "actor": "ana", "host": "h",
        "status": status, "status_id": 1, "verdict": verdict, "note": f"note {number}",
    }  # fmt: skip


def written(path: Path, **rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of a published file with rows in some tables, newest first."""
    published(path, **rows)
    with reader.published(path) as con:
        return list(ocsf.events(con))[::-1]


def test_events_of_hostile_text_are_valid(tmp_path: Path) -> None:
    """In each column that an event takes text from; nothing is lost of it."""
    texts = list(STRINGS.values())
    columns = "title reason host_name account_name account_sid mailbox app_id ip_address tenant"
    found = [
        finding(
            number, **dict.fromkeys(columns.split(), raw), risk_score=70, created_at=NOW,
            updated_at=NOW, details=json.dumps({"line": raw}),
            entities=json.dumps([{"type": "Account", "Name": raw}]),
        )
        for number, raw in enumerate(texts, start=1)
    ]  # fmt: skip
    keys = "host_name account_name account_sid ip_address command_line process_id"
    proof = [
        evidence(number, **dict.fromkeys(keys.split(), raw))
        for number, raw in enumerate(texts, start=1)
    ]

    events = written(tmp_path / "f.duckdb", findings=found, evidence=proof)

    assert [line for event in events for line in problems(event)] == []
    assert [event["message"] for event in events] == texts
    assert [event["unmapped"]["details"]["line"] for event in events] == texts
    [lines] = {tuple(event["evidences"][0]["data"]["event"]["command_line"] for event in events)}
    assert list(lines) == texts


def test_a_series_says_what_was_observed_and_expected_in_each_hour(tmp_path: Path) -> None:
    """As anomaly_analyses, which a match has none of."""
    events = written(
        tmp_path / "f.duckdb",
        findings=[
            finding(1, kind="series", score=5.5, observed=628.0, expected=223.8,
                    details=json.dumps(SERIES)),
            finding(2),
        ],
    )  # fmt: skip

    series, match = events
    assert problems(series) == problems(match) == []
    assert "anomaly_analyses" not in match
    [analysis] = series["anomaly_analyses"]
    assert analysis["analysis_targets"] == [{"name": "tenant/a@example.com", "type": "series"}]
    observed = analysis["anomalies"][0]["observations"]
    expected = analysis["baselines"][0]["observations"]
    assert [hour["value"] for hour in observed] == ["538.0", "90.0"]
    assert [hour["value"] for hour in expected] == ["221.8", "2.0"]
    start = round(parse_time("2026-03-09T02:00").timestamp() * 1000)
    span = {"start_time": start, "end_time": start + 3_600_000, "duration_hours": 1}
    assert observed[0]["timespan"] == expected[0]["timespan"] == span
    kinds = [event["finding_info"]["analytic"]["type"] for event in events]
    assert kinds == ["Statistical", "Rule"]


@pytest.mark.parametrize(
    ("columns", "said", "expected"),
    [
        ({}, None, ("Create", 1, None, True)),
        ({"updated_at": NOW + HOUR}, None, ("Update", 1, None, True)),
        ({"suppressed_by": "exception x"}, None, ("Create", 3, None, False)),
        ({}, ("in_progress", None), ("Create", 2, None, True)),
        ({}, ("in_progress", "suspicious"), ("Create", 2, 4, True)),
        ({}, ("resolved", "false_positive"), ("Close", 4, 1, False)),
        ({"suppressed_by": "x"}, ("resolved", "true_positive"), ("Close", 4, 2, False)),
        ({}, ("archived", "duplicate"), ("Close", 5, 10, False)),
    ],
)
def test_status_and_verdict_are_those_of_ocsf(
    tmp_path: Path, columns: dict[str, Any], said: Any, expected: tuple[Any, ...]
) -> None:
    """With the newest note as the comment; what waits for a person is an alert."""
    row = finding(1, created_at=NOW, **{"updated_at": NOW, **columns})
    triage = [triaged(1, *said)] if said else []

    [event] = written(tmp_path / "f.duckdb", findings=[row], triage=triage)

    assert problems(event) == []
    names = ("activity_name", "status_id", "verdict_id", "is_alert")
    assert tuple(event.get(name) for name in names) == expected
    assert event["type_uid"] == 200400 + event["activity_id"]
    assert event.get("comment") == ("note 1" if said else None)


@pytest.mark.parametrize("severity", ["informational", "low", "medium", "high", "critical"])
def test_severities_are_those_of_ocsf(tmp_path: Path, severity: str) -> None:
    """The id and its caption belong together in the schema."""
    [event] = written(tmp_path / "f.duckdb", findings=[finding(1, severity=severity)])

    assert problems(event) == []
    order = ["informational", "low", "medium", "high", "critical"]
    assert (event["severity_id"], event["severity"]) == (
        order.index(severity) + 1,
        severity.capitalize(),
    )


def test_who_and_what_are_observables_of_their_types(tmp_path: Path) -> None:
    """And point at the attribute of the event that holds the value."""
    who = {
        "host_name": "srv1", "account_name": "ana", "account_sid": "S-1-5-21-1",
        "mailbox": "ceo@example.com", "app_id": "0ff1ce", "ip_address": "192.0.2.7",
    }  # fmt: skip
    proof = evidence(
        1,
        host_name="srv1",
        command_line="New-Export",
        process_id=7,
        account_name="ana",
        ip_address="2001:db8::1",
    )

    [event] = written(tmp_path / "f.duckdb", findings=[finding(1, **who)], evidence=[proof])

    assert problems(event) == []
    held = {one["type_id"]: one["value"] for one in event["observables"]}
    assert held == dict(zip((1, 4, 31, 5, 10, 2), who.values(), strict=True))
    for one in event["observables"]:
        assert event["unmapped"][one["name"].removeprefix("unmapped.")] == one["value"]
    [part] = event["evidences"]
    assert part["device"] == {"hostname": "srv1", "type_id": 0}
    assert part["process"] == {"cmd_line": "New-Export", "pid": 7}
    assert part["src_endpoint"] == {"ip": "2001:db8::1"}
    assert part["user"] == {"name": "ana"}


def test_attacks_have_technique_sub_technique_and_a_tactic_that_is_sure() -> None:
    """With several tactics nothing says which technique has which."""
    from gundog.export import ocsf_parts

    sure = ocsf_parts.attacks(["Collection"], ["T1114", "T1114.002"], "18.1")
    unsure = ocsf_parts.attacks(["Collection", "Stealth"], ["T1114"], "18.1")

    tactic = {"name": "Collection"}
    assert sure == [
        {"version": "18.1", "technique": {"uid": "T1114"}, "tactic": tactic},
        {"version": "18.1", "technique": {"uid": "T1114"}, "sub_technique": {"uid": "T1114.002"},
         "tactic": tactic},
    ]  # fmt: skip
    assert unsure[0] == {"version": "18.1", "technique": {"uid": "T1114"}}
    assert unsure[1:] == [{"version": "18.1", "tactic": {"name": name}}
                          for name in ("Collection", "Stealth")]  # fmt: skip


def test_the_newest_schema_takes_the_events_too(tmp_path: Path) -> None:
    """A receiver of a later 1.x finds nothing that it does not know."""
    row = finding(1, kind="series", details=json.dumps(SERIES), mailbox="a@example.com")
    proof = evidence(1, host_name="h", command_line="c", process_id=1, ip_address="192.0.2.1")

    [event] = written(
        tmp_path / "f.duckdb", findings=[row], evidence=[proof], triage=[triaged(1, "new", "test")]
    )

    assert {version: problems(event, version) for version in ("1.6.0", "1.7.0", "1.8.0")} == {
        "1.6.0": [], "1.7.0": [], "1.8.0": [],
    }  # fmt: skip


def test_the_command_writes_lines_or_parquet_with_the_same_in_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also when nothing was found; every attribute of an event has its column."""
    root = kit.make_project(tmp_path)
    rows = [
        finding(1, kind="series", details=json.dumps(SERIES), mailbox="a@example.com", risk_score=5,
                verdict="test", suppressed_by="x"),
        finding(2, tenant="t"),
        finding(9),
    ]  # fmt: skip
    proof = [evidence(1, host_name="h", command_line="c", process_id=1, ip_address="192.0.2.1")]
    published(
        root / ".gundog/findings.duckdb", findings=rows, evidence=proof,
        triage=[triaged(1, "in_progress", "test")],
    )  # fmt: skip
    since = ["--since", f"{NOW - 5 * HOUR:%Y-%m-%dT%H:%M}", "--project", str(root)]

    assert main.main(["export", "ocsf", "-o", str(tmp_path / "o.parquet"), *since]) == 0
    assert main.main(["export", "ocsf", "-o", str(tmp_path / "o.jsonl"), *since]) == 0
    assert "2 events written to" in capsys.readouterr().out

    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    held = [_given(row) for row in pq.read_table(tmp_path / "o.parquet").to_pylist()]
    assert len(lines) == 2
    assert held == lines
    main.main(["export", "ocsf", "-o", str(tmp_path / "n.parquet"), "--since", "2030-01-01",
               "--project", str(root)])  # fmt: skip
    assert pq.read_schema(tmp_path / "n.parquet").equals(ocsf_columns.SCHEMA)


def _given(row: dict[str, Any]) -> dict[str, Any]:
    """A row of parquet as its event: without what is null or empty, JSON text as what it holds."""

    def bare(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: bare(item) for name, item in value.items() if item not in (None, [])}
        return [bare(item) for item in value] if isinstance(value, list) else value

    event: dict[str, Any] = bare(row)
    for part in event.get("evidences", ()):
        part["data"] = json.loads(part["data"])
    event["unmapped"] = json.loads(event["unmapped"])
    return event


def test_a_hunted_project_gives_valid_events(tmp_path: Path) -> None:
    """What hunting stores, not only what a test writes."""
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-08", 2)
    pair = [kit.event("2026-03-09T01:00", "open"), kit.event("2026-03-09T02:00", "close", number=1)]
    kit.write_file(root, "2026-03-09", pair)
    kit.hunt(root)

    with reader.published(root / ".gundog/findings.duckdb") as con:
        [event] = ocsf.events(con)

    assert problems(event) == []
    assert event["finding_info"]["data_sources"] == ["Things"]
    assert len(event["evidences"]) == event["finding_info"]["related_events_count"] == 2
    assert event["finding_info"]["analytic"]["uid"] != str(DETECTION)
