"""From lake files to staged tables: each file version read once per stage SQL.

Files are brought near and read a batch at a time; what a batch gave is stored in one transaction.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path

import duckdb

from gundog.core.errors import StoreError
from gundog.detections import stage_sql
from gundog.detections.staged import Source, StagedTable
from gundog.lake import fetch
from gundog.lake.fetch import FileChangedError
from gundog.lake.file_version import FileVersion
from gundog.lake.path import LakePath
from gundog.staging import (
    file_counts,
    near,
    older_reads,
    read_ends,
    reading,
    rescue,
    staged_rows,
)
from gundog.staging.batch import (
    Batch,
    Failed,
    FileOutcome,
    FileResult,
    Limits,
    Read,
    Reader,
    Task,
)
from gundog.staging.binding import Remarks
from gundog.staging.near import Lake
from gundog.staging.others import Asked, Given, Nobody, Others
from gundog.staging.rescue import Patience, Way
from gundog.staging.results import Staged

BATCH_FILES = 50
BATCH_BYTES = 256 * 2**20
# So many files in a row that their store does not give are a store that is gone.
_GONE_AFTER = 3
# What the warehouse keeps in memory while a batch is read, and reading alone has the limit.
_IDLE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class _Place:
    """Where a source's files are, and how this process reads them."""

    lake: Lake
    reader: Reader
    patience: Patience


@dataclass(frozen=True)
class _Gone:
    """The store of a source gives nothing any more, and why."""

    error: str


def file_id(source: str, path: str) -> int:
    """A number that stands for a file, the same whatever order files are seen in."""
    digest = hashlib.md5(f"{source}\x1f{path}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def pending(
    con: duckdb.DuckDBPyConnection, files: Iterable[FileVersion], stages: Sequence[StagedTable]
) -> list[Task]:
    """The files that are new, changed, or not yet read by a stage's present SQL.

    A changed file is read again by every stage, by those not among `stages` when they are, so that
    no staged table keeps rows of the version that is gone; so is a rejected file once gundog.yaml
    says something else of how it is read.
    """
    versions = {
        row[0]: row[1:]
        for row in con.execute("select file_id, size_bytes, mtime_ns from source_files").fetchall()
    }
    read, older = defaultdict[int, set[tuple[str, str]]](set), older_reads.by_file(con)
    for key, name, digest in con.execute(
        "select file_id, stage, stage_hash from file_stages"
    ).fetchall():
        if name not in older[key]:
            read[key].add((name, digest))
    grown, rejected = read_ends.known(con, stages), older_reads.rejected(con)
    tasks = []
    for file in files:
        key = file_id(file.source, file.path)
        unchanged = versions.get(key) == (file.size, file.mtime_ns)
        unchanged = unchanged and rejected.get(key, file.reading) == file.reading
        done = read[key] if unchanged else set()
        mine = [stage for stage in stages if stage.source == file.source]
        wanted = tuple(stage for stage in mine if (stage.name, stage.hash) not in done)
        if wanted:
            old = None if unchanged else grown.get(key)
            is_added_to = old and file.size > versions[key][0]
            tasks.append(Task(file, key, wanted, old if is_added_to else None))
    return tasks


