"""How rarely a series is used from something so new to it.

A hunt may say of each hour how much of its count came from something that was new to the series:
a network, a provider, a country, an application. What is new in a night makes a pattern: a new
country by a provider that the tenant knows is another one than a new country by a new provider.
How often a night has a pattern so rare is learned from the series' own nights, drawn to the
pool's. It raises an excess, also a small one; what is new without an excess raises nothing. The
sum is on the scale of the excess, so that the pool's own nights calibrate it as they do every
score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gundog.hunting.scoring.baseline import DAY_H, WEEK_H, Bools, Calendar, Floats, Ints

# How many nights of a series weigh as much as what the pool's say.
_POOL_NIGHTS = 10.0
# Only what is rarer than one night in thirty raises an excess: all of it would take so many of the
# false findings that an excess from the usual ones lost much.
_TOLL = 1.5
# One or two come from anywhere.
_FEWEST = 3.0
# What is new is worth the less the rarer the excess is by itself, so that harmless ones with new
# tools do not make the tail longer.
_FROM, _FALL, _LEAST = 3.5, 0.75, 0.5


@dataclass(frozen=True)
class Newness:
    """What of the counts came from something new, hour by hour; most hours have nothing.

    Attributes:
        rows: the series of each entry, (n,).
        hours: its hour on the axis of the counts, (n,).
        amounts: how much of the count was new in each kind, (n, kinds).
        since: the first hour from which the series was known well enough to tell, (n_series,);
            the number of hours where it never was.
    """

    rows: Ints
    hours: Ints
    amounts: Floats
    since: Ints

    def of(self, rows: Sequence[int] | Ints) -> Newness:
        """That of some series, in ascending order, which are counted from 0 again."""
        places = np.full(len(self.since), -1)
        places[rows] = np.arange(len(rows))
        mine = places[self.rows] >= 0
        return Newness(
            places[self.rows[mine]], self.hours[mine], self.amounts[mine], self.since[rows]
        )


def joined(parts: Sequence[Newness]) -> Newness:
    """What several parts say of the same series; `parts` is not empty."""
    return Newness(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.hours for part in parts]),
        np.concatenate([part.amounts for part in parts]),
        np.min([part.since for part in parts], axis=0),
    )


@dataclass(frozen=True)
class Rarities:
    """How rarely a night of its series has so much that is new, hour by hour.

    Attributes:
        rows: the series of each entry, in order, (n,).
        places: its hour on the calendar's slots, scored hours behind them, (n,).
        amounts: how much was new in the night up to that hour, of the kind with most, (n,).
        rarity: -log10 of the share of nights with so rare a pattern, (n,).
    """

    rows: Ints
    places: Ints
    amounts: Floats
    rarity: Floats

    def of(self, rows: slice) -> slice:
        """The entries of some series."""
        low, high = np.searchsorted(self.rows, [rows.start, rows.stop])
        return slice(int(low), int(high))

    def weighed(self, excess: Floats) -> Floats:
        """How rare above the toll what is new in an excess is, (n,); 0 without one.

        Args:
            excess: how much more than expected the three hours up to each entry counted, (n,).
        """
        counts = (excess > 0) & (self.amounts >= _FEWEST)
        return np.where(counts, np.maximum(self.rarity - _TOLL, 0), 0.0)

    def of_scored(self, rarity: Floats, when: Calendar, n_series: int) -> Floats:
        """The rarity of each scored hour, (n_series, scored); 0 where nothing is new."""
        of_hours = np.zeros((n_series, len(when.scored)))
        places = self.places - when.weeks * WEEK_H
        scored = places >= 0
        of_hours[self.rows[scored], places[scored]] = rarity[scored]
        return of_hours


def none() -> Rarities:
    """Nothing is new."""
    nothing = np.zeros(0, dtype=np.int64)
    return Rarities(nothing, nothing, np.zeros(0), np.zeros(0))


def raised(value: Floats, rarity: Floats) -> Floats:
    """The value of an excess with what is new in it.

    It rises with both: a higher excess is never worth less for being as new.
    """
    return value + np.minimum(rarity, np.maximum(_FROM - _FALL * value, _LEAST))


def rarities(new: Newness, when: Calendar) -> Rarities:
    """How rare what is new is among the nights of its series and of the pool.

    A night of the history is judged by the others, as weeks are.

    Args:
        new: as it was counted.
        when: where the hours of the axis lie.
    """
    history = when.weeks * WEEK_H
    slots = np.concatenate([when.slots, history + np.arange(len(when.scored) + 1)])
    first_known = slots[new.since]
    order = np.lexsort((new.hours, new.rows))
    rows, places = new.rows[order], slots[new.hours[order]]
    usable = places >= first_known[rows]
    rows, places, amounts = rows[usable], places[usable], new.amounts[order][usable]
    nights = np.maximum((history - first_known) // DAY_H, 0)
    if not len(rows) or not nights.any():
        return none()
    night = rows * ((history + len(when.scored)) // DAY_H + 1) + places // DAY_H
    sums = _so_far(amounts, np.flatnonzero(np.diff(night, prepend=-1)))
    chance = _chance(rows, night, _pattern(sums), places < history, nights)
    return Rarities(rows, places, sums.max(axis=1), -np.log10(np.minimum(chance, 1)))


def _pattern(sums: Floats) -> Ints:
    """Which kinds have anything, as a number from 0 for each such set."""
    bits = (sums > 0) @ (1 << np.arange(sums.shape[1]))
    return np.unique(bits, return_inverse=True)[1]


def _so_far(amounts: Floats, first: Ints) -> Floats:
    """Running sums that begin again at each `first`."""
    total = np.cumsum(amounts, axis=0)
    before = np.concatenate([np.zeros((1, amounts.shape[1])), total])[first]
    sums: Floats = total - np.repeat(before, np.diff(np.append(first, len(amounts))), axis=0)
    return sums


def _chance(rows: Ints, night: Ints, pattern: Ints, is_past: Bools, nights: Ints) -> Floats:
    """The share of nights that come to each entry's pattern, or in the pool to one as rare.

    Args:
        rows, night, pattern: of each entry, in order; a night's patterns only grow.
        is_past: whether it lies in the history.
        nights: of the history, of each series.
    """
    patterns = int(pattern.max()) + 1
    comes = is_past & (np.diff(night * patterns + pattern, prepend=-1) != 0)
    often = np.bincount(pattern[comes], minlength=patterns)
    by_count = np.sort(often)
    so_rare = np.cumsum(by_count)[np.searchsorted(by_count, often, side="right") - 1]
    usual = (so_rare + 0.5) / (nights.sum() + 1)
    _, mine = np.unique(rows * patterns + pattern, return_inverse=True)
    had = np.bincount(mine[comes], minlength=len(rows))[mine] - is_past
    others = np.maximum(nights[rows] - is_past, 0)
    chance: Floats = (had + _POOL_NIGHTS * usual[pattern]) / (others + _POOL_NIGHTS)
    return chance
