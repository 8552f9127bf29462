"""Runs the scoring benchmark and writes its tables: `python -m benchmarks.scoring --help`.

Development seeds are for trying things on; figures to report come from the test seeds, which
nothing was chosen by.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.scoring import ablation, baselines, clean, generator, metrics, nab, picture, trial
from benchmarks.scoring.generator import ATTACKS, KINDS, Sample
from benchmarks.scoring.trial import Figures
from gundog.hunting.scoring.hour_scores import ALONE_THRESHOLD, score

SEEDS = {"dev": (31, 32, 33, 34), "test": (41, 42, 43, 44)}


def main() -> None:
    options = _options()
    seeds = SEEDS[options.seeds][: options.runs]
    lines = [
        "# How good the scores are",
        "",
        "Written by `python -m benchmarks.scoring`. The generator is ours: no real mailbox is in",
        f"it. {len(seeds)} {options.seeds} seeds of {options.series} series; 30 % of them have an",
        "attack in the 48 scored hours.",
        "",
        f"![Methods, calibration and budgets]({options.out.with_suffix('.svg').name})",
    ]
    by_days = {}
    for days in (28, 14):
        samples = [generator.make(seed, options.series, history_days=days) for seed in seeds]
        by_days[days] = _runs(samples, days)
        lines += ["", f"## {days} days of history", "", *_comparison(by_days[days])]
        if days == 28:
            lines += ["", "## Without each part", "", *_ablation(samples)]
    lines += ["", "## The tenant as one series", "", *_tenant(seeds, options.series)]
    calibration, budgets = clean.run(tuple(seed + 100 for seed in seeds), options.mailboxes)
    lines += ["", "## Clean nights and budgets", ""]
    lines += _clean(calibration, budgets, len(seeds), options.mailboxes)
    if options.nab:
        lines += ["", "## NAB by the hour", "", *_nab(options.nab)]
    cpu_ms, peak_gb = clean.cost(options.cost)
    lines += ["", "## Cost", ""]
    lines += [
        f"{options.cost} mailboxes, one night on 28 days: {cpu_ms:.2f} ms of CPU a series;",
        f"peak memory {peak_gb:.2f} GB, with the input and all that ran before.",
    ]
    options.out.write_text("\n".join(lines) + "\n")
    picture.draw(options.out.with_suffix(".svg"), by_days[28], calibration, budgets)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__)
    parser.add_argument("--seeds", choices=SEEDS, default="test")
    parser.add_argument("--runs", type=int, default=4, help="how many of the seeds")
    parser.add_argument("--series", type=int, default=400, help="series of a sample")
    parser.add_argument("--mailboxes", type=int, default=8000, help="mailboxes of a clean night")
    parser.add_argument("--cost", type=int, default=10_000, help="mailboxes of the night timed")
    parser.add_argument("--nab", type=Path, help="folder with NAB's hourly series, if there is one")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/scoring.md"))
    return parser.parse_args()


def _table(head: str, rows: Iterator[list[str]]) -> Iterator[str]:
    names = head.split("|")
    yield "| " + " | ".join(names) + " |"
    yield "|" + "---|" * len(names)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _runs(samples: list[Sample], days: int) -> dict[str, list[Figures]]:
    """The figures of each method, one for each sample."""
    methods = {n: m for n, m in baselines.METHODS.items() if days == 28 or n != "Kusto 28 d"}
    runs = [trial.run(sample, methods) for sample in samples]
    return {name: [run[name] for run in runs] for name in runs[0]}


def _comparison(by_method: dict[str, list[Figures]]) -> Iterator[str]:
    yield from _table(
        "method|F1|AUC-PR|of hours|recall at 2 %|first 10|" + "|".join(KINDS) + "|CPU ms",
        ([name, *_means(figures), f"{_mean(figures, 'cpu_ms'):.2f}"]
         for name, figures in by_method.items()),
    )  # fmt: skip
    yield from ("", "Recall at 2 % false windows, by attack:", "")
    yield from _table(
        "method|" + "|".join(ATTACKS),
        ([name, *(_of(figures, attack) for attack in ATTACKS)]
         for name, figures in by_method.items()),
    )  # fmt: skip


def _mean(figures: list[Figures], name: str) -> float:
    return float(np.mean([getattr(one, name) for one in figures]))


def _means(figures: list[Figures]) -> list[str]:
    names = ("f1", "series_ap", "hours_ap", "recall", "first_10")
    kinds = [
        np.mean([one.kind_ap[kind] for one in figures if kind in one.kind_ap]) for kind in KINDS
    ]
    return [f"{_mean(figures, name):.3f}" for name in names] + [f"{one:.3f}" for one in kinds]


def _of(figures: list[Figures], attack: str) -> str:
    known = [one.attack_recall[attack] for one in figures if attack in one.attack_recall]
    return f"{np.mean(known):.2f}"


def _ablation(samples: list[Sample]) -> Iterator[str]:
    whole = _means([trial.judge(trial.gundog(sample), sample) for sample in samples])
    rows = [["nothing", *whole]]
    for part in ablation.PARTS:
        with ablation.without(part):
            figures = [trial.judge(trial.gundog(sample), sample) for sample in samples]
        rows.append([part, *_means(figures)])
    yield from _table(
        "without|F1|AUC-PR|of hours|recall at 2 %|first 10|" + "|".join(KINDS), iter(rows)
    )


def _tenant(seeds: tuple[int, ...], n_series: int) -> Iterator[str]:
    samples = [generator.make(seed, n_series, kinds={"tenant": 1.0}) for seed in seeds]
    true = np.concatenate([sample.attack != "" for sample in samples])
    ours = [score(one.counts, one.start, one.scored, pool=False).score for one in samples]
    found = {"gundog": np.concatenate([np.nan_to_num(one).max(axis=1) for one in ours])}
    for name, method in baselines.METHODS.items():
        if name != "MSTICPy STL":
            found[name] = np.concatenate(
                [method(np.nan_to_num(one.counts), trial.cells(one), one.scored).max(axis=1)
                 for one in samples])  # fmt: skip
    yield from _table(
        "method|AUC-PR|recall at 5 %",
        ([name, f"{metrics.average_precision(one, true):.3f}",
          f"{metrics.recall_at(one, true, 0.05):.3f}"] for name, one in found.items()),
    )  # fmt: skip
    high = found["gundog"] >= ALONE_THRESHOLD
    yield from (
        "",
        f"At threshold {ALONE_THRESHOLD:g}, {high[~true].mean():.1%} of clean windows are flagged",
        f"and {high[true].mean():.1%} of attacked ones.",
    )


def _clean(
    calibration: clean.Calibration, budgets: clean.Budgets, nights: int, mailboxes: int
) -> Iterator[str]:
    yield f"{nights} nights of {mailboxes} mailboxes; seen over expected (and how many seen):"
    yield ""
    yield from _table(
        "score|" + "|".join(clean.GROUPS),
        ([f">= {at + 1}", *(f"{ratio:.2f} ({seen:.0f})" for ratio, seen in zip(*row, strict=True))]
         for at, row in enumerate(zip(calibration.ratio, calibration.reached, strict=True))),
    )  # fmt: skip
    yield ""
    yield from _table(
        "budget at 100,000|false|planted bursts found",
        ([str(budget), f"{budgets.false[:, at].mean():.1f}", f"{budgets.found[:, at].mean():.0%}"]
         for at, budget in enumerate(clean.BUDGETS)),
    )  # fmt: skip
    yield from (
        "",
        "One clean mailbox in 200 has a resync that night, of three to twelve times its mean. What",
        "is planted in busy mailboxes is smaller, so that no score finds it within the budget. If",
        "rate and session size of every sparse mailbox were known, 65 % would be found at 10.",
    )


def _nab(folder: Path) -> Iterator[str]:
    series = nab.load(folder)
    hunts = {"gundog 28 d": nab.ours(28), "gundog 14 d": nab.ours(14),
             "Kusto 28 d": nab.kusto(28), "Kusto 14 d": nab.kusto(14)}  # fmt: skip
    yield from _table(
        "method|event F1|event recall|AUC-PR of hours",
        ([name, *(f"{figure:.3f}" for figure in nab.run(series, hunt))]
         for name, hunt in hunts.items()),
    )  # fmt: skip


if __name__ == "__main__":
    main()
