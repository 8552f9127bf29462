"""How rarely a series is used from something so new to it.

A hunt may say of each hour how much of its count came from something that was new to the series:
a network, a provider, a country, an application. How often that happens on a night is learned from
the series' own nights, drawn to the pool's. As much of an excess as came from something new makes
it so much rarer; what is new without an excess makes nothing. The sum is on the scale of the
excess, so that the pool's own nights calibrate it as they do every score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gundog.hunting.scoring.baseline import DAY_H, WEEK_H, Bools, Calendar, Floats, Ints

# How many nights of a series weigh as much as what the pool's say.
_POOL_NIGHTS = 10.0
# Where two thirds of an excess came from something new, all of it may have: counts are noisy.
_NOISE = 1.5
# Only what is rarer than one night in ten raises an excess: all of it would take so many of the
# false findings that an excess from the usual ones lost much.
_TOLL = 1.0
# What is new is worth at most twice the excess, so that a small one stays small, and the less the
# rarer the excess is by itself, so that harmless ones with new tools do not make the tail longer.
_MOST, _LEAST, _FROM, _FALL = 2.0, 0.5, 3.0, 0.5


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
    """How rarely each kind of thing is new on a night of its series, hour by hour.

    Attributes:
        rows: the series of each entry, in order, (n,).
        places: its hour on the calendar's slots, scored hours behind them, (n,).
        amounts: how much was new in the night up to that hour, (n, kinds).
        rarity: -log10 of the share of nights on which anything is, (n, kinds); 0 where nothing is.
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
        """How rare above the toll what is new in an excess is, by its share of it, (n,).

        Args:
            excess: how much more than expected was counted in the day up to each entry, (n,).
        """
        share = np.minimum(_NOISE * self.amounts / np.maximum(excess, 1)[:, None], 1)
        above = np.maximum(self.rarity - _TOLL, 0)
        weighed: Floats = (above * share).max(axis=1, initial=0)
        return weighed

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
    return Rarities(nothing, nothing, np.zeros((0, 0)), np.zeros((0, 0)))


def raised(value: Floats, rarity: Floats) -> Floats:
    """The value of an excess with what is new in it; a value of 0 stays.

    It rises with both: a higher excess is never worth less for being as new.
    """
    most = np.maximum(_FROM - _FALL * value, _LEAST)
    return value + np.minimum(rarity, np.minimum(most, _MOST * value))


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
    first = np.flatnonzero(np.diff(night, prepend=-1))
    sums, last = _so_far(amounts, first), np.append(first[1:], len(rows)) - 1
    is_past = places < history
    kinds = [_of_kind(rows, kind, is_past, last, nights) for kind in sums.T]
    return Rarities(rows, places, sums, np.stack(kinds, axis=1))


def _so_far(amounts: Floats, first: Ints) -> Floats:
    """Running sums that begin again at each `first`."""
    total = np.cumsum(amounts, axis=0)
    before = np.concatenate([np.zeros((1, amounts.shape[1])), total])[first]
    sums: Floats = total - np.repeat(before, np.diff(np.append(first, len(amounts))), axis=0)
    return sums


def _of_kind(rows: Ints, sums: Floats, is_past: Bools, last: Ints, nights: Ints) -> Floats:
    """The rarity of one kind; `last` are the last entries of each series and night."""
    past = last[is_past[last] & (sums[last] > 0)]
    had = np.bincount(rows[past], minlength=len(nights))
    usual = (len(past) + 0.5) / (nights.sum() + 1)
    others = np.maximum(nights[rows] - is_past, 0)
    chance = (np.maximum(had[rows] - is_past, 0) + _POOL_NIGHTS * usual) / (others + _POOL_NIGHTS)
    return np.where(sums > 0, -np.log10(np.minimum(chance, 1)), 0.0)
