"""Tests of the grid of nights: each day shows the worst that is known of it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gundog.report.model import GridRow
from gundog.report.night import Night
from gundog.report.trust import STATES, WORDS
from tests.report_kit import DAY, HOUR, NOW, QUIET, finding, gathered, interval, published

TODAY = NOW.replace(hour=0)


def states(row: GridRow) -> dict[datetime, str]:
    """The days that anything is known of."""
    return {cell.day: cell.state for cell in row.cells if cell.state != "none"}


def grid(tmp_path: Path, *ledger: dict[str, Any], night: Night = QUIET) -> GridRow:
    """The grid's row of the one detection."""
    path = published(tmp_path / "f.duckdb", run_intervals=list(ledger))
    [row] = gathered(path, night=night).trust.grid
    return row


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"state": "failed"}, "failed"),
        ({"state": "no_data"}, "no_data"),
        ({"note": "learning until 2026-04-01T00:00:00Z"}, "learning"),
        ({}, "provisional"),
    ],
)
def test_a_day_shows_what_became_of_its_interval(
    tmp_path: Path, values: dict[str, str], state: str
) -> None:
    """An interval of yesterday may still change."""
    assert states(grid(tmp_path, interval(1, **values))) == {TODAY - DAY: state}


def test_an_old_interval_is_final(tmp_path: Path) -> None:
    """No late file is waited for any more."""
    assert states(grid(tmp_path, interval(9))) == {TODAY - 9 * DAY: "final"}


def test_a_day_of_many_intervals_shows_the_worst(tmp_path: Path) -> None:
    """One hour that failed is not hidden by 23 that did not."""
    hours = [
        interval(1, "failed" if n == 7 else "done",
                 interval_start=TODAY - DAY + n * HOUR, interval_end=TODAY - DAY + (n + 1) * HOUR)
        for n in range(24)
    ]  # fmt: skip

    assert states(grid(tmp_path, *hours)) == {TODAY - DAY: "failed"}


def test_a_week_covers_all_its_days(tmp_path: Path) -> None:
    """Those before the grid begins aside."""
    week = interval(7, "no_data", interval_end=TODAY)

    row = grid(tmp_path, week)

    assert list(states(row).values()) == ["no_data"] * 7
    assert len(row.cells) == 14


def test_an_interval_of_the_detection_as_it_was_gives_way(tmp_path: Path) -> None:
    """Of two hashes the one that the detection has now counts."""
    row = grid(tmp_path, interval(1), interval(1, "failed", detection_hash="older"))

    assert states(row) == {TODAY - DAY: "provisional"}


def test_a_night_that_did_not_come_is_on_the_grid(tmp_path: Path) -> None:
    """A nightly project's grid ends with the last complete day, hunted or not."""
    row = grid(tmp_path, interval(4), night=Night(NOW, nightly=True))

    assert row.cells[-1].day == TODAY - DAY
    assert states(row) == {TODAY - 4 * DAY: "provisional"}


def test_cells_count_the_findings_of_their_interval(tmp_path: Path) -> None:
    """By the interval, not by when an event was."""
    path = published(
        tmp_path / "f.duckdb",
        findings=[finding(n, interval_start=TODAY - DAY) for n in (1, 2)],
        run_intervals=[interval(1)],
    )

    [row] = gathered(path).trust.grid

    assert row.cells[-1].findings == 2


def test_every_state_has_a_sign_and_words_beside_its_colour() -> None:
    """No two look alike where colours are not seen."""
    signs = list(STATES.values())

    assert len(set(signs)) == len(signs)
    assert set(WORDS) == set(STATES)
