"""The score with contexts, the score of counts alone, and an oracle of counts, side by side.

`python -m benchmarks.scoring.context_trial` writes benchmarks/contexts.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.scoring import clean, contexts, metrics
from benchmarks.scoring.contexts import NEW_CONTEXT, USUAL_CONTEXT, Sample
from benchmarks.scoring.generator import DAY
from gundog.hunting.scoring import surprise
from gundog.hunting.scoring.hour_scores import Scores, score

SEEDS = {"dev": (31, 32, 33, 34), "test": (41, 42, 43, 44)}
_ORACLE_WINDOWS = (1, 3, 24)
_HEAD = """\
Written by `python -m benchmarks.scoring.context_trial`. The generator is ours: no real mailbox is
in it. {seeds} {which} seeds of {mailboxes} mailboxes, 28 days of history; 30 % have an attack in
the 48 scored hours, half of them from networks, providers, countries or applications that are new
to the mailbox. Harmless mailboxes have phones behind a carrier's gateways, cafes, journeys, VPNs,
new lines and clients, several people, backup tools and migrations. The oracle knows the true mean
and variance of each hour. Recall at 2 % false windows, and the area under precision over recall:"""
Method = Callable[[Sample], np.ndarray]


def counts_alone(sample: Sample, budget: float | None = None) -> Scores:
    """The score that knows nothing of contexts."""
    return score(sample.counts, sample.start, sample.scored, budget=budget)


def with_contexts(sample: Sample, budget: float | None = None) -> Scores:
    """The score as the nightly hunt takes it."""
    return score(sample.counts, sample.start, sample.scored, budget=budget, new=sample.new)


def oracle(sample: Sample) -> np.ndarray:
    """The rarest sum of 1, 3 or 24 hours to one who knows each hour's mean and variance."""
    seen = np.isfinite(sample.counts)
    y, mu = np.where(seen, sample.counts, 0.0), np.where(seen, sample.mean, 0.0)
    best = np.zeros(len(y))
    for width in _ORACLE_WINDOWS:
        had, due, squares = (_trailing(values, width) for values in (y, mu, mu**2))
        due = np.maximum(due, 0.001)
        b = np.maximum(sample.b[:, None] * squares / due**2, 1e-6)
        a = np.broadcast_to(np.maximum(sample.a, 0.001)[:, None], due.shape)
        rare = surprise.surprise(had, due, a, b)[:, -sample.scored :]
        best = np.maximum(best, rare.max(axis=1))
    return best


def _trailing(hourly: np.ndarray, width: int) -> np.ndarray:
    total = np.cumsum(hourly, axis=1)
    total[:, width:] -= total[:, :-width].copy()
    return total


METHODS: dict[str, Method] = {
    "counts and contexts": lambda sample: _highest(with_contexts(sample)),
    "counts alone": lambda sample: _highest(counts_alone(sample)),
    "oracle of counts": oracle,
}


def _highest(scores: Scores) -> np.ndarray:
    highest: np.ndarray = np.nan_to_num(scores.score).max(axis=1)
    return highest


def recalls(samples: list[Sample]) -> Iterator[list[str]]:
    """Recall at 2 % false windows: of attacks from new contexts, of others, and of each."""
    for name, method in METHODS.items():
        runs = [_recall(method(sample), sample) for sample in samples]
        yield [name, *(f"{figure:.3f}" for figure in np.nanmean(runs, axis=0))]


def _recall(found: np.ndarray, sample: Sample) -> list[float]:
    is_clean = sample.attack == ""
    limit = np.quantile(found[is_clean], 0.98)
    groups = [NEW_CONTEXT, USUAL_CONTEXT, *((attack,) for attack in NEW_CONTEXT + USUAL_CONTEXT)]
    shares = [float(np.mean(found[np.isin(sample.attack, group)] > limit)) for group in groups]
    return [*shares[:2], metrics.average_precision(found, ~is_clean), *shares[2:]]


