"""How everything is, read from findings.duckdb: what `gundog status` prints.

What is wrong is judged in `health`; how it looks is in `cli/status_page`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import duckdb

from gundog.core.times import Interval
from gundog.findings import exceptions
from gundog.health import clock, watch
from gundog.health.acknowledged import Entry
from gundog.health.clock import Schedule, Source, Watched
from gundog.health.watch import Fault
from gundog.project.project import Project, without_lake
from gundog.run import canary_watch, drift_faults, status_rows, target_faults
from gundog.run.status_model import Coverage, Status
from gundog.warehouse import database


@dataclass(frozen=True)
class Known:
    """What the project's files say, as far as it bears on its status.

    Attributes:
        detections: those that run; `newest` is not known here.
        ids: their ids, by file stem.
        hashes: their hashes, by file stem; of those that load.
        idle: why a detection cannot run, by its stem.
        entries: of acknowledged.yaml.
        faults: what is wrong with the files themselves.
        whole: all content loads, so that what is not there is gone for good.
    """

    detections: tuple[Watched, ...] = ()
    ids: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    idle: Mapping[str, str] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    faults: tuple[Fault, ...] = ()
    freshness: timedelta = timedelta(hours=26)
    late_arrival: timedelta = timedelta(days=7)
    whole: bool = True


def known(project: Project) -> Known:
    """What a project's files say of its status."""
    content, options = project.content, project.settings
    idle = without_lake(project)
    running = [detection for detection in content.detections if detection.runs]
    hunts = {hunt.detection.stem: hunt for hunt in content.hunts}
    problems = (*content.problems, *project.problems)
    return Known(
        detections=tuple(
            Watched(
                detection.stem,
                detection.frequency,
                tuple(hunts[detection.stem].sources) if detection.stem in hunts else (),
            )
            for detection in running
        ),
        ids={detection.stem: detection.id for detection in running},
        hashes={stem: hunt.hash for stem, hunt in hunts.items()},
        idle=idle,
        entries=project.acknowledged,
        faults=tuple(Fault(watch.CONTENT, str(problem)) for problem in problems),
        freshness=options.freshness,
        late_arrival=options.late_arrival,
        whole=not content.problems,
    )


def acknowledging(about: Known, entry: Entry) -> Known:
    """The same, with one entry more."""
    return replace(about, entries=(*about.entries, entry))


def never(about: Known, now: datetime) -> Status:
    """The status of a project that has no findings.duckdb yet."""
    first = Fault(watch.NEVER, "nothing has been hunted yet: run `gundog hunt`")
    return Status(
        now,
        troubles=watch.together([first, *about.faults]),
        coverage=tuple(_unhunted(about, detection.stem) for detection in _by_stem(about)),
        acknowledged=tuple((entry, 0) for entry in about.entries),
    )


def read(
    con: duckdb.DuckDBPyConnection, about: Known, now: datetime, more: Iterable[Fault] = ()
) -> Status:
    """How everything is.

    Args:
        con: findings.duckdb, of this version of gundog or an older one.
        about: what the project's files say.
        now: the present.
        more: faults that others found.
    """
    intervals = database.rows(con, "select * from run_intervals order by interval_start")
    ledger = _ledger(con, about, intervals)
    sources = status_rows.sources(con, now)
    plan = clock.schedule(_nights(con))
    faults = [
        *about.faults,
        *_clock(con),
        *ledger,
        *more,
        *_drifts(con),
        *canary_watch.published(con),
        *status_rows.rejected(con),
        *status_rows.channels(con, now),
        *target_faults.of(con),
    ]
    if plan:
        holes = [fault for fault in ledger if fault.kind == watch.HOLE]
        watched = _watched(about, intervals)
        faults += clock.judged_by_clock(
            plan, watched, {source.name: source for source in sources},
            (about.freshness, about.late_arrival), now, holes,
        )  # fmt: skip
    notes = _notes(con, plan, sources, now)
    faults += [
        Fault(watch.AHEAD, clock.ahead(source, now), source.name)
        for source in sources
        if clock.ahead(source, now) and clock.many_ahead(source)
    ]
    left, covered = watch.unknown(faults, about.entries)
    return Status(
        now,
        nightly=plan is not None,
        troubles=watch.together(left),
        notes=tuple(notes),
        coverage=tuple(_coverage(about, intervals)),
        looked_at=status_rows.looked_at(con),
        canaries=status_rows.canaries(con),
        sources=sources,
        exceptions=tuple(
            exceptions.attention(
                database.rows(con, "select * from exceptions order by expires, exception_id"), now
            )
        ),
        acknowledged=tuple(covered.items()),
        remarks=status_rows.remarks(con),
        unsent=status_rows.unsent(con),
    )


