"""The Numenta Anomaly Benchmark's count series by the hour: nights hunted one after the other.

Labels are windows drawn by hand, a tenth of all hours, dips among them, so figures are low for
every method. Each series is judged alone, with 14 to 28 days of history before each night.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from benchmarks.scoring import baselines, metrics
from benchmarks.scoring.generator import DAY
from gundog.hunting.scoring.hour_scores import score

Hunt = Callable[[np.ndarray, datetime], np.ndarray]


@dataclass(frozen=True)
class Series:
    """Hourly counts from `start`, and the hours (first, last) of each labelled window."""

    start: datetime
    counts: np.ndarray
    windows: tuple[tuple[int, int], ...]


def load(folder: Path) -> list[Series]:
    """The count series of a folder of `ds,y` files with a `windows.json`, without taxis."""
    labels = json.loads((folder / "windows.json").read_text())
    found = []
    for path in sorted(folder.glob("*.csv")):
        if "taxi" in path.name:
            continue
        rows = list(csv.DictReader(path.open()))
        start = datetime.fromisoformat(rows[0]["ds"]).replace(tzinfo=UTC)
        windows = [
            tuple(
                int((datetime.fromisoformat(end).replace(tzinfo=UTC) - start).total_seconds())
                // 3600
                for end in window
            )
            for window in labels.get(path.name, ())
        ]
        found.append(Series(start, np.array([float(row["y"]) for row in rows]), tuple(windows)))
    return found


def ours(days: int) -> Hunt:
    """gundog's score of the last night of a series."""

    def hunt(counts: np.ndarray, start: datetime) -> np.ndarray:
        kept = counts[None, -(days + 1) * DAY :]
        return score(kept, start, DAY, pool=False).score[0]

    return hunt


def kusto(days: int) -> Hunt:
    """Kusto's score of the last night of a series."""

    def hunt(counts: np.ndarray, _: datetime) -> np.ndarray:
        return baselines.kusto(counts[None, -(days + 1) * DAY :], np.empty(0), DAY)[0]

    return hunt


def run(series: list[Series], hunt: Hunt) -> tuple[float, float, float]:
    """Event F1 and recall at one alert a week and series, and area under the curve of hours."""
    scores, true, alerts, events = [], [], [], 0
    for number, one in enumerate(series):
        found = np.full(len(one.counts), np.nan)
        for night in range(14 * DAY, len(one.counts) - DAY + 1, DAY):
            found[night : night + DAY] = hunt(one.counts[: night + DAY], one.start)
        judged = np.isfinite(found)
        labelled = np.zeros(len(found), dtype=bool)
        for first, last in one.windows:
            labelled[max(first, 0) : last + 1] = True
        scores.append(found[judged])
        true.append(labelled[judged])
        hunted = np.flatnonzero(judged)
        events += sum(bool(judged[max(first, 0) : last + 1].any()) for first, last in one.windows)
        alerts += [(found[at], number, int(at)) for at in hunted if found[at] > 0]
    sent = _sent(sorted(alerts, reverse=True), round(sum(map(len, scores)) / (7 * DAY)))
    hits = [[window for window in series[number].windows if window[0] <= at <= window[1]]
            for number, at in sent]  # fmt: skip
    hit = {
        (number, window) for (number, _), near in zip(sent, hits, strict=True) for window in near
    }
    precision, recall = float(np.mean([bool(near) for near in hits])), len(hit) / events
    area = metrics.average_precision(np.concatenate(scores), np.concatenate(true))
    return 2 * precision * recall / max(precision + recall, 1e-9), recall, area


def _sent(alerts: list[tuple[float, int, int]], most: int) -> list[tuple[int, int]]:
    """The highest alerts, one within a day for each series."""
    sent: list[tuple[int, int]] = []
    for _, number, at in alerts:
        if len(sent) < most and all(
            number != other or abs(at - when) >= DAY for other, when in sent
        ):
            sent.append((number, at))
    return sent
