"""Many nights over one lake, each as the command line runs it, and what each part of them takes."""

from __future__ import annotations

import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

from benchmarks.engine.children import Metered
from benchmarks.engine.project import DAY, FIRST, HUNTS, write_project
from gundog.core.times import Interval
from gundog.detections import checks, stage_sql
from gundog.hunting import match
from gundog.lake import listing
from gundog.run import run, stage_step
from gundog.staging import stage
from gundog.staging.batch import Limits
from gundog.warehouse import database, query

# Nights begin two hours after the day that they hunt.
AFTER = timedelta(hours=2)
# Nights measured at the end of each month of a year.
NIGHTS = 5
# How often the last nights of a year and of its first month are measured beside each other.
ROUNDS = 4


class Meter:
    """CPU seconds of a run and of its child by part: the steps, scoring, and the whole.

    Attributes:
        peak_mb: the most memory that a child of its runs had.
    """

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self.peak_mb = 0.0
        self._child = Metered()

    def step(self, part: run.Part, work: Callable[[], Any]) -> Any:
        """What `run.run` takes as its step: counts by the kind of the part."""
        with self.measured(part.kind):
            return work()

    @contextmanager
    def measured(self, name: str) -> Iterator[None]:
        began = time.process_time() + self._child.cpu()
        try:
            yield
        finally:
            self.spent[name] += time.process_time() + self._child.cpu() - began

    def run(self, project: run.Project, request: run.Request, now: datetime, run_id: UUID) -> Any:
        """A run as the command line makes it, with a child of its own."""
        self._child = Metered()
        with self.measured("whole"):
            outcome = run.run(project, request, now, run_id, step=self.step, helper=self._child)
        self.spent["score"] += self._child.scored
        self.peak_mb = max(self.peak_mb, self._child.peak_mb())
        return outcome

    def taken(self) -> dict[str, float]:
        """What was spent since the last time."""
        spent = {name: round(value, 4) for name, value in self.spent.items()}
        self.spent.clear()
        return spent


class _Taker(BaseHTTPRequestHandler):
    """A channel that takes every message."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        del args


@contextmanager
def channel() -> Iterator[str]:
    """The address of a channel on loopback, in a thread of this process."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def nights(events: Path, count: str, template: str, scratch: Path) -> Any:
    """So many nights, one after the other; per night CPU seconds by part and file sizes."""
    meter = Meter()
    with channel() as url:
        write_project(scratch, events, template=template, url=url)
        project = run.load_project(scratch, {})
        found = [_night(project, meter, number) for number in range(int(count))]
    return {"result": found, "findings": _findings(project)}


def _night(
    project: run.Project, meter: Meter, number: int, detections: tuple[str, ...] = ()
) -> dict[str, Any]:
    request = run.Request("hunt", detections=detections)
    now = FIRST + (number + 1) * DAY + AFTER
    outcome = meter.run(project, request, now, UUID(int=number + 1))
    sizes = {"warehouse": project.settings.warehouse, "published": project.settings.findings}
    return {
        **meter.taken(),
        **{name: path.stat().st_size for name, path in sizes.items()},
        "files": outcome.files,
        "hunted": outcome.hunted,
        "problems": len(outcome.problems),
    }


def year(events: Path, count: str, template: str, scratch: Path) -> Any:
    """The last nights of each month one by one, those before them in one backfill.

    The first month and the last two are nights of their own throughout: what a backfill staged
    expires in one night. The last nights of the year take turns with those of the first month,
    each in copies of the project as it was then, a few times over: a machine is not equally fast
    all the time.
    """
    meter = Meter()
    found, young, done, ends = [], [], 0, _months(int(count))
    home, early = scratch / "home", scratch / "early"
    home.mkdir()
    with channel() as url:
        write_project(home, events, template=template, url=url)
        project = run.load_project(home, {})
        for last in ends:
            if last in (ends[0], *ends[-2:]):
                _nights(project, meter, done, last - NIGHTS)
            else:
                _backfill(project, meter, done, last - NIGHTS)
            if not done:
                shutil.copytree(home, early)
            if last == ends[-1]:
                break
            found += _nights(project, meter, last - NIGHTS, last)
            done = last
        for _ in range(ROUNDS):
            pairs = _in_turn({ends[0]: early, ends[-1]: home}, meter, scratch / "copies")
            young += pairs[ends[0]]
            found += pairs[ends[-1]]
        _nights(project, meter, ends[-1] - NIGHTS, ends[-1])
    return {"result": found, "young": young, "ends": ends, "findings": _findings(project)}


def _nights(project: run.Project, meter: Meter, low: int, high: int) -> list[dict[str, Any]]:
    """One night after the other."""
    return [{"night": number + 1, **_night(project, meter, number)} for number in range(low, high)]


def _in_turn(homes: dict[int, Path], meter: Meter, folder: Path) -> dict[int, list[dict[str, Any]]]:
    """The nights up to each last one, in copies of their projects; each goes first in turn."""
    for last, home in homes.items():
        shutil.copytree(home, folder / str(last))
    projects = {last: run.load_project(folder / str(last), {}) for last in homes}
    found = defaultdict[int, list[dict[str, Any]]](list)
    for turn in range(NIGHTS):
        for last in sorted(projects, reverse=turn % 2 == 1):
            number = last - NIGHTS + turn
            night = {"night": number + 1, **_night(projects[last], meter, number)}
            found[last].append(night)
    shutil.rmtree(folder)
    return found


