"""What is new to a series: how rare it is, and what that makes of an excess."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.hunting.scoring import baseline, hour_scores, newness
from gundog.hunting.scoring.hour_scores import Scores
from gundog.hunting.scoring.newness import Newness
from tests import draws

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
DAY, WEEKS = 24, 4
HISTORY = WEEKS * 168
SERIES = 40


def office(n_series: int = SERIES, seed: int = 1) -> np.ndarray:
    """Counts of mailboxes of several rates, busy by day."""
    rng = np.random.default_rng(seed)
    hour = np.arange(HISTORY + DAY) % DAY
    mu = 10 ** rng.uniform(-1, 1, (n_series, 1)) * np.where((hour > 6) & (hour < 18), 2.0, 0.2)
    return rng.negative_binomial(2 * mu, 0.5).astype(float)


def new_in(entries: list[tuple[int, int, tuple[float, ...]]], since: int = 0) -> Newness:
    """Entries of series, hour and amounts by kind."""
    kinds = len(entries[0][2]) if entries else 2
    return Newness(
        np.array([row for row, _, _ in entries], dtype=np.int64),
        np.array([hour for _, hour, _ in entries], dtype=np.int64),
        np.array([amounts for *_, amounts in entries], dtype=float).reshape(len(entries), kinds),
        np.full(SERIES, since),
    )


def scored(counts: np.ndarray, new: Newness | None) -> Scores:
    return hour_scores.score(counts, MONDAY, DAY, new=new)


def attacked(row: int = 7, hour: int = HISTORY + 3, items: float = 25) -> np.ndarray:
    counts = office()
    counts[row, hour] += items
    return counts


def test_nothing_new_is_the_score_of_counts_alone() -> None:
    """A hunt that says of every hour that nothing was new scores as one that says nothing."""
    plain, same = scored(attacked(), None), scored(attacked(), new_in([]))
    assert np.array_equal(plain.score, same.score)
    assert np.array_equal(plain.upper, same.upper)


def test_an_excess_from_something_new_ranks_above_the_same_from_the_usual() -> None:
    """The more of it is new, the higher it stands; hours with nothing new stay."""
    few = attacked(items=8)
    heights = [
        scored(few, new_in([(7, HISTORY + 3, (amount, 0.0))])).score[7, 3]
        for amount in (0.0, 3.0, 8.0)
    ]
    assert heights[0] < heights[1] < heights[2]
    counts = attacked()
    plain, raised = scored(counts, None), scored(counts, new_in([(7, HISTORY + 3, (25.0, 0.0))]))
    others = np.ones_like(plain.score, dtype=bool)
    others[7, 3] = False
    assert np.array_equal(plain.score[others], raised.score[others])
    assert raised.score[7, 3] > plain.score[7, 3]
    assert raised.threshold == plain.threshold


def test_something_new_without_an_excess_changes_nothing() -> None:
    """A mailbox that is read as usual from a new place has no excess."""
    counts = office()
    counts[7, HISTORY + 3] = 0
    new = new_in([(7, HISTORY + 3, (1.0,))])
    assert np.array_equal(scored(counts, None).score, scored(counts, new).score)


def test_what_is_new_every_night_is_worth_less() -> None:
    """A phone on the road has another network each night."""
    roaming = [(7, night * DAY + 9, (2.0,)) for night in range(WEEKS * 7)]
    stolen = (HISTORY + 3, (25.0,))
    rare = scored(attacked(), new_in([(7, *stolen)])).score[7, 3]
    common = scored(attacked(), new_in([*roaming, (7, *stolen)])).score[7, 3]
    assert common < rare


def test_a_series_that_is_not_known_yet_has_nothing_new() -> None:
    """Everything is new to a mailbox that was audited yesterday."""
    entries = [(7, HISTORY + 3, (25.0,)), (3, 200, (4.0,)), (3, 350, (4.0,))]
    counts = attacked()
    unknown = scored(counts, new_in(entries, since=HISTORY + DAY))
    assert np.array_equal(unknown.score, scored(counts, None).score)


def test_without_a_pool_nothing_is_new() -> None:
    """A tenant's own series has nobody to learn from."""
    counts = attacked()[:1]
    new = Newness(np.array([0]), np.array([HISTORY + 3]), np.ones((1, 1)), np.zeros(1, dtype=int))
    one = hour_scores.score(counts, MONDAY, DAY, pool=False, new=new)
    other = hour_scores.score(counts, MONDAY, DAY, pool=False)
    assert np.array_equal(one.score, other.score)


