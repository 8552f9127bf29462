"""Seeded hourly counts as a tenant and its mailboxes leave them, with every attacked hour known.

Tenants and dense mailboxes are negative binomial around a working week; sparse mailboxes are
sessions of several events over one to four hours. All have what makes real series hard: time
zones, clock changes, holidays, maintenance, drift, level shifts, benign resyncs and outages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np

DAY = 24
KINDS = {"tenant": 0.2, "dense": 0.4, "sparse": 0.4}
MAILBOXES = {"dense": 0.2, "sparse": 0.8}
ATTACKS = ("burst", "night", "slow", "dump", "polluted night", "polluted burst")

_RATES = {"tenant": (50, 20_000), "dense": (5, 500), "sparse": (0.01, 3)}
_ZONES = ("America/Los_Angeles", "America/New_York", "Europe/London", "Europe/Berlin",
          "Asia/Kolkata", "Asia/Tokyo")  # fmt: skip
_LEAST_STOLEN = 8


@dataclass(frozen=True)
class Sample:
    """Counts (series, hours), NaN in outages; the last `scored` hours are judged.

    `attacked` is (series, scored), the hours an attack added to; `attack` is its name, or ''.
    """

    start: datetime
    counts: np.ndarray
    scored: int
    kind: np.ndarray
    attack: np.ndarray
    attacked: np.ndarray


def make(
    seed: int,
    n_series: int,
    *,
    history_days: int = 28,
    scored: int = 48,
    attacked: float = 0.3,
    kinds: Mapping[str, float] = KINDS,
) -> Sample:
    """A sample that depends on nothing but its arguments.

    Args:
        seed: of numpy's default generator.
        n_series: how many series.
        history_days: days before the scored hours.
        scored: hours that are judged.
        attacked: share of series with an attack among the scored hours.
        kinds: share of each kind of series.
    """
    rng = np.random.default_rng(seed)
    start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=int(rng.integers(300)))
    hours = history_days * DAY + scored
    holiday = int(rng.integers(hours // DAY)) if rng.random() < 0.5 else -1
    kind = rng.choice(list(kinds), n_series, p=list(kinds.values()))
    attack = np.where(rng.random(n_series) < attacked, rng.choice(ATTACKS, n_series), "")
    counts, marked = np.zeros((n_series, hours)), np.zeros((n_series, hours), dtype=bool)
    for row in range(n_series):
        mu, local = usual(rng, kind[row], start, hours, holiday)
        counts[row], _, _ = draw(rng, kind[row], mu)
        counts[row] += resyncs(rng, kind[row], mu)
        if attack[row]:
            stolen = theft(rng, attack[row], kind[row], mu, local, scored)
            counts[row] += stolen
            marked[row] = stolen > 0
        if rng.random() < 0.15:
            down = int(rng.integers(hours))
            counts[row, down : down + int(rng.integers(2, 11))] = np.nan
    return Sample(start, counts, scored, kind, attack, marked[:, -scored:])


@cache
def _clock(start: datetime, hours: int, zone: str) -> np.ndarray:
    """Local hour of the week, Monday 00:00 is 0."""
    local = [(start + timedelta(hours=at)).astimezone(ZoneInfo(zone)) for at in range(hours)]
    return np.array([moment.weekday() * DAY + moment.hour for moment in local])


def usual(
    rng: np.random.Generator, kind: str, start: datetime, hours: int, holiday: int
) -> tuple[np.ndarray, np.ndarray]:
    """The true mean of each hour, and the local hour of the day."""
    week = _clock(start, hours, str(rng.choice(_ZONES)))
    hour = week % DAY
    mornings, evenings = rng.normal(10, 0.7), rng.normal(15, 0.9)
    shape = np.exp(-(((hour - mornings) / 2) ** 2)) + np.exp(-(((hour - evenings) / 2.2) ** 2))
    off = (week >= 5 * DAY) | (np.arange(hours) // DAY == holiday)
    shape *= np.where(off, rng.choice([0.05, 0.2, 0.8], p=[0.5, 0.4, 0.1]), 1)
    shape += rng.uniform(0.02, 0.25)
    mu = shape / shape.mean() * 10 ** rng.uniform(*np.log10(_RATES[kind]))
    if kind != "sparse" and rng.random() < 0.1:
        first = int(rng.integers(0, 20))
        mu *= np.where(week // DAY == 5, np.where((hour >= first) & (hour < first + 4), 3, 1), 1)
    mu *= np.linspace(1, 1 + rng.uniform(-0.3, 0.3), hours)
    if rng.random() < 0.1:
        mu[int(rng.integers(hours)) :] *= rng.uniform(0.5, 2)
    return mu * _activity(rng, hours, 0.1 if kind == "tenant" else 0.3), hour


def _activity(rng: np.random.Generator, hours: int, spread: float) -> np.ndarray:
    """What makes one hour and one day busier than the next."""
    noise = rng.normal(0, spread * 0.7, hours)
    for at in range(1, hours):
        noise[at] = 0.7 * noise[at - 1] + 0.7 * noise[at]
    days = np.repeat(rng.normal(0, spread * 0.7, hours // DAY + 1), DAY)[:hours]
    return np.exp(noise + days - spread**2 / 2)


def draw(rng: np.random.Generator, kind: str, mu: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Counts of each hour, and a and b of their variance `mu + a * mu + b * mu ** 2`."""
    if kind != "sparse":
        size = 1 / rng.uniform(*((0.003, 0.03) if kind == "tenant" else (0.02, 0.3)))
        counts = rng.negative_binomial(size, size / (size + mu)).astype(float)
        return counts, 0.0, 1 / size
    events = 10 ** rng.uniform(0, 1)
    counts = np.zeros(len(mu))
    for at in np.repeat(np.arange(len(mu)), rng.poisson(mu / events)):
        lasts = int(rng.integers(1, 5))
        when = at + rng.integers(lasts, size=rng.geometric(1 / events))
        np.add.at(counts, np.minimum(when, len(mu) - 1), 1)
    return counts, 2 * events - 2, 0.0