def run(
    con: duckdb.DuckDBPyConnection,
    tasks: Sequence[Task],
    sources: Mapping[str, Source],
    lake_paths: Mapping[str, Sequence[LakePath]],
    environ: Mapping[str, str],
    now: datetime,
    limits: Limits,
    reader: Reader = reading.read,
    patience: Patience | None = None,
    others: Others | None = None,
) -> Staged:
    """Reads and stores the tasks, batch by batch; a file that cannot be read is set aside.

    Batches are stored in their own order, whatever reads them. A file whose store does not give it
    is left for the next run; after a few of them in a row the source's other files are left as
    well, and `gone` says why.

    Args:
        con: the warehouse, writable.
        tasks: from `pending`.
        sources: source tables by name.
        lake_paths: the lake's paths by source, for stores and column aliases.
        environ: where stores' credentials come from.
        now: the run's time, written down as the time of reading.
        limits: what reading may use; `limits.folder` is made where it is not.
        reader: reads a batch, here or elsewhere.
        patience: of the run with its stages; it ends for a stage that reads nothing for too long.
        others: those who read batches ahead, if there are any.
    """
    patience = patience.copy() if patience else Patience()
    others = others or Nobody()

    def read_idly(batch: Batch) -> Read | Failed:
        with _idle(con, limits):
            return reader(batch)

    limits.folder.mkdir(parents=True, exist_ok=True)
    for stage in {stage.name: stage for task in tasks for stage in task.stages}.values():
        stage_sql.create_stage(con, stage)
    results, gone = list[FileResult](), dict[str, str]()

    def ask() -> Iterator[Asked]:
        for batch in batches(tasks, others.batch_bytes or BATCH_BYTES):
            source = sources[batch[0].file.source]
            if source.name in gone:
                results.extend(_not_given(batch, gone[source.name]))
            else:
                left_out = frozenset(patience.left_out)
                yield Asked(tuple(batch), source, lake_paths[source.name], limits, left_out)

    with others.read(ask()) as answers:
        for asked, given in answers:
            name = asked.source.name
            if name in gone:  # while others read it
                results += _not_given(asked.tasks, gone[name])
                continue
            with (
                tempfile.TemporaryDirectory(prefix="stage-", dir=limits.folder) as scratch,
                ExitStack() as opened,
            ):
                lake = Lake(asked.paths, environ, replace(limits, folder=Path(scratch)))
                place = _Place(lake, read_idly, patience)
                items = _read_all(asked, given, place, opened)
                stored = _store_batch(con, asked, items, now)
            results += stored.results
            if stored.gone:
                gone[name] = stored.gone
            if given and (given.error or given.failed) and stored.is_read:
                others.could_be_read(given)
    return Staged(tuple(results), gone, patience)


@dataclass(frozen=True)
class _Stored:
    """What became of the files of a batch; why their store gives no more, else empty."""

    results: tuple[FileResult, ...]
    gone: str = ""

    @property
    def is_read(self) -> bool:
        """Whether every file was read by the stages that are not left out."""
        good = (FileOutcome.READ, FileOutcome.LEFT_OUT)
        return all(result.outcome in good for result in self.results)


def _store_batch(
    con: duckdb.DuckDBPyConnection,
    asked: Asked,
    items: Iterable[Read | FileResult | _Gone],
    now: datetime,
) -> _Stored:
    """Stores what reading a batch gave."""
    wanted = {task.file_id: task.stages for task in asked.tasks}
    results = list[FileResult]()
    for item in items:
        match item:
            case Read():
                for part in _without_timeless(item):
                    lacking = _lacking(part, wanted, results)
                    staged_rows.store(con, replace(part, unread=lacking), asked.source, now)
                    results += [FileResult(t, part.outcome, part.error) for t in part.tasks]
            case FileResult():
                results.append(item)
            case _Gone():
                reached = {result.task.file_id for result in results}
                rest = [task for task in asked.tasks if task.file_id not in reached]
                return _Stored((*results, *_not_given(rest, item.error)), item.error)
    return _Stored(tuple(results))


def _read_all(
    asked: Asked, given: Given | None, place: _Place, opened: ExitStack
) -> Iterator[Read | FileResult | _Gone]:
    """What others gave for a batch, and what is read here of the rest of it."""
    rest = {task.file_id: task for task in asked.tasks}
    for is_left, parts in groupby(
        given.parts if given else (), lambda part: isinstance(part, Task)
    ):
        # Once more stages are left out, what was asked is not what would be read now.
        if asked.left_out != place.patience.left_out.keys():
            break
        left = list[Task]()
        for part in parts:
            if isinstance(part, Task):
                left.append(rest.pop(part.file_id))
                continue
            place.patience.went(part.tasks[0].stages)
            for task in part.tasks:
                yield from rescue.left_out(rest.pop(task.file_id), place.patience)
            yield part
        if is_left:
            yield from _read_batch(left, asked.source, place, opened)
    if rest:
        yield from _read_batch(list(rest.values()), asked.source, place, opened)


def _not_given(tasks: Iterable[Task], error: str) -> list[FileResult]:
    return [FileResult(task, FileOutcome.STORE_GONE, error) for task in tasks]