_ENTRIES = st.lists(
    st.tuples(
        st.integers(0, SERIES - 1),
        st.integers(0, HISTORY + DAY - 1),
        st.tuples(st.integers(0, 9), st.integers(0, 3)),
    ),
    max_size=40,
    unique_by=lambda entry: entry[:2],
)


@draws.law(100)
@given(entries=_ENTRIES, since=st.sampled_from([0, 100, HISTORY, HISTORY + DAY]))
def test_rarity_is_what_its_words_say(
    entries: list[tuple[int, int, tuple[int, int]]], since: int
) -> None:
    """Of its own other nights and ten of the pool's, the share that had anything so new."""
    when = baseline.calendar(MONDAY, HISTORY, DAY, "UTC")
    rare = newness.rarities(new_in(entries, since), when)

    nights = (HISTORY - since) // DAY if since <= HISTORY else 0
    sums: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
    expected = {}
    for row, hour, amounts in sorted(entries):
        if hour >= since and nights:
            so_far = sums[row, hour // DAY]
            sums[row, hour // DAY] = [so_far[0] + amounts[0], so_far[1] + amounts[1]]
            expected[row, hour] = sums[row, hour // DAY]
    had = [{key for key, so_far in sums.items() if so_far[kind]} for kind in (0, 1)]
    past = [{(row, night) for row, night in mine if night < HISTORY // DAY} for mine in had]
    for row, place, amounts, rarity in zip(
        rare.rows.tolist(), rare.places.tolist(), rare.amounts, rare.rarity, strict=True
    ):
        assert amounts.tolist() == expected.pop((row, place))
        for kind in (0, 1):
            own = {night for one, night in past[kind] if one == row} - {place // DAY}
            usual = (len(past[kind]) + 0.5) / (nights * SERIES + 1)
            others = nights - (place < HISTORY)
            chance = (len(own) + 10 * usual) / (others + 10)
            wanted = -np.log10(min(chance, 1)) if amounts[kind] else 0
            assert rarity[kind] == pytest.approx(wanted)
    assert not expected


@draws.law(20)
@given(entries=_ENTRIES, seed=st.integers(0, 99))
def test_the_order_of_series_and_entries_changes_nothing(
    entries: list[tuple[int, int, tuple[int, int]]], seed: int
) -> None:
    """To the last bit, and parts say what the whole says."""
    counts, rng = attacked(), np.random.default_rng(seed)
    order = rng.permutation(SERIES)
    place = np.argsort(order)
    moved = [(int(place[row]), hour, amounts) for row, hour, amounts in entries]
    rng.shuffle(moved)
    whole = new_in(entries)
    shuffled = newness.joined([new_in(moved[:9]), new_in(moved[9:])]) if moved else whole

    one, other = scored(counts, whole), scored(counts[order], shuffled)

    assert np.array_equal(one.score[order], other.score, equal_nan=True)
    assert one.threshold == other.threshold


def test_some_series_keep_what_is_theirs() -> None:
    """Rows are counted from 0 again, and what is of others is gone."""
    new = new_in([(3, 5, (1.0,)), (7, 6, (2.0,)), (9, 7, (3.0,))])
    some = new.of([3, 9])
    assert some.rows.tolist() == [0, 1]
    assert some.hours.tolist() == [5, 7]
    assert some.amounts.tolist() == [[1.0], [3.0]]
    assert len(some.since) == 2
