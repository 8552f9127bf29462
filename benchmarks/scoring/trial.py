"""One sample through gundog and every baseline, and what came of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from benchmarks.scoring import baselines, metrics
from benchmarks.scoring.generator import ATTACKS, DAY, KINDS, Sample
from gundog.hunting.scoring.hour_scores import score


@dataclass(frozen=True)
class Figures:
    """What one method reached on one sample; shares and areas, and CPU ms a series."""

    f1: float
    series_ap: float
    hours_ap: float
    recall: float
    first_10: float
    kind_ap: dict[str, float]
    attack_recall: dict[str, float]
    cpu_ms: float


def gundog(sample: Sample) -> np.ndarray:
    """Scores as the nightly hunt takes them: mailboxes as a pool, each tenant alone."""
    found = np.zeros((len(sample.counts), sample.scored))
    tenant = sample.kind == "tenant"
    for member, pool in ((tenant, False), (~tenant, True)):
        if member.any():
            scores = score(sample.counts[member], sample.start, sample.scored, pool=pool)
            found[member] = scores.score
    return np.nan_to_num(found)


def run(sample: Sample, methods: dict[str, baselines.Method]) -> dict[str, Figures]:
    """The figures of gundog and of each method."""
    filled = np.nan_to_num(sample.counts)
    of_hours = cells(sample)
    results = {}
    for name, method in {"gundog": None, **methods}.items():
        started = time.process_time()
        found = method(filled, of_hours, sample.scored) if method else gundog(sample)
        cpu_ms = 1000 * (time.process_time() - started) / len(filled)
        results[name] = judge(found, sample, cpu_ms)
    return results


def judge(found: np.ndarray, sample: Sample, cpu_ms: float = 0.0) -> Figures:
    """The figures of scores (series, scored)."""
    true, highest = sample.attack != "", found.max(axis=1)
    alerts = round(len(true) * sample.scored / (7 * DAY))
    limit = np.quantile(highest[~true], 0.98)
    return Figures(
        f1=metrics.f1_at(highest, true, alerts),
        series_ap=metrics.average_precision(highest, true),
        hours_ap=metrics.average_precision(found.ravel(), sample.attacked.ravel()),
        recall=metrics.recall_at(highest, true, 0.02),
        first_10=metrics.precision_of_first(highest, true),
        kind_ap={
            kind: metrics.average_precision(highest[sample.kind == kind], true[sample.kind == kind])
            for kind in KINDS
            if true[sample.kind == kind].any()
        },
        attack_recall={
            attack: float(np.mean(highest[sample.attack == attack] > limit))
            for attack in ATTACKS
            if (sample.attack == attack).any()
        },
        cpu_ms=cpu_ms,
    )


def cells(sample: Sample) -> np.ndarray:
    """Hour of the day and kind of day of each hour, in UTC."""
    hours = [sample.start + timedelta(hours=at) for at in range(sample.counts.shape[1])]
    return np.array([(hour.weekday() >= 5) * DAY + hour.hour for hour in hours])
