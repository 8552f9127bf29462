"""Attacks of stated size laid over your own nights: what each hunt finds, and from which size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from gundog.core import child
from gundog.core.errors import GundogError
from gundog.core.times import DAY, Interval
from gundog.detections.hunt import Content, Hunt
from gundog.detections.series_keys import TOTAL
from gundog.findings.model import Hit
from gundog.hunting import match, series, tenancy
from gundog.testing import attacks, overlay
from gundog.testing.attacks import Attack, Victim
from gundog.warehouse import database

# Nights are taken from so long before the newest one that was hunted.
SPAN = 28 * DAY


@dataclass(frozen=True)
class Place:
    """The warehouse, and what drilling may use: bytes and threads."""

    path: Path
    memory: int
    threads: int


@dataclass(frozen=True)
class Score:
    """How often an attack was found: of so many attacked mailboxes or hosts of a tenant."""

    tenant: str
    context: str
    time: str
    size: int
    attacked: int
    found: int


@dataclass(frozen=True)
class Verdicts:
    """What people said of a tenant's findings of the last 28 days."""

    tenant: str
    findings: int
    judged: int
    false: int


@dataclass(frozen=True)
class Drilled:
    """What came of drilling one hunt; `left_out` says why nothing did, `error` what failed.

    `note` is what the hunt itself said of the newest night: a series promises there how many false
    findings to expect.
    """

    scores: tuple[Score, ...] = ()
    nights: tuple[datetime, ...] = ()
    verdicts: tuple[Verdicts, ...] = ()
    note: str = ""
    left_out: str = ""
    error: str = ""


def attempt(place: Place, loaded: Content, hunt: Hunt, nights: int) -> Drilled:
    """As `drill`; what goes wrong is in the result."""
    try:
        return drill(place, loaded, hunt, nights)
    except (GundogError, duckdb.Error) as failure:
        return Drilled(error=str(failure))


def drill(place: Place, loaded: Content, hunt: Hunt, nights: int) -> Drilled:
    """Hunts attacks over nights that were hunted before; stores nothing and sends nothing.

    Args:
        place: the warehouse.
        loaded: all content.
        hunt: what is drilled.
        nights: how many nights, spread over the last 28 days.

    Raises:
        GundogError: when the warehouse cannot be read or the hunt's SQL fails.
    """
    wanted = attacks.of(hunt)
    if not wanted or (hunt.detection.series and hunt.detection.series.method == "kql"):
        return Drilled(left_out="because no attack fits what it reads")
    with database.connect(place.path, read_only=True) as con:
        if not all(overlay.is_staged(con, stage) for stage in hunt.stages):
            return Drilled(left_out="because what it reads is not staged yet (run gundog hunt)")
        chosen = _nights(con, hunt, nights)
        verdicts = _verdicts(con, hunt)
        note = _note(con, hunt, chosen[0]) if chosen else ""
    if not chosen:
        return Drilled(left_out="because it has not hunted a night yet (run gundog hunt)")
    with overlay.opened(place.path, hunt.stages, memory=place.memory, threads=place.threads) as con:
        counted = [
            score for night in chosen for score in _one_night(con, loaded, hunt, wanted, night)
        ]
    return Drilled(_summed(counted), tuple(night.start for night in chosen), verdicts, note)


def _nights(con: duckdb.DuckDBPyConnection, hunt: Hunt, most: int) -> list[Interval]:
    """Intervals of the last 28 days that the hunt has done, evenly spread, the newest first."""
    rows = con.execute(
        """select interval_start, interval_end from run_intervals
           where detection_id = ? and detection_hash = ? and state = 'done'
           order by interval_start desc""",
        [hunt.detection.id, hunt.hash],
    ).fetchall()
    done = [Interval(start, end) for start, end in rows if start > rows[0][0] - SPAN]
    step = max(len(done) // most, 1)
    return done[::step][:most]


def _note(con: duckdb.DuckDBPyConnection, hunt: Hunt, night: Interval) -> str:
    ((note,),) = con.execute(
        """select coalesce(note, '') from run_intervals
           where detection_id = ? and interval_start = ? and interval_end = ?""",
        [hunt.detection.id, night.start, night.end],
    ).fetchall()
    return str(note)


def _verdicts(con: duckdb.DuckDBPyConnection, hunt: Hunt) -> tuple[Verdicts, ...]:
    rows = con.execute(
        """with judged as (
               select finding_id, last(verdict order by said_at) as verdict from triage
               where verdict is not null group by finding_id
           ),
           newest as (select max(interval_end) as edge from run_intervals where detection_id = $id)
           select coalesce(f.tenant, ''), count(*), count(j.verdict),
                  count(*) filter (where j.verdict in ('false_positive', 'benign'))
           from findings as f left join judged as j using (finding_id)
           where f.detection_id = $id and f.interval_end > (select edge from newest) - $span
           group by all order by all""",
        {"id": hunt.detection.id, "span": SPAN},
    ).fetchall()
    return tuple(Verdicts(*row) for row in rows)


def _one_night(
    con: duckdb.DuckDBPyConnection,
    loaded: Content,
    hunt: Hunt,
    wanted: Sequence[Attack],
    night: Interval,
) -> Iterator[Score]:
    before = {hit.finding_id for hit in _hunted(con, hunt, night)}
    for attack in wanted:
        child.at(f"{hunt.detection.stem} {night}: {attack.context}")
        victims = attacks.lay(con, loaded, hunt, attack, night)
        hits = [hit for hit in _hunted(con, hunt, night) if _is_about_somebody(hit)]
        old = [_events(hit) for hit in hits if hit.finding_id in before]
        new = [_events(hit) for hit in hits if hit.finding_id not in before]
        # What is found without the attack too says nothing of it.
        fair = [victim for victim in victims if not _is_in(victim, old)]
        for tenant in sorted({victim.tenant for victim in fair}):
            mine = [victim for victim in fair if victim.tenant == tenant]
            found = sum(_is_in(victim, new) for victim in mine)
            yield Score(tenant, attack.context, attack.time, attack.size, len(mine), found)


def _is_about_somebody(hit: Hit) -> bool:
    """False for a finding of the whole tenant, which names nobody."""
    return TOTAL not in (hit.row.get("mailbox"), hit.row.get("host_name"))


def _events(hit: Hit) -> frozenset[str]:
    return frozenset(str(event.event_id) for event in hit.events)


def _is_in(victim: Victim, findings: Sequence[frozenset[str]]) -> bool:
    return any(victim.events & events for events in findings)


def _hunted(con: duckdb.DuckDBPyConnection, hunt: Hunt, night: Interval) -> tuple[Hit, ...]:
    since = tenancy.started(con, hunt.needed)
    first = min(since.values(), default=night.start)
    if hunt.detection.series:
        return series.score(con, hunt, night, first, apart=child.unlimited).hits
    return match.match(con, hunt, night, first)


def _summed(scores: Sequence[Score]) -> tuple[Score, ...]:
    """The scores of all nights together, in the order in which attacks are tried."""
    sums = dict[tuple[str, str, str, int], list[int]]()
    for score in scores:
        key = (score.tenant, score.context, score.time, score.size)
        total = sums.setdefault(key, [0, 0])
        total[0] += score.attacked
        total[1] += score.found
    return tuple(Score(*key, *total) for key, total in sums.items())