def resyncs(rng: np.random.Generator, kind: str, mu: np.ndarray) -> np.ndarray:
    """Spikes that no one should hunt: a mailbox's client fetches a folder again.

    A tenant has them in the size its mailboxes have.
    """
    extra = np.zeros(len(mu))
    if rng.random() < 0.1:
        for at in rng.integers(len(mu), size=1 + rng.poisson(0.5)):
            lasts = int(rng.integers(1, 4))
            size = 10 ** rng.uniform(0, 2) if kind == "tenant" else max(mu.mean(), 1)
            extra[at : at + lasts] += rng.poisson(size * rng.uniform(3, 12))
    return extra


def theft(
    rng: np.random.Generator,
    attack: str,
    kind: str,
    mu: np.ndarray,
    local: np.ndarray,
    scored: int,
) -> np.ndarray:
    """What an attack adds to each hour."""
    hours, mean, peak = len(mu), mu.mean(), np.quantile(mu, 0.95)
    least = _LEAST_STOLEN if kind == "sparse" else 1
    added = np.zeros(hours)
    first = hours - scored
    if attack == "slow":
        lasts = int(rng.integers(24, 49))
        at = first + int(rng.integers(scored - min(lasts, scored) + 1))
        added[at : at + lasts] = np.maximum(0.6 * mean, least / 6)
        return rng.poisson(added).astype(float)
    if attack == "dump":
        at = first + int(rng.integers(scored))
        added[at] = max(rng.uniform(10, 30) * peak, least)
        return rng.poisson(added).astype(float)
    night = attack.endswith("night")
    usable = np.arange(first, hours - 4)
    usable = usable[(local[usable] < 3) if night else (mu[usable] >= mean)]
    at = int(rng.choice(usable)) if len(usable) else first
    lasts = int(rng.integers(2, 5) if night else rng.integers(1, 4))
    for back in range(6 if attack.startswith("polluted") else 1):
        span = slice(at - back * DAY, at - back * DAY + lasts)
        added[span] = np.maximum(peak if night else 4 * np.maximum(mu[span], mean), least)
    return np.where(added > 0, np.maximum(rng.poisson(added), least), 0).astype(float)
