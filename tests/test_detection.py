"""Tests of detections.detection: YAML into a frozen value; what is wrong is said early."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gundog.core.errors import InputError, Problem
from gundog.core.times import parse_time
from gundog.detections.detection import Detection, find, repeated
from gundog.detections.detection_yaml import load
from tests import kit
from tests.kit import write_text

PAIR = kit.PAIR_YAML + kit.HEAD
COUNT = kit.COUNT_YAML + kit.HEAD


def read(tmp_path: Path, text: str, override: Any = None) -> tuple[Detection | None, list[str]]:
    """A detection from its text, and the problems found."""
    found: list[Problem] = []
    path = write_text(tmp_path / "pair.yaml", text)
    return load(path, "pair.yaml", found, override), [str(one) for one in found]


def good(tmp_path: Path, text: str, override: Any = None) -> Detection:
    """A detection that loads."""
    loaded, problems = read(tmp_path, text, override)
    assert problems == []
    assert loaded is not None
    return loaded


def test_detection_holds_what_its_file_says(tmp_path: Path) -> None:
    """Durations are durations, lists tuples, the file's stem the name."""
    one = good(tmp_path, PAIR)

    assert (one.stem, one.kind, one.status, one.severity) == ("pair", "match", "stable", "medium")
    assert one.params == {"within": timedelta(days=1)}
    assert (one.frequency, one.lookback, one.reach) == (timedelta(days=1),) * 3
    assert one.identity == ("open_id",)
    assert one.entities[0].columns == (("Name", "account_name"),)
    assert [len(example.findings) for example in one.examples] == [1, 0]
    assert one.runs
    with pytest.raises(FrozenInstanceError):
        one.severity = "high"  # type: ignore[misc]


def test_series_reaches_back_over_its_training(tmp_path: Path) -> None:
    """What is longer counts; 28 days by default."""
    assert good(tmp_path, COUNT).reach == timedelta(days=21)
    assert good(tmp_path, COUNT.replace("training: 21d, ", "")).reach == timedelta(days=28)
    longer = COUNT.replace("sql: count.sql", "sql: count.sql\nlookback: 40d")
    assert good(tmp_path, longer).reach == timedelta(days=40)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("id: 1111", "id: x1111", "pair.yaml: id: is 'x1111"),
        ("severity: medium", "severity: ''", "pair.yaml: severity: is empty: write a text"),
        ("name: Opened and closed", "name: ''", "pair.yaml: name: is empty"),
        ("identity: [open_id]", "identity: []", "pair.yaml: identity: is empty"),
        ("riskScore: 50", "riskScore: 101", "pair.yaml: riskScore: is 101: write a whole number"),
        ("{within: 1d}", "{within: }", "pair.yaml: params.within: is None: write a number"),
        ("{within: 1d}", "{within: {a: 1}}", "pair.yaml: params.within: is {'a': 1}"),
        ("{within: 1d}", "{'with-in': 1d}", "params.with-in: is not a SQL parameter name"),
        ("{within: 1d}", "{within: 2d}", "lookback: is 1d, shorter than params.within: make it"),
        ("[2026-03-01, 2026-03-02]", "[2026-03-01]", "examples.0.interval: is [datetime.date"),
        ("[2026-03-01, 2026-03-02]", "[2026-03-02, 2026-03-01]", "two times in UTC"),
        ("findings: []", "findings:", "examples.1.findings: is missing: write []"),
        ("findings: []", "findings: [5]", "examples.1.findings: holds 5: write keys and values"),
        ("{Things: [{", "{Things: [7, {", "examples.0.events.Things: holds 7: write keys"),
        ("Who: a}]}\n    findings: []", "Who: a, repeat: {times: 3}}]}\n    findings: []",
         "examples.1.events.Things.repeat.every: '' is not a duration"),
        ("Who: a}]}\n    findings: []",
         "Who: a, repeat: {every: 1h, times: 0}}]}\n    findings: []",
         "repeat.times: is 0: write a whole number from 1 to"),
        ("Who: a}]}\n    findings: []", "Who: a, repeat: {evry: 1h}}]}\n    findings: []",
         "repeat.evry: unknown key: did you mean every?"),
        ("    findings: [{account_name: a, gap: 1h}]", "    findings: []", "none of them fires"),
        ("triage: [look at it]", "triage: ['']", "pair.yaml: triage: is empty"),
        ("lookback: 1d", "lookback: 1d\nsuppression: {groupBy: [], duration: 1d}",
         "suppression.groupBy: is empty"),
        ("lookback: 1d", "lookback: 1d\nsuppression: {groupBy: [who], duration: 1d, most: 1.5}",
         "suppression.most: is 1.5"),
    ],
)  # fmt: skip
def test_mistake_is_named_and_nothing_is_loaded(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    """Path, key, what is wrong, and a way out."""
    assert old in PAIR

    loaded, problems = read(tmp_path, PAIR.replace(old, new))

    assert loaded is None
    assert any(problem in one for one in problems), problems


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("by: [tenant, who]", "by: []", "series.by: is empty"),
        ("measure: n, ", "", "series.measure: is missing"),
        ("threshold: 4", "threshold: .nan", "series.threshold: is nan: write a number above 0"),
        ("threshold: 4", "alertBudget: .inf", "series.alertBudget: is inf"),
        ("threshold: 4", "timeZone: ../etc", "series.timeZone: is '../etc': write an IANA name"),
        ("training: 21d", "training: 90m", "series.training: must be whole hours"),
        ("method: forecast", "method: magic", "series.method: unknown value 'magic'"),
        ("threshold: 4", "treshold: 4", "series.treshold: unknown key: did you mean"),
    ],
)
def test_mistake_in_a_series_is_named(tmp_path: Path, old: str, new: str, problem: str) -> None:
    """A series fails when it is read, not at night."""
    assert old in COUNT

    loaded, problems = read(tmp_path, COUNT.replace(old, new))

    assert loaded is None
    assert any(problem in one for one in problems), problems


