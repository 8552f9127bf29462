"""What is read and what reading gives: the two sides of the seam between a run and its readers.

A reader may be another process or machine: all of this can be pickled, and none of it holds a
connection or a credential.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa

from gundog.detections.staged import Source, StagedTable
from gundog.lake.file_version import FileVersion
from gundog.lake.path import PARQUET
from gundog.staging.binding import Remarks
from gundog.staging.tails import Tail


@dataclass(frozen=True)
class Limits:
    """What reading may use: bytes of memory, threads, and a folder for what must wait on disk."""

    memory: int
    threads: int
    folder: Path


@dataclass(frozen=True)
class Task:
    """One file to read, and the stages that read it.

    With `tail` they have read it until there, and only what was added to it is to be read.
    """

    file: FileVersion
    file_id: int
    stages: tuple[StagedTable, ...]
    tail: Tail | None = None


class FileOutcome(StrEnum):
    """What became of a file that was to be read.

    READ: its rows are stored.
    REJECTED: no SQL can read it, or no row has a time; it is stored without rows.
    CHANGED: it was another version or gone when it was read; stored as rejected, and the next run
    lists the new version.
    UNREAD: the SQL of a stage could not read it; it waits for the next run.
    LEFT_OUT: a stage was left out before it came to the file, which waits for the next run.
    STORE_GONE: its store did not give it; it waits.
    """

    READ = "read"
    REJECTED = "rejected"
    CHANGED = "changed"
    UNREAD = "unread"
    LEFT_OUT = "left out"
    STORE_GONE = "store gone"

    @property
    def ledger_state(self) -> str | None:
        """The `state` of the file in `source_files`; None when it leaves no row there."""
        return _LEDGER_STATES.get(self)


_LEDGER_STATES = {
    FileOutcome.READ: "staged",
    FileOutcome.REJECTED: "rejected",
    FileOutcome.CHANGED: "rejected",
}


@dataclass(frozen=True)
class FileResult:
    """What became of a file for the stages that its task names; `error` says why, if not READ."""

    task: Task
    outcome: FileOutcome
    error: str = ""


@dataclass(frozen=True)
class Rows:
    """What one stage made of a batch; `counted` has its rows per file, hour, tenant and code.

    Codes are those of `day_counts.codes`.
    """

    schema: pa.Schema
    batches: tuple[pa.RecordBatch, ...]
    on_disk: Path | None
    counted: pa.Table

    def open(self) -> Any:
        """The rows from the first one on, as a RecordBatchReader."""
        if self.on_disk:
            return pa.ipc.open_stream(pa.OSFile(str(self.on_disk)))
        return pa.RecordBatchReader.from_batches(self.schema, self.batches)


@dataclass(frozen=True)
class Read:
    """What reading a batch gave: rows by staged table, rows of any kind per file and hour.

    `outcome` is READ, REJECTED or CHANGED, and holds for each of its files; `error` says why it is
    not READ. `unread` are stages that could not read the files this time. `tails` says how far
    files that may grow were read; of those in `appended` only what was added to them.
    """

    tasks: tuple[Task, ...]
    remarks: Remarks
    rows: Mapping[str, Rows] = field(default_factory=dict)
    hours: pa.Table | None = None
    outcome: FileOutcome = FileOutcome.READ
    error: str = ""
    unread: tuple[StagedTable, ...] = ()
    own_remarks: Mapping[int, Remarks] = field(default_factory=dict)
    tails: Mapping[int, Tail] = field(default_factory=dict)
    appended: frozenset[int] = frozenset()

    def remarks_on(self, task: Task) -> Remarks:
        """The remarks on one file: its own where files of a batch may differ, else those of all."""
        return self.own_remarks.get(task.file_id, self.remarks)


# Why a batch was not read: what its bytes or the SQL are, want of memory or disk, or of time.
BROKEN, LACKING, LATE = "broken", "lacking", "late"


@dataclass(frozen=True)
class Failed:
    """Why a batch was not read: BROKEN, LACKING or LATE, in words, and the seconds it took."""

    error: str
    kind: str = BROKEN
    seconds: float = 0.0


@dataclass(frozen=True)
class Batch:
    """What to read: files of one schema, for the stages that the first one's task names.

    It holds no credential: the files lie near, at the paths beside their tasks. `format` is one of
    `gundog.lake.path.FORMATS`, `exporter` says who wrote them, where that is known, and
    `time_format` how they write times, where that is said.
    """

    files: tuple[tuple[Task, Path], ...]
    source: Source
    aliases: Mapping[str, str]
    limits: Limits
    format: str = PARQUET
    exporter: str = ""
    time_format: str = ""


Reader = Callable[[Batch], Read | Failed]
