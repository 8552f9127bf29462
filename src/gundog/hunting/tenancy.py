"""Tenants of one lake, each hunted as if the lake held nobody else.

Rows of a source are counted by tenant when a file is read. A file whose path names a tenant stands
for that tenant and for those whose rows lie beside it; one whose path names none, for every tenant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb

from gundog.core.times import HOUR, Interval, format_time
from gundog.detections import seen
from gundog.detections.hunt import Hunt
from gundog.detections.staged import StagedTable
from gundog.warehouse import context_columns, quoting

# A tenant that sent nothing for longer has left; its absence is not news.
_RECENT = timedelta(days=28)

# The tenant that the path of a row of `source_files as f` names; null when it names none.
FOLDER = r"nullif(url_decode(regexp_extract(f.path, '(?i)(?:^|/)tenantid=([^/]+)/', 1)), '')"
# Whose rows these are; null where a gundog that did not count by tenant read the file.
_WHOSE = f"coalesce(h.tenant, {FOLDER})"


@dataclass(frozen=True)
class Part:
    """Rows that are hunted together, and from when on they are all staged.

    Those of `tenant`, or where `apart` holds names and `tenant` is None, those of everybody else.
    Without `apart` there is one tenant at most, and all rows are its.
    """

    tenant: str | None
    apart: tuple[str, ...]
    staged_from: datetime


def known(con: duckdb.DuckDBPyConnection, sources: Sequence[str]) -> tuple[str, ...]:
    """Every tenant of whom a row of these sources was ever counted, in order."""
    rows = con.execute(
        f"""select distinct {_WHOSE} as tenant
            from source_hours as h inner join source_files as f using (file_id)
            where list_contains(?::varchar[], h.source_table) and tenant is not null
            order by tenant""",
        [list(sources)],
    ).fetchall()
    return tuple(name for (name,) in rows)


def parts(
    con: duckdb.DuckDBPyConnection,
    hunt: Hunt,
    span: Interval,
    staged_from: datetime,
    left_out: Collection[str] = (),
) -> list[Part]:
    """How the rows of a span are hunted: one tenant after the other, so that none sees another's.

    Args:
        con: a connection to the warehouse.
        hunt: what reads them.
        span: what it reads, lookback included.
        staged_from: when the oldest file of any tenant begins.
        left_out: tenants that are not hunted.
    """
    rows = con.execute(
        """select distinct tenant from source_hours
           where list_contains(?::varchar[], source_table) and tenant is not null
           and hour > ? and hour < ? order by tenant""",
        [list(hunt.sources), span.start - HOUR, span.end],
    ).fetchall()
    there = tuple(name for (name,) in rows)
    since = started(con, hunt.needed) if hunt.needs_history else {}
    if len(there) < 2:
        own = next(iter(there), None)
        return [Part(own, (), since.get(own or "", staged_from) if there else staged_from)]
    own_parts = [
        Part(name, there, since.get(name, staged_from)) for name in there if name not in left_out
    ]
    # A stage may have tenants of its own that its source does not tell.
    return [*own_parts, Part(None, (*there, *left_out), staged_from)]


@contextmanager
def only(
    con: duckdb.DuckDBPyConnection, stages: Iterable[StagedTable], part: Part
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same connection, on which the staged tables hold nothing but a part's rows."""
    if not part.apart:
        yield con
        return
    made = list[str]()
    try:
        for name in _views(stages):
            con.execute(
                f"create or replace temp view {quoting.name(name)} as"
                f" from {_database(con)}.main.{quoting.name(name)} where {_rows_of(part)}"
            )
            made.append(name)
        yield con
    finally:
        for name in made:
            con.execute(f"drop view temp.main.{quoting.name(name)}")


def _views(stages: Iterable[StagedTable]) -> Iterator[str]:
    """What hunts may read of these stages: their rows, and the contexts of those that have any."""
    for stage in stages:
        yield stage.name
        if stage.contexts:
            yield context_columns.view_name(stage.name)


def _database(con: duckdb.DuckDBPyConnection) -> str:
    (name,) = con.execute("select current_database()").fetchall()[0]
    return '"' + str(name).replace('"', '""') + '"'


def _rows_of(part: Part) -> str:
    if part.tenant:
        return f"tenant = {quoting.text(part.tenant)}"
    if part.tenant is not None:
        return "coalesce(tenant, '') = ''"
    return f"coalesce(tenant, '') not in ({', '.join(quoting.text(name) for name in part.apart)})"


