"""Scores are out of sample, exact in every order, and mean what they say."""

from __future__ import annotations

import math
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gundog.hunting.scoring import baseline, calibration, chunks, surprise
from gundog.hunting.scoring.hour_scores import Scores, score
from tests import draws

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
DAY, WEEK = 24, 168

laws = draws.law(20)


def office(n_series: int, hours: int, seed: int, mean: float = 3.0) -> np.ndarray:
    """Clean counts of mailboxes of all rates: busy by day, clumped, noisy from day to day."""
    rng = np.random.default_rng(seed)
    rate = mean * 10 ** rng.uniform(-2, 1.5, (n_series, 1))
    hour = np.arange(hours)
    busy = np.where((hour % DAY >= 7) & (hour % DAY < 18) & (hour // DAY % 7 < 5), 2.5, 0.3)
    day = np.repeat(rng.gamma(8, 1 / 8, (n_series, hours // DAY + 1)), DAY, axis=1)[:, :hours]
    mu = rate * busy * day
    return rng.negative_binomial(mu + 1e-9, 0.4) * 0.4 / 0.6 // 0.4


@st.composite
def pools(draw: st.DrawFn, least: int = 1, most: int = 40) -> tuple[np.ndarray, int]:
    """Counts with hours that were not observed, and how many hours are scored."""
    n_series, seed = draw(st.integers(least, most)), draw(st.integers(0, 2**32 - 1))
    scored = draw(st.integers(1, 50))
    hours = draw(st.integers(0, 3 * WEEK)) + scored
    counts = office(n_series, hours, seed)
    rng = np.random.default_rng(seed)
    counts[rng.random(counts.shape) < draw(st.sampled_from([0, 0, 0.02, 0.5]))] = np.nan
    counts[rng.random(n_series) < draw(st.sampled_from([0, 0.1]))] = 0
    return counts, scored


def same(one: Scores, other: Scores, rows: np.ndarray | None = None) -> bool:
    """Whether two results are equal to the last bit, the second's series in the order `rows`."""
    for field in fields(Scores):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, np.ndarray):
            left = left if rows is None else left[rows]
            if left.dtype != right.dtype or not np.array_equal(left, right, equal_nan=True):
                return False
        elif left != right:
            return False
    return True


@laws
@given(pools(), st.integers(0, 2**32 - 1), st.booleans())
def test_what_is_expected_does_not_depend_on_what_is_scored(
    case: tuple[np.ndarray, int], seed: int, pool: bool
) -> None:
    """Whatever happens in the scored hours, expected, upper and the threshold stay, to the bit."""
    counts, scored = case
    other = counts.copy()
    rng = np.random.default_rng(seed)
    other[:, -scored:] = rng.choice([0, 1, 7, 1e6, np.nan], (len(counts), scored))

    one, two = (score(these, MONDAY, scored, pool=pool) for these in (counts, other))

    assert np.array_equal(one.expected, two.expected)
    assert np.array_equal(one.upper, two.upper)
    assert (one.threshold, one.expected_false) == (two.threshold, two.expected_false)


@laws
@given(pools(), st.randoms(use_true_random=False), st.sampled_from([1, 3, 7, 31]), st.booleans())
def test_order_and_chunks_change_no_bit(
    case: tuple[np.ndarray, int], random: object, chunk: int, pool: bool
) -> None:
    """Series in another order, in chunks of another size, on two cores: the very same scores."""
    counts, scored = case
    rows = np.arange(len(counts))
    random.shuffle(rows)  # type: ignore[attr-defined]
    expected = score(counts, MONDAY, scored, pool=pool)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "SERIES", chunk)
        actual = score(counts[rows], MONDAY, scored, pool=pool, jobs=2)

    assert same(expected, actual, rows)


@laws
@given(pools(), st.integers(0, 2**32 - 1), st.booleans())
def test_more_events_never_lower_a_score(
    case: tuple[np.ndarray, int], seed: int, pool: bool
) -> None:
    """Raising one scored count lowers no score, of any hour or night."""
    counts, scored = case
    rng = np.random.default_rng(seed)
    more = counts.copy()
    more[:, -1 - rng.integers(scored)] += rng.choice([1, 3, 20, 1000, 1e7], len(counts))

    one, two = (score(these, MONDAY, scored, pool=pool) for these in (counts, more))

    assert np.all(np.nan_to_num(two.score) >= np.nan_to_num(one.score))
    assert np.all(np.nan_to_num(two.night_score) >= np.nan_to_num(one.night_score))
    assert np.all(two.flagged >= one.flagged)


@laws
@given(
    st.sampled_from([1, 40]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.5, 1.5, 3, 6.0]),
    st.sampled_from([0.01, 1, 30, 10_000]),
)
def test_upper_is_the_first_count_that_is_flagged(
    n_series: int, seed: int, threshold: float, mean: float
) -> None:
    """An hour among hours as expected is flagged at `upper` and not one event below it."""
    counts = office(n_series, 4 * WEEK + 2 * DAY, seed, mean)
    usual = score(counts, MONDAY, 2 * DAY, threshold=threshold)
    counts[:, -2 * DAY :] = usual.expected
    rows, hour = np.arange(n_series), DAY + np.random.default_rng(seed).integers(DAY, size=n_series)
    at = (rows, hour)

    flagged = []
    for below in (0, 1):
        counts[rows, 4 * WEEK + hour] = usual.upper[at] - below
        flagged.append(score(counts, MONDAY, 2 * DAY, threshold=threshold).flagged[at])

    assert flagged[0].all()
    assert not flagged[1].any()
    assert np.array_equal(usual.upper, np.ceil(usual.upper))


@laws
@given(pools(most=5))
def test_a_series_alone_is_judged_by_itself(case: tuple[np.ndarray, int]) -> None:
    """Without a pool no series changes another's scores."""
    counts, scored = case

    together = score(counts, MONDAY, scored, pool=False)

    for row in range(len(counts)):
        alone = score(counts[row : row + 1], MONDAY, scored, pool=False)
        assert np.array_equal(together.score[row], alone.score[0], equal_nan=True)
        assert np.array_equal(together.upper[row], alone.upper[0])


@laws
@given(st.integers(0, 3 * WEEK), st.sampled_from([0, 1, 2, 29, 30, 31]), st.integers(1, 50))
def test_shapes_fit_any_history(history: int, n_series: int, scored: int) -> None:
    """No history, some hours or some weeks, no series or many: arrays of the promised shapes."""
    found = score(office(n_series, history + scored, 1), MONDAY, scored)

    for name in ("expected", "upper", "score", "flagged", "window_h"):
        assert getattr(found, name).shape == (n_series, scored)
    assert found.night_score.shape == (n_series, math.ceil(scored / DAY))
    assert found.n_train.tolist() == [history] * n_series
    assert found.learning.tolist() == [history < 14 * DAY] * n_series
    assert found.n_train.dtype.kind == found.window_h.dtype.kind == "i"
    assert np.isfinite(found.expected).all()


ODD = {
    "zeros": np.zeros(30 * DAY),
    "ones": np.ones(30 * DAY),
    "a constant": np.full(30 * DAY, 12345.0),
    "one spike in the history": np.eye(1, 30 * DAY, 200)[0] * 5000,
    "one spike at the end": np.eye(1, 30 * DAY, 30 * DAY - 3)[0] * 5000,
    "never observed": np.full(30 * DAY, np.nan),
    "observed once": np.where(np.arange(30 * DAY) == 9, 4, np.nan),
    "beyond 2^31": np.full(30 * DAY, 2.0**33) + np.arange(30 * DAY) % 7,
    "beyond 2^31 from nothing": np.where(np.arange(30 * DAY) < 29 * DAY, 0, 2.0**40),
    "a silent week": np.where(np.arange(30 * DAY) // WEEK == 2, np.nan, 3),
}


@pytest.mark.parametrize("copies", [1, 40])
@pytest.mark.parametrize("name", ODD)
def test_odd_series_have_finite_scores(name: str, copies: int) -> None:
    """Whatever a series looks like, alone or among its like, no number is lost."""
    counts = np.tile(ODD[name], (copies, 1))

    found = score(counts, MONDAY, DAY)

    assert np.isfinite(found.expected).all()
    assert np.isfinite(found.upper).all()
    assert np.all(found.upper > found.expected)
    assert np.array_equal(np.isnan(found.score), np.isnan(counts[:, -DAY:]))
    assert not np.isinf(found.score).any()


def test_integers_beyond_2_to_the_31_are_exact() -> None:
    """Whole numbers are taken as they are, in any integer type."""
    counts = np.full((1, 29 * DAY), 2**40, dtype=np.int64) + np.arange(29 * DAY) % 5

    assert same(score(counts, MONDAY, DAY), score(counts.astype(float), MONDAY, DAY))


def test_a_history_of_zeros_flags_the_first_burst() -> None:
    """Fifty events in a mailbox that never had one stand out, with and without a pool."""
    counts = np.zeros((40, 29 * DAY))
    counts[3, -5] = 50

    for pool in (True, False):
        found = score(counts, MONDAY, DAY, pool=pool)
        assert np.argwhere(found.flagged).tolist() == [[3, DAY - 5]]
        assert found.window_h[3, DAY - 5] == 3


def test_unobserved_scored_hours_are_not_judged() -> None:
    """An hour nobody saw has no score and no flag, and its night keeps the hours that were seen."""
    counts = office(1, 30 * DAY, 1)
    counts[0, -5] = 1e6
    counts[0, -2 * DAY : -DAY] = np.nan
    counts[0, -10:-6] = np.nan

    found = score(counts, MONDAY, 2 * DAY)

    assert np.array_equal(np.isnan(found.score), np.isnan(counts[:, -2 * DAY :]))
    assert not found.flagged[np.isnan(found.score)].any()
    assert np.isnan(found.night_score[0, 0])
    assert found.night_score[0, 1] == found.score[0, -5]


def test_a_silent_day_does_not_make_the_next_one_odd() -> None:
    """Hours without data leave the level alone, where zeros would have drawn it down."""
    counts = office(60, 29 * DAY, 2, mean=30)
    silent, zero = counts.copy(), counts.copy()
    silent[:, -4 * DAY : -DAY], zero[:, -4 * DAY : -DAY] = np.nan, 0

    whole, masked, filled = (score(these, MONDAY, DAY) for these in (counts, silent, zero))

    assert masked.expected.sum() == pytest.approx(whole.expected.sum(), rel=0.1)
    assert filled.expected.sum() < 0.8 * whole.expected.sum()
    assert not masked.flagged.any()


def test_learning_series_are_scored_and_never_flagged() -> None:
    """Thirteen days after its first hour a series learns, fourteen days after it does not."""
    counts = office(3, 29 * DAY, 3)
    counts[0, : -15 * DAY + 1] = np.nan
    counts[1, : -15 * DAY] = np.nan
    counts[:, -3] = 1e5

    found = score(counts, MONDAY, DAY)

    assert found.learning.tolist() == [True, False, False]
    assert found.flagged[:, -3].tolist() == [False, True, True]
    assert found.n_train.tolist() == [14 * DAY - 1, 14 * DAY, 28 * DAY]
    assert found.score[0, -3] > found.threshold


@pytest.mark.parametrize(
    "wrong",
    [
        {"budget": 1.0, "threshold": 4.0},
        {"budget": 0.0},
        {"threshold": -1.0},
        {"threshold": math.nan},
        {"scored": 0},
        {"scored": 25},
        {"start": datetime(2026, 1, 5)},
        {"counts": np.full((1, 24), -1.0)},
        {"counts": np.full((1, 24), np.inf)},
        {"counts": np.zeros(24)},
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(wrong: dict[str, object]) -> None:
    """What makes no sense raises ValueError instead of giving numbers."""
    arguments: dict[str, object] = {"counts": np.zeros((1, 24)), "start": MONDAY, "scored": 2}
    arguments |= wrong
    counts, start, scored = (arguments.pop(name) for name in ("counts", "start", "scored"))

    with pytest.raises(ValueError, match=r"budget|threshold|scored|start|counts"):
        score(counts, start, scored, **arguments)  # type: ignore[arg-type]


def test_defaults_follow_the_pool() -> None:
    """A pool gets one false finding a night in a thousand series, a few series threshold 4."""
    counts = office(60, 29 * DAY, 4)
    pool, few, alone = (
        score(these, MONDAY, DAY, pool=pool)
        for these, pool in ((counts, True), (counts[:29], True), (counts, False))
    )

    assert pool.expected_false == pytest.approx(0.06)
    assert same(pool, score(counts, MONDAY, DAY, budget=0.06))
    assert few.threshold == alone.threshold == 4
    assert alone.expected_false == pytest.approx(60e-4)
    assert score(counts, MONDAY, DAY, threshold=2.5).threshold == 2.5


def test_a_threshold_says_what_it_costs() -> None:
    """The threshold that a budget led to, given as such, expects the budget and flags the same."""
    counts = office(200, 29 * DAY, 9)

    budgeted = score(counts, MONDAY, DAY, budget=3)
    again = score(counts, MONDAY, DAY, threshold=budgeted.threshold)

    assert same(budgeted, again)
    assert again.expected_false == pytest.approx(3, rel=0.05)
    assert score(counts, MONDAY, DAY, threshold=budgeted.threshold + 1).expected_false < 1


def test_an_attack_that_is_taken_out_of_the_history_leaves_the_calibration() -> None:
    """With its hours set NaN, a night of attacks no longer makes tonight's look common."""
    counts = office(100, 29 * DAY, 10)
    attacked, taken_out = counts.copy(), counts.copy()
    attacked[:40, -4 * DAY : -3 * DAY] += 500
    taken_out[:40, -4 * DAY : -3 * DAY] = np.nan
    for case in (counts, attacked, taken_out):
        case[7, -5] += 400

    clean, polluted, confirmed = (
        score(case, MONDAY, DAY) for case in (counts, attacked, taken_out)
    )

    assert polluted.night_score[7, 0] < clean.night_score[7, 0] - 0.5
    assert confirmed.night_score[7, 0] == pytest.approx(clean.night_score[7, 0], rel=0.3)


@pytest.mark.parametrize(("n_series", "attacked"), [(40, 3), (200, 5)])
def test_past_attacks_that_nobody_confirmed_hide_no_lesser_one(
    n_series: int, attacked: int
) -> None:
    """A few mailboxes copied whole in the weeks before leave a burst as odd as it was."""
    counts = office(n_series, 29 * DAY, 11)
    burst = int(np.argsort(counts.mean(axis=1))[n_series // 2])
    counts[burst, -10:-7] += 40
    others = np.delete(np.arange(n_series), burst)[:attacked]
    after = counts.copy()
    for night, row in enumerate(others, start=20):
        after[row, night * DAY + 1 : night * DAY + 4] += 600

    clean, polluted = (score(case, MONDAY, DAY) for case in (counts, after))

    assert clean.flagged[burst, -8]
    assert polluted.flagged[burst, -8]
    assert polluted.night_score[burst, 0] > 0.75 * clean.night_score[burst, 0]


def test_a_larger_budget_flags_no_less() -> None:
    """The threshold falls as the budget grows, and what is flagged only grows."""
    counts = office(60, 29 * DAY, 5)
    found = [score(counts, MONDAY, DAY, budget=budget) for budget in (0.1, 1, 10, 300)]

    for tight, loose in pairwise(found):
        assert loose.threshold < tight.threshold
        assert np.all(loose.flagged >= tight.flagged)


@pytest.mark.parametrize(
    ("time_zone", "n_series"),
    [("Asia/Kolkata", 250), pytest.param("UTC", 1500, marks=pytest.mark.slow)],
)
def test_a_budget_is_what_clean_series_cost(time_zone: str, n_series: int) -> None:
    """Over clean nights of many series, about as many are flagged as were budgeted."""
    counts, budget = office(n_series, 31 * DAY, 6), n_series / 50
    nights = [
        score(counts[:, : hours + DAY], MONDAY, DAY, budget=budget, time_zone=time_zone)
        for hours in (28 * DAY, 29 * DAY, 30 * DAY)
    ]

    flagged = np.mean([night.flagged.any(axis=1).sum() for night in nights])
    high = np.mean([np.mean(night.night_score >= 1) for night in nights])

    assert budget / 2 <= flagged <= 2 * budget
    assert 0.06 <= high <= 0.16
    assert [night.expected_false for night in nights] == pytest.approx([budget] * 3, rel=0.05)


def test_a_burst_is_found_in_three_hours_and_a_slow_theft_in_a_day() -> None:
    """Each kind of theft is found by the window that fits it, and `window_h` says which."""
    counts = np.random.default_rng(7).poisson(20, (60, 29 * DAY)).astype(float)
    counts[3, -10:-7] += 60
    counts[5, -DAY:] = np.where(np.arange(DAY) % 2, 34, 31)

    found = score(counts, MONDAY, DAY, threshold=2.5)

    assert found.flagged.any(axis=1).nonzero()[0].tolist() == [3, 5]
    assert set(found.window_h[3, -10:-7]) == {3}
    assert set(found.window_h[5, -3:]) == {DAY}
    assert np.array_equal(found.window_h > 0, found.flagged)


def test_mailboxes_that_rarely_have_events_are_found_too() -> None:
    """Twenty-five events an hour for three hours stand out among mailboxes with one a day."""
    counts = office(300, 29 * DAY, 7)
    quiet = np.flatnonzero(counts.mean(axis=1) < 0.1)[:3]
    counts[quiet, -10:-7] += 25

    found = score(counts, MONDAY, DAY, budget=1)

    assert found.flagged[quiet, -8].all()
    assert found.flagged.any(axis=1).sum() <= 6


def test_a_polluted_history_is_not_learned() -> None:
    """The same odd hours on the five nights before are scaled down: tonight still stands out."""
    counts = office(200, 33 * DAY, 8)
    clean = score(counts, MONDAY, DAY, budget=2)
    row = int(np.argmax(clean.expected[:, 12]))
    for night in range(6):
        end = -night * DAY - 3
        counts[row, end - 3 : end] += clean.expected[row].max()

    found = score(counts, MONDAY, DAY, budget=2)

    assert found.flagged[row, -6:-3].any()
    assert found.expected[row, -6:-3].sum() < 2 * clean.expected[row, -6:-3].sum()


@pytest.mark.parametrize(
    ("changes", "before"),
    [(datetime(2026, 3, 29, tzinfo=UTC), 1), (datetime(2026, 10, 25, tzinfo=UTC), 2)],
    ids=["spring", "autumn"],
)
@pytest.mark.parametrize("days", [1, 3, 10, 27])
def test_seasons_follow_the_clock_on_the_wall(changes: datetime, before: int, days: int) -> None:
    """After clocks change, noon is expected at the new noon, whenever in the history it was."""
    start = changes + timedelta(days=days - 28)
    after = 3 - before
    hours = [start + timedelta(hours=place) for place in range(30 * DAY)]
    shift = [before if hour < changes + timedelta(hours=1) else after for hour in hours]
    local = np.array([(hour.hour + more) % DAY for hour, more in zip(hours, shift, strict=True)])
    counts = np.where(local == 12, 200.0, 0)[None]

    berlin, utc = (
        score(counts, start, 2 * DAY, time_zone=zone) for zone in ("Europe/Berlin", "UTC")
    )

    assert np.array_equal(berlin.expected[0] > 100, local[-2 * DAY :] == 12)
    assert not berlin.flagged.any()
    assert np.array_equal(utc.expected[0] > 100, local[-2 * DAY :] == 12) == (days == 27)


def test_clocks_may_change_within_the_scored_hours() -> None:
    """The hours after the change are expected by their new place in the week."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    counts = np.array([[100.0 if (hour % DAY) == 11 else 0 for hour in range(29 * DAY)]])
    counts[0, 28 * DAY + 11], counts[0, 28 * DAY + 10] = 0, 100

    found = score(counts, start, DAY, time_zone="Europe/Berlin")

    assert np.flatnonzero(found.expected[0] > 50).tolist() == [10]
    assert not found.flagged.any()


@laws
@given(
    st.integers(0, 365 * DAY),
    st.integers(0, 5 * WEEK),
    st.integers(1, 3 * DAY),
    st.sampled_from(["UTC", "Europe/Berlin", "America/Los_Angeles", "Asia/Kolkata"]),
)
def test_every_hour_has_its_place_in_the_week(
    begins: int, history: int, scored: int, time_zone: str
) -> None:
    """Whenever clocks change, an hour's slot and cell are those of the wall clock."""
    start = MONDAY + timedelta(hours=begins)
    when = baseline.calendar(start, history, scored, time_zone)
    local = [
        (start + timedelta(hours=place)).astimezone(ZoneInfo(time_zone))
        for place in range(history + scored)
    ]

    phases = np.concatenate([when.slots % WEEK, when.scored])

    assert when.cells[phases].tolist() == [
        (moment.weekday() >= 5) * DAY + moment.hour for moment in local
    ]
    assert np.all((when.slots >= 0) & (when.slots < when.weeks * WEEK))
    assert when.weeks == max(math.ceil(history / WEEK), 1)
    assert history - len(np.unique(when.slots)) <= 2


@pytest.mark.parametrize(
    "change", [datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)]
)
@pytest.mark.parametrize("before", [0, 1, 2, WEEK - 1, WEEK, 4 * WEEK - 1, 4 * WEEK])
def test_clocks_may_change_at_the_very_edges(change: datetime, before: int) -> None:
    """A change in the first or the last hour of the history loses no hour."""
    start = change - timedelta(hours=before)

    when = baseline.calendar(start, 4 * WEEK, DAY, "Europe/Berlin")

    assert np.all((when.slots >= 0) & (when.slots < 4 * WEEK))


@laws
@given(st.lists(st.none() | st.integers(0, 9), min_size=WEEK + 1, max_size=3 * WEEK))
def test_hours_that_share_a_slot_count_as_their_mean(hours: list[int | None]) -> None:
    """When clocks go back, the hour that comes twice is the mean of what was observed of it."""
    start = datetime(2026, 10, 23, tzinfo=UTC)
    counts = np.array([[np.nan if one is None else one for one in hours]])
    when = baseline.calendar(start, len(hours), 1, "Europe/Berlin")
    assert len(np.unique(when.slots)) == len(hours) - 1

    placed = baseline.grid(counts, when)[0]

    for slot in range(when.weeks * WEEK):
        there = [one for one in counts[0, when.slots == slot] if not np.isnan(one)]
        assert (placed[slot] == np.mean(there)) if there else np.isnan(placed[slot])


@laws
@given(st.floats(1e-3, 1e6), st.floats(0.02, 200), st.floats(1 / 300, 1.5))
def test_surprise_rises_with_the_count(mu: float, a: float, b: float) -> None:
    """From one event to a thousand billion a higher count is never less surprising."""
    y = np.unique(np.floor(np.geomspace(1, 1e12, 3000)))

    found = surprise.surprise(y, *(np.full(len(y), value) for value in (mu, a, b)))

    assert np.all(np.diff(found) >= -1e-9 * found[1:])
    assert found[-1] > 250


@laws
@given(
    st.integers(0, 10**6),
    st.floats(1e-3, 1e6),
    st.floats(0.02, 200),
    st.floats(1 / 300, 1.5),
)
def test_surprise_is_the_tail_of_the_negative_binomial(
    y: int, mu: float, a: float, b: float
) -> None:
    """Surprise is what scipy says of the same distribution, and 0 for a count that is not high."""
    size = 1 / (a / mu + b)
    expected = -stats.nbinom.logsf(y - 1, size, size / (size + mu)) / np.log(10)

    actual = surprise.surprise(*(np.array([value], dtype=float) for value in (y, mu, a, b)))[0]

    if y <= mu:
        assert actual == 0
    elif expected < 249:
        assert actual == pytest.approx(expected, rel=1e-6, abs=1e-9)
    else:
        assert actual >= 249


@laws
@given(st.lists(st.floats(0, 300), min_size=1, max_size=60))
def test_windows_are_sums_of_what_came_before(hours: list[float]) -> None:
    """Windows are plain sums over their trailing hours, of counts and of damped surprise."""
    threes = [sum(hours[max(at - 2, 0) : at + 1]) for at in range(len(hours))]
    days = [sum(hours[max(at - DAY + 1, 0) : at + 1]) for at in range(len(hours))]
    damped = [one if one <= 1 else 1 + math.log(one) for one in threes]

    sums = surprise.over_windows(np.array([hours]))[0]
    channels = surprise.channels(np.array([threes]))[0]

    for at in range(len(hours)):
        day = sum(damped[max(at - DAY + 1, 0) : at + 1])
        assert sums[at] == pytest.approx([threes[at], days[at]])
        assert channels[at] == pytest.approx([threes[at], day])


@laws
@given(
    st.lists(
        st.tuples(st.none() | st.integers(0, 60), st.floats(0.01, 30)), min_size=1, max_size=40
    )
)
def test_windows_pass_with_enough_more_than_expected(hours: list[tuple[int | None, float]]) -> None:
    """Windows need half more than expected, five at least, and an hour that has its share."""
    y = np.array([[np.nan if count is None else count for count, _ in hours]])
    mu = np.array([[mean for _, mean in hours]])

    passed = surprise.passes(y, mu)[0]

    for at, (count, mean) in enumerate(hours):
        for channel, length in enumerate(surprise.WINDOWS_H):
            seen = [one for one in hours[max(at - length + 1, 0) : at + 1] if one[0] is not None]
            had, due = (sum(part) for part in zip(*seen, strict=True)) if seen else (0, 0)
            near = min(abs(had - 1.5 * due), abs(had - due - 5), abs((count or 0) - 1.2 * mean))
            enough = had >= 1.5 * due and had - due >= 5
            assert near < 1e-9 or passed[at, channel] == bool(
                enough and count and count >= 1.2 * mean
            )


@laws
@given(
    st.lists(st.sampled_from([0, 0, 0.5, 1, 1.5, 2, 7.25]) | st.floats(0, 9), min_size=1),
    st.floats(0.01, 6),
)
def test_a_threshold_is_where_nights_become_so_rare(nights: list[float], rarity: float) -> None:
    """The value found for a rarity has it, and no smaller one does."""
    tail = calibration.tail(np.array(nights))

    at = tail.value_at(rarity)

    assert tail.rarity(np.array([at]))[0] >= rarity - 1e-9
    assert tail.rarity(np.array([at * (1 - 1e-9) - 1e-9]))[0] <= rarity + 1e-6


@laws
@given(st.lists(st.floats(0, 9), min_size=20, max_size=900), st.floats(0, 20))
def test_rarity_is_counted_where_there_are_nights(nights: list[float], value: float) -> None:
    """Up to its edge a tail is the share of nights as high, and it never falls."""
    tail = calibration.tail(np.array(nights))
    share = np.mean(np.array(nights) >= value)

    if value <= tail.edge:
        assert 10 ** -tail.rarity(np.array([value]))[0] == pytest.approx(share)
    values = np.linspace(0, 20, 300)
    assert np.all(np.diff(tail.rarity(values)) >= 0)


@laws
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 4), st.floats(0.01, 6))
def test_clean_nights_say_where_a_night_becomes_so_rare(
    seed: int, n_series: int, weeks: int, rarity: float
) -> None:
    """Rarity never falls with the value, and the value found for a rarity is its smallest."""
    rng = np.random.default_rng(seed)
    nights = np.maximum(rng.normal(0, 1, (n_series, weeks * 7)), 0)
    nights[rng.random(nights.shape) < 0.2] = np.nan
    nights[0, 0] = 1
    clean = calibration.clean(nights)

    at = clean.value_at(rarity)

    assert clean.rarity(np.array([at]))[0] >= rarity - 1e-9
    assert clean.rarity(np.array([at * (1 - 1e-9) - 1e-9]))[0] <= rarity + 1e-6
    assert np.all(np.diff(clean.rarity(np.linspace(-1, 20, 500))) >= 0)


def test_rarity_among_nights_is_their_share() -> None:
    """Where nights do not hang together, weeks and nights say the same."""
    nights = np.random.default_rng(1).exponential(1, (5000, 21))

    clean = calibration.clean(nights)

    for value in (0.1, 0.7, 2, 4, 6, 9):
        assert clean.rarity(np.array([value]))[0] == pytest.approx(value / np.log(10), abs=0.05)


def test_odd_nights_in_a_row_count_about_once() -> None:
    """Five polluted nights of a tenth of the series cost others a third of what they did."""
    nights = np.random.default_rng(2).exponential(1, (1000, 21))
    nights[:100, -6:-1] = 12

    clean = calibration.clean(nights)

    by_night = clean.nights.rarity(np.array([10.0]))[0]
    assert by_night == pytest.approx(-np.log10(500 / 21000), abs=0.01)
    assert clean.rarity(np.array([10.0]))[0] > by_night + 0.5


@laws
@given(st.integers(0, 2**32 - 1), st.integers(40, 3000), st.integers(1, 5), st.floats(100, 1e6))
def test_few_nights_far_beyond_the_others_do_not_stretch_the_tail(
    seed: int, n_nights: int, attacked: int, far: float
) -> None:
    """Up to a third of the tail may be attacks."""
    nights = np.random.default_rng(seed).exponential(1, n_nights)
    many = min(attacked, n_nights // 10 // 3)
    after = calibration.tail(np.append(nights, np.full(many, far)))

    assert many
    assert after.excess <= max(1.7 * calibration.tail(nights).excess, 1.0)


def test_last_night_hides_nothing_in_a_tame_pool() -> None:
    """Where hardly a week stands out, attacks of one night do not make the next one common."""
    nights = np.zeros((40, 21))
    nights[:4, -1] = 600, 60, 10, 3

    assert calibration.clean(nights).rarity(np.array([10.0]))[0] > 4


def by_hand(counts: np.ndarray, history: int, hour: int) -> float:
    """Expected count of a scored hour, in loops, without levels and guard; weeks start Monday."""
    cells: dict[tuple[bool, int], list[float]] = {}
    same_hour = []
    for place in range(history):
        weekend = place % WEEK >= 5 * DAY
        for near, share in ((-1, 0.25), (0, 0.5), (1, 0.25)):
            cell = cells.setdefault((weekend, (place + near) % DAY), [0.0, 0.0])
            cell[0] += share * counts[place]
            cell[1] += share
        if place % WEEK == hour % WEEK:
            same_hour.append(counts[place])
    mean = (sum(counts[:history]) + 0.5) / (history + 1)
    total, n = cells[hour % WEEK >= 5 * DAY, hour % DAY]
    weight = (2 + 0.3 * mean) / mean
    cell_mean = (total + weight * mean) / (n + weight)
    strength = 10 * (2 + 0.3 * cell_mean) / cell_mean
    return float((sum(same_hour) + strength * cell_mean) / (len(same_hour) + strength))


@laws
@given(st.integers(0, 2**32 - 1), st.integers(0, WEEK - 1))
def test_expected_is_the_two_stage_mean(seed: int, hour: int) -> None:
    """The mean of an hour of the week is what the formulas give when written out in loops."""
    history = 3 * WEEK
    counts = office(1, history + WEEK, seed)
    when = baseline.calendar(MONDAY, history, WEEK, "UTC")
    weekly = baseline._weekly(counts[:, :history], when)
    seen = np.ones_like(weekly)
    sums = [
        part.sum(axis=0)
        for part in (baseline._cell_sums(weekly, when), baseline._cell_sums(seen, when))
    ]

    expected = baseline._expected(
        baseline._season_sums(weekly), baseline._season_sums(seen), *sums, when
    )

    assert expected[0, hour] == pytest.approx(by_hand(counts[0], history, history + hour))


@pytest.mark.parametrize("unobserved", [0.0, 0.3])
@pytest.mark.parametrize(("a", "b"), [(1.0, 0.1), (6.0, 0.3)])
def test_the_spread_of_known_noise_is_found(a: float, b: float, unobserved: float) -> None:
    """The variance that counts have is found, on average over series, from what was observed."""
    rng = np.random.default_rng(11)
    mu = np.tile(np.repeat([1.0, 4, 16, 40], 42), (150, 8))
    size = 1 / (a / mu + b)
    counts = rng.negative_binomial(size, size / (size + mu)).astype(float)
    when = baseline.calendar(MONDAY, counts.shape[1], 1, "UTC")
    normal = baseline.Baseline(mu, mu[:, :1], mu.mean(axis=1))

    seen = rng.random(counts.shape) >= unobserved
    learned = np.where(seen, counts, 0)

    found = baseline.spread(np.where(seen, counts, np.nan), learned, normal, when)

    for mean in (4.0, 40.0):
        fitted = mean + found.a.mean() * mean + found.b.mean() * mean**2
        assert fitted == pytest.approx(mean + a * mean + b * mean**2, rel=0.3)
    assert found.busy[-1].tolist() == (learned > 0).sum(axis=1).tolist()


def test_a_spike_does_not_widen_the_spread() -> None:
    """One enormous hour in a month leaves a series' variance about where it was."""
    counts = np.random.default_rng(12).poisson(5, (1, 4 * WEEK)).astype(float)
    spiked = counts.copy()
    spiked[0, 100] = 5000
    when = baseline.calendar(MONDAY, 4 * WEEK, 1, "UTC")
    normal = baseline.Baseline(np.full(counts.shape, 5.0), np.full((1, 1), 5.0), np.full(1, 5.0))

    plain, wide = (baseline.spread(these, these, normal, when) for these in (counts, spiked))

    for one in (plain, wide):
        assert 5 + 5 * one.a[-1, 0] + 25 * one.b[-1, 0] < 12


@laws
@given(pools(most=3))
def test_a_week_is_expected_from_the_other_weeks(case: tuple[np.ndarray, int]) -> None:
    """What a week of the history held does not change what is expected of it, but for the level."""
    counts, scored = case
    when = baseline.calendar(MONDAY, counts.shape[1] - scored, scored, "UTC")
    weekly = baseline._weekly(np.nan_to_num(baseline.grid(counts[:, :-scored], when)), when)
    total = weekly.sum(axis=0)

    left = baseline._without_each(total, weekly)

    for week in range(when.weeks):
        others = np.delete(weekly, week, axis=0).sum(axis=0)
        assert left[week] == pytest.approx(others)
