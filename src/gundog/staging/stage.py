"""From lake files to staged tables: each file version read once per stage SQL.

Files are brought near and read a batch at a time; what a batch gave is stored in one transaction.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from gundog.core.errors import StoreError
from gundog.core.times import Interval
from gundog.detections import stage_sql
from gundog.detections.staged import Source, StagedTable
from gundog.lake import columns, fetch
from gundog.lake.fetch import FileChangedError
from gundog.lake.file_version import FileVersion
from gundog.lake.path import LakePath
from gundog.staging import binding, reading, rescue, staged_rows
from gundog.staging.binding import Remarks
from gundog.staging.reading import Batch, Failed, Limits, Read, Reader, Task
from gundog.staging.rescue import Patience, Way

BATCH_FILES = 50
BATCH_BYTES = 256 * 2**20
_PARALLEL_COPIES = 8
# So many files in a row that their store does not give are a store that is gone.
_DEAD_AFTER = 3
# What the warehouse keeps in memory while a batch is read, and reading alone has the limit.
_IDLE_BYTES = 64 * 2**20


@dataclass(frozen=True)
class _Place:
    """Where a source's files are and what bringing them near and reading them may use."""

    paths: Sequence[LakePath]
    environ: Mapping[str, str]
    limits: Limits
    reader: Reader
    patience: Patience


@dataclass
class Staged:
    """What a staging step did.

    `unread` are files whose store did not give them; `log` has those that a stage could not read.
    """

    files: int = 0
    bytes: int = 0
    rejected: list[tuple[str, str]] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)
    dead: dict[str, str] = field(default_factory=dict)
    log: rescue.Log = field(default_factory=rescue.Log)
    _stored: dict[int, set[str]] = field(default_factory=dict)
    _stages: set[str] = field(default_factory=set)

    def lacking(
        self, read: Read, whole: Mapping[int, tuple[StagedTable, ...]]
    ) -> tuple[StagedTable, ...]:
        """The stages that have not read these files so far, but should.

        What they hold of an older version goes with the first rows of the new one. Files that are
        read in several parts are read one by one, those of one read have the same stages.
        """
        first = read.tasks[0]
        known = self._stored.get(first.file_id, set()) | {one.name for one in first.stages}
        return tuple(one for one in whole[first.file_id] if one.name not in known)

    def add(self, read: Read) -> None:
        """Counts what was stored, a file once however many parts it is stored in."""
        new = [task for task in read.tasks if task.file_id not in self._stored]
        names = {stage.name for stage in read.tasks[0].stages}
        for task in read.tasks:
            self._stored.setdefault(task.file_id, set()).update(names)
        self.files += len(new)
        self.bytes += sum(task.file.size for task in new)
        if read.error:
            self.rejected += [(task.file.path, read.error) for task in read.tasks]
        else:
            self._stages |= names

    @property
    def blind(self) -> dict[str, list[tuple[Interval | None, str]]]:
        """Of stages that could read no file: the times of those that they could not, and why."""
        return {name: spans for name, spans in self.log.missing.items()
                if name not in self._stages}  # fmt: skip


def file_id(source: str, path: str) -> int:
    """A number that stands for a file, the same whatever order files are seen in."""
    digest = hashlib.md5(f"{source}\x1f{path}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def pending(
    con: duckdb.DuckDBPyConnection, files: Iterable[FileVersion], stages: Sequence[StagedTable]
) -> list[Task]:
    """The files that are new, changed, or not yet read by a stage's present SQL.

    A changed file is read again by every stage that had read it, so that no staged table keeps
    rows of the version that is gone.
    """
    known = {
        row[0]: row[1:]
        for row in con.execute("select file_id, size_bytes, mtime_ns from source_files").fetchall()
    }
    read = defaultdict[int, set[tuple[str, str]]](set)
    for key, name, digest in con.execute(
        "select file_id, stage, stage_hash from file_stages"
    ).fetchall():
        read[key].add((name, digest))
    tasks = []
    for file in files:
        key = file_id(file.source, file.path)
        unchanged = known.get(key) == (file.size, file.mtime_ns)
        done = read[key] if unchanged else set()
        mine = [stage for stage in stages if stage.source == file.source]
        wanted = tuple(stage for stage in mine if (stage.name, stage.hash) not in done)
        if wanted:
            tasks.append(Task(file, key, wanted))
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
) -> Staged:
    """Reads and stores the tasks, batch by batch; a file that cannot be read is set aside.

    A file whose store does not give it is left for the next run; after a few of them in a row the
    source's other files are left as well, and `dead` says why.

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
    """
    done = Staged()
    patience = patience or Patience()

    def read_idly(batch: Batch) -> Read | Failed:
        with _idle(con, limits):
            return reader(batch)

    limits.folder.mkdir(parents=True, exist_ok=True)
    for stage in {stage.name: stage for task in tasks for stage in task.stages}.values():
        stage_sql.create_stage(con, stage)
    for batch in _batches(tasks):
        source = sources[batch[0].file.source]
        if source.name in done.dead:
            done.unread += [(task.file.path, done.dead[source.name]) for task in batch]
            continue
        with (
            tempfile.TemporaryDirectory(prefix="stage-", dir=limits.folder) as scratch,
            ExitStack() as opened,
        ):
            here = replace(limits, folder=Path(scratch))
            place = _Place(lake_paths[source.name], environ, here, read_idly, patience)
            whole = {task.file_id: task.stages for task in batch}
            for read in _read_safely(batch, source, place, opened, done):
                for part in _without_timeless(read):
                    lacking = done.lacking(part, whole)
                    staged_rows.store(con, replace(part, unread=lacking), source, now)
                    done.add(part)
    return done