def _lacking(
    read: Read, wanted: Mapping[int, tuple[StagedTable, ...]], results: Iterable[FileResult]
) -> tuple[StagedTable, ...]:
    """The stages that have not read these files so far, but should.

    What they hold of an older version goes with the first rows of the new one. Files that are
    read in several parts are read one by one, those of one read have the same stages.
    """
    first = read.tasks[0]
    have_read = {stage.name for stage in first.stages}
    for result in results:
        if result.task.file_id == first.file_id and result.outcome.ledger_state:
            have_read |= {stage.name for stage in result.task.stages}
    return tuple(stage for stage in wanted[first.file_id] if stage.name not in have_read)


def batches(tasks: Sequence[Task], most_bytes: int) -> Iterator[list[Task]]:
    """Tasks of one source and the same stages, oldest path first, in batches of bounded size."""
    groups = defaultdict[tuple[str, tuple[tuple[str, str], ...]], list[Task]](list)
    for task in sorted(tasks, key=lambda task: task.file.path):
        key = tuple((stage.name, stage.hash) for stage in task.stages)
        groups[task.file.source, key].append(task)
    for group in groups.values():
        batch: list[Task] = []
        size = 0
        for task in group:
            if batch and (len(batch) >= BATCH_FILES or size + task.file.size > most_bytes):
                yield batch
                batch, size = [], 0
            batch.append(task)
            size += task.file.size
        yield batch


def _read_batch(
    batch: Sequence[Task], source: Source, place: _Place, opened: ExitStack
) -> Iterator[Read | FileResult | _Gone]:
    """Reads a batch, schema by schema; when a group fails, in parts to find the bad one."""
    groups = defaultdict[tuple[str, int], list[rescue.Near]](list)
    in_a_row = 0
    for task, path, schema in near.bring(batch, source, place.lake, opened):
        match path:
            case Path():
                groups[schema, task.file.lake_path].append((task, path))
                in_a_row = 0
            case FileChangedError():
                yield _refused(task, FileOutcome.CHANGED, path)
            case StoreError():
                yield FileResult(task, FileOutcome.STORE_GONE, str(path))
                in_a_row += 1
                if in_a_row == _GONE_AFTER:
                    yield _Gone(str(path))
                    return
            case _:
                yield _refused(task, FileOutcome.REJECTED, path)
    for group in groups.values():
        way = Way(
            near.shared(source, group[0][0], place.lake),
            place.reader,
            place.patience,
            whole=lambda task: near.copy(task, place.lake, opened),
            is_partial=lambda task: (
                bool(task.tail) or fetch.is_partial(task.file, place.lake.paths)
            ),
        )
        for item in rescue.read(group, way):
            if isinstance(item, Read):
                changed = dict(near.changed(item.tasks, place.lake))
                yield from _without(item, FileOutcome.CHANGED, changed)
            else:
                yield item


def _refused(task: Task, outcome: FileOutcome, error: Exception) -> Read:
    return Read((task,), Remarks(), outcome=outcome, error=_reason(error))


def _reason(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:500] if str(error).strip() else repr(error)


@contextmanager
def _idle(con: duckdb.DuckDBPyConnection, limits: Limits) -> Iterator[None]:
    """Lets the warehouse keep little in memory while something else uses the limit."""
    with suppress(duckdb.OutOfMemoryException):
        con.execute(f"set memory_limit = '{_IDLE_BYTES}B'")
    try:
        yield
    finally:
        con.execute(f"set memory_limit = '{limits.memory}B'")


def _without_timeless(read: Read) -> Iterator[Read]:
    """What was read without the files that have rows but not one usable time; those rejected."""
    counts = file_counts.of(read.hours)
    why = "no row has a usable Timestamp: correct the column or name its alias under lake"
    timeless = {
        key: why
        for key, counted in counts.items()
        if counted.first is None and key not in read.appended
    }
    yield from _without(read, FileOutcome.REJECTED, timeless)


def _without(read: Read, outcome: FileOutcome, bad: Mapping[int, str]) -> Iterator[Read]:
    """A read cut into its good files and, for each bad one, a read with that outcome."""
    if read.error:
        yield read
        return
    good = tuple(task for task in read.tasks if task.file_id not in bad)
    if good:
        yield replace(read, tasks=good)
    for task in read.tasks:
        if why := bad.get(task.file_id):
            yield _refused_as(task, read.remarks, outcome, why)


def _refused_as(task: Task, remarks: Remarks, outcome: FileOutcome, why: str) -> Read:
    return Read((task,), remarks, outcome=outcome, error=why)
