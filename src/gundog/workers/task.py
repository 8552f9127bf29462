"""What goes to a worker and comes back: bytes, so that a worker of another version is known first.

What goes out names files and holds the SQL that reads them. It holds nothing of the environment:
a worker reaches the lake as who it is itself.
"""

from __future__ import annotations

import hashlib
import pickle
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import duckdb
import pyarrow as pa

import gundog
from gundog.core.wording import count
from gundog.detections.staged import Source
from gundog.lake.path import LakePath
from gundog.staging.batch import Read, Rows, Task
from gundog.staging.others import Asked

# Rows up to so many bytes stay in memory until they are stored; more wait on disk.
_KEPT_BYTES = 4 * 2**20
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="zstd")

Versions = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Order:
    """What a worker is asked to read.

    Attributes:
        tasks: files of one source, for the same stages.
        source: their source table.
        paths: the lake paths of the source.
        memory: bytes that DuckDB may use.
        seconds: how long reading may take, without bringing files near.
        most_bytes: how many bytes of rows may come back.
    """

    tasks: tuple[Task, ...]
    source: Source
    paths: tuple[LakePath, ...]
    memory: int
    seconds: float
    most_bytes: int


@dataclass(frozen=True)
class Answer:
    """What a worker gives.

    Attributes:
        reads: what it read without a fault; their rows are in `rows`.
        rows: for each of `reads`, rows by stage as a compressed Arrow stream.
        order: ids of all files, in the order in which they were come to.
        error: why it could not bring a file near; then it gives nothing at all.
        failed: why it could not read a file that was near.
    """

    reads: tuple[Read, ...] = ()
    rows: tuple[Mapping[str, bytes], ...] = ()
    order: tuple[int, ...] = ()
    error: str = ""
    failed: str = ""


@lru_cache
def versions() -> Versions:
    """What both sides must have in common for rows to be equal."""
    return (
        ("Python", ".".join(platform.python_version_tuple()[:2])),
        ("gundog", f"{gundog.__version__} (code {_code()})"),
        ("duckdb", duckdb.__version__),
        ("pyarrow", pa.__version__),
    )


def _code() -> str:
    """A short digest of gundog's own code: two copies of one version may differ.

    What ships beside it, such as the flows inside a wheel, reads no file.
    """
    root = Path(gundog.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(set(root.rglob("*.py")) - set((root / "shipped").rglob("*"))):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


def difference(run: Versions, worker: Versions) -> str:
    """What a worker has that the run has not, as a sentence; empty where they are alike."""
    pairs = [
        f"{name} {dict(worker).get(name, 'unknown')} where the run has {version}"
        for name, version in run
        if dict(worker).get(name) != version
    ]
    return f"has {', '.join(pairs)}: install the same versions on both" if pairs else ""


def order(asked: Asked, seconds: float, most_bytes: int) -> bytes:
    """What a worker is asked to read, as bytes."""
    tasks = tuple(
        replace(task, stages=tuple(item for item in task.stages if item.name not in asked.left_out))
        for task in asked.tasks
    )
    made = Order(tasks, asked.source, tuple(asked.paths), asked.limits.memory, seconds, most_bytes)
    return pickle.dumps(made, protocol=5)


def packed(rows: Rows, most_bytes: int) -> bytes | None:
    """Rows as a compressed Arrow stream; None when it would be larger than allowed."""
    sink = pa.BufferOutputStream()
    with (
        rows.open() as reader,
        pa.ipc.new_stream(sink, rows.schema, options=_COMPRESSED) as writer,
    ):
        for batch in reader:
            writer.write_batch(batch)
            if sink.tell() > most_bytes:
                return None
    return bytes(sink.getvalue())


def parts(answer: Answer, tasks: Sequence[Task], folder: Path) -> tuple[Read | Task, ...]:
    """What a worker read, and the files that it left, in the order in which they were come to.

    Args:
        answer: from a worker.
        tasks: that it was asked to read.
        folder: where rows that are many wait on disk; whoever calls removes them.
    """
    left = {task.file_id: task for task in tasks}
    by_file = {task.file_id: read for read in _unpacked(answer, folder) for task in read.tasks}
    ordered = [by_file.get(file_id) or left[file_id] for file_id in answer.order]
    return tuple({id(part): part for part in ordered}.values())


def _unpacked(answer: Answer, folder: Path) -> Iterator[Read]:
    for place, (read, streams) in enumerate(zip(answer.reads, answer.rows, strict=True)):
        rows = {
            name: _rows(stream, read.rows[name].counted, folder / f"{place}-{turn}.arrows")
            for turn, (name, stream) in enumerate(streams.items())
        }
        yield replace(read, rows=rows)


def _rows(stream: bytes, counted: pa.Table, path: Path) -> Rows:
    with pa.ipc.open_stream(stream) as reader:
        if len(stream) <= _KEPT_BYTES:
            return Rows(reader.schema, tuple(reader), None, counted)
        path.write_bytes(stream)
        return Rows(reader.schema, (), path, counted)


def travels(paths: Sequence[LakePath]) -> str:
    """Why a source's paths must not be sent to workers; empty where they may."""
    for path in paths:
        if path.endpoint and {"@", "?"} & set(path.endpoint):
            return (
                "the endpoint holds a user, a password or a token, which must not travel:"
                " set it in the environment of the workers and of the run"
            )
    return ""


def files_of(tasks: Sequence[Task]) -> str:
    """The files of a batch for people: the first one and how many more."""
    more = len(tasks) - 1
    others = f" and {count(more, 'more file')}" if more else ""
    return f"{tasks[0].file.path}{others}"
