"""A small bar chart of hours for a terminal: what was counted, against what was expected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

ROWS = 6
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_STYLE, _FLAGGED, _EXPECTED = "cyan", "bold red", "yellow"


def of_hours(points: Sequence[Mapping[str, Any]]) -> list[Text]:
    """The chart's lines: `ROWS` of bars, an axis, and marks under the hours that were flagged.

    Each hour is a bar two columns wide. The expected count is a dash wherever the bar does not
    cover it; an hour that was not observed has a dot on the axis.

    Args:
        points: hours in order: hour, observed (or null), expected (or null) and flagged.

    >>> points = [{"hour": None, "observed": n, "expected": 2.0, "flagged": n > 4} for n in (1, 6)]
    >>> for line in of_hours([{**point, "hour": n} for n, point in enumerate(points)])[4:]:
    ...     print(line.plain.rstrip())
             │── ██
             │██ ██
           0 └──────
                 ▲▲
    """
    top = max(
        (point[key] or 0.0 for point in points for key in ("observed", "expected")), default=0.0
    )
    step = (top or 1.0) / ROWS
    lines = []
    for row in reversed(range(ROWS)):
        label = (f"{top:,.0f}" if top < 1e7 else f"{top:.2g}") if row == ROWS - 1 else ""
        line = Text(f"{label:>8} │", style="dim")
        for point in points:
            line.append_text(_cell(point, row, step))
        lines.append(line)
    axis = "".join("··─" if point["observed"] is None else "───" for point in points)
    lines.append(Text(f"{'0':>8} └{axis}", style="dim"))
    marks = "".join("▲▲ " if point["flagged"] else "   " for point in points)
    if marks.strip():
        lines.append(Text(" " * 10 + marks, style=_FLAGGED))
    return lines


def _cell(point: Mapping[str, Any], row: int, step: float) -> Text:
    """Two columns and a gap of one hour's bar, in the row that many steps above zero."""
    observed, expected = point["observed"] or 0.0, point["expected"]
    eighths = round(8 * (observed / step - row))
    if row == 0 and observed > 0:
        eighths = max(eighths, 1)
    style = _FLAGGED if point["flagged"] else _STYLE
    if eighths > 0:
        return Text(_EIGHTHS[min(eighths, 8)] * 2 + " ", style=style)
    if expected is not None and expected > 0 and row == math.ceil(expected / step) - 1:
        return Text("── ", style=_EXPECTED)
    return Text("   ")
