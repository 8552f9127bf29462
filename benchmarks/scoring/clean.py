"""Nights of mailboxes without attacks: whether a score is as rare as it says, and what it costs."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

import numpy as np

from benchmarks.scoring import generator
from benchmarks.scoring.generator import DAY, MAILBOXES
from gundog.hunting.scoring.hour_scores import score

GROUPS = ("< 0.3/h", "0.3-3/h", "3-30/h", ">= 30/h", "all")
BUDGETS = (1, 3, 10, 30, 100)
PLANTED = 40


@dataclass(frozen=True)
class Calibration:
    """Nights seen by rate group, and how many reached each score: 1, 2 and 3."""

    nights: np.ndarray
    reached: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """Seen over expected, (scores, groups)."""
        return self.reached / self.nights * 10.0 ** np.arange(1, 4)[:, None]


@dataclass(frozen=True)
class Budgets:
    """False findings at 100,000 mailboxes and planted bursts found, (seeds, budgets)."""

    false: np.ndarray
    found: np.ndarray


def run(seeds: tuple[int, ...], mailboxes: int) -> tuple[Calibration, Budgets]:
    """One clean night for each seed, then the same nights with planted bursts.

    A burst is three hours of 20 an hour or twice the mailbox's mean, whichever is more.
    """
    nights, reached = np.zeros(len(GROUPS)), np.zeros((3, len(GROUPS)))
    false, found = (np.zeros((len(seeds), len(BUDGETS))) for _ in range(2))
    for at, seed in enumerate(seeds):
        sample = generator.make(seed, mailboxes, attacked=0, kinds=MAILBOXES, scored=DAY)
        mean = np.nanmean(sample.counts[:, :-DAY], axis=1)
        night = score(sample.counts, sample.start, DAY).night_score[:, 0]
        group = np.searchsorted([0.3, 3, 30], mean, side="right")
        for place in range(len(GROUPS)):
            member = (group == place) | (place == len(GROUPS) - 1)
            nights[place] += member.sum()
            reached[:, place] += [(night[member] >= one).sum() for one in (1, 2, 3)]
        planted = _plant(sample.counts, mean, seed)
        clean = np.setdiff1d(np.arange(mailboxes), planted)
        for place, budget in enumerate(BUDGETS):
            scaled = budget * mailboxes / 100_000
            flagged = score(sample.counts, sample.start, DAY, budget=scaled).flagged.any(axis=1)
            false[at, place] = flagged[clean].sum() * 100_000 / mailboxes
            found[at, place] = flagged[planted].mean()
    return Calibration(nights, reached), Budgets(false, found)


def _plant(counts: np.ndarray, mean: np.ndarray, seed: int) -> np.ndarray:
    """Adds bursts to the last night of some rows and says which."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(counts), PLANTED, replace=False)
    for row in rows:
        at = counts.shape[1] - DAY + int(rng.integers(DAY - 2))
        counts[row, at : at + 3] += rng.poisson(max(20, 2 * mean[row]), 3)
    return rows


def cost(mailboxes: int) -> tuple[float, float]:
    """CPU ms a series of a night, and the process's peak memory in GB, its input included."""
    block = generator.make(1, 2000, attacked=0, kinds=MAILBOXES, scored=DAY)
    counts = np.tile(block.counts, (mailboxes // 2000, 1))
    started = time.process_time()
    score(counts, block.start, DAY)
    cpu_ms = 1000 * (time.process_time() - started) / len(counts)
    return cpu_ms, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
