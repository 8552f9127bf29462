"""Kusto's functions and operators: every number its documentation prints, and what follows."""

from __future__ import annotations

import cmath
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gundog.hunting.scoring import kql, kql_periods
from tests import draws

NAN = float("nan")
HALF_DAYS = [
    80, 139, 87, 110, 68, 54, 50, 51, 53, 133, 86, 141, 97, 156, 94, 149, 95, 140, 77, 61, 50, 54,
    47, 133, 72, 152, 94, 148, 105, 162, 101, 160, 87, 63, 53, 55, 54, 151, 103, 189, 108, 183, 113,
    175, 113, 178, 90, 71, 62, 62, 65, 165, 109, 181, 115, 182, 121, 178, 114, 170,
]  # fmt: skip
INSERTED = {150: -1, 200: -1, 300: 1, 400: 1, 600: 1, 780: -1}


# Numbers that Kusto's documentation and its author print.


def test_outlier_scores_are_kustos_to_the_last_digit() -> None:
    """Four scores printed by Kusto in full agree to one part in 10^15."""
    x = [-3, 2.4, 15, 3.9, 5, 6, 4.5, 5.2, 3, 4, 5, 16, 7, 5, 5, 4]
    expected = np.zeros(16)
    expected[[0, 1, 2, 11]] = [
        -1.904078548360857,
        -0.10021466044004519,
        1.3361954725339347,
        1.6702443406674186,
    ]

    np.testing.assert_allclose(kql.series_outliers(x), expected, rtol=1e-15, atol=0)


def test_fit_line_gives_the_documented_line() -> None:
    """Every field agrees to the three digits the documentation prints, cut or rounded."""
    fit = kql.series_fit_line([2, 5, 6, 8, 11, 15, 17, 18, 25, 26, 30, 30])
    printed = [1.064, 3.7945, 6.526, 9.256, 11.987, 14.718]
    printed += [17.449, 20.18, 22.91, 25.641, 28.371, 31.102]

    assert tuple(math.trunc(v * 1e3) / 1e3 for v in fit[:5]) == (0.982, 2.73, 98.628, 1.686, -1.666)
    np.testing.assert_allclose(fit.line_fit, printed, atol=0.0011, rtol=0)


@pytest.mark.parametrize(
    ("x", "period", "expected"),
    [
        ([2, 5, *[3, 4, 3, 2, 1, 2] * 3, 3, 4, 3, 2, 1], -1, [*[1, 2, 3, 4, 3, 2] * 4, 1]),
        ([8, 12, 14, 12, 10, *[10, 12, 14, 12, 10] * 3], -1, [10, 12, 14, 12, 10] * 4),
        ([1, 3, 5, 2, 4, 6] * 2, -1, [0] * 12),
        ([1, 3, 5, 1, 3, 5, 2, 4, 6], 3, [1, 3, 5] * 3),
        ([1, 3, 5, 2, 4, 6] * 2, 3, [1.5, 3.5, 5.5] * 4),
    ],
    ids=["detects six", "detects five", "half the series is too long", "median", "even median"],
)
def test_seasonal_gives_the_documented_series(
    x: list[float], period: int, expected: list[float]
) -> None:
    """All five series of the documentation, exactly."""
    assert expected == kql.series_seasonal(x, period).tolist()


def test_periods_detect_finds_the_documented_week() -> None:
    """A period of 14 with a score that is cut to 0.84, and no second one."""
    found = kql_periods.series_periods_detect(HALF_DAYS, 0.0, 50.0, 2)

    assert found.periods.tolist() == [14.0, 0.0]
    assert [math.floor(score * 100) / 100 for score in found.scores] == [0.84, 0.0]


def test_periods_validate_knows_the_week_and_refuses_five_days() -> None:
    """The documented scores of 14 and 10, cut to two digits."""
    found = kql_periods.series_periods_validate(HALF_DAYS, 14.0, 10.0)

    assert found.periods.tolist() == [14.0, 10.0]
    assert [math.floor(score * 100) / 100 for score in found.scores] == [0.84, 0.0]


def test_fill_linear_gives_the_documented_series() -> None:
    """Inner gaps lie on a line, ends take their neighbour, to three digits."""
    x = [None, 111, None, 36, 41, None, None, 16, 61, 33, None, None]
    expected = [111, 111, 73.5, 36, 41, 32.667, 24.333, 16, 61, 33, 33, 33]

    assert expected == kql.series_fill_linear(x).round(3).tolist()