def _months(days: int) -> list[int]:
    """How many nights have passed at the end of each month of 30 days, and at the very end."""
    ends = [last for last in range(30, days + 1, 30) if days - last >= 30]
    return [*ends, days]


def _backfill(project: run.Project, meter: Meter, low: int, high: int) -> dict[str, Any]:
    span = Interval(FIRST + low * DAY, FIRST + high * DAY)
    request = run.Request("backfill", span, origin="backfill", notify="digest")
    outcome = meter.run(project, request, span.end + AFTER, UUID(int=high))
    return {**meter.taken(), "hunted": outcome.hunted, "problems": len(outcome.problems)}


def backfill(events: Path, count: str, template: str, scratch: Path) -> Any:
    """All days in one backfill."""
    meter = Meter()
    write_project(scratch, events, template=template)
    project = run.load_project(scratch, {})
    return {"result": _backfill(project, meter, 0, int(count)), "findings": _findings(project)}


def _findings(project: run.Project) -> int:
    with duckdb.connect(str(project.settings.findings), read_only=True) as con:
        return int(con.execute("select count(*) from findings").fetchall()[0][0])


def lookback(events: Path, count: str, template: str, scratch: Path) -> Any:
    """Nights of the series hunt alone, with 28 days of training and 1; each goes first in turn."""
    meter = Meter()
    projects = {}
    for training in ("28d", "1d"):
        (scratch / training).mkdir()
        write_project(scratch / training, events, template=template, training=training)
        projects[training] = run.load_project(scratch / training, {})
    stem = (HUNTS["CloudAppEvents"],)
    return {
        "result": [
            {training: _night(projects[training], meter, number, stem)
             for training in sorted(projects, reverse=number % 2 == 0)}
            for number in range(int(count))
        ]
    }  # fmt: skip


def tenant(events: Path, night: str, template: str, scratch: Path) -> Any:
    """A night of a large tenant; its project stays beside the lake, for the night after it."""
    del scratch
    number, home = int(night), events / "project"
    home.mkdir(exist_ok=True)
    write_project(home, events, template=template)
    meter = Meter()
    project = run.load_project(home, {})
    night = _night(project, meter, number)
    return {"result": night, "child_mb": meter.peak_mb, **_counted(project)}


def _counted(project: run.Project) -> dict[str, int]:
    with duckdb.connect(str(project.settings.warehouse), read_only=True) as con:
        rows = con.execute("select count(*) from mail_access").fetchall()[0][0]
        hours, series = con.execute(
            "select count(*), count(distinct series_key) from series_counts"
        ).fetchall()[0]
    return {"staged": rows, "hours": hours, "series": series}


def one_pass(events: Path, count: str, template: str, scratch: Path) -> Any:
    """All files staged in one go, and each hunt's SQL once over all days; nothing is kept of it."""
    write_project(scratch, events, template=template)
    project = run.load_project(scratch, {})
    span = Interval(FIRST, FIRST + int(count) * DAY)
    limits = stage_step.reading_limits(project.settings)
    meter = Meter()
    with meter.measured("stage"):
        _stage_all(project, span, limits)
    with meter.measured("hunt"):
        rows = _hunt_all(project, span, limits)
    return {"result": rows, **meter.taken()}


def _stage_all(project: run.Project, span: Interval, limits: Limits) -> None:
    options = project.settings
    with database.writable(
        options.warehouse, memory_limit=options.memory_limit, threads=options.threads
    ) as con:
        stages = {s.name: s for h in project.content.hunts for s in h.stages}
        for table in stages.values():
            stage_sql.create_stage(con, table)
        for source, paths in options.lake.items():
            spans = {"ingest": span, "event": span}
            files = listing.list_files(source, paths, spans, options.root, {})
            tasks = stage.pending(con, files, list(stages.values()))
            stage.run(con, tasks, project.content.sources, options.lake, {}, span.end, limits)


def _hunt_all(project: run.Project, span: Interval, limits: Limits) -> int:
    with query.sandbox(
        project.settings.warehouse,
        memory_limit=limits.memory,
        threads=limits.threads,
        temp_directory=limits.folder,
    ) as con:
        rows = 0
        for hunt in project.content.hunts:
            if not project.settings.lake.keys() >= set(hunt.sources):
                continue
            if hunt.detection.series:
                params = checks.bind_params(hunt.detection.params, span.start, span.end, FIRST)
                rows += query.arrow(con, hunt.sql, params).num_rows
            else:
                rows += len(match.match(con, hunt, span, FIRST))
    return rows


def profile(events: Path, count: str, template: str, scratch: Path) -> Any:
    """Prints the functions that three nights spend most time in, after a backfill up to them."""
    import cProfile
    import pstats

    write_project(scratch, events, template=template)
    project = run.load_project(scratch, {})
    meter, watch = Meter(), cProfile.Profile()
    _backfill(project, meter, 0, int(count) - NIGHTS)
    watch.enable()
    found = [_night(project, meter, number) for number in range(int(count) - NIGHTS, int(count))]
    watch.disable()
    pstats.Stats(watch).sort_stats("tottime").print_stats(25)
    pstats.Stats(watch).sort_stats("cumtime").print_stats("gundog", 60)
    return {"result": found}
