"""Tenants that are not hunted while others are, and what is said of each tenant of an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import duckdb

from gundog.core.times import Interval
from gundog.detections.hunt import Hunt
from gundog.hunting import tenancy
from gundog.run import ledger


@dataclass(frozen=True)
class LeftOut:
    """Tenants of whom nothing is known of an interval, and why.

    `some` while others are hunted; `all` says why nobody can be.
    """

    some: Mapping[str, str] = field(default_factory=dict)
    all: str = ""


def of(tenants: Sequence[str], missing: Mapping[str, str]) -> LeftOut:
    """Who is left out, by what `tenancy.missing` says of a lake's tenants.

    >>> of(["a", "b"], {"a": "no file"}).some, of(["a"], {"a": "no file"}).all
    ({'a': 'no file'}, 'tenant a: no file')
    """
    if not missing or len(missing) < len(tenants):
        return LeftOut(some=missing)
    return LeftOut(all=told(missing))


def told(said: Mapping[str, str]) -> str:
    """What is said of each tenant, as one sentence."""
    return "; ".join(f"{tenancy.named(name)}: {why}" for name, why in sorted(said.items()))


def learning(
    hunt: Hunt,
    interval: Interval,
    tenants: Sequence[str],
    since: Mapping[str, datetime],
    whole: datetime,
) -> str:
    """What to say of tenants whose history is too short for the hunt; of a single one plainly.

    Args:
        hunt: the detection.
        interval: what is hunted.
        tenants: all that its sources know.
        since: by tenant, the time from which all of its rows are staged.
        whole: the same of the lake, for tenants that are not in it.
    """
    said = {
        name: ledger.learning(hunt, interval, since.get(name, whole)) for name in tenants or ("",)
    }
    if len(said) == 1:
        return next(iter(said.values()))
    return told({name: note for name, note in said.items() if note})


def remark(
    con: duckdb.DuckDBPyConnection, hunt: Hunt, interval: Interval, some: Mapping[str, str]
) -> str:
    """What a reader must know of tenants that were left out; those that left long ago are none."""
    there = tenancy.recent(con, hunt.sources, interval) if some else ()
    mine = {name: why for name, why in some.items() if name in there}
    return f"no data of {told(mine)}" if mine else ""


def joined(note: str, remark: str) -> str:
    """Both; a note that was kept from before holds the remark already.

    >>> joined("learning", "no data of x"), joined("a; no data of x", "no data of x")
    ('learning; no data of x', 'a; no data of x')
    """
    return note if remark in note else "; ".join(text for text in (note, remark) if text)