def _batches(tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """Tasks of one source and the same stages, oldest path first, in batches of bounded size."""
    groups = defaultdict[tuple[str, tuple[tuple[str, str], ...]], list[Task]](list)
    for task in sorted(tasks, key=lambda task: task.file.path):
        groups[task.file.source, tuple((one.name, one.hash) for one in task.stages)].append(task)
    for group in groups.values():
        batch: list[Task] = []
        size = 0
        for task in group:
            if batch and (len(batch) >= BATCH_FILES or size + task.file.size > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(task)
            size += task.file.size
        yield batch


def _bring(
    batch: Sequence[Task], source: Source, place: _Place, opened: ExitStack
) -> Iterator[tuple[Task, Path | Exception, str]]:
    """Each file of a batch near, with its schema; or why it is not."""

    def bring(task: Task) -> tuple[Task, Path | Exception, str]:
        needed = binding.needed(source, task.stages, _aliases(place, task))
        try:
            near = _copy(task, place, opened, needed)
            return task, near, _group_of(task, columns.schema(near))
        except (pa.ArrowException, StoreError, OSError) as error:
            return task, error, ""

    if not fetch.is_remote(place.paths):
        yield from map(bring, batch)
        return
    with ThreadPoolExecutor(_PARALLEL_COPIES) as pool:
        try:
            yield from pool.map(bring, batch)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _group_of(task: Task, schema: pa.Schema) -> str:
    """What files have in common that are read together; odd names are read alone."""
    alone = "" if columns.is_plain(schema.names) else str(task.file_id)
    return f"{alone}{schema.remove_metadata()}"


def _copy(
    task: Task, place: _Place, opened: ExitStack, needed: Collection[str] | None = None
) -> Path:
    return opened.enter_context(
        fetch.local_copy(task.file, place.paths, place.limits.folder, place.environ, needed)
    )


def _aliases(place: _Place, task: Task) -> dict[str, str]:
    return dict(place.paths[task.file.lake_path].columns)


def _read_safely(
    batch: Sequence[Task], source: Source, place: _Place, opened: ExitStack, done: Staged
) -> Iterator[Read]:
    """Reads a batch, schema by schema; when a group fails, in parts to find the bad one."""
    groups = defaultdict[tuple[str, int], list[rescue.Near]](list)
    in_a_row = 0
    for task, near, schema in _bring(batch, source, place, opened):
        if isinstance(near, Path):
            groups[schema, task.file.lake_path].append((task, near))
            in_a_row = 0
        elif isinstance(near, StoreError) and not isinstance(near, FileChangedError):
            done.unread.append((task.file.path, str(near)))
            in_a_row += 1
            if in_a_row == _DEAD_AFTER:
                done.dead[source.name] = str(near)
                return
        else:
            yield Read((task,), Remarks(), error=_reason(near))
    for group in groups.values():
        way = Way(
            Batch((), source, _aliases(place, group[0][0]), place.limits),
            place.reader, place.patience, done.log,
            whole=lambda task: _copy(task, place, opened),
            is_partial=lambda task: fetch.is_partial(task.file, place.paths),
        )  # fmt: skip
        for read in rescue.read(group, way):
            yield from _without(read, dict(_changed(read.tasks, place)))


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


def _changed(tasks: Iterable[Task], place: _Place) -> Iterator[tuple[int, str]]:
    """Files that became another version while they were read, with what to say of them."""
    for task in tasks:
        try:
            fetch.check_unchanged(task.file, place.paths)
        except FileChangedError as error:
            yield task.file_id, str(error)


def _without_timeless(read: Read) -> Iterator[Read]:
    """What was read without the files that have rows but not one usable time; those rejected."""
    counts = staged_rows.count(read.hours)
    what = "no row has a usable Timestamp: correct the column or name its alias under lake"
    yield from _without(read, {key: what for key, one in counts.items() if one.first is None})


def _without(read: Read, bad: Mapping[int, str]) -> Iterator[Read]:
    """A read cut into its good files and one rejected read for each bad one."""
    if read.error:
        yield read
        return
    good = tuple(task for task in read.tasks if task.file_id not in bad)
    if good:
        yield replace(read, tasks=good)
    for task in read.tasks:
        if task.file_id in bad:
            yield replace(read, tasks=(task,), rows={}, hours=None, error=bad[task.file_id])