def charted(seed: int, weekend: float, slope: float) -> np.ndarray:
    """A series made as the documentation's charts are: five weeks of hours, six points moved."""
    t = np.arange(1, 841)
    noise = 2 * np.random.default_rng(seed).random(840)
    y = noise + np.where(t // 24 % 7 >= 5, weekend, 15.0) - (t % 24 // 10) ** 2 + slope * t
    for at, sign in INSERTED.items():
        y[at - 1] += 8 * sign
    return np.asarray(y)


def flagged(x: np.ndarray, **options: Any) -> list[dict[int, int]]:
    """The flags of each row, by the number of the point counted from 1."""
    flags = kql.series_decompose_anomalies(x, **options).anomalies
    return [{int(i) + 1: int(row[i]) for i in np.flatnonzero(row)} for row in flags]


def test_weekly_chart_shows_the_six_inserted_points() -> None:
    """Each is flagged, they lead all other scores, and four are as high as the chart draws them."""
    x = np.stack([charted(seed, 10, 0) for seed in range(20)])
    score = kql.series_decompose_anomalies(x).score
    drawn = score[:, [149, 199, 399, 779]]

    assert all(INSERTED.items() <= flags.items() for flags in flagged(x))
    assert np.array_equal(
        np.sort(np.argsort(-np.abs(score))[:, :6] + 1), np.tile([*INSERTED], (20, 1))
    )
    np.testing.assert_allclose(np.median(drawn, axis=0), [-14, -13, 13.5, -11.5], atol=2.5)


def test_period_of_the_charts_is_a_week_with_and_without_trend() -> None:
    """168 hours beat 24 and 336, with a score that counts."""
    x = [charted(seed, 10, 0) for seed in range(20)]
    x += [charted(seed, 5, 1 / 72) for seed in range(20)]
    found = kql_periods.series_periods_detect(x, 4, 420, 1)

    assert {168.0} == set(found.periods[:, 0].tolist())
    assert found.scores.min() > 0.6


def test_trended_chart_without_a_line_misses_three_points() -> None:
    """The chart's three flags and no others are what noise gives more often than anything else."""
    x = np.stack([charted(seed, 5, 1 / 72) for seed in range(60)])
    found = [tuple(flags.items()) for flags in flagged(x, trend="avg")]

    assert statistics.mode(found) == ((150, -1), (200, -1), (600, 1))


def test_trended_chart_with_a_line_flags_four_points_of_noise() -> None:
    """Of the points nobody moved, those that the chart flags are those flagged most often."""
    x = np.stack([charted(seed, 5, 1 / 72) for seed in range(60)])
    noise = [at for flags in flagged(x, trend="linefit") for at in flags if at not in INSERTED]

    assert {132, 468, 636, 804} == {at for at, _ in Counter(noise).most_common(4)}


def test_trended_chart_with_a_line_and_higher_threshold_finds_all_six() -> None:
    """Nothing but noise is added: at most a few flags more in each case."""
    x = np.stack([charted(seed, 5, 1 / 72) for seed in range(40)])
    found = flagged(x, threshold=2.5, trend="linefit")
    complete = [flags for flags in found if INSERTED.items() <= flags.items()]

    assert len(complete) >= 38
    assert sum(len(flags) - 6 for flags in complete) / len(complete) < 1.0


# The same in plain loops, one series at a time, written apart from the arrays.


def plain_fill(x: Sequence[float]) -> list[float]:
    known = [i for i, v in enumerate(x) if not math.isnan(v)]
    filled = []
    for i, value in enumerate(x):
        left = max((k for k in known if k < i), default=None)
        right = min((k for k in known if k > i), default=None)
        if not math.isnan(value):
            filled.append(value)
        elif left is not None and right is not None:
            filled.append(x[left] + (x[right] - x[left]) * (i - left) / (right - left))
        else:
            filled.append(x[next(k for k in (left, right) if k is not None)] if known else 0.0)
    return filled


def plain_line(x: Sequence[float], length: int) -> list[float]:
    points = [(i, v) for i, v in enumerate(x, 1) if not math.isnan(v)]
    if not points:
        return [NAN] * length
    if len(points) == 1:
        return [points[0][1]] * length
    slope, start = statistics.linear_regression(*zip(*points, strict=True))
    return [start + slope * i for i in range(1, length + 1)]


def plain_period_scores(x: Sequence[float]) -> dict[int, float]:
    n = len(x)
    left = [v - fit for v, fit in zip(x, plain_line(x, n), strict=True)]
    kept = [k for k in range(n) if 4 * min(k, n - k) <= n]
    turn = [cmath.exp(2j * cmath.pi * k / n) for k in range(n)]
    waves = {k: sum(v / turn[k * i % n] for i, v in enumerate(left)) for k in kept}
    left = [sum(waves[k] * turn[k * i % n] for k in kept).real / n for i in range(n)]
    energy = sum(v * v for v in left)
    if energy <= n * (1e-12 * max(map(abs, x), default=0)) ** 2:
        return {}
    score = [
        round(sum(left[i] * left[i + lag] for i in range(n - lag)) / energy, 15)
        * (1 + n / (n - lag))
        / 2
        for lag in range(n)
    ]
    score = [round(v, 9) for v in score]
    lags = [k for k in range(4, n // 2 + 1) if score[k - 1] < score[k] >= score[k + 1]]
    return {lag: min(score[lag], 1.0) for lag in lags if score[lag] > 0}


def plain_periods(x: Sequence[float], count: int) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    ranked = sorted(plain_period_scores(x).items(), key=lambda item: (-item[1], item[0]))
    for lag, score in ranked:
        if len(found) < count and all(lag % period for period, _ in found):
            found.append((lag, score))
    return found + [(0, 0.0)] * (count - len(found))


def plain_seasonal(x: Sequence[float], period: int, length: int) -> list[float]:
    known = [v for v in x if not math.isnan(v)]
    seasonal = []
    for i in range(length):
        phase = [v for k, v in enumerate(x) if k % period == i % period and not math.isnan(v)]
        seasonal.append(statistics.median(phase or known or [NAN]))
    return seasonal


def plain_percentile(values: Sequence[float], percent: int) -> float:
    if len(values) < 2:
        return values[0] if values else NAN
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def plain_anomalies(
    x: Sequence[float], threshold: float, seasonality: int, trend: str, held: int, method: str
) -> tuple[list[int], list[float], list[float]]:
    n = len(x)
    learned = x[: max(n - held, 0)]
    period = seasonality
    if seasonality == -1:
        period, score = plain_periods(plain_fill(learned), 1)[0]
        period = period if score >= 0.6 else 0
    seasonal = plain_seasonal(learned, period, n) if period else [0.0] * n
    rest = [v - s for v, s in zip(learned, seasonal, strict=False)]
    known = [v for v in rest if not math.isnan(v)]
    level = {
        "none": [0.0] * n,
        "avg": [statistics.fmean(known) if known else NAN] * n,
        "linefit": plain_line(rest, n),
    }[trend]
    baseline = [s + v for s, v in zip(seasonal, level, strict=True)]
    residual = [v - b for v, b in zip(x, baseline, strict=True)]
    left = [v for v in residual if not math.isnan(v)]
    low, high = (plain_percentile(left, p) for p in ((10, 90) if method == "ctukey" else (25, 75)))
    factor = 2.772605605507915 if method == "ctukey" else 1.0
    noise = 1e-12 * max((abs(v) for v in x if not math.isnan(v)), default=0)
    scores = []
    for value in residual:
        near = high if value > high else low if value < low else value
        usable = not math.isnan(value) and high - low > noise
        scores.append(factor * (value - near) / (high - low) if usable else 0.0)
    flags = [int(s > threshold) - int(s < -threshold) for s in scores]
    return flags, scores, baseline


counts = st.integers(0, 50).map(float)
sparse = st.sampled_from([0.0, 0.0, 0.0, 1.0, 7.0])
shapes = st.sampled_from([counts, sparse, counts | st.just(NAN), st.just(5.0), st.just(0.0)])
loose = shapes.flatmap(lambda value: st.lists(value, max_size=40))


@st.composite
def periodic(draw: st.DrawFn) -> list[float]:
    """A pattern repeated, with a few points moved or unknown and perhaps a slope."""
    pattern = draw(st.lists(counts, min_size=4, max_size=8))
    length = draw(st.integers(12, 48))
    slope = draw(st.sampled_from([0.0, 0.5, 3.0]))
    x = [pattern[i % len(pattern)] + slope * i for i in range(length)]
    for at in draw(st.lists(st.integers(0, length - 1), max_size=4)):
        x[at] += draw(counts | st.just(NAN))
    return x


series = loose | periodic()


@given(
    x=series,
    threshold=st.sampled_from([0.0, 1.5, 3.0]),
    seasonality=st.sampled_from([-1, -1, 0, 1, 3, 7, 24, 60]),
    trend=st.sampled_from(kql.TRENDS),
    held=st.sampled_from([0, 0, 1, 5, 100]),
    method=st.sampled_from(kql.OUTLIER_KINDS),
)
@example(x=[], threshold=1.5, seasonality=-1, trend="linefit", held=0, method="ctukey")
@example(x=[NAN] * 9, threshold=1.5, seasonality=3, trend="avg", held=0, method="ctukey")
@example(x=[1.0, 5.0], threshold=1.5, seasonality=3, trend="avg", held=2, method="tukey")
def test_anomalies_are_those_of_plain_loops(
    x: list[float], threshold: float, seasonality: int, trend: str, held: int, method: str
) -> None:
    """Flags, scores and baselines agree for any series, seasonality, trend and test points."""
    flags, scores, baseline = plain_anomalies(x, threshold, seasonality, trend, held, method)
    found = kql.series_decompose_anomalies(x, threshold, seasonality, trend, held, method)

    np.testing.assert_allclose(found.baseline, baseline, atol=1e-8)
    np.testing.assert_allclose(found.score, scores, rtol=1e-6, atol=1e-8)
    # Noise of one sum or another decides where a score meets the threshold.
    clear = [abs(abs(score) - threshold) > 1e-6 for score in scores]
    assert [f for f, c in zip(flags, clear, strict=True) if c] == found.anomalies[clear].tolist()


@given(x=series)
@example(x=[1.0, 0.0] * 12)
@example(x=[float(i) for i in range(40)])
@example(x=[1e6 + (i % 5 == 0) for i in range(40)])
def test_periods_are_those_of_plain_loops(x: list[float]) -> None:
    """Periods, their order and their scores agree for any series."""
    expected = plain_periods(plain_fill(x), 3)
    found = kql_periods.series_periods_detect(x, 0, 1000, 3)

    assert [period for period, _ in expected] == found.periods.tolist()
    np.testing.assert_allclose(found.scores, [score for _, score in expected], atol=2e-9)


@given(x=series)
def test_filling_is_that_of_plain_loops(x: list[float]) -> None:
    """Filled series agree and hold no null."""
    np.testing.assert_allclose(kql.series_fill_linear(x), plain_fill(x), atol=1e-12)


# Laws, edges and refusals.


@given(rows=st.integers(1, 40).flatmap(lambda n: st.lists(st.lists(
    counts | st.just(NAN), min_size=n, max_size=n), min_size=1, max_size=4)))  # fmt: skip
def test_a_row_gives_what_it_gives_alone(rows: list[list[float]]) -> None:
    """No function lets one series touch another, and shapes follow x."""
    together = [
        *kql.series_decompose_anomalies(rows, trend="linefit"),
        *kql.series_decompose(rows, test_points=2),
        *kql.series_fit_line(rows),
        *kql_periods.series_periods_detect(rows, 0, 20, 2),
        *kql_periods.series_periods_validate(rows, 4, 9.2, 400),
        kql.series_outliers(rows, "tukey"),
        kql.series_seasonal(rows, 5, 1),
        kql.series_fill_linear(rows),
    ]
    for number, row in enumerate(rows):
        alone = [
            *kql.series_decompose_anomalies(row, trend="linefit"),
            *kql.series_decompose(row, test_points=2),
            *kql.series_fit_line(row),
            *kql_periods.series_periods_detect(row, 0, 20, 2),
            *kql_periods.series_periods_validate(row, 4, 9.2, 400),
            kql.series_outliers(row, "tukey"),
            kql.series_seasonal(row, 5, 1),
            kql.series_fill_linear(row),
        ]
        for one, all_rows in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one, all_rows[number])


@given(x=st.lists(counts, min_size=1, max_size=40), trend=st.sampled_from(kql.TRENDS))
def test_decomposition_adds_up(x: list[float], trend: str) -> None:
    """Seasonal + trend = baseline, baseline + residual = x."""
    parts = kql.series_decompose(x, trend=trend)

    np.testing.assert_allclose(parts.seasonal + parts.trend, parts.baseline)
    np.testing.assert_allclose(parts.baseline + parts.residual, x, atol=1e-9)


@given(
    x=st.lists(counts, min_size=1, max_size=40),
    scale=st.sampled_from([2.0**-40, 0.25, 8.0, 2.0**40]),
)
def test_scores_do_not_depend_on_the_unit(x: list[float], scale: float) -> None:
    """Counting in thousands or in millionths changes no score and no flag."""
    once = kql.series_decompose_anomalies(x, trend="linefit")
    scaled = kql.series_decompose_anomalies([v * scale for v in x], trend="linefit")

    np.testing.assert_array_equal(once.score, scaled.score)
    np.testing.assert_array_equal(once.anomalies, scaled.anomalies)


@pytest.mark.parametrize(
    ("length", "trend", "value"),
    draws.spread(product(range(6), kql.TRENDS, (0.0, 0.1, 1e9 / 3, -7.0, NAN)), every=7),
)
def test_a_flat_short_or_unknown_series_has_no_anomaly(
    length: int, trend: str, value: float
) -> None:
    """Of no length and at no level does rounding turn into a score."""
    for size in (length, 300 + length):
        found = kql.series_decompose_anomalies([value] * size, 0.0, -1, trend)

        assert [0.0] * size == found.score.tolist()
        assert [0] * size == found.anomalies.tolist()


@pytest.mark.parametrize("length", [300, 312, 8760])
@pytest.mark.parametrize(("level", "slope"), [(1e6, 0.1), (0.3, 1e-5), (0.0, 7.7)])
def test_a_line_has_neither_anomaly_nor_period(length: int, level: float, slope: float) -> None:
    """What a fitted line leaves of a line is rounding, and scores nothing."""
    x = level + slope * np.arange(length)

    assert not kql.series_decompose_anomalies(x, 0.0, 0, "linefit").score.any()
    assert not kql_periods.series_periods_detect(x, 0, 500, 1).scores.any()


def test_equal_percentiles_give_no_score() -> None:
    """One spike among zeros cannot be scored, in the middle of a fitted line either."""
    spike = [0.0] * 15 + [500.0] + [0.0] * 15

    assert not kql.series_outliers(spike).any()
    assert not kql.series_decompose_anomalies(spike, 1.5, 0, "avg").anomalies.any()
    assert not kql.series_decompose_anomalies(spike, 1.5, 0, "linefit").anomalies.any()
    assert kql.series_outliers([0.0, 1.0] * 20 + [500.0])[-1] > 100


def test_an_enormous_point_does_not_pass_for_an_empty_range() -> None:
    """A spread of one counts beside a point of a hundred thousand million."""
    assert kql.series_outliers([0.0, 1.0] * 20 + [1e11])[-1] > 1e11


def test_nulls_are_left_out_and_score_nothing() -> None:
    """The other scores are those of the series without its nulls."""
    x = [3, None, 4, 5, float("inf"), 9, 4, -1, NAN, -2.5]
    found = kql.series_outliers(x)
    known = [0, 2, 3, 5, 6, 9]

    assert found[[1, 4, 8]].tolist() == [0.0] * 3
    assert kql.series_outliers(x, ignore_val=-1)[[1, 4, 7, 8]].tolist() == [0.0] * 4
    np.testing.assert_array_equal(
        kql.series_outliers(x, ignore_val=-1)[known], kql.series_outliers([3, 4, 5, 9, 4, -2.5])
    )


def test_a_null_hour_changes_no_other_baseline() -> None:
    """A gap in a daily pattern is learned from the other days."""
    x = np.tile(np.arange(24.0), 13)
    x[100] = NAN
    found = kql.series_decompose_anomalies(x)

    np.testing.assert_allclose(found.baseline, np.tile(np.arange(24.0), 13), atol=1e-12)
    assert not found.anomalies.any()


def test_test_points_are_not_learned_from() -> None:
    """A flood in the last day moves no baseline, and each of its hours is flagged."""
    x = np.tile(np.arange(24.0), 13) + np.random.default_rng(1).random(312)
    x[-24:] += 100
    blind = kql.series_decompose_anomalies(x, 1.5, 24, "linefit", test_points=24)
    quiet = kql.series_decompose_anomalies(x[:-24], 1.5, 24, "linefit")

    np.testing.assert_array_equal(blind.baseline[:-24], quiet.baseline)
    assert abs(blind.baseline[-24:] - np.arange(24.0)).max() < 2
    assert blind.anomalies[-24:].all()


def test_a_score_equal_to_the_threshold_raises_no_flag() -> None:
    """Only what lies beyond the threshold is flagged, on both sides."""
    x = [-50.0, 0.0, 1.0, 2.0, 3.0, 53.0]
    score = kql.series_decompose_anomalies(x, 1.5, 0, "none").score
    top = float(score[-1])

    assert top > 0
    for threshold, last in ((top, 0), (np.nextafter(top, 0), 1)):
        assert (
            last
            == kql.series_decompose_anomalies(x, float(threshold), 0, "none").anomalies[-1].item()
        )


def test_season_is_taken_before_the_trend() -> None:
    """The seasonal part keeps the level, so that the trend lies around zero."""
    parts = kql.series_decompose([10.0, 20, 30, 40] * 10, 4, "linefit")

    assert parts.seasonal[:4].tolist() == [10.0, 20.0, 30.0, 40.0]
    np.testing.assert_allclose(parts.trend, 0, atol=1e-12)


def test_neither_season_nor_trend_leaves_everything() -> None:
    """The baseline is 0 and the residual is x."""
    parts = kql.series_decompose([3.0, 9.0, 4.0], seasonality=0, trend="none")

    assert parts.baseline.tolist() == [0.0] * 3
    assert parts.residual.tolist() == [3.0, 9.0, 4.0]


def test_a_week_cannot_be_detected_in_thirteen_days_but_can_be_given() -> None:
    """Half of 312 hours is 156, so only an explicit 168 sees quiet weekends."""
    hours = np.arange(312)
    x = (hours // 24 % 7 < 5) * (10.0 + hours % 24)

    assert 168 not in kql_periods.series_periods_detect(x, 0, 312, 5).periods
    assert 168 in kql_periods.series_periods_detect(np.tile(x[:168], 4), 0, 336, 5).periods
    np.testing.assert_array_equal(kql.series_seasonal(x, 168), x)


def test_detected_period_stays_between_the_given_lengths() -> None:
    """The daily period is found from 24 to 24, and not from 25 on or up to 23."""
    x = np.tile(np.arange(24.0), 13)

    assert kql_periods.series_periods_detect(x, 24, 24, 1).periods.tolist() == [24.0]
    assert 24.0 not in kql_periods.series_periods_detect(x, 25, 100, 2).periods
    assert 24.0 not in kql_periods.series_periods_detect(x, 0, 23, 2).periods


def test_a_threshold_above_the_score_means_no_season() -> None:
    """The week of the documentation counts at 0.84 and not at 0.85, in both functions."""
    for threshold, seasonal in ((0.84, True), (0.85, False)):
        assert seasonal == kql.series_seasonal(HALF_DAYS, threshold=threshold).any()
        parts = kql.series_decompose(HALF_DAYS, seasonality_threshold=threshold)
        assert seasonal == parts.seasonal.any()


def test_seasonal_of_no_period_is_zero() -> None:
    """Kusto gives zeros for 0 and for numbers below -1."""
    for period in (0, -2):
        assert kql.series_seasonal([1.0, 2.0, 1.0, 2.0], period).tolist() == [0.0] * 4


def test_the_least_score_is_included() -> None:
    """A detected period counts when its score is the threshold, and not a hair below it."""
    score = float(kql_periods.series_periods_detect(HALF_DAYS, 0, 30, 1).scores[0])

    assert kql.series_seasonal(HALF_DAYS, threshold=score).any()
    assert not kql.series_seasonal(HALF_DAYS, threshold=float(np.nextafter(score, 1))).any()


def test_period_scores_hold_no_rounding_noise() -> None:
    """In another unit and from another zero, a series has the very same scores."""
    moved = [[v * unit / 7 + 0.1 for v in HALF_DAYS] for unit in range(1, 50)]
    scores = kql_periods.series_periods_detect(moved, 0, 30, 1).scores

    assert set(scores[:, 0].tolist()) == set(
        kql_periods.series_periods_detect(HALF_DAYS, 0, 30, 1).scores.tolist()
    )


def test_period_scores_end_at_one() -> None:
    """A wave that swells in the middle correlates above 1 before it is cut."""
    hours = np.arange(80)
    wave = np.sin(np.pi * (hours + 1) / 81) * np.cos(2 * np.pi * hours / 8)

    assert kql_periods.series_periods_detect(wave, 4, 40, 1).scores.tolist() == [1.0]


def test_validate_rounds_periods_and_gives_zero_outside_the_bounds() -> None:
    """13.6 and 14.4 are 14; below 4 and above half the series nothing is a period."""
    week = kql_periods.series_periods_detect(HALF_DAYS, 0, 30, 1).scores[0]
    found = kql_periods.series_periods_validate(HALF_DAYS, 13.6, 14.4, -46, 0, 3, 42, 60, 1e6)

    assert found.scores.tolist() == [week, week, 0, 0, 0, 0, 0, 0]


def test_period_or_test_points_beyond_the_series_are_its_length() -> None:
    """Every point is its own phase; nothing is left to learn from."""
    x = [3.0, 1.0, 4.0, 1.0, 5.0]

    assert kql.series_seasonal(x, 10**12).tolist() == x
    for held in (5, 6, 9):
        assert np.isnan(kql.series_decompose(x, test_points=held).baseline).all()


@pytest.mark.parametrize("x", [[7.0], [7.0, 7.0, 7.0], [None, 7.0, None]])
def test_line_through_a_level_series_is_level_and_fits(x: list[float | None]) -> None:
    """Slope 0, no variance, rsquare 1."""
    fit = kql.series_fit_line(x)

    assert tuple(float(v) for v in fit[:5]) == (1.0, 0.0, 0.0, 0.0, 7.0)
    assert [7.0] * len(x) == fit.line_fit.tolist()


@pytest.mark.parametrize("length", draws.spread(range(2, 40)))
def test_rounding_in_a_level_series_is_no_variance(length: int) -> None:
    """rsquare is 1 where the mean of equal values is not quite that value."""
    assert kql.series_fit_line([1.1] * length).rsquare == 1.0


def test_line_through_nothing_is_unknown() -> None:
    """No number is made up for a series without points."""
    for x in ([], [None, None]):
        fit = kql.series_fit_line(x)

        assert all(np.isnan(v).all() for v in fit)
        assert len(x) == len(fit.line_fit)


def test_other_percentiles_are_scaled_for_a_normal_series() -> None:
    """A Tukey fence of normal data scores 1.5 whatever the percentiles."""
    x = [statistics.NormalDist().inv_cdf(i / 4002) for i in range(1, 4002)]
    fence = 4 * statistics.NormalDist().inv_cdf(0.75)

    for kind, low, high in (("ctukey", 5, 95), ("ctukey", 20, 80), ("tukey", 2, 98)):
        score = kql.series_outliers([*x, fence], kind, None, low, high)[-1]
        assert score == pytest.approx(1.5, rel=2e-3)


def test_of_no_series_there_is_nothing() -> None:
    """No rows in, no rows out, and the width stays."""
    none = np.zeros((0, 30))

    assert [part.shape for part in kql.series_decompose_anomalies(none)] == [(0, 30)] * 3
    assert kql_periods.series_periods_detect(none, 0, 15, 2).scores.shape == (0, 2)
    assert kql.series_outliers(np.zeros((3, 0))).shape == (3, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": -1}, "threshold must be 0 or more, not -1"),
        ({"threshold": NAN}, "threshold must be 0 or more, not nan"),
        ({"seasonality": -2}, "seasonality must be -1, 0 or a whole number, not -2"),
        ({"seasonality": 2.5}, "seasonality must be -1, 0 or a whole number, not 2.5"),
        ({"trend": "line"}, "trend must be one of avg, linefit, none, not 'line'"),
        ({"test_points": -1}, "test_points must be 0 or more, not -1"),
        ({"ad_method": "iqr"}, "kind must be one of ctukey, tukey, not 'iqr'"),
    ],
)
def test_unknown_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    """The message names the argument, what it may be and what it was."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        kql.series_decompose_anomalies([1.0, 2.0], **options)

    assert message == str(caught.value)


def test_percentiles_and_shapes_that_mean_nothing_are_refused() -> None:
    """Percentiles outside 2 to 98 or upside down, a negative count, a cube."""
    for low, high in ((1, 90), (10, 99), (90, 10), (50, 50)):
        with pytest.raises(ValueError, match=r"must rise and lie in \[2, 98\]"):
            kql.series_outliers([1.0], "ctukey", None, low, high)
    with pytest.raises(ValueError, match="num_periods must be 0 or more"):
        kql_periods.series_periods_detect([1.0], 0, 1, -1)
    for x in (5.0, np.zeros((2, 2, 2))):
        with pytest.raises(ValueError, match="one series or one series a row"):
            kql.series_outliers(x)


# Kusto's operators as the SQL of a hunt writes them.


@pytest.fixture
def db() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory whose sessions are in UTC."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield connection


def value(db: duckdb.DuckDBPyConnection, expression: str, **params: Any) -> Any:
    """What one SQL expression is."""
    row = db.execute(f"select {expression}", params).fetchone()
    assert row is not None
    return row[0]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("floor(4.5 / 1) * 1", 4),
        ("floor((6.5 - 7) / 2.5) * 2.5 + 7", 4.5),
        ("to_days(floor(epoch(interval 16 days) / 86400 / 7)::int * 7)", timedelta(14)),
        (
            "to_hours(floor((epoch(interval 1 hour) / 3600 - 12) / 24)::bigint * 24 + 12)",
            timedelta(hours=-12),
        ),
    ],
    ids=["bin(4.5, 1)", "bin_at(6.5, 2.5, 7)", "bin(16d, 7d)", "bin_at(1h, 1d, 12h)"],
)
def test_bin_of_numbers_and_timespans(
    db: duckdb.DuckDBPyConnection, sql: str, expected: object
) -> None:
    """Floors towards minus infinity, from zero or from the fixed point."""
    assert expected == value(db, sql)


@pytest.mark.parametrize(
    ("sql", "moment", "expected"),
    [
        ("date_trunc('day', $t)", "1970-05-11T13:45:07", "1970-05-11T00:00:00"),
        (
            "date_trunc('day', $t - interval 12 hours) + interval 12 hours",
            "2017-05-15T10:20:00",
            "2017-05-14T12:00:00",
        ),
        (
            "date_trunc('week', $t + interval 1 day) - interval 1 day",
            "2017-05-17T10:20:00",
            "2017-05-14T00:00:00",
        ),
        ("date_trunc('hour', $t)", "2020-12-14T10:59:59.999999", "2020-12-14T10:00:00"),
        ("date_trunc('hour', $t)", "2020-12-14T11:00:00", "2020-12-14T11:00:00"),
        ("date_trunc('week', $t)", "2026-03-08T23:59:59", "2026-03-02T00:00:00"),
        ("date_trunc('day', $t) + to_days(-1)", "2017-01-01T10:10:17", "2016-12-31T00:00:00"),
        ("date_trunc('day', $t)", "2017-01-01T10:10:17", "2017-01-01T00:00:00"),
        ("date_trunc('day', $t) + to_days(1)", "2017-01-01T10:10:17", "2017-01-02T00:00:00"),
    ],
    ids=[
        "bin(t, 1d)",
        "bin_at(t, 1d, noon)",
        "bin_at(t, 7d, a Sunday)",
        "bin(t, 1h) at its end",
        "bin(t, 1h) at its start",
        "bin(t, 7d) starts on Monday",
        "startofday(t, -1)",
        "startofday(t)",
        "startofday(t, 1)",
    ],
)
def test_bin_and_startofday_of_times(
    db: duckdb.DuckDBPyConnection, sql: str, moment: str, expected: str
) -> None:
    """Hours, days and weeks of UTC, counted from a Monday or from the fixed point."""
    assert utc(expected) == value(db, sql, t=utc(moment))


@given(
    moments=st.lists(
        st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),
        min_size=1,
    )
)
@draws.law(25)
def test_date_trunc_counts_from_the_year_one(moments: list[datetime]) -> None:
    """Hours, days and weeks are multiples counted from 0001-01-01, as Kusto's are."""
    origin = datetime(1, 1, 1, tzinfo=UTC)

    with duckdb.connect() as db:
        db.execute("set TimeZone = 'UTC'")
        for width in ("hour", "day", "week"):
            step = timedelta(**{f"{width}s": 1})
            expected = [origin + (t - origin) // step * step for t in moments]
            assert expected == value(db, f"[date_trunc('{width}', t) for t in $ts]", ts=moments)


CONTAINS = "contains(lower($x), lower($y))"
HAS = "regexp_matches($x, '(?i)(^|[^0-9A-Za-z])' || regexp_escape($y) || '([^0-9A-Za-z]|$)')"
HAS_PREFIX = "regexp_matches($x, '(?i)(^|[^0-9A-Za-z])' || regexp_escape($y))"
SAME = "lower($x) = lower($y)"


@pytest.mark.parametrize(
    ("x", "operator", "y", "expected"),
    [
        ("KustoExplorerQueryRun", HAS, "Explorer", False),
        ("KustoExplorerQueryRun", CONTAINS, "Explorer", True),
        ("North America", HAS, "america", True),
        ("North America", HAS, "amer", False),
        ("FabriKam", CONTAINS, "BRik", True),
        ("aBc", "$x = $y", "aBc", True),
        ("aBc", "$x = $y", "abc", False),
        ("abc", SAME, "ABC", True),
        ("North America", HAS_PREFIX, "ame", True),
        ("North America", HAS_PREFIX, "merica", False),
        ("Microsoft Exchange Online", HAS, "Exchange", True),
        ("MicrosoftExchangeOnline", HAS, "Exchange", False),
        ("exchange", HAS, "Exchange", True),
        ("my_exchange.log", HAS, "Exchange", True),
        ("x New-MailboxExportRequest -Name", HAS, "new-mailboxexportrequest", True),
        ("New-MailboxExportRequestStatistics", HAS, "New-MailboxExportRequest", False),
        ("a.b", HAS, "a.b", True),
        ("axb", HAS, "a.b", False),
        ("axb", CONTAINS, "a_b", False),
        ("100 %", CONTAINS, "0%", False),
        ("", CONTAINS, "a", False),
    ],
)
def test_string_operators(
    db: duckdb.DuckDBPyConnection, x: str, operator: str, y: str, expected: bool
) -> None:
    """contains, has, hasprefix, == and =~ of the documentation, and no character is a wildcard."""
    assert expected == value(db, operator, x=x, y=y)


@pytest.mark.parametrize(
    ("name", "listed"),
    [("Abc", True), ("PowerShell.EXE", False), ("", False), ("abcd", False)],
)
def test_in_any_case(db: duckdb.DuckDBPyConnection, name: str, listed: bool) -> None:
    """in~ is equality with one of a list, in any case."""
    assert listed == value(db, "lower($x) in ('123', '345', 'abc')", x=name)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("null::bigint = null::bigint", None),
        ("null::bigint <> null::bigint", None),
        ("coalesce(5 = null::bigint, false)", False),
        ("5 is distinct from null::bigint", True),
    ],
    ids=["null == null", "null != null", "5 == null", "5 != null"],
)
def test_null_comparisons(db: duckdb.DuckDBPyConnection, sql: str, expected: bool | None) -> None:
    """A null equals nothing and differs from every value, but not from a null."""
    assert expected is value(db, sql)


def test_where_not_equal_keeps_nulls(db: duckdb.DuckDBPyConnection) -> None:
    """where ival != 5 over [5, null] keeps the null, where ival == 5 drops it."""
    rows = "(values (5), (null)) as t (ival)"

    assert db.sql(f"select ival from {rows} where ival is distinct from 5").fetchall() == [(None,)]
    assert db.sql(f"select ival from {rows} where ival = 5").fetchall() == [(5,)]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("json_array(1, '2', '00:00:02')::varchar", '[1,"2","00:00:02"]'),
        ("json_array(2, '4', '00:00:04')::varchar", '[2,"4","00:00:04"]'),
        ("json_array(3, '6', '00:00:06')::varchar", '[3,"6","00:00:06"]'),
        ("to_json(['a', 'b c'])::varchar", '["a","b c"]'),
        (r"""to_json(['say "x"', 'C:\tmp/é<'])::varchar""", r'["say \"x\"","C:\\tmp/é<"]'),
    ],
)
def test_pack_array_as_text(db: duckdb.DuckDBPyConnection, sql: str, expected: str) -> None:
    """Compact JSON without blanks, in which only quotes and backslashes are escaped."""
    assert expected == value(db, sql)


