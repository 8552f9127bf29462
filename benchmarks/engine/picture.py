"""One picture of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.engine import page

_PARTS = ("stage", "hunt", "store", "publish")
_COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2")
_TITLES = {"pairs": "Pairs", "hours": "Mail per hour"}
_GUNDOG, _OTHER = "#4c78a8", "#bab0ac"
_LABELS = {
    "decode": "decode only", "gundog": "gundog, stage + hunt", "duckdb": "DuckDB, core",
    "polars": "Polars, core", "chdb": "chDB, core", "datafusion": "DataFusion, core",
}  # fmt: skip


def draw(path: Path, results: Mapping[str, Any]) -> None:
    """Draws the engines and the year; needs matplotlib and both parts."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams.update({"svg.hashsalt": "gundog", "font.size": 9})
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(10, 6.4), layout="constrained")
    for axis, (hunt, one) in zip(axes[0], results["engines"]["hunts"].items(), strict=True):
        _bars(axis, hunt, one)
    _nights(axes[1][0], page.months(results["year"]))
    _sizes(axes[1][1], page.months(results["year"]))
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.12)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _bars(axis: Any, hunt: str, one: Mapping[str, Any]) -> None:
    names = [name for name in _LABELS if name in one["taken"]][::-1]
    values = [one["taken"][name]["ratio"] for name in names]
    colours = [_GUNDOG if name == "gundog" else _OTHER for name in names]
    bars = axis.barh([_LABELS[name] for name in names], values, color=colours)
    axis.bar_label(bars, fmt="%.1f", padding=3)
    axis.set_title(f"{_TITLES[hunt]}, CPU x decoding", loc="left")
    axis.set_xlim(0, max(values) * 1.12)
    axis.xaxis.set_visible(False)
    axis.spines["bottom"].set_visible(False)


def _nights(axis: Any, months: Mapping[int, Mapping[str, float]]) -> None:
    values = [[one[part] for one in months.values()] for part in _PARTS]
    axis.stackplot(list(months), values, labels=_PARTS, colors=_COLOURS)
    axis.set_title("A night in a year, CPU seconds without scoring", loc="left")
    axis.set_xlabel("night")
    axis.set_xlim(min(months), max(months))
    axis.legend(loc="upper left", frameon=False, ncols=2)
    axis.set_ylim(0, max(one["whole"] for one in months.values()) * 1.35)


def _sizes(axis: Any, months: Mapping[int, Mapping[str, float]]) -> None:
    for name, colour, label in (
        ("warehouse", _COLOURS[0], "warehouse.duckdb"),
        ("published", _COLOURS[1], "findings.duckdb"),
    ):
        axis.plot(list(months), [one[name] for one in months.values()], "o-", color=colour,
                  markersize=3, label=label)  # fmt: skip
    axis.set_title("File sizes in the year, MB", loc="left")
    axis.set_xlabel("night")
    axis.set_xlim(min(months), max(months))
    axis.set_ylim(0, max(one["warehouse"] for one in months.values()) * 1.35)
    axis.legend(loc="upper left", frameon=False)
