"""The laws that hold whatever arrives, in whatever order: nights equal backfills."""

from __future__ import annotations

import os
import random
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gundog import stage
from gundog.interval import parse_time
from tests import kit
from tests.kit import DAY, hunt, table, write_file

FIRST = parse_time("2026-03-02")
DAYS = 4
END = FIRST + DAYS * DAY
# What a backfill may leave otherwise than the nights did.
FREE = ("run_id", "created_at", "updated_at", "origin", "is_late", "seconds")
TABLES = ("findings", "evidence", "run_intervals", "source_files", "series_points", "detections")

# A failure takes seconds to run, so it is shown as found rather than shrunk for minutes.
law = settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
happening = st.fixed_dictionaries(
    {
        "minute": st.integers(0, DAYS * 24 * 60 - 1),
        "kind": st.sampled_from(["open", "close", "other", "count"]),
        "who": st.sampled_from(["a", "b"]),
        "late_days": st.sampled_from([0, 0, 0, 0, 1, 3]),
        "copies": st.sampled_from([1, 1, 1, 2]),
    }
)


def files_of(happenings: list[dict[str, Any]]) -> dict[tuple[int, str], list[dict[str, Any]]]:
    """Rows by the day they arrive and a file name; a copy lies in a file of its own."""
    files: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for number, one in enumerate(happenings):
        at = FIRST + timedelta(minutes=one["minute"])
        row = {"Timestamp": at, "Id": number, "Kind": one["kind"], "Who": one["who"], "N": 1}
        day = min((at - FIRST) // DAY + one["late_days"], DAYS + 3)
        for copy in range(one["copies"]):
            files.setdefault((day, f"f{number % 2}-{copy}"), []).append(row)
    return files


def write_arrivals(
    root: Path, files: dict[tuple[int, str], list[dict[str, Any]]], day: int
) -> None:
    """Writes what arrives on a day, with the same times in every project."""
    for (arrives, name), rows in files.items():
        if arrives == day:
            path = write_file(root, f"{FIRST + day * DAY:%Y-%m-%d}", rows, name)
            os.utime(path, ns=(day, day))


def fresh(series: bool) -> Path:
    """A project with a quiet file on every day."""
    root = kit.make_project(Path(tempfile.mkdtemp(prefix="laws-")), series=series)
    kit.fill_days(root, f"{FIRST - DAY:%Y-%m-%d}", DAYS + 5)
    for path in (root / "lake").rglob("*.parquet"):
        os.utime(path, ns=(0, 0))
    return root


def content(root: Path, among: tuple[str, ...] = TABLES) -> dict[str, list[Any]]:
    """The published tables without the columns that may differ."""
    found = {}
    for name in among:
        columns = [row[0] for row in table(root, f"describe {name}") if row[0] not in FREE]
        rows = table(root, f"select {', '.join(columns)} from {name}")
        found[name] = sorted(rows, key=repr)
    return found


@pytest.mark.parametrize("series", [False, True])
@law
@given(st.lists(happening, max_size=25))
def test_backfill_leaves_what_the_nights_left(
    series: bool, happenings: list[dict[str, Any]]
) -> None:
    """After the same files, the same tables, however late the files were."""
    files = files_of(happenings)
    nights, backfill = fresh(series), fresh(series)
    for day in range(DAYS + 4):
        write_arrivals(nights, files, day)
        if day < DAYS:
            hunt(nights, now=FIRST + (day + 1) * DAY + timedelta(hours=4))
        write_arrivals(backfill, files, day)
    now = END + timedelta(days=3, hours=5)
    hunt(nights, now=now, within=(f"{FIRST:%Y-%m-%d}", f"{END - DAY:%Y-%m-%d}"))

    hunt(backfill, now=now, within=(f"{FIRST:%Y-%m-%d}", f"{END - DAY:%Y-%m-%d}"))

    assert content(backfill) == content(nights)


@law
@given(st.lists(happening, max_size=25), st.integers(1, DAYS - 1))
def test_two_halves_find_what_the_whole_finds(happenings: list[dict[str, Any]], cut: int) -> None:
    """Findings over [a, c) are those over [a, b) and those over [b, c), in either order."""
    files = files_of([{**one, "late_days": 0} for one in happenings])
    whole, halves = fresh(False), fresh(False)
    for root in (whole, halves):
        for day in range(DAYS + 4):
            write_arrivals(root, files, day)
    middle = FIRST + cut * DAY
    now = END + DAY

    hunt(whole, now=now, within=(f"{FIRST:%Y-%m-%d}", f"{END - DAY:%Y-%m-%d}"))
    hunt(halves, now=now, within=(f"{middle:%Y-%m-%d}", f"{END - DAY:%Y-%m-%d}"))
    hunt(halves, now=now, within=(f"{FIRST:%Y-%m-%d}", f"{middle - DAY:%Y-%m-%d}"))

    assert content(halves, ("findings", "evidence")) == content(whole, ("findings", "evidence"))


@law
@given(st.lists(happening, min_size=5, max_size=40), st.randoms(use_true_random=False))
def test_rows_may_lie_in_any_file_in_any_order(
    happenings: list[dict[str, Any]], shuffler: random.Random
) -> None:
    """Shuffled rows, other batches: the same findings and the same events as evidence."""
    files = files_of(happenings)
    plain, shuffled = fresh(False), fresh(False)
    for (day, name), rows in files.items():
        write_file(plain, f"{FIRST + day * DAY:%Y-%m-%d}", rows, name)
        mixed = list(rows)
        shuffler.shuffle(mixed)
        cut = shuffler.randrange(len(mixed) + 1)
        for part, some in enumerate((mixed[:cut], mixed[cut:])):
            if some:
                write_file(shuffled, f"{FIRST + day * DAY:%Y-%m-%d}", some, f"{part}{name}")
    now = END + 4 * DAY
    within = (f"{FIRST:%Y-%m-%d}", f"{END - DAY:%Y-%m-%d}")

    hunt(plain, now=now, within=within)
    batch = stage.BATCH_FILES
    try:
        stage.BATCH_FILES = 1
        hunt(shuffled, now=now, within=within)
    finally:
        stage.BATCH_FILES = batch

    assert content(shuffled, ("findings",)) == content(plain, ("findings",))
    events = "select finding_id, ordinal, role, event_id, event from evidence order by all"
    assert table(shuffled, events) == table(plain, events)


def test_running_twice_adds_nothing() -> None:
    """The second run of anything leaves every table as it was."""
    root = fresh(True)
    files = files_of(
        [{"minute": 60 * n, "kind": kind, "who": "a", "late_days": 0, "copies": 2}
         for n, kind in enumerate(["open", "close", "count"] * 8)]
    )  # fmt: skip
    for day in range(DAYS):
        write_arrivals(root, files, day)
    within = (f"{FIRST:%Y-%m-%d}", f"{END - DAY:%Y-%m-%d}")
    hunt(root, now=END, within=within)
    before = content(root)

    hunt(root, now=END, within=within)
    hunt(root, now=END, within=within, again=True)

    assert content(root) == before
    assert table(root, "select count(*) from findings") != [(0,)]
