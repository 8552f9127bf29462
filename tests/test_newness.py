"""What is new to a series: how rare it is, and what that makes of an excess."""

from __future__ import annotations

from collections import Counter, defaultdict
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
    """From three new items on; hours with nothing new stay."""
    few = attacked(items=8)
    heights = [
        scored(few, new_in([(7, HISTORY + 3, (amount, 0.0))])).score[7, 3]
        for amount in (0.0, 2.0, 3.0, 8.0)
    ]
    assert heights[0] == heights[1] < heights[2] == heights[3]
    counts = attacked()
    plain, raised = scored(counts, None), scored(counts, new_in([(7, HISTORY + 3, (25.0, 0.0))]))
    others = np.ones_like(plain.score, dtype=bool)
    others[7, 3] = False
    assert np.array_equal(plain.score[others], raised.score[others])
    assert raised.score[7, 3] > plain.score[7, 3]
    assert raised.threshold == plain.threshold


def test_something_new_without_an_excess_changes_nothing() -> None:
    """A mailbox that is read less than usual, and all of it from a new place, is on a journey."""
    counts = office()
    busy = int(counts.sum(axis=1).argmax())
    counts[busy, HISTORY : HISTORY + 12] = 0
    counts[busy, HISTORY + 12] = 9
    new = new_in([(busy, HISTORY + 12, (9.0,))])
    assert np.array_equal(scored(counts, None).score, scored(counts, new).score)


def slightly_above() -> tuple[int, np.ndarray]:
    """A busy mailbox with a few items more in a day than it has, and the counts of all."""
    counts = office()
    busy = int(counts.sum(axis=1).argmax())
    usual = counts[busy, :HISTORY].reshape(-1, DAY)
    counts[busy, HISTORY - DAY :] = np.tile(np.ceil(usual.mean(axis=0)), 2)
    counts[busy, HISTORY + 12] += 6
    return busy, counts


def test_a_small_excess_is_flagged_for_what_is_new_alone() -> None:
    """A stolen session reads little beside its busy owner.

    The same count from the usual places is not flagged, nor from what is new to other mailboxes on
    many nights.
    """
    busy, counts = slightly_above()
    stolen = (busy, HISTORY + 12, (6.0, 6.0))
    common = [
        (row, night * DAY + 9, (3.0, 3.0))
        for row in range(SERIES)
        for night in range(row % 4, WEEKS * 7, 4)
        if row != busy
    ]
    flags = [
        hour_scores.score(counts, MONDAY, DAY, budget=1.0, new=new).flagged[busy, 12]
        for new in (None, new_in([stolen]), new_in([*common, stolen]))
    ]
    assert flags == [False, True, False]


def test_new_things_that_never_come_together_are_rare_together() -> None:
    """Others have a new network on some nights and a new country on others, nobody both."""
    when = baseline.calendar(MONDAY, HISTORY, DAY, "UTC")
    apart = [
        (row, night * DAY + 9, (3.0, 0.0) if row % 2 else (0.0, 3.0))
        for row in range(10, SERIES)
        for night in range(row % 5, WEEKS * 7, 5)
    ]
    tonight = [(row, HISTORY + 3, (3.0 * (row != 1), 3.0 * (row != 0))) for row in range(3)]
    rare = newness.rarities(new_in([*apart, *tonight]), when)
    network, country, both = rare.rarity[rare.places == HISTORY + 3]
    assert both > max(network, country) + 1


def test_what_is_new_one_night_in_twenty_raises_nothing() -> None:
    """All that is new would take too many of the false findings."""
    when = baseline.calendar(MONDAY, HISTORY, DAY, "UTC")
    usual = [
        (row, night * DAY + 9, (3.0,))
        for row in range(SERIES)
        for night in range(row % 20, WEEKS * 7, 20)
    ]
    rare = newness.rarities(new_in([*usual, (9, HISTORY + 3, (3.0,))]), when)
    tonight = rare.places == HISTORY + 3
    assert 1 < rare.rarity[tonight] < 1.5
    assert rare.weighed(np.ones(len(rare.rows)))[tonight] == 0


@draws.law(50)
@given(
    value=st.floats(0, 300),
    more=st.floats(0, 50),
    rarity=st.floats(0, 10),
    rarer=st.floats(0, 10),
)
def test_a_value_rises_with_the_excess_and_with_what_is_new(
    value: float, more: float, rarity: float, rarer: float
) -> None:
    """And what is new takes nothing away."""
    low = newness.raised(np.array([value, value + more]), np.array([rarity, rarity]))
    high = newness.raised(np.array([value, value + more]), np.full(2, rarity + rarer))
    assert value <= low[0] <= low[1] + 1e-9
    assert (low <= high).all()


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
    """Of its own other nights with this pattern, and ten of the pool's with one as rare."""
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
    past = {
        (row, hour // DAY, (so_far[0] > 0, so_far[1] > 0))
        for (row, hour), so_far in expected.items()
        if hour < HISTORY
    }
    often = Counter(pattern for _, _, pattern in past)
    for row, place, amount, rarity in zip(
        *(column.tolist() for column in (rare.rows, rare.places, rare.amounts, rare.rarity)),
        strict=True,
    ):
        so_far = expected.pop((row, place))
        assert amount == max(so_far)
        pattern = (so_far[0] > 0, so_far[1] > 0)
        own = {night for one, night, its in past if (one, its) == (row, pattern)} - {place // DAY}
        as_rare = sum(times for times in often.values() if times <= often[pattern])
        usual = (as_rare + 0.5) / (nights * SERIES + 1)
        others = nights - (place < HISTORY)
        chance = (len(own) + 10 * usual) / (others + 10)
        assert rarity == pytest.approx(-np.log10(min(chance, 1)))
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
