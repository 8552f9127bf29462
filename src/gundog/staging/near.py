"""The files of a batch brought near to whoever reads them, each with what it is read together with.

Who brings them uses its own access to the stores: a run does, and so does each of its workers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from gundog.core.errors import StoreError
from gundog.detections.staged import Source
from gundog.lake import columns, fetch
from gundog.lake.fetch import FileChangedError
from gundog.lake.path import JSON, LakePath
from gundog.staging import binding, tails
from gundog.staging.batch import Batch, Limits, Task

_PARALLEL_COPIES = 8


@dataclass(frozen=True)
class Lake:
    """Where a source's files are and what bringing them near and reading them may use.

    Attributes:
        paths: the source's lake paths.
        environ: where stores' credentials come from.
        limits: what reading may use; copies lie in its folder.
    """

    paths: Sequence[LakePath]
    environ: Mapping[str, str]
    limits: Limits


def bring(
    batch: Sequence[Task], source: Source, lake: Lake, opened: ExitStack
) -> Iterator[tuple[Task, Path | Exception, str]]:
    """Each file of a batch near, with a text that files have in common that are read together.

    In a file's place stands why it could not be brought. Copies go when `opened` is closed.
    """

    def bring_file(task: Task) -> tuple[Task, Path | Exception, str]:
        path = lake.paths[task.file.lake_path]
        needed = binding.needed(source, task.stages, path.columns, path.exporter)
        try:
            task, near = _near(task, lake, opened, needed)
            return task, near, _group_of(task, near, lake)
        except (pa.ArrowException, StoreError, OSError) as error:
            return task, error, ""

    if not fetch.is_remote(lake.paths):
        yield from map(bring_file, batch)
        return
    with ThreadPoolExecutor(_PARALLEL_COPIES) as pool:
        try:
            yield from pool.map(bring_file, batch)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _group_of(task: Task, near: Path, lake: Lake) -> str:
    """What files have in common that are read together; odd names are read alone."""
    if lake.paths[task.file.lake_path].format == JSON:
        return JSON
    schema = columns.schema(near)
    alone = "" if columns.is_plain(schema.names) else str(task.file_id)
    return f"{alone}{schema.remove_metadata()}"


def _near(task: Task, lake: Lake, opened: ExitStack, needed: Collection[str]) -> tuple[Task, Path]:
    """A file near; what was added to it alone, where what was read before is still there."""
    if task.tail and lake.paths[task.file.lake_path].grows:
        near = copy(task, lake, opened, start=task.tail.start)
        if tails.digest(near, task.tail.end) == task.tail.digest:
            return task, near
    return replace(task, tail=None), copy(task, lake, opened, needed)


def copy(
    task: Task,
    lake: Lake,
    opened: ExitStack,
    needed: Collection[str] | None = None,
    start: int = 0,
) -> Path:
    """A file near, whole or with the needed columns only; see `fetch.local_copy`."""
    folder = lake.limits.folder
    return opened.enter_context(
        fetch.local_copy(task.file, lake.paths, folder, lake.environ, needed, start)
    )


def shared(source: Source, task: Task, lake: Lake) -> Batch:
    """What files of one lake path have in common, as a batch of none of them."""
    path = lake.paths[task.file.lake_path]
    aliases, limits = dict(path.columns), lake.limits
    return Batch((), source, aliases, limits, path.format, path.exporter, path.time_format)


def changed(tasks: Iterable[Task], lake: Lake) -> Iterator[tuple[int, str]]:
    """Files that became another version while they were read, with what to say of them."""
    for task in tasks:
        try:
            fetch.check_unchanged(task.file, lake.paths)
        except FileChangedError as error:
            yield task.file_id, str(error)
