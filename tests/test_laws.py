"""The laws that hold whatever arrives, in whatever order: nights equal backfills."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import strategies as st

from gundog.core.times import parse_time
from gundog.staging import stage
from tests import draws, kit
from tests.kit import DAY, hunt, table, write_file

pytestmark = pytest.mark.usefixtures("all_cores")

FIRST = parse_time("2026-03-02")
DAYS = 4 if draws.is_thorough() else 3
END = FIRST + DAYS * DAY
# What a backfill may leave otherwise than the nights did.
FREE = ("run_id", "created_at", "updated_at", "origin", "is_late", "seconds")
TABLES = ("findings", "evidence", "run_intervals", "source_files", "series_points", "detections")

# A failure takes seconds to run, so it is shown as found rather than shrunk for minutes.
law = draws.law(
    6,
    quick=0,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
_MINUTES = DAYS * 24 * 60
_DAY_MINUTES = 24 * 60
happening = st.fixed_dictionaries(
    {
        "minute": st.integers(0, _MINUTES - 1),
        "kind": st.sampled_from(["open", "close", "other", "count"]),
        "who": st.sampled_from(["a", "b"]),
        "late_days": st.sampled_from([0, 0, 0, 0, 1, 3]),
        "deliveries": st.sampled_from([1, 1, 1, 2]),
    }
)


@st.composite
def worlds(draw: st.DrawFn, max_size: int = 30) -> list[dict[str, Any]]:
    """What happens, and what is looked for among it: no draw is a world without findings.

    A pair whose open is delivered twice and whose close comes late, and an hour of a series that
    counts a thousand times what `fresh` has it count in every other.
    """
    opened = draw(st.integers(0, _MINUTES - _DAY_MINUTES - 60))
    closed = opened + draw(st.integers(1, _DAY_MINUTES))
    flagged = draw(st.integers(0, DAYS * 24 - 1)) * 60 + 30
    late = draw(st.sampled_from([1, 2, 3]))
    planted = [
        {"minute": opened, "kind": "open", "who": "p", "late_days": 0, "deliveries": 2},
        {"minute": closed, "kind": "close", "who": "p", "late_days": late, "deliveries": 1},
        {
            "minute": flagged,
            "kind": "count",
            "who": "p",
            "late_days": 0,
            "deliveries": 1,
            "n": 5000,
        },
    ]
    return planted + draw(st.lists(happening, max_size=max_size))


def full_world(size: int = 14) -> list[dict[str, Any]]:
    """What a draw has that is neither simple nor small, always the same."""
    chance = random.Random(7)  # noqa: S311 - seeded on purpose
    planted = [
        {"minute": 1000, "kind": "open", "who": "p", "late_days": 0, "deliveries": 2},
        {"minute": 2100, "kind": "close", "who": "p", "late_days": 2, "deliveries": 1},
        {"minute": 3510, "kind": "count", "who": "p", "late_days": 0, "deliveries": 1, "n": 5000},
    ]
    more = [
        {
            "minute": chance.randrange(_MINUTES),
            "kind": chance.choice(["open", "close", "other", "count"]),
            "who": chance.choice("ab"),
            "late_days": chance.choice([0, 0, 0, 0, 1, 3]),
            "deliveries": chance.choice([1, 1, 1, 2]),
        }
        for _ in range(size)
    ]
    return planted + more


def files_of(happenings: list[dict[str, Any]]) -> dict[tuple[int, str], list[dict[str, Any]]]:
    """Rows by the day they arrive and a file name; a redelivered event lies in another file."""
    files: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for number, one in enumerate(happenings):
        at = FIRST + timedelta(minutes=one["minute"])
        row = {
            "Timestamp": at,
            "Id": number,
            "Kind": one["kind"],
            "Who": one["who"],
            "N": one.get("n", 1),
        }
        day = min((at - FIRST) // DAY + one["late_days"], DAYS + 3)
        for delivery in range(one["deliveries"]):
            files.setdefault((day, f"f{number % 2}-{delivery}"), []).append(row)
    return files


def write_arrivals(
    root: Path, files: dict[tuple[int, str], list[dict[str, Any]]], day: int
) -> None:
    """Writes what arrives on a day, with the same times in every project."""
    for (arrives, name), rows in files.items():
        if arrives == day:
            path = write_file(root, f"{FIRST + day * DAY:%Y-%m-%d}", rows, name)
            os.utime(path, ns=(day, day))


@contextmanager
def two_projects(*, series: bool) -> Iterator[tuple[Path, Path]]:
    """Two equal projects, each with a quiet file on every day; they go with the block."""
    with TemporaryDirectory(prefix="laws-") as folder:
        first, second = Path(folder, "first"), Path(folder, "second")
        yield fresh(first, series=series), fresh(second, series=series)


def fresh(root: Path, *, series: bool) -> Path:
    """A project with a quiet file on every day."""
    kit.make_project(root, series=series)
    kit.fill_days(root, f"{FIRST - DAY:%Y-%m-%d}", DAYS + 5)
    if series:  # three weeks before, and then a day at a time
        steady(root, FIRST - DAY, 21)
        for day in range(DAYS):
            steady(root, FIRST + day * DAY, 1)
    for path in (root / "lake").rglob("*.parquet"):
        os.utime(path, ns=(0, 0))
    return root


def steady(root: Path, day: datetime, days: int) -> None:
    """A file of the day with a few counts in every hour of it and of the days before it."""
    rows = [
        {"Timestamp": day + DAY - hour * DAY / 24 - timedelta(minutes=55), "Id": -500,
         "Kind": "count", "Who": "p", "N": 5}
        for hour in range(24 * days)
    ]  # fmt: skip
    write_file(root, f"{day:%Y-%m-%d}", rows, "steady")


def content(root: Path, among: tuple[str, ...] = TABLES) -> dict[str, list[Any]]:
    """The published tables without the columns that may differ."""
    found = {}
    for name in among:
        columns = [row[0] for row in table(root, f"describe {name}") if row[0] not in FREE]
        rows = table(root, f"select {', '.join(columns)} from {name}")
        found[name] = sorted(rows, key=repr)
    return found


@law
@example(full_world())
@given(worlds())
def test_backfill_leaves_what_the_nights_left(happenings: list[dict[str, Any]]) -> None:
    """After the same files, the same tables, however late the files were."""
    files = files_of(happenings)
    with two_projects(series=True) as (nights, backfill):
        for day in range(DAYS + 4):
            write_arrivals(nights, files, day)
            if day < DAYS:
                hunt(nights, now=FIRST + (day + 1) * DAY + timedelta(hours=4))
            write_arrivals(backfill, files, day)
        now = END + timedelta(days=3, hours=5)
        hunt(nights, now=now, within=(f"{FIRST:%Y-%m-%d}", f"{END - DAY:%Y-%m-%d}"))

        hunt(backfill, now=now, within=(f"{FIRST:%Y-%m-%d}", f"{END - DAY:%Y-%m-%d}"))

        assert content(backfill) == content(nights)
        found = "select list(distinct kind order by kind), bool_or(is_late) from findings"
        assert table(nights, found) == [(["match", "series"], True)]
        assert table(nights, "select count(*) > 0 from series_points where flagged") == [(True,)]


@pytest.mark.slow
@law
@example(full_world(), 2)
@given(worlds(), st.integers(1, DAYS - 1))
def test_two_halves_find_what_the_whole_finds(happenings: list[dict[str, Any]], cut: int) -> None:
    """Findings over [a, c) are those over [a, b) and those over [b, c), in either order."""
    files = files_of([{**one, "late_days": 0} for one in happenings])
    with two_projects(series=False) as (whole, halves):
        for root in (whole, halves):
            for day in range(DAYS + 4):
                write_arrivals(root, files, day)
        middle = FIRST + cut * DAY
        now = END + DAY

        hunt(whole, now=now, within=(f"{FIRST:%Y-%m-%d}", f"{END - DAY:%Y-%m-%d}"))
        hunt(halves, now=now, within=(f"{middle:%Y-%m-%d}", f"{END - DAY:%Y-%m-%d}"))
        hunt(halves, now=now, within=(f"{FIRST:%Y-%m-%d}", f"{middle - DAY:%Y-%m-%d}"))

        found = content(whole, ("findings", "evidence"))
        assert content(halves, ("findings", "evidence")) == found
        assert found["findings"]
        assert found["evidence"]


@pytest.mark.slow
@law
@example(full_world(20), random.Random(7))  # noqa: S311 - seeded on purpose
@given(worlds(max_size=60), st.randoms(use_true_random=False))
def test_rows_may_lie_in_any_file_in_any_order(
    happenings: list[dict[str, Any]], shuffler: random.Random
) -> None:
    """Shuffled rows, other batches: the same findings and the same events as evidence."""
    files = files_of(happenings)
    with two_projects(series=False) as (plain, shuffled):
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
            stage.BATCH_FILES = 2
            hunt(shuffled, now=now, within=within)
        finally:
            stage.BATCH_FILES = batch

        assert content(shuffled, ("findings",)) == content(plain, ("findings",))
        events = "select finding_id, ordinal, role, event_id, event from evidence order by all"
        assert table(shuffled, events) == table(plain, events)
        assert table(plain, "select count(*) >= 2 from evidence") == [(True,)]


@pytest.mark.slow
def test_running_twice_adds_nothing(tmp_path: Path) -> None:
    """The second run of anything leaves every table as it was."""
    root = fresh(tmp_path / "project", series=True)
    files = files_of(
        [{"minute": 60 * n, "kind": kind, "who": "a", "late_days": 0, "deliveries": 2}
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
