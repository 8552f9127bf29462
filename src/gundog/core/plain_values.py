"""Plain values and canonical JSON: one spelling for the same content."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from gundog.core.times import format_duration, format_time


def plain(value: Any) -> Any:
    """A value as JSON knows it: times and durations as people write them."""
    if isinstance(value, datetime):
        return format_time(value)
    if _is_arrow_interval(value):
        days = timedelta(days=30 * value.months + value.days)
        return format_duration(days + timedelta(microseconds=value.nanoseconds // 1000))
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Decimal) and value.is_finite():  # what a sum of BIGINT is in Arrow
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float) and not math.isfinite(value):  # JSON has no such numbers
        return str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _is_arrow_interval(value: Any) -> bool:
    """True for pyarrow.MonthDayNano, told by its fields: pyarrow is not loaded to show a finding.

    >>> import pyarrow
    >>> _is_arrow_interval(pyarrow.MonthDayNano([0, 1, 2])), _is_arrow_interval((0, 1, 2))
    (True, False)
    """
    return isinstance(value, tuple) and hasattr(value, "nanoseconds")


def canonical(value: Any) -> str:
    """JSON with one spelling for equal values."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
