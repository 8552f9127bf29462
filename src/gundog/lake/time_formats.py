"""How files write times that are neither times nor ISO 8601 text: `timeFormat:` in gundog.yaml.

Either a strptime format, or a number that is counted from 1970 on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from gundog.core.fields import unknown
from gundog.lake.path import AZURE_DATA_EXPLORER, LOG_ANALYTICS

MILLISECONDS = "epoch-milliseconds"
# Nanoseconds of each.
EPOCHS = {
    "epoch-seconds": 1_000_000_000,
    MILLISECONDS: 1_000_000,
    "epoch-microseconds": 1000,
    "epoch-nanoseconds": 1,
}
# From 1990 to 2199, in seconds.
_FIRST_S, _LAST_S = 631_152_000, 7_258_118_400
_FIELDS = frozenset("aAbBdfHIjmMpSTyYzZ%")
_YEARS, _MONTHS, _MONTH_DAYS = "yY", "mbB", "d"


def problem(text: str) -> str | None:
    """What keeps a text from being a time format; None where nothing does.

    >>> problem("%d/%m/%Y %H:%M:%S"), problem("epoch-seconds")
    (None, None)
    """
    if "%" not in text:
        if text in EPOCHS:
            return None
        return f"is an {unknown(text, EPOCHS, 'format')}, or a format such as '%d/%m/%Y %H:%M:%S'"
    fields = re.findall(r"%-?(.?)", text, re.DOTALL)
    if odd := sorted(set(fields) - _FIELDS):
        return (
            f"holds %{odd[0]}, an unknown field: use %Y %y %m %b %B %d %j %H %I %p %M %S %f %z %Z,"
            " and %% for a percent sign"
        )
    kinds = ((_YEARS, "%Y"), (_MONTHS, "%m"), (_MONTH_DAYS, "%d"))
    lacks = [name for letters, name in kinds if not set(letters) & set(fields)]
    if "j" in fields:
        lacks = [name for name in lacks if name == "%Y"]
    return f"has no {' and no '.join(lacks)}: a time needs its whole date" if lacks else None


def used(said: str, exporter: str) -> str:
    """The format of times: as gundog.yaml says, else the numbers that an exporter writes."""
    writes_numbers = exporter in (LOG_ANALYTICS, AZURE_DATA_EXPLORER)
    return said or (MILLISECONDS if writes_numbers else "")


def of_numbers(values: Sequence[float]) -> str:
    """The unit in which numbers are times; empty where they are not.

    >>> of_numbers([1_762_000_000_000])
    'epoch-milliseconds'
    """
    for name, nanoseconds in EPOCHS.items():
        if values and is_plausible([value * nanoseconds for value in values]):
            return name
    return ""


def is_plausible(values: Sequence[float]) -> bool:
    """True when all nanoseconds since 1970 lie in the years that events may have."""
    return all(_FIRST_S <= value / 1e9 <= _LAST_S for value in values)


_DATES = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%d %b %Y", "%Y/%m/%d")
_CLOCKS = ("%H:%M:%S", "%H:%M:%S.%f", "%I:%M:%S %p", "%I:%M:%S.%f %p", "%H:%M")
# Formats that are known to be in use; `%f` takes up to nine digits.
KNOWN = (
    *(f"{date}{blank}{clock}" for date in _DATES for blank in (" ", ", ") for clock in _CLOCKS),
    *_DATES,
    "%a, %d %b %Y %H:%M:%S %Z",
    "%a %b %d %H:%M:%S %Y",
    "%d/%b/%Y:%H:%M:%S %z",
    "%Y%m%d%H%M%S",
    "%Y%m%dT%H%M%SZ",
    "%Y%m%d",
    "%b %d, %Y %I:%M:%S %p",
    "%b %d, %Y %H:%M:%S",
)
