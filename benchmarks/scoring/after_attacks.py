"""What a night finds in a tenant where mailboxes were copied in the weeks before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.scoring import contexts
from benchmarks.scoring.generator import DAY
from gundog.hunting.scoring.hour_scores import score

_MAILBOXES = {1000: 2, 100: 6, 40: 12}  # of a tenant, and how many tenants are made
_COPIED = (0, 1, 3)
_ITEMS, _HOURS = 600, 3


def lines(seeds: Sequence[int]) -> Iterator[str]:
    """Rows of a table: tenants by size and by mailboxes that were copied, and what is found."""
    yield f"So many mailboxes were copied on a night of the history, {_ITEMS} items an hour for"
    yield f"{_HOURS} hours; a tenth of the others have a stolen session tonight, and as many a"
    yield "burst by the usual contexts. The budget is one false finding in 1,000 mailboxes:"
    yield from ("", "| mailboxes | copied before | false | stolen sessions found | bursts found |")
    yield "|---|---|---|---|---|"
    for mailboxes, tenants in _MAILBOXES.items():
        for copied in _COPIED:
            nights = [_night(seed + 200, mailboxes, copied) for seed in seeds[:tenants]]
            false, stolen, used = np.mean(nights, axis=0)
            yield f"| {mailboxes} | {copied} | {false:.1f} | {stolen:.0%} | {used:.0%} |"


def _night(seed: int, mailboxes: int, copied: int) -> tuple[int, float, float]:
    """How many are found by mistake, and the shares of stolen sessions and of bursts found."""
    night = contexts.make(seed, mailboxes, scored=DAY, attacked=0)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(mailboxes)[: mailboxes // 5 + copied]
    stolen, used, before = np.split(chosen, [mailboxes // 10, mailboxes // 5])
    planted = contexts.planted(night, stolen, used, seed)
    for row, day in zip(before, rng.integers(8, 27, len(before)), strict=True):
        hours = slice(day * DAY + 1, day * DAY + 1 + _HOURS)
        planted.counts[row, hours] = np.nan_to_num(planted.counts[row, hours]) + _ITEMS
    scores = score(
        planted.counts, planted.start, planted.scored, budget=mailboxes / 1000, new=planted.new
    )
    flags = scores.flagged.any(axis=1)
    quiet = np.delete(flags, [*stolen, *used])
    return int(quiet.sum()), float(flags[stolen].mean()), float(flags[used].mean())