def started(con: duckdb.DuckDBPyConnection, stages: Sequence[StagedTable]) -> dict[str, datetime]:
    """By tenant, the time from which all of these staged tables hold what the lake holds of it.

    The oldest file that holds a row of the tenant begins it: an empty file is not history.
    """
    latest = dict[str, datetime]()
    for stage in stages:
        rows = con.execute(
            f"""select tenant, min(covers_start) from (
                    select distinct h.file_id, {_WHOSE} as tenant, f.covers_start
                    from source_hours as h
                    inner join source_files as f using (file_id)
                    inner join file_stages as s using (file_id)
                    where h.source_table = ? and s.stage = ? and s.stage_hash = ?
                    and f.state = 'staged')
                where covers_start is not null group by tenant""",
            [stage.source, stage.name, stage.hash],
        ).fetchall()
        firsts: dict[str | None, datetime] = dict(rows)
        anybodys = firsts.pop(None, None)
        for name, first in firsts.items():
            assert name is not None  # noqa: S101 - it was taken out, for the type checker
            own = min(first, anybodys or first)
            latest[name] = max(latest.get(name, own), own)
    return latest


def missing(
    con: duckdb.DuckDBPyConnection,
    stages: Sequence[StagedTable],
    interval: Interval,
    lookback: timedelta,
    *,
    freshness: timedelta,
) -> dict[str, str]:
    """The tenants that a source of the stages cannot answer for over the interval, and why.

    The same questions that `ledger.no_data` and `ledger.expired` ask of a source as a whole. Of a
    single tenant they have answered them, so that there is nothing to say here.
    """
    sources = sorted({stage.source for stage in stages})
    tenants = known(con, sources)
    reasons = dict[str, str]()
    for source in sources if len(tenants) > 1 else ():
        read = seen.by(stages, source)
        folders, newest = _folders(con, source), _newest(con, source, interval, freshness, read)
        covering = _covering(con, source, interval, read)
        gone = _expired(con, source, interval.widen(lookback))
        for name in tenants:
            if name in gone:
                why = "rows it reads were removed by retention and left the lake"
            elif not covering & {None, name, *folders[name]}:
                why = f"{source}: no file covers any part of {interval}"
            elif not newest & {name, None}:
                since = format_time(interval.end - freshness)
                why = f"{source}: no event since {since} although files cover {interval}"
            else:
                continue
            reasons.setdefault(name, why)
    return reasons


def _folders(con: duckdb.DuckDBPyConnection, source: str) -> dict[str | None, set[str | None]]:
    """The folders that rows of each tenant lie in."""
    rows = con.execute(
        f"""select distinct {_WHOSE} as tenant, {FOLDER} as folder
            from source_hours as h inner join source_files as f using (file_id)
            where h.source_table = ?""",
        [source],
    ).fetchall()
    folders = defaultdict[str | None, set[str | None]](set)
    for name, folder in rows:
        folders[name].add(folder)
    return folders


def _covering(
    con: duckdb.DuckDBPyConnection, source: str, interval: Interval, read: str
) -> set[str | None]:
    """The folders of the files that cover a part of the interval; None for those in none."""
    rows = con.execute(
        f"""select distinct {FOLDER} from source_files as f where f.source_table = ?
            and f.state = 'staged' and f.covers_start < ? and f.covers_end > ? and {read}""",
        [source, interval.end, interval.start],
    ).fetchall()
    return {folder for (folder,) in rows}


def _newest(
    con: duckdb.DuckDBPyConnection, source: str, interval: Interval, freshness: timedelta, read: str
) -> set[str | None]:
    """The tenants with an event that is fresh at the interval's end."""
    rows = con.execute(
        f"""select distinct {_WHOSE}
            from source_hours as h inner join source_files as f using (file_id)
            where h.source_table = ? and h.hour < ? and h.hour > ? and {read}""",
        [source, interval.end, interval.end - freshness - HOUR],
    ).fetchall()
    return {name for (name,) in rows}


def _expired(con: duckdb.DuckDBPyConnection, source: str, span: Interval) -> set[str | None]:
    """The tenants of whom retention removed rows of the span."""
    rows = con.execute(
        f"""select distinct {_WHOSE}
            from source_hours as h inner join source_files as f using (file_id)
            where h.source_table = ? and f.state = 'expired'
            and f.max_time >= ? and f.min_time < ?""",
        [source, span.start, span.end],
    ).fetchall()
    return {name for (name,) in rows}


def recent(
    con: duckdb.DuckDBPyConnection, sources: Sequence[str], interval: Interval
) -> frozenset[str]:
    """The tenants with rows in the four weeks before the interval's end."""
    rows = con.execute(
        f"""select distinct {_WHOSE} as tenant
            from source_hours as h inner join source_files as f using (file_id)
            where list_contains(?::varchar[], h.source_table)
            and h.hour > ? and h.hour < ? and tenant is not null""",
        [list(sources), interval.end - _RECENT, interval.end],
    ).fetchall()
    return frozenset(name for (name,) in rows)


def named(tenant: str) -> str:
    """How a tenant is called in a sentence.

    >>> named("contoso"), named("")
    ('tenant contoso', 'rows without a tenant')
    """
    return f"tenant {tenant}" if tenant else "rows without a tenant"
