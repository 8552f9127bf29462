"""Tests of one finding's story: its evidence in short rows, its hours, and what became of it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gundog.cli import chart, finding_list, main
from gundog.findings import reader
from tests import kit
from tests.kit import DAY, hunt, table
from tests.sinks import http_sink
from tests.test_finding_list import (
    DETECTION,
    NOW,
    WEEK,
    evidence,
    finding,
    published,
    shown,
    terminal,
)

HOUR = timedelta(hours=1)


def story(path: Path, width: int = 120) -> str:
    """What `show` prints of the one finding in a file."""
    console = terminal(width)
    with reader.published(path) as con:
        finding_list.show(console, con, reader.find(con, "0"), WEEK)
    return shown(console)


def part(out: str, title: str) -> list[str]:
    """The lines under a heading."""
    lines = out.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(title))
    rest = lines[start + 1 :]
    return [line.rstrip() for line in rest[: rest.index("")]]


def test_an_application_of_microsofts_has_its_name(tmp_path: Path) -> None:
    """The id stays beside it, for the name says nothing of who uses it."""
    ids = ("27922004-5251-4030-B22D-91ECD9A37EA4", "another")
    for number, app_id in enumerate(ids):
        path = tmp_path / f"f{number}.duckdb"
        out = story(published(path, findings=[finding(1, app_id=app_id)]))
        wanted = "Outlook Mobile (27922004-5251-4030-b22d-91ecd9a37ea4)" if not number else app_id
        (line,) = (line for line in out.splitlines() if line.startswith("app_id"))
        assert line.split(maxsplit=1)[1].strip() == wanted


# ---- evidence ----


def test_records_are_rows_of_what_tells_them_apart(tmp_path: Path) -> None:
    """What is the same stands once above, ids are left out, files are named where they change."""
    events = [
        {
            **evidence(1, n, mailbox="ana", folder=f"f{n % 2}", record_id=f"id{n}", nothing=""),
            "event_time": NOW + n * HOUR,
            "source_file": f"lake/h={n // 2}/a.parquet",
        }
        for n in range(4)
    ]
    path = published(
        tmp_path / "f.duckdb", findings=[finding(1, evidence_count=4)], evidence=events
    )

    assert part(story(path), "Evidence (4 events)") == [
        "  2026-03-10, lake/",
        "  in all: role open, mailbox ana",
        "  time      folder  file",
        "  04:00:00  f0      h=0/a.parquet",
        "  05:00:00  f1",
        "  06:00:00  f0      h=1/a.parquet",
        "  07:00:00  f1",
    ]


def test_one_record_is_told_whole(tmp_path: Path) -> None:
    """With nothing to compare it to, every value that it has is shown."""
    path = published(
        tmp_path / "f.duckdb",
        findings=[finding(1, evidence_count=1)],
        evidence=[evidence(1, 0, mailbox="ana", items=3, record_id="r", gone=None)],
    )

    assert part(story(path), "Evidence (1 event)") == [
        "  2026-03-10, lake/a.parquet",
        "  in all: role open, mailbox ana, items 3, record_id r",
        "  time",
        "  04:00:00",
    ]


def test_command_lines_stand_under_their_file_and_say_what_they_mean(tmp_path: Path) -> None:
    """Whole where a person can read it; a hidden one with what it stands for."""
    path = published(
        tmp_path / "f.duckdb",
        findings=[finding(1, evidence_count=3, details='{"line": "get-a", "other": "x"}')],
        evidence=[
            evidence(1, 0, command_line="get-a", normalised="get-a", steps=[]),
            evidence(1, 1, command_line="^g^e^t-b", normalised="get-b", steps=["carets"]),
            {**evidence(1, 2, command_line="x" * 3000), "source_file": "lake/b.parquet"},
        ],
    )

    out = story(path)
    lines = part(out, "Evidence (3 events)")
    assert lines[:6] == [
        "  lake/a.parquet",
        "    2026-03-10 04:00  open",
        "      get-a",
        "    2026-03-10 04:00  open",
        "      ^g^e^t-b",
        "      reads get-b",
    ]
    assert lines[6] == "  lake/b.parquet"
    assert lines[-1] == "      (3,000 characters; gundog sql has them all)"
    assert out.count("x" * 50) == 17  # a thousand characters in lines of 114
    # A detail that repeats a line of the evidence is not said twice.
    assert part(out, "Details") == ["  other: x"]


# ---- chart ----


def point(hour: int, observed: float | None, expected: float | None = 1.0, flagged: bool = False) \
        -> dict[str, Any]:  # fmt: skip
    return {"hour": NOW + hour * HOUR, "observed": observed, "expected": expected,
            "flagged": flagged}  # fmt: skip


def test_chart_draws_bars_expectation_gaps_and_marks() -> None:
    """Height by count, a dash where the count stays below, a dot where nothing was seen."""
    points = [point(0, 12, 1, True), point(1, 6, 12), point(2, None, None), point(3, 0, 0.1)]

    assert [line.plain.rstrip() for line in chart.of_hours(points)] == [
        "      12 │██ ──",
        "         │██",
        "         │██",
        "         │██ ██",
        "         │██ ██",
        "         │██ ██    ──",
        "       0 └──────··────",
        "          ▲▲",
    ]


@pytest.mark.parametrize("count", [0.0, None, 1e-9, 1e12])
def test_chart_of_any_height_has_its_rows(count: float | None) -> None:
    """Nothing at all, next to nothing, and very much."""
    lines = chart.of_hours([point(0, count, None), point(1, 1.0)])

    assert len(lines) == chart.ROWS + 1
    assert {len(line.plain) for line in lines[:-1]} == {10 + 6}
    assert chart.of_hours([])


def test_small_count_is_seen_beside_a_large_one() -> None:
    """One read at night must not look like none."""
    lines = chart.of_hours([point(0, 1, None), point(1, 1000, None)])

    assert lines[chart.ROWS - 1].plain.startswith("         │▁▁ ██")


def test_series_shows_its_night(tmp_path: Path) -> None:
    """The hours of its interval and of its own series, with the hours below."""
    start = NOW - 4 * HOUR
    common = {"detection_id": DETECTION, "interval_start": start, "interval_end": start + DAY}
    points = [
        {**common, "series_key": key, "hour": start + n * HOUR, "observed": float(n),
         "expected": 1.0, "flagged": n == 3}
        for n in range(-2, 26)
        for key in ("/ana", "/bob")
    ]  # fmt: skip
    row = finding(
        1, kind="series", details='{"series_key": "/ana"}', interval_start=start,
        interval_end=start + DAY, observed=3.0, expected=1.0,
    )  # fmt: skip
    path = published(tmp_path / "f.duckdb", findings=[row], series_points=points)

    lines = part(story(path), "Its hours (UTC)")
    assert lines[0].startswith("      23 │")
    assert lines[-1].split() == ["00", "03", "06", "09", "12", "15", "18", "21"]
    assert lines[-2].index("▲▲") == lines[-1].index("03")


# ---- what became of it ----


def message(channel: str, **values: Any) -> dict[str, Any]:
    return {"notification_id": UUID(int=hash(channel) % 2**64), "channel": channel,
            "kind": "finding", "finding_ids": [UUID(int=1 << 96)], "withdrawn_ids": [],
            "created_at": NOW, **values}  # fmt: skip


def test_history_is_one_line_of_time(tmp_path: Path) -> None:
    """Its changes, what people said, and each channel that was told, in order."""
    one = UUID(int=1 << 96)
    path = published(
        tmp_path / "f.duckdb",
        findings=[finding(1)],
        finding_changes=[
            {"finding_id": one, "change": "new", "reason": "", "changed_at": NOW},
            {"finding_id": one, "change": "changed", "reason": "score", "changed_at": NOW + DAY},
        ],
        triage=[
            {"finding_id": one, "said_at": NOW + 2 * HOUR, "actor": "ana", "host": "h1",
             "status": "resolved", "verdict": "benign", "note": "as she says"}
        ],
        notifications=[
            message("soc", sent_at=NOW + HOUR),
            message("leads", kind="digest", sent_at=NOW + 3 * HOUR, finding_ids=[],
                    withdrawn_ids=[one]),
            message("down", last_error="x.example: answered 500"),
            message("dead", dead_at=NOW + 2 * DAY, last_error="x.example: answered 404"),
            message("other", finding_ids=[UUID(int=2)], sent_at=NOW),
        ],
    )  # fmt: skip

    assert part(story(path) + "\n\n", "History") == [
        "  - 2026-03-10 04:00 new",
        "  - 2026-03-10 04:00 waits to be sent to down (message): x.example: answered 500",
        "  - 2026-03-10 05:00 sent to soc (message)",
        "  - 2026-03-10 06:00 ana on h1: resolved, benign: as she says",
        "  - 2026-03-10 07:00 sent to leads (digest, as withdrawn)",
        "  - 2026-03-11 04:00 changed: score",
        "  - 2026-03-12 04:00 gave up sending to dead (message): x.example: answered 404",
        "  - may still change until 2026-03-17 03:00",
    ]


def test_finding_that_is_not_sent_says_why_and_the_one_that_is_for_how_many(
    tmp_path: Path,
) -> None:
    """Hidden by whom, or standing for others."""
    hidden = finding(1, suppressed_by="exception 0a1b2c3d by kim: a migration")
    leading = finding(1, suppressed_count=3)

    first = story(published(tmp_path / "a.duckdb", findings=[hidden]))
    second = story(published(tmp_path / "b.duckdb", findings=[leading]))
    assert "not sent    hidden by exception 0a1b2c3d by kim: a migration" in first
    assert "repeats     3 more like it" in second
    assert "hidden by" not in second


def test_withdrawn_finding_still_has_its_story(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message says `gundog show ID`: that works after the finding has gone."""
    monkeypatch.setenv("NO_PROXY", "*")
    root = kit.make_project(tmp_path)
    kit.fill_days(root, "2026-03-01", 9)
    rows = [kit.event("2026-03-09T10:00", "open", number=1)]
    rows.append(kit.event("2026-03-09T11:00", "close", number=2))
    kit.write_file(root, "2026-03-09", rows)
    with http_sink() as sink:
        kit.write_text(
            root / "gundog.yaml",
            kit.CONFIG + f"notify: [{{name: soc, url: '{sink.url()}', mode: digest}}]\n",
        )
        hunt(root)
        [(found,)] = table(root, "select finding_id::varchar from findings")
        kit.write_file(root, "2026-03-09", [])
        hunt(root, now=kit.NOW + HOUR)

    assert main.main(["show", found[:8], "--project", str(root)]) == 0
    out = capsys.readouterr().out
    assert "a opened and closed after 1h" in out
    assert "withdrawn" in part(out, "finding")[4]
    history = [line.split(" ", 5)[-1] for line in part(out + "\n\n", "History")]
    assert history == [
        "new",
        "sent to soc (digest)",
        "withdrawn: no longer found in its interval",
        "sent to soc (digest, as withdrawn)",
    ]


def test_shares_read_as_words(tmp_path: Path) -> None:
    """Parts of an excess, and a plain list, are not JSON."""
    details = {"top_app": [{"value": "a", "records": 3, "share": 0.876},
                           {"value": "b", "records": 1, "share": 0.0}],
               "top_one": [{"value": "c", "records": 2, "share": 0.5, "is_new": True}],
               "steps": ["x", "y"], "deep": {"n": 1}}  # fmt: skip
    path = published(tmp_path / "f.duckdb", findings=[finding(1, details=json.dumps(details))])

    assert part(story(path), "Details") == [
        "  top_app: a (88% of the excess, 3 records), b (0% of the excess, 1 record)",
        "  top_one: c (50%, 2 records, new)",
        "  steps: x, y",
        '  deep: {"n": 1}',
    ]


def test_story_fits_any_width(tmp_path: Path) -> None:
    """A narrow terminal wraps; nothing is wider than it."""
    path = published(
        tmp_path / "f.duckdb",
        findings=[finding(1, title="x" * 300, evidence_count=3)],
        evidence=[evidence(1, n, a="v" * 30 * (n + 1), b=n, c="same") for n in range(3)],
    )

    out = story(path, 40)
    assert max(len(line) for line in out.splitlines()) <= 40
