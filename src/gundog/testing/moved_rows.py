"""Rows of an example, moved in time, respelled or joined."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

from gundog.core import plain_values
from gundog.core.times import HOUR, WEEK
from gundog.findings.model import Hit
from gundog.testing import bench
from gundog.testing.bench import Found, Trial
from gundog.testing.examples import Rows

_NAMES = re.compile(r"(Name|Domain|Upn|Application|ActionType)$")


_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


# What a finding says that does not depend on when or under which id its events are.
_TIMELESS = ("tenant", "host_name", "dns_domain", "account_name", "mailbox", "app_id",
             "ip_address", "severity")  # fmt: skip


_COUNTED = ("series_key", "start_time", "end_time", "observed")


def rows_of(trial: Trial, found: Found, moved: timedelta, back: timedelta) -> Counter[str]:
    """The rows, times taken back; what a forecast expects is the same after whole weeks only."""
    is_forecast = trial.detection.series and trial.detection.series.method == "forecast"
    kept = _COUNTED if is_forecast and moved % WEEK else None
    return Counter(
        plain_values.canonical(
            {name: bench.told(value, back, found.events) for name, value in row.items()
             if kept is None or name in kept}
        )
        for row in (bench.columns(trial, hit, found.events) for hit in found.hits)
    )  # fmt: skip


def respell_names(rows: Rows, spelled: Callable[[str], str]) -> int:
    """How many names there are, each spelled in some way."""
    values = {value for mine in rows.values() for row in mine for key, value in row.items()
              if isinstance(value, str) and _NAMES.search(key)}  # fmt: skip
    return len({spelled(value) for value in values})


def outside(hits: Sequence[Hit]) -> Counter[str]:
    """What people go by: whom a finding is about, how bad it is, how much proves it."""
    return Counter(
        plain_values.canonical([*(hit.row.get(name) for name in _TIMELESS), hit.evidence_count])
        for hit in hits
    )


def capitals(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value.upper() if isinstance(value, str) and _NAMES.search(key) else _addresses(value)
        for key, value in row.items()
    }


def _addresses(value: Any) -> Any:
    """A value with the addresses inside it in capitals."""
    if isinstance(value, str):
        return value.upper() if _ADDRESS.fullmatch(value) else value
    if isinstance(value, Mapping):
        return {key: _addresses(item) for key, item in value.items()}
    return [_addresses(item) for item in value] if isinstance(value, list) else value


def nearness(rows: Rows) -> timedelta:
    """A step in which no two events of different times reach the same distance from a third."""
    moments = sorted(set(bench.times_of(rows)))
    apart = [after - before for before, after in pairwise(moments)]
    return min(HOUR, min(apart, default=HOUR) / 2)


def joined(first: Rows, second: Rows) -> Rows:
    return {name: [*first.get(name, ()), *second.get(name, ())] for name in {**first, **second}}