def _gains(rows: list[list[str]]) -> Iterator[str]:
    """What contexts gain and lose, in words."""
    new, usual = ({name: float(cells[at]) for name, *cells in rows} for at in (0, 1))
    gained = new["counts and contexts"] - new["oracle of counts"]
    lost = usual["counts and contexts"] - usual["counts alone"]
    yield f"New contexts: {gained:+.3f} against the oracle of counts. Usual contexts: {lost:+.3f}"
    yield "against counts alone, as windows with new contexts take a part of the false ones."


def nights(seeds: tuple[int, ...], mailboxes: int) -> Iterator[str]:
    """How often clean nights reach a score, and what budgets find, without contexts and with."""
    reached = {name: np.zeros(3) for name in ("counts and contexts", "counts alone")}
    flagged = {name: np.zeros((3, len(clean.BUDGETS))) for name in reached}
    for seed in seeds:
        night = contexts.make(seed, mailboxes, scored=DAY, attacked=0)
        rng = np.random.default_rng(seed)
        both = rng.choice(mailboxes, 2 * clean.PLANTED, replace=False)
        stolen, used = both[: clean.PLANTED], both[clean.PLANTED :]
        quiet = np.setdiff1d(np.arange(mailboxes), both)
        planted = contexts.planted(night, stolen, used, seed)
        for name, method in (
            ("counts and contexts", with_contexts),
            ("counts alone", counts_alone),
        ):
            highest = method(night).night_score[:, 0]
            reached[name] += [(highest >= least).sum() for least in (1, 2, 3)]
            for place, budget in enumerate(clean.BUDGETS):
                flags = method(planted, budget * mailboxes / 100_000).flagged.any(axis=1)
                flagged[name][:, place] += [
                    flags[quiet].sum() * 100_000 / mailboxes,
                    flags[stolen].mean(),
                    flags[used].mean(),
                ]
    many = len(seeds) * mailboxes
    yield f"{len(seeds)} nights of {mailboxes} mailboxes; seen over expected (and how many seen):"
    yield from ("", "| | score >= 1 | >= 2 | >= 3 |", "|---|---|---|---|")
    for name, seen in reached.items():
        cells = [f"{n / many * 10**at:.2f} ({n:.0f})" for at, n in enumerate(seen, 1)]
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield from ("", f"{clean.PLANTED} stolen sessions and as many bursts by the usual contexts")
    yield from ("planted in each night, 20 items an hour for 3 hours or twice the mean:", "")
    yield "| | budget at 100,000 | false | stolen sessions found | bursts found |"
    yield "|---|---|---|---|---|"
    for name, figures in flagged.items():
        for place, budget in enumerate(clean.BUDGETS):
            false, new, usual = figures[:, place] / len(seeds)
            yield f"| {name} | {budget} | {false:.0f} | {new:.0%} | {usual:.0%} |"


def main() -> None:
    options = _options()
    seeds = SEEDS[options.seeds][: options.runs]
    samples = [contexts.make(seed, options.mailboxes) for seed in seeds]
    rows = list(recalls(samples))
    names = ["new contexts", "usual contexts", "AUC-PR", *NEW_CONTEXT, *USUAL_CONTEXT]
    lines = [
        "# What contexts add to the score",
        "",
        _HEAD.format(seeds=len(seeds), which=options.seeds, mailboxes=options.mailboxes),
        "",
        "| method | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
        *_gains(rows),
        "",
        "## Clean nights and budgets",
        "",
        *nights(tuple(seed + 100 for seed in seeds), options.clean),
    ]
    options.out.write_text("\n".join(lines) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", choices=SEEDS, default="test")
    parser.add_argument("--runs", type=int, default=4, help="how many of the seeds")
    parser.add_argument("--mailboxes", type=int, default=1200, help="mailboxes of a sample")
    parser.add_argument("--clean", type=int, default=4000, help="mailboxes of a clean night")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/contexts.md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
