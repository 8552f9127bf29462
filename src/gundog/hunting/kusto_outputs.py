"""The outputs of Kusto's series functions, by name: what reads queries needs no more of them."""

from __future__ import annotations

from collections.abc import Mapping

# The names of Kusto's outputs, in its order.
OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "series_decompose_anomalies": ("ad_flag", "ad_score", "baseline"),
    "series_decompose": ("baseline", "seasonal", "trend", "residual"),
    "series_outliers": ("outliers",),
    "series_fit_line": (
        "rsquare", "slope", "variance", "rvariance", "interception", "line_fit",
    ),
    "series_seasonal": ("seasonal",),
    "series_fill_linear": ("fill_linear",),
    "series_periods_detect": ("periods", "scores"),
    "series_stats": ("min", "min_idx", "max", "max_idx", "avg", "stdev", "variance"),
}  # fmt: skip
