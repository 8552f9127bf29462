"""Prints the scale of a series without a pool, kept as constants in
gundog.hunting.scoring.calibration.

Run as `python -m benchmarks.scoring.alone` after the model changed.
"""

from __future__ import annotations

import numpy as np

from benchmarks.scoring import generator
from gundog.hunting.scoring import baseline, calibration, hour_scores, windows

SEEDS = (901, 902, 903)


def main() -> None:
    nights, groups = [], []
    for seed in SEEDS:
        sample = generator.make(seed, 1000, attacked=0, scored=24)
        history = sample.counts.shape[1] - sample.scored
        when = baseline.calendar(sample.start, history, sample.scored, "UTC")
        learning = np.zeros(len(sample.counts), dtype=bool)
        fit = hour_scores._fit(sample.counts[:, :history], when, learning, None, 1)
        group = calibration.groups(fit.rate, None)
        spread = hour_scores._shrunk(fit, group, pooled=False)
        nights.append(windows.windows(sample.counts, when, spread, fit.nights, None, 1).plain)
        groups.append(group)
    scale = calibration.scale(np.concatenate(nights), np.concatenate(groups))
    print("middle", scale.middle.round(2).tolist())  # noqa: T201 - the output of this command
    print("slope", scale.slope.round(2).tolist())  # noqa: T201


if __name__ == "__main__":
    main()
