"""The score with contexts, the score of counts alone, and an oracle of counts, side by side.

`python -m benchmarks.scoring.context_trial` writes benchmarks/contexts.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.scoring import after_attacks, clean, contexts, metrics
from benchmarks.scoring.contexts import NEW_CONTEXT, USUAL_CONTEXT, Sample
from benchmarks.scoring.generator import DAY
from gundog.hunting.scoring import surprise
from gundog.hunting.scoring.hour_scores import Scores, score

SEEDS = {"dev": (*range(31, 41), 51, 52), "test": (*range(111, 119), *range(121, 129))}
_ORACLE_WINDOWS = (1, 3, 24)
_HEAD = """\
Written by `python -m benchmarks.scoring.context_trial`. The generator is ours: no real mailbox is
in it. {seeds} {which} seeds of {mailboxes} mailboxes, 28 days of history; 30 % have an attack in
the 48 scored hours, half of them from networks, providers, countries or applications that are new
to the mailbox. Harmless mailboxes have phones behind a carrier's gateways, cafes, journeys, VPNs,
new lines and clients, several people, backup tools and migrations. What is new to a mailbox and
known to at most {few} mailboxes of the tenant is told apart as rare. A provider that the tenant
knows in a country that it does not know is a sign of attack here: VPNs of harmless mailboxes end
at home. The oracle knows the true mean and variance of each hour. Recall at 2 % false windows, and
the area under precision over recall:"""
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


def recalls(samples: list[Sample]) -> dict[str, np.ndarray]:
    """Recall at 2 % false windows, by method (samples, groups): as `_recall` has them."""
    return {
        name: np.array([_recall(method(sample), sample) for sample in samples])
        for name, method in METHODS.items()
    }


def _recall(found: np.ndarray, sample: Sample) -> list[float]:
    is_clean = sample.attack == ""
    limit = np.quantile(found[is_clean], 0.98)
    groups = [NEW_CONTEXT, USUAL_CONTEXT, *((attack,) for attack in NEW_CONTEXT + USUAL_CONTEXT)]
    shares = [float(np.mean(found[np.isin(sample.attack, group)] > limit)) for group in groups]
    return [*shares[:2], metrics.average_precision(found, ~is_clean), *shares[2:]]


def _gains(runs: dict[str, np.ndarray]) -> Iterator[str]:
    """What contexts gain and lose, in words, each with its standard error over the seeds."""
    mine, alone, known = runs.values()
    gained, more, lost = (mine - known)[:, 0], (mine - alone)[:, 0], (mine - alone)[:, 1]
    yield f"New contexts: {_with_error(gained)} against the oracle of counts, {_with_error(more)}"
    yield f"against counts alone. Usual contexts: {_with_error(lost)} against counts alone, as"
    yield "windows with new contexts take a part of the false ones. Each is the mean of the seeds'"
    yield "own differences, with its standard error."


def _with_error(differences: np.ndarray) -> str:
    error = differences.std(ddof=1) / np.sqrt(len(differences)) if len(differences) > 1 else 0
    return f"{differences.mean():+.3f} (+-{error:.3f})"


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
    runs = recalls(samples)
    names = ["new contexts", "usual contexts", "AUC-PR", *NEW_CONTEXT, *USUAL_CONTEXT]
    lines = [
        "# What contexts add to the score",
        "",
        _HEAD.format(
            seeds=len(seeds), which=options.seeds, mailboxes=options.mailboxes, few=contexts.FEW
        ),
        "",
        "| method | " + " | ".join(names) + " |",
        "|---" * (len(names) + 1) + "|",
        *(
            f"| {name} | "
            + " | ".join(f"{figure:.3f}" for figure in np.nanmean(run, axis=0))
            + " |"
            for name, run in runs.items()
        ),
        "",
        *_gains(runs),
        "",
        "## Clean nights and budgets",
        "",
        *nights(tuple(seed + 100 for seed in seeds[: options.nights]), options.clean),
        "",
        "## After attacks that nobody confirmed",
        "",
        *after_attacks.lines(seeds),
    ]
    options.out.write_text("\n".join(lines) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", choices=SEEDS, default="test")
    parser.add_argument("--runs", type=int, default=16, help="how many of the seeds")
    parser.add_argument("--nights", type=int, default=8, help="how many clean nights")
    parser.add_argument("--mailboxes", type=int, default=1000, help="mailboxes of a sample")
    parser.add_argument("--clean", type=int, default=1000, help="mailboxes of a clean night")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/contexts.md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