def _nights(con: duckdb.DuckDBPyConnection) -> list[tuple[datetime, datetime | None]]:
    """Start and end of each run without dates.

    Runs of older versions do not say what they were asked for: those count whose range ended
    shortly before they began.
    """
    told = "asked_range" if status_rows.has(con, "runs", "asked_range") else "null::boolean"
    doubt = "clock_doubt" if status_rows.has(con, "runs", "clock_doubt") else "null::varchar"
    return con.execute(
        f"""select started_at, finished_at from runs
            where command = 'hunt'
            and not coalesce({told}, range_end is null or range_end < started_at - interval 2 day)
            and {doubt} is null
            order by started_at"""
    ).fetchall()


def _clock(con: duckdb.DuckDBPyConnection) -> list[Fault]:
    """What the last run said of its clock; one of a range needs none."""
    if not (
        status_rows.has(con, "runs", "clock_doubt") and status_rows.has(con, "runs", "asked_range")
    ):
        return []
    last = con.execute(
        "select clock_doubt, asked_range from runs order by rowid desc limit 1"
    ).fetchall()
    return [Fault(watch.CLOCK, f"clock: {said}") for said, ranged in last if said and not ranged]


# ---- the ledger ----


def _ledger(
    con: duckdb.DuckDBPyConnection, about: Known, rows: Sequence[Mapping[str, Any]]
) -> list[Fault]:
    """The faults of intervals: of detections that are there, as they are there."""
    published = {
        str(key): (stem, digest)
        for key, stem, digest in con.execute(
            "select detection_id, stem, detection_hash from detections"
        ).fetchall()
    }
    running = set(about.ids.values())
    faults = []
    for row in rows:
        key = str(row["detection_id"])
        stem, digest = published.get(key, (key, row["detection_hash"]))
        if row["state"] not in ("failed", "no_data", "stale", "missing"):
            continue
        if row["detection_hash"] != digest or (about.whole and key not in running):
            continue
        span = Interval(row["interval_start"], row["interval_end"])
        faults.append(watch.of_interval(stem, span, row["state"], row["error"] or ""))
    return faults


def _newest(about: Known, rows: Sequence[Mapping[str, Any]]) -> dict[str, datetime]:
    """The end of the newest interval of each detection as it is now, by stem."""
    stems = {key: stem for stem, key in about.ids.items()}
    ends = dict[str, datetime]()
    for row in rows:
        stem = stems.get(str(row["detection_id"]), "")
        if stem and about.hashes.get(stem, row["detection_hash"]) == row["detection_hash"]:
            ends[stem] = max(ends.get(stem, row["interval_end"]), row["interval_end"])
    return ends


def _watched(about: Known, rows: Sequence[Mapping[str, Any]]) -> list[Watched]:
    newest = _newest(about, rows)
    return [
        Watched(detection.stem, detection.frequency, detection.sources, newest.get(detection.stem))
        for detection in about.detections
        if detection.stem not in about.idle
    ]


def _by_stem(about: Known) -> list[Watched]:
    return sorted(about.detections, key=lambda detection: detection.stem)


def _unhunted(about: Known, stem: str) -> Coverage:
    return Coverage(stem, about.ids[stem], idle=about.idle.get(stem, ""))


def _coverage(about: Known, rows: Sequence[Mapping[str, Any]]) -> Iterable[Coverage]:
    ledger = defaultdict[str, list[Mapping[str, Any]]](list)
    for row in rows:
        ledger[str(row["detection_id"])].append(row)
    for detection in _by_stem(about):
        mine = ledger[about.ids[detection.stem]]
        if not mine:
            yield _unhunted(about, detection.stem)
            continue
        yield Coverage(
            detection.stem,
            about.ids[detection.stem],
            Interval(mine[0]["interval_start"], max(row["interval_end"] for row in mine)),
            dict(sorted(Counter(row["state"] for row in mine).items())),
            sum(row["findings"] or 0 for row in mine),
            mine[-1]["note"] or "",
            about.idle.get(detection.stem, ""),
        )


def _drifts(con: duckdb.DuckDBPyConnection) -> list[Fault]:
    return drift_faults.published(con) if status_rows.has(con, "drifts", "since") else []


def _notes(
    con: duckdb.DuckDBPyConnection, plan: Schedule | None, sources: Sequence[Source], now: datetime
) -> list[str]:
    notes = []
    if plan is None:
        notes.append(
            "no run without dates yet: missing nights and silent sources are reported after the"
            " first `gundog hunt` without --from and --to"
        )
    notes += [
        clock.ahead(source, now)
        for source in sources
        if clock.ahead(source, now) and not clock.many_ahead(source)
    ]
    return notes + [text for text, is_trouble in status_rows.given_up(con, now) if not is_trouble]
