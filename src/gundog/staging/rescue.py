"""A batch read whatever is in it: when that fails, in parts, until the bad file or stage is left.

A file that cannot be read without any stage's SQL is rejected. A stage whose SQL fails, computes
without end or outgrows memory costs no other stage its rows; the files that it could not read wait
for the next run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gundog.core.errors import StoreError
from gundog.detections.staged import StagedTable
from gundog.staging.batch import (
    BROKEN,
    LACKING,
    LATE,
    Batch,
    Failed,
    FileOutcome,
    FileResult,
    Read,
    Reader,
    Task,
)
from gundog.staging.binding import Remarks
from gundog.warehouse import quoting

Near = tuple[Task, Path]
_MORE = "raise memoryLimit in gundog.yaml or free disk space, and run again"
EVERY_ROW = "every row"  # no stage of a content folder has this name
_LEFT_OUT = (
    "left out of this run: files that it could not read took twice the huntLimit ({why});"
    " its files and hunts are tried again by the next run"
)


@dataclass
class Patience:
    """How long stages took in a row for files that they could not read; `left_out` says why.

    A stage that took twice the limit of a batch, in seconds, is left out of the rest of a run;
    without a limit none is.
    """

    limit: float | None = None
    lost: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def copy(self) -> Patience:
        """The same, to go on with while the first stays as it is."""
        return Patience(self.limit, dict(self.lost), dict(self.left_out))

    def went(self, stages: Sequence[StagedTable]) -> None:
        """These read a file."""
        for stage in stages:
            self.lost.pop(stage.name, None)

    def failed(self, stage: StagedTable, failure: Failed) -> None:
        """This one could not."""
        if self.limit is None:
            return
        seconds = max(failure.seconds, self.limit) if failure.kind == LATE else failure.seconds
        self.lost[stage.name] = self.lost.get(stage.name, 0.0) + seconds
        if self.lost[stage.name] >= 2 * self.limit:
            self.left_out.setdefault(stage.name, _LEFT_OUT.format(why=failure.error))


@dataclass(frozen=True)
class Way:
    """How files are read: `batch` of none of them has all that they share.

    `whole` brings a file near once more, and not only in part; StoreError when its store does not
    give it. `is_partial` says that the file near is only a part of it.
    """

    batch: Batch
    reader: Reader
    patience: Patience
    whole: Callable[[Task], Path]
    is_partial: Callable[[Task], bool]


def read(group: Sequence[Near], way: Way) -> Iterator[Read | FileResult]:
    """What files of one schema give, and of each file that a stage did not read, why."""
    stages = group[0][0].stages
    wanted = tuple(stage for stage in stages if stage.name not in way.patience.left_out)
    for task, _ in group:
        yield from left_out(task, way.patience)
    if stages and not wanted:
        return
    outcome = _attempt(group, wanted, way)
    if isinstance(outcome, Read):
        yield outcome
    elif len(wanted) > 1 and (outcome.kind != BROKEN or len(group) == 1):
        yield from _by_stage(group, wanted, way)
    elif len(group) > 1:
        for near in group:
            yield from read([(replace(near[0], stages=wanted), near[1])], way)
    else:
        yield from _again(group[0], wanted, outcome, way)


def left_out(task: Task, patience: Patience) -> Iterator[FileResult]:
    """A result for each stage of a file that the run goes on without."""
    for stage in task.stages:
        if why := patience.left_out.get(stage.name):
            yield FileResult(replace(task, stages=(stage,)), FileOutcome.LEFT_OUT, why)


def _attempt(
    group: Sequence[Near], stages: tuple[StagedTable, ...], way: Way, threads: int | None = None
) -> Read | Failed:
    files = tuple((replace(task, stages=stages), near) for task, near in group)
    limits = replace(way.batch.limits, threads=threads or way.batch.limits.threads)
    began = time.perf_counter()
    outcome = way.reader(replace(way.batch, files=files, limits=limits))
    if isinstance(outcome, Read):
        way.patience.went(stages)
        return outcome
    return replace(outcome, seconds=time.perf_counter() - began)


def _by_stage(
    group: Sequence[Near], stages: tuple[StagedTable, ...], way: Way
) -> Iterator[Read | FileResult]:
    """Each stage alone: those that read the files are stored, and cost by the others nothing."""
    good, bad = list[Read](), list[tuple[StagedTable, Failed]]()
    for stage in stages:
        outcome = _attempt(group, (stage,), way)
        if isinstance(outcome, Read):
            good.append(outcome)
        else:
            bad.append((stage, outcome))
    if good:
        yield _joined(good)
    elif _are_broken(bad) and len(group) == 1 and _is_bad(*group[0], way):
        yield from _again(group[0], stages, bad[0][1], way)
        return
    for stage, failure in bad:
        if len(group) > 1:
            for task, near in group:
                yield from read([(replace(task, stages=(stage,)), near)], way)
        else:
            yield from _again(group[0], (stage,), failure, way, only=bool(good))


def _joined(parts: Sequence[Read]) -> Read:
    """What several stages made of the same files."""
    stages = tuple(stage for part in parts for stage in part.tasks[0].stages)
    tasks = tuple(replace(task, stages=stages) for task in parts[0].tasks)
    rows = {name: rows for part in parts for name, rows in part.rows.items()}
    return replace(parts[0], tasks=tasks, rows=rows)


def _again(
    near: Near, stages: tuple[StagedTable, ...], failure: Failed, way: Way, *, only: bool = False
) -> Iterator[Read | FileResult]:
    """One file that could not be read: once more whole, and with one thread if memory lacked.

    With `only` other stages read it, so that it is not the file that is bad.
    """
    task = replace(near[0], stages=stages)
    lacking = failure.kind == LACKING
    last: Read | Failed = failure
    path = near[1]
    if (lacking and way.batch.limits.threads > 1) or (
        failure.kind == BROKEN and way.is_partial(task)
    ):
        try:
            path, task = way.whole(task), replace(task, tail=None)
            last = _attempt([(task, path)], stages, way, 1 if lacking else None)
        except StoreError as error:
            yield FileResult(task, FileOutcome.STORE_GONE, str(error))
            return
    if isinstance(last, Read):
        yield last
    elif last.kind == BROKEN and not only and _is_bad(task, path, way):
        yield Read((task,), Remarks(), outcome=FileOutcome.REJECTED, error=last.error)
    else:
        yield from _give_up(task, stages, last, way)


def _are_broken(bad: Sequence[tuple[StagedTable, Failed]]) -> bool:
    return all(failure.kind == BROKEN for _, failure in bad)


def _is_bad(task: Task, near: Path, way: Way) -> bool:
    """True for a file whose rows cannot be read, whatever SQL reads them."""
    source = way.batch.source.name
    # A hash of whole rows reads every column.
    sql = f"""select file_id, "Timestamp" as event_time, null::varchar as reject_reason,
                     '' as tenant, hash(whole) as hashed from {quoting.name(source)} as whole"""
    every = StagedTable(EVERY_ROW, "", sql, source, "", ())
    outcome = _attempt([(task, near)], (every,), way)
    return isinstance(outcome, Failed) and outcome.kind == BROKEN


def _give_up(
    task: Task, stages: tuple[StagedTable, ...], failure: Failed, way: Way
) -> Iterator[FileResult]:
    cure = f": {_MORE}" if failure.kind == LACKING else ""
    for stage in stages:
        way.patience.failed(stage, failure)
        error = f"{stage.path}: {failure.error}{cure}"
        yield FileResult(replace(task, stages=(stage,)), FileOutcome.UNREAD, error)
