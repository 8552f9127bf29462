"""What is usual: expected count and variance of every hour of many series, learned from history.

History is laid out as (weeks, series, 168): whole local weeks counted back from the first scored
hour, so that leaving a week out is one subtraction. A cell is an hour of the day on weekdays or
on weekends, 48 in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from gundog.core.times import HOUR

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

DAY_H, WEEK_H = 24, 168
GROUP_EDGES = np.array([0.3, 3.0, 30.0])

_MONDAY = datetime(1, 1, 1)

# None of these is critical: each can be halved or doubled without being noticed.
_CELL_HOURS, _PHASE_HOURS = 1.0, 10.0
_NOISE = 0.3
_LEVEL_PRIOR, _LEVEL_KEPT, _LEVEL_NOISE = 25.0, 0.8, 0.03
_LEVEL_BOUNDS = 0.3, 3.0
_SERIES_PRIOR = 60.0
_A_BOUNDS, _B_BOUNDS = (0.02, 200.0), (1 / 300, 1.5)

MIN_EXPECTED = 0.001

# Clumping and day-to-day noise of a series nothing else is known about.
PRIOR_A, PRIOR_B = 1.0, 0.2


@dataclass(frozen=True)
class Calendar:
    """Where each hour lies in the local week.

    `slots` is each history hour's place among `weeks` x 168; a phase is a place within a week,
    counted from the first scored hour: `scored` has those of the scored hours and `cells` the
    cell of each of the 168. `monday` is the phase shift that brings Monday 00:00 to the front.
    """

    weeks: int
    slots: Ints
    scored: Ints
    cells: Ints
    monday: int


@dataclass(frozen=True)
class Baseline:
    """What is expected of each series.

    `history` is (series, weeks * 168), each week learned from the other weeks; `scored` is
    (series, scored), learned from all of them. `rate` is the mean per hour.
    """

    history: Floats
    scored: Floats
    rate: Floats


@dataclass(frozen=True)
class Spread:
    """Variance `mu + a * mu + b * mu ** 2` of each series, and what the fit rests on.

    All are (weeks + 1, series): row w is fitted without week w, the last row on all weeks.
    `busy` is the number of nonzero hours.
    """

    a: Floats
    b: Floats
    busy: Floats


def calendar(start: datetime, history: int, scored: int, time_zone: str) -> Calendar:
    """Where `history + scored` hours from `start` lie in the local week.

    When clocks change, two hours share a slot or a slot stays empty; every other hour keeps its
    place in the week.

    Args:
        start: the first hour, with a time zone.
        history: hours before the first scored one.
        scored: scored hours, at least 1.
        time_zone: a name such as Europe/Berlin.
    """
    zone = ZoneInfo(time_zone)
    moments = (start + place * HOUR for place in range(history + scored))
    local = [(moment.astimezone(zone).replace(tzinfo=None) - _MONDAY) // HOUR for moment in moments]
    since = np.array(local) - local[history]
    weeks = max(-(-history // WEEK_H), 1)
    past = since[:history]
    past = np.where(past >= 0, past - WEEK_H, past)
    past = np.where(past < -weeks * WEEK_H, past + WEEK_H, past)
    of_week = (local[history] + np.arange(WEEK_H)) % WEEK_H
    cells = np.where(of_week < 5 * DAY_H, 0, DAY_H) + of_week % DAY_H
    return Calendar(
        weeks, past + weeks * WEEK_H, since[history:] % WEEK_H, cells, local[history] % WEEK_H
    )


def grid(history: Floats, when: Calendar) -> Floats:
    """History counts (series, hours) on the calendar's slots, NaN where nothing was observed.

    Two hours that share a slot, as when clocks go back, count as their mean.
    """
    placed = np.full((len(history), when.weeks * WEEK_H), np.nan)
    slots, first = np.unique(when.slots, return_index=True)
    placed[:, slots] = history[:, first]
    for again in np.setdiff1d(np.arange(len(when.slots)), first):
        old, new = placed[:, when.slots[again]], history[:, again]
        mean = (old + new) / 2
        placed[:, when.slots[again]] = np.where(
            np.isnan(old), new, np.where(np.isnan(new), old, mean)
        )
    return placed


def usual(placed: Floats, when: Calendar, season: Floats | None = None) -> tuple[Baseline, Floats]:
    """What is expected of each series, and its history as it was learned from.

    Args:
        placed: counts on the calendar's slots, (series, weeks * 168), NaN where not observed.
        when: the calendar.
        season: what a seasonal model says of each hour of the week, (weeks + 1, series, 168), in
            place of the mean over weeks; the last row is of the scored week. NaN for that mean.

    Returns:
        What is usual, and the counts (series, weeks * 168) with polluted weeks scaled down and 0
        where nothing was observed.

    Source:
        Two-stage empirical Bayes on SeasonalWindowAverage(168, weeks); the prior's weight is in
        hours of the series' own noise. Ours.
    """
    counts, seen = _weekly(np.nan_to_num(placed), when), _weekly(np.isfinite(placed), when)
    seen_cells = _cell_sums(seen, when)
    guarded = _guard(counts, seen, seen_cells, when)
    cells = _cell_sums(guarded, when)
    phases, seen_phases = _season_sums(guarded), _season_sums(seen)
    left_out = _expected(
        _told(season, slice(-1), _without_each(phases, guarded), _without_each(seen_phases, seen)),
        _without_each(seen_phases, seen),
        _without_each(cells.sum(axis=0), cells),
        _without_each(seen_cells.sum(axis=0), seen_cells),
        when,
    )
    last = _told(season, -1, phases, seen_phases)
    expected = _expected(last, seen_phases, cells.sum(axis=0), seen_cells.sum(axis=0), when)
    line = _in_line(guarded)
    levels = _levels(line, np.isfinite(placed), _in_line(left_out))
    lag = (len(when.scored) - 1) // DAY_H
    days = line.shape[1] // DAY_H
    past = levels[:, np.maximum(np.arange(days) - lag, 0)]
    history = np.maximum(_in_line(left_out) * np.repeat(past, DAY_H, axis=1), MIN_EXPECTED)
    scored = np.maximum(expected[:, when.scored] * levels[:, -1:], MIN_EXPECTED)
    return Baseline(history, scored, _mean_rate(phases, seen_phases)[:, 0]), line


def spread(placed: Floats, guarded: Floats, normal: Baseline, when: Calendar) -> Spread:
    """The two-part variance of each series, by weighted least squares on clipped residuals.

    Args:
        placed, guarded: history as given to, and returned by, `usual`.
        normal: what is usual.
        when: the calendar.

    Source:
        Ours: moments of `(y - mu) ** 2 - mu = a * mu + b * mu ** 2`, box-constrained.
    """
    mu, y = _weekly(normal.history, when), _weekly(guarded, when)
    seen = _weekly(np.isfinite(placed), when)
    weight = seen / (mu + _NOISE * normal.rate[:, None]) ** 2
    first, second = weight * mu, weight * mu**2
    squares = [(second).sum(-1), (second * mu).sum(-1), (second * mu**2).sum(-1)]
    busy = (y > 0).sum(-1).astype(float)
    all_busy = busy.sum(axis=0)
    a, b = np.full(len(placed), 1.0), np.full(len(placed), 0.3)
    for _ in range(3):
        at_most = mu + 5 * np.sqrt(mu * (1 + a[:, None]) + b[:, None] * mu**2)
        at_most += 3 * (1 + a[:, None])
        excess = (np.minimum(y, at_most) - mu) ** 2 - mu
        sides = [(first * excess).sum(-1), (second * excess).sum(-1)]
        a, b = _solve([moment.sum(axis=0) for moment in (*squares, *sides)])
        a, b = shrink(a, PRIOR_A, all_busy), shrink(b, PRIOR_B, all_busy)
    sums = [np.concatenate([_without_each(moment.sum(0), moment), moment.sum(0)[None]])
            for moment in (*squares, *sides)]  # fmt: skip
    a, b = _solve(sums)
    return Spread(a, b, np.concatenate([_without_each(all_busy, busy), all_busy[None]]))


def shrink(own: Floats, shared: Floats | float, busy: Floats) -> Floats:
    """A series' own estimate drawn to the shared one, the more the fewer hours it rests on.

    Arithmetic and not in logarithms, which would bias the estimate of sparse series low.
    """
    return (busy * own + _SERIES_PRIOR * shared) / (busy + _SERIES_PRIOR)


def _weekly(line: Floats | Bools, when: Calendar) -> Floats:
    by_week = line.reshape(len(line), when.weeks, WEEK_H).transpose(1, 0, 2)
    return np.ascontiguousarray(by_week, dtype=float)


def _in_line(weekly: Floats) -> Floats:
    weeks, series, hours = weekly.shape
    return np.ascontiguousarray(weekly.transpose(1, 0, 2)).reshape(series, weeks * hours)


def _without_each(total: Floats, weekly: Floats) -> Floats:
    """The total without each week in turn; the subtraction may leave a speck below zero."""
    return np.maximum(total - weekly, 0)


def _cell_sums(weekly: Floats, when: Calendar) -> Floats:
    """Sums over the hours of each cell, smoothed over the hours before and after."""
    days = np.roll(weekly, when.monday, axis=-1).reshape(*weekly.shape[:2], 7, DAY_H)
    sums = np.stack([days[..., :5, :].sum(axis=-2), days[..., 5:, :].sum(axis=-2)], axis=-2)
    smooth: Floats = sums / 2 + (np.roll(sums, 1, axis=-1) + np.roll(sums, -1, axis=-1)) / 4
    return smooth.reshape(*weekly.shape[:2], 2 * DAY_H)


def _guard(counts: Floats, seen: Floats, seen_cells: Floats, when: Calendar) -> Floats:
    """Counts with each cell of a week scaled down to what its other weeks make plausible.

    An attack that went on for some nights before it is hunted would otherwise be learned.
    """
    if when.weeks == 1:
        return counts
    there = seen_cells > 0
    rate = np.where(there, _cell_sums(counts, when) / np.where(there, seen_cells, 1), np.inf)
    middle = np.maximum(there.sum(axis=0) - 1, 0) // 2
    typical = np.take_along_axis(np.sort(rate, axis=0), middle[None], axis=0)[0]
    rate, typical = np.where(there, rate, 0), np.where(np.isfinite(typical), typical, 0)
    mean = _mean_rate(counts.sum(axis=0), seen.sum(axis=0))
    noise = 2 * np.maximum(typical, 0.1 * mean) + _NOISE * typical**2
    at_most = typical + 3 * np.sqrt(noise / np.maximum(seen_cells, 1))
    kept = np.where(rate > at_most, at_most / np.where(rate > 0, rate, 1), 1.0)
    return counts * kept[..., when.cells]


def _season_sums(weekly: Floats) -> Floats:
    """Sums over weeks of each series' hours of the week.

    It is statsforecast's SeasonalWindowAverage over all weeks, to the bit. A ratio of two such
    sums leaves out what was not observed.
    """
    sums: Floats = weekly.mean(axis=0) * len(weekly)
    return sums


def _told(season: Floats | None, weeks: slice | int, sums: Floats, seen: Floats) -> Floats:
    """What a model says, worth as much as the sums over the hours seen that it stands for."""
    if season is None:
        return sums
    told = season[weeks]
    return np.where(np.isfinite(told), told * seen, sums)


def _mean_rate(counts: Floats, seen: Floats) -> Floats:
    rate: Floats = (counts.sum(axis=-1) + 0.5) / (seen.sum(axis=-1) + 1)
    return rate[..., None]


def _expected(
    phases: Floats,
    seen_phases: Floats,
    cells: Floats,
    seen_cells: Floats,
    when: Calendar,
) -> Floats:
    """Hour of week drawn to its cell, and the cell to the series' mean.

    Sparse series become flat, busy ones keep their own hour of the week.
    """
    mean = _mean_rate(phases, seen_phases)
    weight = _CELL_HOURS * (2 + _NOISE * mean) / mean
    cell = (cells + weight * mean) / (seen_cells + weight)
    strength = _PHASE_HOURS * (2 + _NOISE * cell)
    prior, hours = strength[..., when.cells], (strength / cell)[..., when.cells]
    mixed: Floats = (phases + prior) / (seen_phases + hours)
    return mixed


def _levels(counts: Floats, seen: Bools, mu: Floats) -> Floats:
    """How busy the series was against its usual week just before each day, (series, days + 1).

    Recent days count more, an unobserved one not at all.
    """
    series, hours = counts.shape
    days = hours // DAY_H
    had = counts.reshape(series, days, DAY_H).sum(axis=-1)
    due = np.where(seen, mu, 0.0).reshape(series, days, DAY_H).sum(axis=-1)
    weight = due / (2 + _LEVEL_NOISE * due)
    ratio = np.minimum(had / np.where(due > 0, due, 1), _LEVEL_BOUNDS[1])
    above, below = np.full(series, _LEVEL_PRIOR), np.full(series, _LEVEL_PRIOR)
    levels = np.ones((series, days + 1))
    for day in range(days):
        above = _LEVEL_KEPT * (above - _LEVEL_PRIOR + weight[:, day] * ratio[:, day]) + _LEVEL_PRIOR
        below = _LEVEL_KEPT * (below - _LEVEL_PRIOR + weight[:, day]) + _LEVEL_PRIOR
        levels[:, day + 1] = above / below
    return np.clip(levels, *_LEVEL_BOUNDS)


def _solve(sums: list[Floats]) -> tuple[Floats, Floats]:
    """a and b of the normal equations, each within its bounds, by turns."""
    a11, a12, a22, b1, b2 = sums
    a11, a22 = np.where(a11 > 0, a11, 1), np.where(a22 > 0, a22, 1)
    b = np.full_like(b1, 0.1)
    for _ in range(4):
        a = np.clip((b1 - b * a12) / a11, *_A_BOUNDS)
        b = np.clip((b2 - a * a12) / a22, *_B_BOUNDS)
    return a, b
