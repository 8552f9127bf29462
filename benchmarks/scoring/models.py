"""Seasonal models of statsforecast in place of the default one, on the same series."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.scoring import generator, metrics
from benchmarks.scoring.generator import MAILBOXES, Sample
from gundog.detections.seasonal_models import SeasonalModel
from gundog.hunting.scoring.hour_scores import score

_DEFAULT = "SeasonalWindowAverage (default)"
# A model as a detection writes it, and its name in the tables.
CHEAP: dict[str, SeasonalModel | None] = {
    _DEFAULT: None,
    "SeasonalNaive, 168": {"SeasonalNaive": {"season_length": 168}},
    "SeasonalExponentialSmoothingOptimized, 168": {
        "SeasonalExponentialSmoothingOptimized": {"season_length": 168}
    },
    "CrostonSBA": {"CrostonSBA": {}},
    "TSB, 0.1 and 0.1": {"TSB": {"alpha_d": 0.1, "alpha_p": 0.1}},
    "AutoCES, 24": {"AutoCES": {"season_length": 24}},
}
DEAR: dict[str, SeasonalModel | None] = {
    _DEFAULT: None,
    "AutoTheta, 168": {"AutoTheta": {"season_length": 168}},
    "AutoETS, 24": {"AutoETS": {"season_length": 24}},
    "MSTL, 24 and 168": {"MSTL": {"season_length": [24, 168]}},
}
_CHOICE = (
    "The default is what to choose for mailboxes, and for a tenant whose habit is a plain week:",
    "no other model found more on these series. `CrostonSBA` has the recall of the default where",
    "most mailboxes are sparse, and ranks the rest worse. The generator has no trend of weeks and",
    "no season but day and week; for a few series that have, try `AutoETS`, `AutoTheta` or `MSTL`",
    "on your own history. For thousands of series their cost rules them out.",
)
# From this line on, the page is this module's.
MARK = "## Other seasonal models"


@dataclass(frozen=True)
class _Reached:
    """AUC-PR, recall at a share of false windows, CPU ms a series, series that were not fitted."""

    area: float
    recall: float
    cpu_ms: float
    unfitted: int


def lines(seed: int, mailboxes: int, tenants: int, share: int) -> Iterator[str]:
    """The section of the page: each model over mailboxes as a pool, and over tenants alone."""
    yield from (MARK, "", "`series.model` names another one. Mailboxes are a pool, tenants' own")
    yield f"series are judged alone; 28 days, seed {seed}, CPU with that of processes. Dear models"
    yield "have fewer series, so each table has the default on the same ones."
    for models, part in ((CHEAP, 1), (DEAR, share)):
        yield from ("", *_table(models, seed, mailboxes // part, tenants // part))
    yield from ("", *_CHOICE)


def _table(
    models: dict[str, SeasonalModel | None], seed: int, mailboxes: int, tenants: int
) -> Iterator[str]:
    pool = generator.make(seed, mailboxes, kinds=MAILBOXES)
    alone = generator.make(seed, tenants, kinds={"tenant": 1.0})
    head = f"model|{mailboxes} mailboxes: AUC-PR|recall at 2 %|CPU ms|{tenants} tenants: AUC-PR"
    yield f"| {' | '.join([*head.split('|'), 'recall at 5 %', 'CPU ms', 'not fitted'])} |"
    yield "|" + "---|" * 8
    for name, model in models.items():
        ours, own = _judged(pool, model, True, 0.02), _judged(alone, model, False, 0.05)
        yield (
            f"| {name} | {ours.area:.3f} | {ours.recall:.3f} | {ours.cpu_ms:.2f}"
            f" | {own.area:.3f} | {own.recall:.3f} | {own.cpu_ms:.2f}"
            f" | {ours.unfitted + own.unfitted} |"
        )


def _judged(sample: Sample, model: SeasonalModel | None, pool: bool, share: float) -> _Reached:
    began = _cpu()
    scores = score(sample.counts, sample.start, sample.scored, pool=pool, model=model, jobs=2)
    cpu_ms = 1000 * (_cpu() - began) / len(sample.counts)
    true, highest = sample.attack != "", np.nan_to_num(scores.score).max(axis=1)
    return _Reached(
        metrics.average_precision(highest, true),
        metrics.recall_at(highest, true, share),
        cpu_ms,
        scores.unfitted,
    )


def _cpu() -> float:
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


def main() -> None:
    """Measures the models and writes their section again: `python -m benchmarks.scoring.models`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring.models")
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--mailboxes", type=int, default=500)
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--share", type=int, default=5, help="dear models have 1 in so many")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/scoring.md"))
    options = parser.parse_args()
    made = "\n".join(lines(options.seed, options.mailboxes, options.tenants, options.share))
    page = options.out.read_text() if options.out.exists() else ""
    rest = page.partition(MARK)[0].rstrip("\n")
    options.out.write_text(f"{rest}\n\n{made}\n")


if __name__ == "__main__":
    main()
