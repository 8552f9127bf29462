"""Windows of surprise of many series: of history's nights, and of the scored hours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gundog.hunting.scoring import baseline, chunks, seasonal, surprise
from gundog.hunting.scoring.baseline import DAY_H, WEEK_H, Bools, Calendar, Floats, Spread
from gundog.hunting.scoring.newness import Rarities
from gundog.hunting.scoring.seasonal import Seasons
from gundog.hunting.scoring.surprise import WINDOWS_H


@dataclass(frozen=True)
class Windows:
    """Windows of surprise of each series, -inf where they do not pass.

    `nights` holds history's nights, the highest of each by channel, (series, nights, channels),
    NaN where not usable. `plain` is the same, whether they pass or not, of the history that was
    learned from, without what pollutes it. `scored` are those of the scored hours, (series, scored,
    channels), and `due` what is expected over each channel's window. `new` are the windows of the
    hours in which something was new, (n, channels), and `excess` how much more than expected the
    three hours up to them counted, (n,).
    """

    plain: Floats
    nights: Floats
    scored: Floats
    expected: Floats
    due: Floats
    new: Floats
    excess: Floats


def windows(
    counts: Floats,
    when: Calendar,
    spread: Spread,
    usable: Bools,
    season: Seasons | None,
    jobs: int,
    rare: Rarities,
) -> Windows:
    """The windows of all series, which `spread` says how to take.

    Args:
        counts: as `hour_scores.score` takes them.
        when: the calendar.
        spread: the variance of three hours' count.
        usable: history's nights that calibration may use, (series, nights).
        season: what a seasonal model says; None for the default.
        jobs: how many cores it may use.
        rare: the hours in which something was new.
    """
    series, scored, channels = len(counts), len(when.scored), len(WINDOWS_H)
    plain, nights = (np.full((*usable.shape, channels), np.nan) for _ in range(2))
    last, due = (np.zeros((series, scored, channels)) for _ in range(2))
    expected = np.zeros((series, scored))
    new, excess = np.zeros((len(rare.rows), channels)), np.zeros(len(rare.rows))

    def judge(rows: slice) -> None:
        placed = baseline.grid(counts[rows, :-scored], when)
        normal, learned = baseline.usual(placed, when, seasonal.of(season, rows))
        y = np.concatenate([placed, counts[rows, -scored:]], axis=1)
        mu = np.concatenate([normal.history, normal.scored], axis=1)
        a, b = _by_hour(spread, rows, scored)
        had, of_three = surprise.threes(y, mu)
        threes = surprise.surprise(had, of_three, a, b)
        sums = surprise.channels(threes)
        plain[rows] = _nightly(sums[:, :-scored], usable[rows])
        sums = np.where(surprise.passes(y, mu), sums, -np.inf)
        nights[rows] = _nightly(sums[:, :-scored], usable[rows])
        last[rows], expected[rows] = sums[:, -scored:], normal.scored
        mine = rare.of(rows)
        at = rare.rows[mine] - rows.start, rare.places[mine]
        new[mine], excess[mine] = sums[at], (had - of_three)[at]
        due[rows] = surprise.over_windows(mu)[:, -scored:]
        y[:, :-scored] = np.where(np.isnan(placed), np.nan, learned)
        # Weeks are scaled down here and there: what stays as it was is not computed twice.
        had_then, _ = surprise.threes(y, mu)
        others = had_then != had
        threes[others] = surprise.surprise(had_then[others], of_three[others], a[others], b[others])
        scaled = others.any(axis=1)
        sums = surprise.channels(threes[scaled])
        plain[rows][scaled] = _nightly(sums[:, :-scored], usable[rows][scaled])

    chunks.each(judge, series, jobs)
    return Windows(plain, nights, last, expected, due, new, excess)


def _nightly(windows: Floats, nights: Bools) -> Floats:
    """The highest window of each night by channel, NaN where the night is not usable."""
    highest = windows.reshape(*nights.shape, DAY_H, windows.shape[-1]).max(axis=2)
    return np.where(nights[..., None], highest, np.nan)


def _by_hour(spread: Spread, rows: slice, scored: int) -> tuple[Floats, Floats]:
    """a and b of every hour: history's from the other weeks, the scored hours' from all."""
    repeats = [WEEK_H] * (len(spread.a) - 1) + [scored]
    return (
        np.repeat(spread.a[:, rows].T, repeats, axis=1),
        np.repeat(spread.b[:, rows].T, repeats, axis=1),
    )
