"""Tests of `gundog export navigator` and of the list of technique ids that ships."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gundog.cli import main
from gundog.export import attack_ids, navigator
from gundog.findings import reader
from tests import kit
from tests.test_finding_list import NOW, finding, published

DAY = timedelta(days=1)


def detection(*techniques: str, **values: Any) -> Any:
    """A detection of the tests' project with other techniques."""
    own = kit.shipped().hunts[0].detection
    return replace(own, techniques=techniques, status="stable", enabled=True, **values)


def entries(layer: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["techniqueID"]: entry for entry in layer["techniques"]}


def test_the_list_names_its_source_and_its_date() -> None:
    """And has every technique that ships with a detection."""
    ids = attack_ids.read()
    text = (Path(attack_ids.__file__).parent / "attack_ids.txt").read_text()

    assert re.search(r"^# source: https://github.com/mitre-attack/\S+", text, re.MULTILINE)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", ids.date)
    assert len(ids.valid) > 600
    assert all(re.fullmatch(r"T\d{4}(\.\d{3})?", name) for name in ids.valid | ids.gone)
    assert ids.valid.isdisjoint(ids.gone)
    used = {name for hunt in kit.shipped().hunts for name in hunt.detection.techniques}
    assert attack_ids.remarks(used) == []


def test_an_unknown_and_a_revoked_technique_are_told_apart() -> None:
    """Each with what to do."""
    gone = sorted(attack_ids.read().gone)[0]

    unknown, revoked = sorted(attack_ids.remarks(["T9999.001", gone, "T1114"]), reverse=True)

    assert unknown.startswith("T9999.001: ATT&CK ")
    assert "correct the id" in unknown
    assert revoked.startswith(f"{gone}: ")
    assert "revoked or deprecated" in revoked


def test_covered_and_found_techniques_are_on_the_layer(tmp_path: Path) -> None:
    """The score counts findings; what is hidden or was called harmless is not counted."""
    rows = [
        finding(1, techniques=["T1114", "T1070.008"]),
        finding(2, techniques=["T1114"], detection_name="Other"),
        finding(3, techniques=["T1114"], suppressed_by="exception x"),
        finding(4, techniques=["T1114"], verdict="benign"),
        finding(40, techniques=["T1528"]),
    ]
    said = [{"finding_id": rows[3]["finding_id"], "said_at": NOW, "status": "resolved",
             "verdict": "benign"}]  # fmt: skip
    path = published(tmp_path / "f.duckdb", findings=rows, triage=said)
    covering = [detection("T1114", "T1098"), detection("T1098"),
                replace(detection("T1539"), enabled=False)]  # fmt: skip

    with reader.published(path) as con:
        found = navigator.finds(con, NOW - DAY)
    layer = navigator.layer(covering, found, NOW - DAY)

    held = entries(layer)
    assert {name: entry["score"] for name, entry in held.items()} == {
        "T1070.008": 1, "T1098": 0, "T1114": 2,
    }  # fmt: skip
    assert layer["gradient"]["maxValue"] == 2
    assert "1 finding of Other" in held["T1114"]["comment"]
    assert held["T1070.008"]["comment"].startswith("no detection that runs names it")
    assert held["T1098"]["metadata"] == [{"name": "detections", "value": "2"}]
    assert "2 techniques hunted, 2 found since" in layer["description"]


def test_a_layer_has_the_fields_of_its_version() -> None:
    """Those that the Navigator's specification of layer 4.5 requires, with their types."""
    layer = navigator.layer([detection("T1114")], {})

    assert layer["versions"] == {"attack": "18", "navigator": "5.1.0", "layer": "4.5"}
    assert layer["domain"] == "enterprise-attack"
    assert layer["gradient"]["minValue"] < layer["gradient"]["maxValue"]
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in layer["gradient"]["colors"])
    [entry] = layer["techniques"]
    assert {key: type(value) for key, value in entry.items()} == {
        "techniqueID": str, "score": int, "comment": str, "enabled": bool, "metadata": list,
        "showSubtechniques": bool,
    }  # fmt: skip


def test_the_command_writes_a_layer_and_remarks_on_ids(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown id stays on the layer: the detection runs."""
    root = kit.make_project(tmp_path)
    path = root / "detections/pair.yaml"
    text = path.read_text()
    named = re.sub(r"^relevantTechniques:.*$", "relevantTechniques: [T9999]", text, flags=re.M)
    path.write_text(named)
    published(root / ".gundog/findings.duckdb", findings=[finding(1)])

    status = main.main(["export", "navigator", "--project", str(root)])

    out, err = capsys.readouterr()
    assert status == 0
    assert sorted(entries(json.loads(out))) == ["T1114", "T9999"]
    assert err.startswith("T9999: ATT&CK ")
    assert main.main(["check", "--project", str(root)]) == 0
    assert "pair: relevantTechniques: T9999: ATT&CK " in capsys.readouterr().out
