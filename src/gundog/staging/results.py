"""What a staging step did with each of its files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from gundog.core.times import Interval
from gundog.staging.batch import FileOutcome, FileResult, Task
from gundog.staging.rescue import Patience


@dataclass(frozen=True)
class Staged:
    """What a staging step did.

    Attributes:
        results: what became of each file for each stage that should read it.
        gone: why the store of a source gives nothing any more, by source.
        patience: what is left of the stages' patience.
    """

    results: tuple[FileResult, ...]
    gone: Mapping[str, str]
    patience: Patience

    @property
    def files(self) -> int:
        """How many files were stored, rejected ones included."""
        return len(self._stored())

    @property
    def bytes(self) -> int:
        """The size of those."""
        return sum(task.file.size for task in self._stored())

    def _stored(self) -> list[Task]:
        """Their tasks, a file once however many parts it was stored in."""
        stored = [result.task for result in self.results if result.outcome.ledger_state]
        return list({task.file_id: task for task in stored}.values())

    def of(self, *outcomes: FileOutcome) -> list[tuple[str, str]]:
        """Path and reason of each result with one of these outcomes."""
        return [
            (result.task.file.path, result.error)
            for result in self.results
            if result.outcome in outcomes
        ]

    @property
    def rejected(self) -> list[tuple[str, str]]:
        """Path and reason of each file that is stored as rejected."""
        return self.of(FileOutcome.REJECTED, FileOutcome.CHANGED)

    @property
    def blind(self) -> dict[str, list[tuple[Interval | None, str]]]:
        """Of stages that could read no file: the times of those that they could not, and why."""
        have_read = {
            stage.name
            for result in self.results
            if result.outcome == FileOutcome.READ
            for stage in result.task.stages
        }
        spans = defaultdict[str, list[tuple[Interval | None, str]]](list)
        for result in self.results:
            if result.outcome == FileOutcome.UNREAD:
                for stage in result.task.stages:
                    spans[stage.name].append((result.task.file.covers, result.error))
        return {name: unread for name, unread in spans.items() if name not in have_read}
