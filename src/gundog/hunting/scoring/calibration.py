"""How rare a surprise is among clean nights of series of the same rate.

Everything learned from the pool is taken over sorted values, so that the order of the series
does not change a bit of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gundog.hunting.scoring.baseline import DAY_H, GROUP_EDGES, WEEK_H, Floats, Ints

_QUANTILES = (0.6, 0.9)
_MIN_SLOPE = 0.6
_MIN_NIGHTS = 800
_TAIL = 50
_COMMON = 0.5  # one night in three
_FAINT = 9.0  # from here on chances of nights just add up
_MIN_EXCESS = 1 / np.log(10)  # a tail that loses a factor 10 a unit, which the scale aims at
# Not one tail in a hundred reaches a third as far beyond its edge as what an excess leaves out.
_FAR, _TAILS = 3.0, 100

# Without a pool: the quantiles of each group's clean nights, by channel, on the benchmark's
# generator with other seeds than the benchmark's.
_ALONE_MIDDLE = np.array([[0.6, 4.4], [1.29, 9.95], [1.1, 11.22], [0.93, 10.68]])
_ALONE_SLOPE = np.array([[2.02, 8.98], [1.32, 9.66], [1.51, 12.67], [1.28, 13.3]])


@dataclass(frozen=True)
class Scale:
    """A line per group and channel that makes surprises of all channels alike.

    Both are (groups, channels). On it a unit is a factor 10 in how many clean nights are as high.
    """

    middle: Floats
    slope: Floats

    def standardise(self, surprise: Floats, group: Ints) -> Floats:
        """Surprises (series, ..., channels) of series in `group` (series,), on the scale."""
        middle, slope = self._of(group, surprise.ndim)
        line: Floats = -np.log10(1 - _QUANTILES[0]) + (surprise - middle) / slope
        return np.maximum(line, 0.001 * surprise)

    def _of(self, group: Ints, ndim: int) -> tuple[Floats, Floats]:
        shape = (len(group), *[1] * (ndim - 2), self.middle.shape[1])
        return self.middle[group].reshape(shape), self.slope[group].reshape(shape)


@dataclass(frozen=True)
class Tail:
    """The share of values at or above one: counted, and an exponential tail beyond.

    `values` are sorted; from `edge` on, which `many` of them reach, the tail takes over.
    """

    values: Floats
    edge: float
    many: int
    excess: float

    def rarity(self, value: Floats) -> Floats:
        """-log10 of the share of values at or above each value, never below 0."""
        total = len(self.values)
        reached = total - np.searchsorted(self.values, value.ravel(), side="left")
        counted = -np.log10(np.maximum(reached, 1) / total).reshape(value.shape)
        beyond = np.log10(total / self.many) + (value - self.edge) / (self.excess * np.log(10))
        return np.where(value > self.edge, beyond, np.maximum(counted, 0))

    def value_at(self, rarity: float) -> float:
        """The smallest value that is at least so rare."""
        total = len(self.values)
        share = 10.0**-rarity
        if share >= self.many / total:
            place = total - 1 - int(share * total + 1e-9)
            return float(np.nextafter(self.values[place], np.inf)) if place >= 0 else 0.0
        beyond = rarity - np.log10(total / self.many)
        return float(self.edge + beyond * self.excess * np.log(10))


@dataclass(frozen=True)
class Clean:
    """How rare a value is among clean nights: by the highest nights of weeks of `a_week` nights.

    An attack that went on for some nights before it is hunted would otherwise make nights as high
    look several times as common as they are. What is common is counted by nights, as nearly every
    week has some such night.
    """

    nights: Tail
    weeks: Tail
    a_week: float

    def rarity(self, value: Floats) -> Floats:
        """-log10 of the share of nights at or above each value, never below 0."""
        by_night = self.nights.rarity(value)
        by_week = _in_nights(self.weeks.rarity(value), 1 / self.a_week)
        return np.where(by_night <= _COMMON, by_night, np.maximum(by_week, _COMMON))

    def value_at(self, rarity: float) -> float:
        """The smallest value that is at least so rare."""
        if rarity <= _COMMON:
            return self.nights.value_at(rarity)
        by_week = float(_in_nights(np.array([rarity]), self.a_week)[0])
        return max(self.weeks.value_at(by_week), self.nights.value_at(np.nextafter(_COMMON, 1)))


@dataclass(frozen=True)
class Scorer:
    """What makes scores of windows of surprise; without tails a score is the value itself."""

    scale: Scale
    tails: tuple[Clean, ...]

    def value(self, surprise: Floats, group: Ints) -> Floats:
        """The highest channel of each (series, ..., channels), standardised, at least 0."""
        highest: Floats = self.scale.standardise(surprise, group).max(axis=-1)
        return np.maximum(highest, 0)

    def score(self, value: Floats, group: Ints) -> Floats:
        """-log10 of the share of clean nights with such a value (series, ...)."""
        if not self.tails:
            return value
        rarities = np.zeros_like(value)
        for number in np.unique(group):
            rarities[group == number] = self.tails[number].rarity(value[group == number])
        return rarities


def alone() -> Scale:
    """The scale of a series that has no pool."""
    return Scale(_ALONE_MIDDLE, _ALONE_SLOPE)


def groups(rate: Floats, nights: Ints | None) -> Ints:
    """The rate group of each series, small groups of a pool joined with a neighbour.

    Args:
        rate: mean count an hour, (series,).
        nights: history nights each series brings to the pool, (series,); None without a pool.
    """
    group = np.searchsorted(GROUP_EDGES, rate, side="right")
    if nights is None:
        return group
    sizes = np.array([nights[group == number].sum() for number in range(len(GROUP_EDGES) + 1)])
    return _joined(sizes)[group]


def _joined(sizes: Ints) -> Ints:
    """A label for each group, shared by neighbours until it has enough nights."""
    labels, gathered = [0], 0
    for size in sizes:
        gathered += size
        full = gathered >= _MIN_NIGHTS
        labels.append(labels[-1] + full)
        gathered = 0 if full else gathered
    return np.minimum(labels[:-1], max(labels[-1] - 1, 0))


def shared(own: Floats, weight: Floats, group: Ints) -> Floats:
    """The weighted mean of each series' group, (..., series).

    Args:
        own: estimates, (..., series).
        weight: how much each is worth, (..., series).
        group: of each series, (series,).
    """
    mean = np.empty_like(own)
    for number in np.unique(group):
        member = group == number
        worth = np.sort(weight[..., member], axis=-1).sum(axis=-1)
        total = np.sort((weight * own)[..., member], axis=-1).sum(axis=-1)
        plain = np.sort(own[..., member], axis=-1).mean(axis=-1)
        some = np.where(worth > 0, worth, 1)
        mean[..., member] = np.where(worth > 0, total / some, plain)[..., None]
    return mean


def scale(peaks: Floats, group: Ints) -> Scale:
    """The scale that history's nights are on.

    Quantiles stay well inside, so that some attacked nights in the history cannot move them.

    Args:
        peaks: each night's highest surprise, (series, nights, channels), NaN where not usable.
        group: of each series, (series,).
    """
    channels = peaks.shape[-1]
    middle = np.zeros((group.max() + 1, channels))
    slope = np.ones_like(middle)
    for number in np.unique(group):
        for channel in range(channels):
            values = usable(peaks[group == number, :, channel])
            if len(values):
                low, high = np.quantile(values, _QUANTILES)
                step = np.log10((1 - _QUANTILES[0]) / (1 - _QUANTILES[1]))
                middle[number, channel] = low
                slope[number, channel] = max((high - low) / step, _MIN_SLOPE)
    return Scale(middle, slope)


def tail(values: Floats) -> Tail:
    """The tail of values, NaN where not usable."""
    values = usable(values)
    many = min(_TAIL, max(len(values) // 10, 1))
    edge = values[-many]
    above = values[np.searchsorted(values, edge, side="left") :]
    return Tail(values, float(edge), len(above), _excess(above - edge))


def _excess(beyond: Floats) -> float:
    """How far values lie beyond the edge of their tail, on average.

    A night that was attacked can lie a hundred times as far beyond as all others. It says nothing
    of how fast the tail falls, and in the mean it would hide all lesser attacks for four weeks. So
    the median first says how far is usual, and what is far from that is left out.
    """
    usual = max(float(np.median(beyond)) / np.log(2), _MIN_EXCESS)
    near = beyond[beyond <= _FAR * usual * np.log(_TAILS * len(beyond))]
    return float(max(near.mean(), _MIN_EXCESS))


def clean(nights: Floats, counted: Floats | None = None) -> Clean:
    """How rare values are among nights.

    Where hardly a week stands out from the lowest by what was counted, as in a small and tame pool,
    weeks have no tail to speak of and nights stand for them.

    Args:
        nights: (series, weeks * 7), NaN where not usable.
        counted: the same before anything new raised them; None where nothing did.
    """
    weekly = _weekly(nights)
    by_night, by_week = tail(nights), tail(np.fmax.reduce(weekly, axis=1))
    plain = by_week if counted is None else tail(np.fmax.reduce(_weekly(counted), axis=1))
    if plain.edge <= plain.values[0]:
        return Clean(by_night, by_night, 1.0)
    there = np.isfinite(weekly).sum(axis=1)
    return Clean(by_night, by_week, float(there[there > 0].mean()))


def _weekly(nights: Floats) -> Floats:
    return nights.reshape(-1, WEEK_H // DAY_H)


def _in_nights(rarity: Floats, nights: float) -> Floats:
    """-log10 of the chance in so many nights of what has a chance of 10 ** -rarity in one."""
    share = 10.0 ** -np.minimum(rarity, _FAINT)
    with np.errstate(divide="ignore"):
        rarest = -np.log10(-np.expm1(nights * np.log1p(-share)))
    return np.where(rarity > _FAINT, rarity - np.log10(nights), rarest)


def usable(nights: Floats) -> Floats:
    """The values that are not NaN, sorted."""
    return np.sort(nights[np.isfinite(nights)])
