"""A model of statsforecast says what an hour of the week holds; everything else stays ours."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.hunting.scoring import baseline, seasonal
from gundog.hunting.scoring.hour_scores import score
from tests import draws
from tests.test_hour_scores import office, same

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
DAY, WEEK = 24, 168
SEASONAL_NAIVE = {"SeasonalNaive": {"season_length": WEEK}}
SMOOTHED = {"SeasonalExponentialSmoothingOptimized": {"season_length": WEEK}}

laws = draws.law(10)


def calendar(history: int, scored: int = DAY) -> baseline.Calendar:
    return baseline.calendar(MONDAY, history, scored, "UTC")


@laws
@given(st.integers(1, 4), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_default_is_the_librarys_own_average(weeks: int, series: int, seed: int) -> None:
    """The sums over weeks are SeasonalWindowAverage(168 x series, weeks), equal to the bit."""
    from statsforecast.models import SeasonalWindowAverage

    weekly = np.random.default_rng(seed).gamma(0.2, 50, (weeks, series, WEEK))
    season = series * WEEK
    library = SeasonalWindowAverage(season_length=season, window_size=weeks)

    theirs = library.forecast(weekly.reshape(-1), h=season)["mean"]

    assert np.array_equal(theirs.reshape(series, WEEK) * weeks, baseline._season_sums(weekly))


@laws
@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_week_is_forecast_from_the_weeks_before_it(weeks: int, seed: int) -> None:
    """SeasonalNaive shows it: each week is told to be like the one before, and the first is not."""
    counts = office(3, weeks * WEEK, seed)
    when = calendar(weeks * WEEK)

    told = seasonal.seasons(counts, when, SEASONAL_NAIVE)

    placed = baseline.grid(counts, when)
    _, guarded = baseline.usual(placed, when)
    assert np.isnan(told.means[0]).all()
    by_week = guarded.reshape(3, weeks, WEEK).transpose(1, 0, 2)
    assert np.allclose(told.means[1:], by_week, rtol=1e-6)
    assert not told.failed.any()


def test_model_learns_nothing_from_scored_hours_and_series_nothing_from_each_other() -> None:
    """The two laws of scoring hold for each model: out of sample, and in every order."""
    counts = office(40, 3 * WEEK + DAY, 5)
    counts[:, 30:40] = np.nan
    other = counts.copy()
    other[:, -DAY:] = 1e6
    order = np.random.default_rng(1).permutation(40)

    plain, changed, moved = (
        score(these, MONDAY, DAY, model=SMOOTHED) for these in (counts, other, counts[order])
    )

    assert np.array_equal(plain.expected, changed.expected)
    assert np.array_equal(plain.upper, changed.upper)
    assert same(plain, moved, order)


def test_processes_give_what_one_gives() -> None:
    """Series that are shared among processes come back in their order, equal to the bit."""
    counts = office(seasonal._WORTH_PROCESSES + 3, 2 * WEEK, 9)
    alone, shared = (
        seasonal.seasons(counts, calendar(2 * WEEK), SMOOTHED, jobs) for jobs in (1, 2)
    )

    assert np.array_equal(alone.means, shared.means, equal_nan=True)


def test_model_changes_what_is_expected() -> None:
    """An hour that was busy in the last week alone is more to a model that looks only there."""
    counts = np.full((1, 4 * WEEK + DAY), 2.0)
    counts[0, 3 * WEEK + 3] = 5

    plain = score(counts, MONDAY, DAY, pool=False).expected[0]
    naive = score(counts, MONDAY, DAY, pool=False, model=SEASONAL_NAIVE).expected[0]

    assert naive[3] > plain[3] + 0.5
    assert np.allclose(np.delete(naive, 3), np.delete(plain, 3), rtol=0.05)


def test_series_that_a_model_cannot_fit_have_the_default() -> None:
    """Where statsforecast fails for a series, the mean over weeks stands in, and it is counted."""
    counts = office(4, 3 * WEEK, 2, mean=30) + 1
    counts[1] = 0  # Theta with a multiplicative season divides by it
    model = {"Theta": {"season_length": DAY}}
    when = calendar(3 * WEEK)
    whole = np.concatenate([counts, np.zeros((4, DAY))], axis=1)

    told = seasonal.seasons(counts, when, model)
    scores = score(whole, MONDAY, DAY, pool=False, model=model)

    default = score(whole, MONDAY, DAY, pool=False)
    failed = np.flatnonzero(told.failed)
    assert scores.unfitted == len(failed)
    assert np.array_equal(scores.expected[failed], default.expected[failed])
    assert np.isfinite(scores.expected).all()


def test_model_that_fails_for_all_is_an_error_with_its_own_words() -> None:
    """Arguments that only fitting can judge: what the library says, and under which key."""
    counts = office(2, 3 * WEEK, 2)

    with pytest.raises(seasonal.ModelError, match=r"series\.model: AutoETS: .+"):
        seasonal.seasons(counts, calendar(3 * WEEK), {"AutoETS": {"model": "QQQ"}})
