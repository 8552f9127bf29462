"""The colours of the page, light and dark, and which stand on which.

A test computes the contrast of every pair: at least 4.5 for text, 3 for lines and bars, as WCAG 2
asks for.
"""

from __future__ import annotations

# name: (light, dark)
COLOURS = {
    "page": ("#ffffff", "#14171c"),
    "panel": ("#f4f5f7", "#1d2128"),
    "text": ("#1a1d21", "#e7e9ec"),
    "muted": ("#545b64", "#a6adb7"),
    "link": ("#0b4fa8", "#8ab8ff"),
    "edge": ("#d5d9de", "#363c45"),
    "critical": ("#7a0019", "#ffb3bd"),
    "on-critical": ("#ffffff", "#3d0010"),
    "high": ("#b3261e", "#ff9d8f"),
    "on-high": ("#ffffff", "#400a04"),
    "medium": ("#ffdf9e", "#f0c36a"),
    "on-medium": ("#4a2f00", "#332000"),
    "low": ("#cfe4ff", "#284a72"),
    "on-low": ("#0a3566", "#dceaff"),
    "informational": ("#e3e6ea", "#3a4049"),
    "on-informational": ("#363c44", "#e0e3e8"),
    "good": ("#cdebd6", "#1f4a30"),
    "on-good": ("#0b4423", "#c9f2d7"),
    "provisional": ("#d9e6fb", "#24406b"),
    "on-provisional": ("#133a7c", "#d6e5ff"),
    "learning": ("#e6defa", "#41336e"),
    "on-learning": ("#452885", "#e6dcff"),
    "stale": ("#ffe0b5", "#6a4208"),
    "on-stale": ("#5e3200", "#ffe3bd"),
    "bad": ("#fbd3d0", "#6e1f1b"),
    "on-bad": ("#7c1410", "#ffdcd8"),
    "bar": ("#4a7ab5", "#6f9fdb"),
    "flagged": ("#c4281d", "#ff8a7a"),
    "expected": ("#1a1d21", "#f2f3f5"),
    "upper": ("#8a5a00", "#e2b04a"),
}
SURFACES = ("page", "panel")
# Words on a coloured ground, as (words, ground).
TEXT = (
    *((words, ground) for words in ("text", "muted", "link") for ground in SURFACES),
    *((f"on-{name}", name) for name in COLOURS if f"on-{name}" in COLOURS),
)
# What is drawn on a surface and carries meaning.
DRAWN = tuple(
    (line, ground) for line in ("bar", "flagged", "expected", "upper") for ground in SURFACES
)


def css() -> str:
    """The colours as variables, for both schemes; print is light."""
    light, dark = (
        "".join(f"--{name}:{pair[side]};" for name, pair in COLOURS.items()) for side in (0, 1)
    )
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    )


def contrast(first: str, second: str) -> float:
    """The contrast of two colours, 1 to 21.

    Source: WCAG 2.2, relative luminance and contrast ratio.

    >>> round(contrast("#000000", "#ffffff")), round(contrast("#777777", "#ffffff"), 2)
    (21, 4.48)
    """
    lighter, darker = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
