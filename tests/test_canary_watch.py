"""Canaries: planted behaviour whose findings are kept and not sent, and whose absence is named."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from gundog.cli import main
from gundog.core.errors import ContentError
from gundog.findings import reader
from gundog.health import watch
from gundog.project import settings
from gundog.run import canary_watch, status_rows
from gundog.run.outcome import Outcome
from tests import kit
from tests.kit import event, table

DAY = "2026-03-09"
CANARY = "canaries: [{name: planted, detection: pair, match: {account_name: canary}, every: 1d}]\n"


def make(root: Path) -> Path:
    """The small project with a canary and a quiet week."""
    kit.make_project(root)
    kit.write_text(root / "gundog.yaml", kit.CONFIG + CANARY)
    kit.fill_days(root, "2026-03-05", 6)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The project before its first night."""
    return make(tmp_path)


@pytest.fixture(scope="module")
def hunted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The project after a night that found the canary; not to be changed."""
    root = make(tmp_path_factory.mktemp("hunted"))
    plant(root, "open", "close")
    return root, kit.hunt(root)


def plant(root: Path, *kinds: str, n: int = 1) -> None:
    rows = [
        event(f"{DAY}T0{hour}:00:00Z", kind, "canary", hour, n) for hour, kind in enumerate(kinds)
    ]
    if rows:
        kit.write_file(root, DAY, rows, "planted")


def said(outcome: Outcome) -> list[str]:
    return [problem for problem in outcome.problems if problem.startswith("canary")]


def test_a_canary_that_came_is_kept_and_not_sent(hunted: tuple[Path, Outcome]) -> None:
    """Its finding has its name, nobody waits for it, and the run says how late it was."""
    root, outcome = hunted

    assert said(outcome) == []
    assert [note for note in outcome.notes if "canary" in note] == [
        "canary planted: found 1d3h after it happened"
    ]
    assert table(root, "select account_name, suppressed_by from findings") == [
        ("canary", "canary planted")
    ]
    assert table(root, "select count(*) from open_findings") == [(0,)]
    assert table(root, "select count(*) from exceptions") == [(0,)]
    assert table(root, "select name, came, delay_s, lost from canaries") == [
        ("planted", True, timedelta(hours=27).total_seconds(), None)
    ]


@pytest.mark.parametrize(
    ("kinds", "n", "lost"),
    [
        ((), 1, "no row of it came"),
        (("open", "close"), -1, "no row of it came; 2 rows of that time were rejected"),
    ],
)
def test_a_canary_that_did_not_come_is_a_problem(
    root: Path, kinds: tuple[str, ...], n: int, lost: str
) -> None:
    """It names the stage at which the canary was lost; once told, it is not told again."""
    plant(root, *kinds, n=n)

    first = kit.hunt(root)
    with reader.published(root / ".gundog/findings.duckdb") as con:
        faults = canary_watch.published(con)
    again = kit.hunt(root)

    assert said(first) == [f"canary: planted: no finding of pair on {DAY}: {lost}"]
    assert faults == [watch.Fault(watch.CANARY, problem) for problem in said(first)]
    assert table(root, "select name, came, delay_s, lost from canaries") == [
        ("planted", False, None, lost)
    ]
    assert [health.key for health in first.health if health.title == "canary"] == [
        health.key for health in again.health if health.title == "canary"
    ]


def test_rows_without_a_finding_say_so(root: Path) -> None:
    """The planted account stands in the staged rows under the column that it has there."""
    text = kit.CONFIG + CANARY.replace("account_name: canary", "who: canary")
    kit.write_text(root / "gundog.yaml", text)
    plant(root, "open")

    (problem,) = said(kit.hunt(root))

    assert "1 row of it came, and the hunt made no finding of them" in problem


def test_a_day_without_files_is_the_stage(root: Path) -> None:
    """The night was not hunted, because the source has nothing."""
    for path in (root / f"lake/date={DAY}").iterdir():
        path.unlink()

    (problem,) = said(kit.hunt(root))

    assert "it was not hunted (no_data" in problem


def test_each_night_has_its_delay_and_status_the_newest(
    hunted: tuple[Path, Outcome], tmp_path: Path
) -> None:
    """A measure that can be drawn: one row for each night, written once however often it runs."""
    root = kit.copy_project(hunted[0], tmp_path)
    next_day = [event("2026-03-10T01:00:00Z", "open", "canary", 1),
                event("2026-03-10T02:00:00Z", "close", "canary", 2)]  # fmt: skip
    kit.write_file(root, "2026-03-10", next_day, "planted")
    later = kit.NOW + timedelta(days=1, hours=3)
    kit.hunt(root, now=later)
    kit.hunt(root, now=later + timedelta(hours=1))

    hours = table(root, "select delay_s / 3600 from canaries order by span_end")
    assert hours == [(27.0,), (29.0,)]
    with reader.published(root / ".gundog/findings.duckdb") as con:
        (seen,) = status_rows.canaries(con)
    assert (seen.name, seen.detection, seen.came, seen.delay_s) == ("planted", "pair", True, 104400)


def test_status_says_how_late_it_was(
    hunted: tuple[Path, Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    """In a line of the page, and in seconds for programs."""
    root, _ = hunted

    main.main(["status", "--project", str(root)])
    text = capsys.readouterr().out
    main.main(["status", "--json", "--project", str(root)])
    (row,) = json.loads(capsys.readouterr().out)["canaries"]

    assert f"planted (pair) on {DAY}: found 1d3h after it happened" in " ".join(text.split())
    assert (row["delay_s"], row["came"], row["lost"], row["tenant"]) == (97200.0, True, None, "")


def test_a_range_says_nothing_of_canaries(root: Path) -> None:
    """A backfill of old days has none."""
    assert said(kit.hunt(root, ("2026-03-06", "2026-03-07"))) == []


@pytest.mark.slow
def test_a_span_may_be_longer_than_a_night(root: Path) -> None:
    """Planted two days before, it still counts where it comes every three days."""
    kit.write_text(root / "gundog.yaml", kit.CONFIG + CANARY.replace("1d", "3d"))
    kit.write_file(root, "2026-03-07", [event("2026-03-07T01:00:00Z", "open", "canary", 1),
                                        event("2026-03-07T02:00:00Z", "close", "canary", 2)],
                   "planted")  # fmt: skip
    kit.hunt(root, now=kit.NOW - timedelta(days=2))
    kit.hunt(root, now=kit.NOW - timedelta(days=1))

    assert said(kit.hunt(root)) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[{name: a, detection: pair}]", "canaries.0.match"),
        ("[{name: a, match: {x: y}}]", "canaries.0.detection"),
        ("[{name: a, detection: p, match: {x: y}}, {name: a, detection: p, match: {x: z}}]",
         "canaries.1.name: is used twice"),
        ("[{name: a, detection: p, match: {x: y}, every: 1s}]", "canaries.0.every"),
        ("[{name: a, detection: p, match: {x: y}, often: 1d}]", "canaries.0: key 4 of 4"),
        ("[text]", "canaries.0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(tmp_path: Path, text: str, reason: str) -> None:
    kit.write_text(tmp_path / "gundog.yaml", kit.CONFIG + f"canaries: {text}\n")

    with pytest.raises(ContentError, match=reason):
        settings.load(tmp_path, {})


def test_a_canary_of_no_detection_is_a_problem(root: Path) -> None:
    """It is named with the nearest, and stops nothing."""
    kit.write_text(root / "gundog.yaml", kit.CONFIG + CANARY.replace("pair", "pears"))

    problems = kit.run.load_project(root, {}).problems

    assert [str(problem) for problem in problems] == [
        "gundog.yaml: canaries.0.detection: " + str(problems[0].reason)
    ]
    assert "pair" in problems[0].reason
