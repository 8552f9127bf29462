"""One picture of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scoring import clean
from benchmarks.scoring.clean import BUDGETS, Budgets, Calibration
from benchmarks.scoring.trial import Figures

_OURS, _OTHER = "#4c78a8", "#bab0ac"
_LABELS = {"SeasonalWindowAverage + NB": "SeasonalWindow-\nAverage + NB"}


def draw(
    path: Path, methods: Mapping[str, list[Figures]], calibration: Calibration, budgets: Budgets
) -> None:
    """Draws methods, calibration and budgets; needs matplotlib."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams.update({"svg.hashsalt": "gundog", "font.size": 9})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(10, 6.8), layout="constrained")
    _bars(axes[0][0], methods, "recall", "Recall at 2 % false windows")
    _bars(axes[0][1], methods, "series_ap", "AUC-PR of series")
    _calibration(axes[1][0], calibration)
    _budgets(axes[1][1], budgets)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _bars(axis: Any, methods: Mapping[str, list[Figures]], name: str, title: str) -> None:
    means = {
        method: float(np.mean([getattr(one, name) for one in runs]))
        for method, runs in methods.items()
    }
    order = sorted(means, key=lambda method: means[method])
    colours = [_OURS if method == "gundog" else _OTHER for method in order]
    bars = axis.barh(
        [_LABELS.get(method, method) for method in order],
        [means[method] for method in order],
        color=colours,
    )
    axis.bar_label(bars, fmt="%.2f", padding=3)
    axis.set_title(f"{title}, 28 days of history", loc="left")
    axis.set_xlim(0, 1.08)
    axis.xaxis.set_visible(False)
    axis.spines["bottom"].set_visible(False)


def _calibration(axis: Any, calibration: Calibration) -> None:
    """Seen over expected by rate group, with two standard errors of a count."""
    places = np.arange(len(clean.GROUPS))
    axis.axhspan(0.5, 2, color=_OTHER, alpha=0.25, lw=0)
    axis.axhline(1, color="black", lw=0.6)
    for at, marker in enumerate("os^"):
        ratio, seen = calibration.ratio[at], calibration.reached[at]
        error = 2 * ratio / np.sqrt(np.maximum(seen, 1))
        below = np.minimum(error, 0.98 * ratio)
        axis.errorbar(places + (at - 1) * 0.2, ratio, [below, error], fmt=marker, color=_OURS,
                      alpha=1 - 0.3 * at, ms=5, lw=1, label=f"score {at + 1}")  # fmt: skip
    axis.set_yscale("log")
    axis.set_ylim(0.2, 5)
    axis.set_yticks([0.25, 0.5, 1, 2, 4], ["¼", "½", "1", "2", "4"])
    axis.minorticks_off()
    axis.set_xticks(places, clean.GROUPS)
    axis.set_title("Clean nights as high: seen / expected, by rate", loc="left")
    axis.legend(loc="upper left", frameon=False, ncols=3, columnspacing=1, handletextpad=0.3)


def _budgets(axis: Any, budgets: Budgets) -> None:
    """What is found of the planted bursts at each budget, and what it cost."""
    found, false = budgets.found.mean(axis=0), budgets.false.mean(axis=0)
    places = np.arange(len(BUDGETS))
    bars = axis.bar(places, 100 * found, color=_OURS, width=0.6)
    axis.bar_label(bars, fmt="%.0f %%", padding=2)
    names = [f"{budget}\n({seen:.0f})" for budget, seen in zip(BUDGETS, false, strict=True)]
    axis.set_xticks(places, names)
    axis.set_xlabel("budget a night at 100,000 mailboxes (false findings seen)")
    axis.set_title("Planted bursts found", loc="left")
    axis.set_ylim(0, 100)
    axis.yaxis.set_visible(False)
    axis.spines["left"].set_visible(False)
