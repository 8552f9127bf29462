"""Small pictures of the page as SVG: drawn from numbers and times, coloured by the style sheet.

Every text in them goes through `_text`, and colours are classes, so that they are right in light
and in dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup, escape

from gundog.core.safe_text import for_terminal
from gundog.core.times import format_duration

_WIDTH, _HEIGHT = 720, 190
_LEFT, _TOP, _BOTTOM = 52, 12, 30
_TICKS = 8
_MOST_MARKS = 40


def bars(heights: Sequence[float]) -> Markup:
    """A line of small bars as high as the numbers; zeros are a thin stroke.

    A reader that does not see it loses nothing: the numbers stand beside it.
    """
    width, top = 4, max([*heights, 1])
    drawn = [
        _rect("spark" if height else "spark0", n * width, 20 - tall, width - 1, tall)
        for n, height in enumerate(heights)
        for tall in [max(19 * height / top, 3) if height else 1]
    ]
    size = f'width="{len(heights) * width}" height="20" viewBox="0 0 {len(heights) * width} 20"'
    return _svg(f'class="sparkline" {size} aria-hidden="true"', drawn)


def hours(points: Sequence[Mapping[str, Any]], words: str) -> Markup:
    """What was counted hour by hour, what was expected, and from where on an hour is flagged.

    Args:
        points: hours in order: hour, observed, expected, upper (each may be null), flagged.
        words: what the picture shows, for those who do not see it.
    """
    keys = ("observed", "expected", "upper")
    values = [point[key] for point in points for key in keys if point[key] is not None]
    top = max(map(float, values), default=0)
    step = (_WIDTH - _LEFT) / max(len(points), 1)
    high = _HEIGHT - _TOP - _BOTTOM
    floor = _TOP + high

    def level(value: Any) -> float:
        return floor - high * float(value) / (top or 1)

    parts = [
        _line("axis", _LEFT, floor, _WIDTH, floor),
        _line("gridline", _LEFT, _TOP, _WIDTH, _TOP),
    ]
    for n, point in enumerate(points):
        x = _LEFT + n * step
        if point["observed"] is None:
            parts.append(_rect("nodata", x + step * 0.4, floor - 4, max(step * 0.2, 1), 4))
        elif point["observed"] > 0:
            tall = max(floor - level(point["observed"]), 1.5)
            kind = "flagged" if point["flagged"] else "bar"
            parts.append(_rect(kind, x + step * 0.12, floor - tall, step * 0.76, tall))
        if point["flagged"]:
            parts.append(_mark(x + step / 2, floor + 3))
    for key in ("expected", "upper"):
        parts.append(_steps(key, [point[key] for point in points], step, level))
    parts.append(_text(_LEFT - 6, _TOP + 4, _number(top), "end"))
    parts.append(_text(_LEFT - 6, floor + 4, "0", "end"))
    parts += _hour_labels([point["hour"] for point in points], step)
    return _picture(_HEIGHT, parts, words)


def _steps(kind: str, values: Sequence[Any], step: float, level: Any) -> str:
    """A stepped line over the hours that have a value."""
    path, is_down = "", False
    for n, value in enumerate(values):
        if value is None:
            is_down = False
            continue
        left, right, y = _LEFT + n * step, _LEFT + (n + 1) * step, level(value)
        path += f"{'L' if is_down else 'M'}{left:.1f} {y:.1f}H{right:.1f}"
        is_down = True
    return f'<path class="{kind}" d="{path}"/>' if path else ""


def _hour_labels(moments: Sequence[datetime], step: float) -> Iterable[str]:
    every = max(len(moments) // _TICKS, 1)
    for n, moment in enumerate(moments):
        if n % every == 0:
            form = "%d %b" if moment.hour == 0 and len(moments) > 24 else "%H:%M"
            yield _text(_LEFT + n * step, _HEIGHT - 4, moment.strftime(form), "start")


def axis(events: Sequence[tuple[datetime, str]], words: str) -> Markup:
    """Events on a line in time, the first and the last named, and the gap between the two.

    Args:
        events: when and what, in order of time; at least two moments differ.
        words: what the picture shows, for those who do not see it.
    """
    first, last = events[0][0], events[-1][0]
    whole = (last - first) / timedelta(microseconds=1)
    left, right, y = 14, _WIDTH - 14, 44

    def place(at: datetime) -> float:
        return left + (right - left) * ((at - first) / timedelta(microseconds=1)) / whole

    parts = [_line("axis", left, y, right, y)]
    shown = [events[0], *_thinned(events[1:-1]), events[-1]]
    parts += [f'<circle class="event" cx="{place(at):.1f}" cy="{y}" r="6"/>' for at, _ in shown]
    parts += [
        _text(left - 6, 26, f"{events[0][1]} {first:%Y-%m-%d %H:%M:%S}", "start"),
        _text(right + 6, 26, f"{events[-1][1]} {last:%Y-%m-%d %H:%M:%S}", "end"),
        _text((left + right) / 2, 68, f"{gap(last - first)} between", "middle"),
    ]
    return _picture(78, parts, words)


def _thinned(events: Sequence[tuple[datetime, str]]) -> Sequence[tuple[datetime, str]]:
    """Not more events than there is room for, evenly chosen."""
    return events[:: max(len(events) // _MOST_MARKS, 1)]


def gap(span: timedelta) -> str:
    """A gap in two units at most.

    >>> gap(timedelta(hours=3, minutes=25, seconds=30)), gap(timedelta(milliseconds=1500))
    ('3h25m', '1s')
    """
    for unit in (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)):
        if span >= unit:
            smaller = {86400: 3600, 3600: 60, 60: 1, 1: 1}[int(unit.total_seconds())]
            return format_duration(span - span % timedelta(seconds=smaller))
    return format_duration(span)


def _picture(height: int, parts: Iterable[str], words: str) -> Markup:
    size = f'viewBox="0 0 {_WIDTH} {height}"'
    label = escape(for_terminal(words))
    return _svg(f'class="chart" {size} role="img" aria-label="{label}"', parts)


def _svg(attributes: str, parts: Iterable[str]) -> Markup:
    """A picture; what is in it is made of numbers, and of texts that are escaped."""
    return Markup(f"<svg {attributes}>{''.join(parts)}</svg>")  # noqa: S704


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    size = f'width="{width:.1f}" height="{height:.1f}"'
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" {size}/>'


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="{kind}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def _mark(x: float, y: float) -> str:
    return f'<path class="mark" d="M{x:.1f} {y:.1f}l5 8h-10z"/>'


def _text(x: float, y: float, words: str, side: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{side}">{escape(for_terminal(words))}</text>'
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value < 1e7 else f"{value:.2g}"
