"""Which files the stage SQL of today has read.

A file that only an earlier SQL read, and that has left the lake since, holds rows that no hunt
sees: nothing may be concluded from it, neither that rows are there nor that there are none.
"""

from __future__ import annotations

from collections.abc import Iterable

from gundog.detections.staged import StagedTable
from gundog.warehouse import quoting


def by(stages: Iterable[StagedTable], source: str) -> str:
    """A condition on `file_id`: true of the source's files that all of these stages have read.

    Args:
        stages: the stages of a hunt; those of other sources are none of it.
        source: the source table.
    """
    read = {(stage.name, stage.hash) for stage in stages if stage.source == source}
    if not read:
        return "true"
    pairs = ", ".join(
        f"({quoting.text(name)}, {quoting.text(digest)})" for name, digest in sorted(read)
    )
    return (
        "file_id in (select file_id from file_stages"
        f" where (stage, stage_hash) in ({pairs}) group by file_id having count(*) = {len(read)})"
    )
