"""What the content folders hold once they are read: hunts, staged tables, sources, problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gundog.core.errors import Problem
from gundog.detections import detection
from gundog.detections.detection import Detection
from gundog.detections.staged import Source, StagedTable
from gundog.warehouse import context_columns


@dataclass(frozen=True)
class Hunt:
    """A detection with its SQL and the staged tables that it reads.

    `join` is the SELECT that turns the flagged hours of a series of method kql into findings.
    """

    detection: Detection
    sql: str
    stages: tuple[StagedTable, ...]
    hash: str
    join: str = ""

    @property
    def learned(self) -> tuple[StagedTable, ...]:
        """The stages whose contexts its SQL reads."""
        from gundog.warehouse import statement  # loads DuckDB, which `gundog check` does without

        kept = [stage for stage in self.stages if stage.learned]
        named = statement.references(self.sql).tables if kept else frozenset()
        return tuple(stage for stage in kept if context_columns.view_name(stage.name) in named)

    @property
    def needed(self) -> tuple[StagedTable, ...]:
        """The stages without which it cannot answer; others add to what it finds."""
        return tuple(stage for stage in self.stages if stage.name not in self.detection.optional)

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(sorted({stage.source for stage in self.stages}))

    @property
    def needs_history(self) -> bool:
        """True when the SQL asks since when its sources are staged, so that it may be learning."""
        from gundog.warehouse import statement  # loads DuckDB, which `gundog check` does without

        return "staged_from" in statement.parameters(self.sql)


@dataclass(frozen=True)
class Content:
    """Everything in the content folders that works, and every problem with what does not."""

    sources: Mapping[str, Source] = field(default_factory=dict)
    stages: Mapping[str, StagedTable] = field(default_factory=dict)
    hunts: tuple[Hunt, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def detections(self) -> tuple[Detection, ...]:
        return tuple(hunt.detection for hunt in self.hunts)

    def hunt(self, name: str) -> Hunt:
        """The hunt of the detection with this id or file stem; InputError when there is none."""
        wanted = detection.find(self.detections, name)
        return next(hunt for hunt in self.hunts if hunt.detection is wanted)