def test_every_problem_comes_at_once(tmp_path: Path) -> None:
    """Nobody corrects a file five times."""
    text = PAIR.replace("severity: medium", "severity: grave").replace(
        "lookback: 1d", "lookback: x"
    )

    _, problems = read(tmp_path, text.replace("id: 1111", "id: x1111"))

    assert len(problems) >= 3


def test_deprecated_and_disabled_do_not_run(tmp_path: Path) -> None:
    """Everything else runs, experimental and test too."""
    for status, runs in (("experimental", True), ("test", True), ("deprecated", False)):
        assert good(tmp_path, PAIR.replace("stable", status)).runs == runs
    assert not good(tmp_path, PAIR, {"enabled": False}).runs


def test_overrides_lie_over_the_file(tmp_path: Path) -> None:
    """Mappings are merged; a budget replaces a threshold, so that both never stand side by side."""
    one = good(tmp_path, PAIR, {"severity": "high", "params": {"within": "12h"}})
    assert (one.severity, one.params) == ("high", {"within": timedelta(hours=12)})

    series = good(tmp_path, COUNT, {"series": {"alertBudget": 2}}).series
    assert series is not None
    assert (series.alert_budget, series.threshold, series.measure) == (2, None, "n")
    back = good(tmp_path, COUNT.replace("threshold: 4", "alertBudget: 1"),
                {"series": {"threshold": 5}}).series  # fmt: skip
    assert back is not None
    assert (back.alert_budget, back.threshold) == (None, 5)

    _, problems = read(tmp_path, PAIR, {"params": {"witin": "1h"}})
    assert "gundog.yaml: overrides.params.witin: unknown parameter: did you mean within?" in (
        problems
    )


def test_other_products_names_are_understood(tmp_path: Path) -> None:
    """Sentinel's and Sigma's own keys say the same."""
    text = PAIR.replace("lookback: 1d", "queryPeriod: 2d\nqueryFrequency: 6h\nversion: 1.0.0")
    text = text.replace("severity:", "level:").replace("falsePositives", "falsepositives")
    one = good(tmp_path, text.replace("[Collection]", "[DefenseEvasion]"))

    assert (one.lookback, one.frequency) == (timedelta(days=2), timedelta(hours=6))
    assert (one.severity, one.tactics, one.false_positives) == ("medium", ("Stealth",), ("f",))


def test_found_by_id_or_stem_or_not_at_all(tmp_path: Path) -> None:
    """A wrong name is told the nearest."""
    one = good(tmp_path, PAIR)

    assert find((one,), one.id) is find((one,), "pair") is one
    with pytest.raises(InputError, match="did you mean pair"):
        find((one,), "pari")


def test_repeat_makes_a_history_of_one_event() -> None:
    """Times move by `every`, everything else stays."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    event = {"Timestamp": "2026-03-01T00:30:00Z", "Seen": at, "Id": 7,
             "repeat": {"every": "1h", "times": 3}}  # fmt: skip

    found = repeated(event)

    hours = [timedelta(hours=n) for n in range(3)]
    start = parse_time("2026-03-01T00:30")
    assert [one["Timestamp"] for one in found] == [start + hour for hour in hours]
    assert [one["Seen"] for one in found] == [at + hour for hour in hours]
    assert {one["Id"] for one in found} == {7}
    assert all("repeat" not in one for one in found)
    assert repeated({"Timestamp": date(2026, 3, 1)}) == [{"Timestamp": date(2026, 3, 1)}]
