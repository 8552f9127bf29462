"""Whether records still look as they did: judged from rows by tenant and day, without a database.

Four things are looked for. Of a staged table, rows of a tenant that were set aside (`rejected`) or
that lack a key (`lacking`) become many; or none come, while the source's other rows of the tenant
do (`gone`). Of a source, a tenant has no rows while others have (`silent`). Large counts speak the
same night; small ones are gathered over up to a week.

Days are numbers, counted from 1970. What is usual are the 28 days before; days that are unknown or
belong to a drift are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from gundog.health.drift_missing import Gone, Peers, Silent
from gundog.health.drift_series import (
    GONE,
    HISTORY,
    LACKING,
    NO_ROWS,
    REACH,
    REJECTED,
    SILENT,
    Drift,
    May,
    Rows,
    Series,
    Table,
    added,
)
from gundog.health.drift_shares import Share

__all__ = [
    "GONE",
    "HISTORY",
    "LACKING",
    "REACH",
    "REJECTED",
    "SILENT",
    "Drift",
    "Rows",
    "Table",
    "judge",
]


def judge(table: Table, first: int, last: int, known: Iterable[Drift] = ()) -> list[Drift]:
    """The drifts of the days from `first` to `last`, and those known before as they are now.

    Args:
        table: counts of these days and of the `REACH` days before.
        first: the first day that is judged.
        last: the last one.
        known: drifts that began before `first`; those of other tables are left out.

    Returns:
        By kind, key, tenant and day.
    """
    before: dict[tuple[str, ...], list[Drift]] = {}
    for drift in sorted(known, key=lambda drift: drift.since):
        if (drift.source, drift.stage) == (table.source, table.stage):
            before.setdefault(drift.series, []).append(drift)
    days = sorted({day for rows in table.given.values() for day in rows if first <= day <= last})
    drifts = [
        drift
        for series in _series(table)
        for drift in _walk(series, days, before.pop(series.name, []))
    ]
    drifts += [drift for some in before.values() for drift in some]  # nothing came since
    return sorted(drifts, key=lambda drift: (*drift.series, drift.since))


def _walk(series: Series, days: Iterable[int], before: Sequence[Drift]) -> list[Drift]:
    drifts = list(before)
    for day in days:
        if series.is_unknown(day):
            continue
        if drifts and not drifts[-1].is_over:
            drifts[-1] = _go_on(series, drifts[-1], day)
        else:
            new = series.notice(day, _outside(series, drifts))
            drifts += [new] if new else []
    return drifts


def _go_on(series: Series, drift: Drift, day: int) -> Drift:
    """The drift after another day: it lasts, or good data came again."""
    good = series.good_since(drift, day)
    if good is not None:
        return replace(drift, last=max(drift.since, min(drift.last, good - 1)), is_over=True)
    return replace(drift, last=day) if series.is_bad(drift, day) else drift


def _outside(series: Series, drifts: Sequence[Drift]) -> May:
    """Whether a day may speak: it is known, and of no earlier drift."""

    def may(day: int) -> bool:
        return not series.is_unknown(day) and not any(drift.holds(day) for drift in drifts)

    return may


# ---- what is judged, one after the other ----


def _series(table: Table) -> Iterator[Series]:
    if not table.stage:
        yield from _sources(table)
        return
    everything = added(table.given.values())
    for tenant in sorted({*table.kept, *table.rejected}):
        kept = table.kept.get(tenant, NO_ROWS)
        rejected = table.rejected.get(tenant, NO_ROWS)
        came = added([kept, rejected])
        # A stage may have tenants of its own making, which its source does not tell.
        given = table.given.get(tenant, everything)
        yield Gone(table, GONE, tenant, came, given)
        if rejected:
            yield Share(table, REJECTED, tenant, came, rejected)
        for key, lacking in table.lacking.items():
            if tenant in lacking:
                yield Share(table, LACKING, tenant, kept, lacking[tenant], key)


def _sources(table: Table) -> Iterator[Series]:
    if len(table.given) < 2:
        return  # a source without rows is a hole, which the ledger tells
    peers = Peers(table)
    for tenant in sorted(table.given):
        yield Silent(table, SILENT, tenant, table.given[tenant], peers)
