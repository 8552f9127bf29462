"""How good a ranking of series and hours is, with one threshold over all of them."""

from __future__ import annotations

import numpy as np


def average_precision(score: np.ndarray, true: np.ndarray) -> float:
    """Area under precision over recall; tied scores count as one step."""
    order = np.argsort(-score, kind="stable")
    score, true = score[order], true[order]
    last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    hits = np.cumsum(true)[last]
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / (last + 1)).sum() / max(true.sum(), 1))


def recall_at(score: np.ndarray, true: np.ndarray, false_share: float) -> float:
    """Share of the true found when at most `false_share` of the others are flagged."""
    return float(np.mean(score[true] > np.quantile(score[~true], 1 - false_share)))


def f1_at(score: np.ndarray, true: np.ndarray, alerts: int) -> float:
    """F1 of the `alerts` highest, a score of 0 never being an alert."""
    top = np.argsort(-score, kind="stable")[:alerts]
    top = top[score[top] > 0]
    return float(2 * true[top].sum() / max(len(top) + true.sum(), 1))


def precision_of_first(score: np.ndarray, true: np.ndarray, rows: int = 10) -> float:
    """Share of true ones among the `rows` highest."""
    return float(true[np.argsort(-score, kind="stable")[:rows]].mean())