@pytest.mark.parametrize(
    ("real", "whole"), [(2.3, 2), (2.7, 2), (-2.7, -2), (12.5, 12), (None, None)]
)
def test_toint_cuts_towards_zero(
    db: duckdb.DuckDBPyConnection, real: float | None, whole: int | None
) -> None:
    """toint(2.3) and a real expanded to long lose their fraction; a bare cast would round."""
    assert whole == value(db, "trunc($x::double)::bigint", x=real)


MADE_SERIES = """
with metrics as (select * from given where day >= $start and day < $end),
axis as (select unnest(range($start, $end, interval 1 day)) as day)
select axis.day, coalesce(avg(metrics.metric), $fill)
from axis
left join metrics on date_trunc('day', metrics.day) = axis.day
{keep}
group by axis.day
order by axis.day
"""


@pytest.fixture
def metrics(db: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The documentation's rows for make-series, in a table of their own."""
    rows = (
        "2016-12-31T06 50, 2017-01-01T00 4, 2017-01-02T00 3, 2017-01-03T00 4, 2017-01-03T03 6,"
        "2017-01-05T00 8, 2017-01-05T13:40 13, 2017-01-06T00 4, 2017-01-07T00 3, 2017-01-08T00 8,"
        "2017-01-08T21 8, 2017-01-09T00 2, 2017-01-09T12 11, 2017-01-10T05 5"
    )
    db.execute("create table given (day timestamptz, metric double)")
    pairs = [row.split() for row in rows.split(",")]
    db.executemany("insert into given values (?, ?)", [(utc(at), float(n)) for at, n in pairs])
    return db


def made(db: duckdb.DuckDBPyConnection, fill: float, keep: str) -> list[tuple[datetime, float]]:
    span = {"start": utc("2017-01-01"), "end": utc("2017-01-10"), "fill": fill}
    return db.execute(MADE_SERIES.format(keep=keep), span).fetchall()


EXISTING = "where exists (select 1 from metrics)"
DAYS = [utc("2017-01-01") + timedelta(days=i) for i in range(9)]


def test_make_series_fills_gaps_and_excludes_its_end(metrics: duckdb.DuckDBPyConnection) -> None:
    """Nine days; rows before the start and from the end on drop out; the empty day is 0."""
    expected = [4.0, 3.0, 5.0, 0.0, 10.5, 4.0, 3.0, 8.0, 6.5]

    assert list(zip(DAYS, expected, strict=True)) == made(metrics, 0.0, EXISTING)


def test_make_series_of_no_rows_is_no_series(metrics: duckdb.DuckDBPyConnection) -> None:
    """Without a row there is no series, and with kind=nonempty one of default values."""
    metrics.execute("delete from given")

    assert made(metrics, 1.0, EXISTING) == []
    assert [(day, 1.0) for day in DAYS] == made(metrics, 1.0, "")


def test_make_series_of_rows_outside_is_no_series(metrics: duckdb.DuckDBPyConnection) -> None:
    """A row at the exclusive end makes no series."""
    metrics.execute("delete from given where day < '2017-01-10'")

    assert made(metrics, 0.0, EXISTING) == []


def joined(db: duckdb.DuckDBPyConnection, sql: str, left: str, right: str) -> list[Any]:
    sides = (
        f"with l as (from (values {left}) as l (k, v)), r as (from (values {right}) as r (k, v))"
    )
    return sorted(db.sql(f"{sides} {sql}").fetchall())


INNER = "select l.k, l.v, r.k as k1, r.v as v1 from l inner join r on l.k = r.k"
INNER_UNIQUE = """
, kept as (from l qualify row_number() over (partition by k order by v) = 1)
select l.k, l.v, r.k as k1, r.v as v1 from kept as l inner join r on l.k = r.k
"""


def test_inner_join_gives_the_documented_rows(db: duckdb.DuckDBPyConnection) -> None:
    """Every pair of equal keys."""
    left = "('a', 1), ('b', 2), ('b', 3), ('k', 5), ('c', 4)"
    right = "('b', 10), ('c', 20), ('c', 30), ('d', 40), ('k', 50)"
    expected = [
        ("b", 2, "b", 10),
        ("b", 3, "b", 10),
        ("c", 4, "c", 20),
        ("c", 4, "c", 30),
        ("k", 5, "k", 50),
    ]

    assert expected == joined(db, INNER, left, right)


def test_default_join_keeps_one_left_row_a_key(db: duckdb.DuckDBPyConnection) -> None:
    """Of two equal left keys one survives, the right side is whole."""
    left = "('a', 1), ('b', 2), ('b', 3), ('c', 4)"
    right = "('b', 10), ('c', 20), ('c', 30), ('d', 40)"
    expected = [("b", 2, "b", 10), ("c", 4, "c", 20), ("c", 4, "c", 30)]

    assert expected == joined(db, INNER_UNIQUE, left, right)


def test_join_keys_are_exact_and_missing_strings_match(db: duckdb.DuckDBPyConnection) -> None:
    """'A' does not meet 'a'; a missing string is '' and meets ''."""
    missing_is_empty = INNER.replace("l.k = r.k", "coalesce(l.k, '') = coalesce(r.k, '')")

    assert joined(db, missing_is_empty, "('A', 1), (null, 2)", "('a', 10), ('', 20)") == [
        (None, 2, "", 20)
    ]


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2020-12-01T00:00:00", True),
        ("2020-12-14T00:00:00", True),
        ("2020-11-30T23:59:59.999999", False),
        ("2020-12-14T00:00:00.000001", False),
    ],
)
def test_between_includes_both_ends(
    db: duckdb.DuckDBPyConnection, moment: str, inside: bool
) -> None:
    """An event exactly at either end counts."""
    ends = {"start": utc("2020-12-01"), "end": utc("2020-12-14")}

    assert inside is value(db, "$t between $start and $end", t=utc(moment), **ends)


def test_series_stats_are_the_documented_numbers(db: duckdb.DuckDBPyConnection) -> None:
    """Both stdev and variance divide by n - 1; positions count from 0."""
    x = [23, 46, 23, 87, 4, 8, 3, 75, 2, 56, 13, 75, 32, 16, 29]
    found = db.execute(
        """
        select
            min(n),
            arg_min(i, n) - 1,
            max(n),
            arg_max(i, n) - 1,
            avg(n),
            stddev_samp(n),
            var_samp(n),
            sum(n),
            count(*)
        from (select unnest($x) as n, generate_subscripts($x, 1) as i)
        """,
        {"x": x},
    ).fetchone()
    expected = (2, 8, 87, 3, 32.8, 28.50363385354827, 812.4571428571429, 492, 15)

    assert found == pytest.approx(expected, rel=1e-12)
