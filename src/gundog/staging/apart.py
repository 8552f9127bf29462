"""Batches read in a child process, with a limit on its time and its memory."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from gundog.core.child import Child, EndedError, LateError
from gundog.core.times import format_duration
from gundog.staging import reading
from gundog.staging.batch import LACKING, LATE, Batch, Failed, Read, Reader, Task

# What the limit of time is meant for; a larger file may take longer in proportion.
BATCH_BYTES = 256 * 2**20
# A shorter limit than this is for hunts alone.
LEAST = timedelta(minutes=1)
_TOO_LONG = (
    "took longer than allowed ({limit}): correct the stage's SQL, or raise huntLimit in gundog.yaml"
)


def limit_of(hunt_limit: timedelta) -> timedelta:
    """How long a batch may take where a hunt may take so long."""
    return max(hunt_limit, LEAST)


def reader(child: Child, limit: timedelta) -> Reader:
    """Reads batches in the child.

    Args:
        child: where; another process takes over after one was killed.
        limit: how long a batch of `BATCH_BYTES` may take.
    """

    def read(batch: Batch) -> Read | Failed:
        return read_within(child, batch, seconds_for(limit, (task for task, _ in batch.files)))

    return read


def seconds_for(limit: timedelta, tasks: Iterable[Task]) -> float:
    """How long these files may take, where a batch of `BATCH_BYTES` may take `limit`."""
    return limit.total_seconds() * max(1.0, sum(task.file.size for task in tasks) / BATCH_BYTES)


def read_within(child: Child, batch: Batch, seconds: float) -> Read | Failed:
    """Reads a batch in the child; LATE when it takes longer, LACKING when its process ended."""
    try:
        outcome: Read | Failed = child.call(
            reading.read, batch, memory=batch.limits.memory, seconds=seconds
        )
    except LateError:
        limited = format_duration(timedelta(seconds=max(1, round(seconds))))
        return Failed(_TOO_LONG.format(limit=limited), LATE)
    except EndedError as error:
        return Failed(str(error), LACKING)
    return outcome
