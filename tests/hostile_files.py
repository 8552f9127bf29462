"""Values that nobody means and everybody writes once: for every key of a file that people keep."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import yaml

Path = tuple[Any, ...]

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 10**18, 2**63, -(2**63) - 1, 10**50, 1.5, -0.0, 1e308, 1e-308,
    float("inf"), float("nan"), "", " ", "x", "a" * 5000, "b" * 20_000, "a/../b", "../x.sql",
    "/etc/passwd", "x\x00y", "x\ny", "\x1b[31m", "caf\xe9", "\U0001f600", "\u202e", "'; drop", '"',
    "{", "}", "{}", "{0}", "{a.b}", "{a!r:>99}", "{account_name:>9999999999}", "$start", "now()",
    "0s", "1us", "4m", "5m", "7h", "1100000d", "999999999d", "99999999999999999999d", "P1D", "PT",
    "0001-01-01", "9999-12-31T23:59:59.999999Z", "2026-02-30", date(1, 1, 1), date(9999, 12, 31),
    datetime(9999, 12, 31, 23, 59), [], [[]], [None], ["x"], [1, "x", None], [[["x"]]], ["x"] * 500,
    {}, {"x": 1}, {1: 2}, {None: None}, {True: "x"}, {"": ""}, {"a b": [1]}, {"x": {"y": {"z": 1}}},
    {"a" * 5000: 1}, {date(2026, 1, 1): 1}, [{"x": 1}], [{}], ["2026-01-01", "2026-01-02"],
    ["0001-01-01", "0001-01-02"], ["9999-12-30", "9999-12-31"], ["2026-01-02", "2026-01-01"],
    "CON.sql", "pair.sql", "sub/pair.sql", "Europe/Berlin", "Europe", "../UTC",
    "00000000-0000-0000-0000-000000000000",
)  # fmt: skip


def places(value: Any, above: Path = ()) -> Iterator[Path]:
    """Every place in nested lists and mappings, the whole first."""
    yield above
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    for key, one in inner:
        yield from places(one, (*above, key))


def put(value: Any, place: Path, new: Any) -> Any:
    """A copy with `new` at a place."""
    if not place:
        return new
    changed = copy.deepcopy(value)
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = new
    return changed


def dump(value: Any) -> str:
    """The value as a YAML text."""
    return yaml.safe_dump(value, allow_unicode=False, sort_keys=False)
