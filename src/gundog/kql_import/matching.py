"""Whether an imported detection's query and its SQL still belong together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gundog.core.errors import Problem
from gundog.detections.hunt import Content, Hunt
from gundog.detections.stage_sql import canonical
from gundog.kql_import import groups, reading, translating, translator
from gundog.kql_import.query import KqlQuery
from gundog.kql_import.refusing import RefusalError, Remark
from gundog.kql_import.translating import Sources

_IMPORTED = re.compile(
    r"^-- Imported: .*KQL (?P<digest>[0-9a-f]{16}), duckdb-kql (?P<version>\S+)$"
)
_MEND = "run gundog import --update with the query's file, or put back what was changed"


@dataclass(frozen=True)
class Advice:
    """What the critic says of a detection's query, and its blind spots do not."""

    stem: str
    remark: Remark

    def __str__(self) -> str:
        return f"{self.stem}: query: {self.remark}"


def problems(content: Content, sources: Sources) -> Iterator[Problem]:
    """What no longer belongs together, as `checked` gives it."""
    return (told for told in checked(content, sources) if isinstance(told, Problem))


def checked(content: Content, sources: Sources) -> Iterator[Problem | Advice]:
    """What no longer belongs together, detection by detection, and what the critic says.

    Where the translator is installed, the query is translated again and compared. Remarks that a
    detection names among its blind spots are known, and not repeated.

    Args:
        content: what the project has.
        sources: its source tables.
    """
    for hunt in content.hunts:
        if hunt.detection.query and made_of(hunt.sql):
            yield from _of_hunt(hunt, sources)


def made_of(sql: str) -> str:
    """The hash of the KQL that a file was translated from; empty for files that were not."""
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        if match := _IMPORTED.match(line):
            return match["digest"]
    return ""


def query_of(hunt: Hunt) -> KqlQuery:
    """The query of an imported detection, as a file would give it."""
    detection, frequency = hunt.detection, hunt.detection.frequency
    return KqlQuery(
        detection.shown, detection.stem, detection.id, detection.name, "", detection.query,
        frequency=frequency, period=frequency + detection.lookback,
    )  # fmt: skip


def _of_hunt(hunt: Hunt, sources: Sources) -> Iterator[Problem | Advice]:
    detection = hunt.detection
    if made_of(hunt.sql) != translating.digest(detection.query):
        reason = f"is not what sql/{detection.sql} was translated from: {_MEND}"
        yield Problem(detection.shown, "query", reason)
        return
    for stage in hunt.stages:
        group = groups.read(stage)
        if group is not None and not group.is_intact:
            reason = f"is not what the query of {detection.shown} gave, it was edited: {_MEND}"
            yield Problem(stage.path, "", reason)
    if translator.duckdb_kql is not None and f"duckdb-kql {translator.VERSION}\n" in hunt.sql:
        yield from _of_translation(hunt, sources)


def _of_translation(hunt: Hunt, sources: Sources) -> Iterator[Problem | Advice]:
    """What differs from a new translation by the same version of the translator."""
    detection = hunt.detection
    query = query_of(hunt)
    try:
        reading.check(query)
        again = translating.translate(query, sources)
    except (RefusalError, ValueError) as error:
        yield Problem(detection.shown, "query", f"is not translated any more: {error}")
        return
    known = " ".join(detection.blind_spots)
    yield from (Advice(detection.stem, r) for r in again.remarks if r.text not in known)
    stages = {stage.source: stage for stage in hunt.stages}
    if again.needs.keys() != stages.keys() or canonical(hunt.sql) != canonical(
        again.sql({source: stage.name for source, stage in stages.items()})
    ):
        reason = f"is not what the query of {detection.shown} gives: {_MEND}"
        yield Problem(f"sql/{detection.sql}", "", reason)
        return
    for source, need in again.needs.items():
        group = groups.read(stages[source])
        if group is None or (group.is_intact and not group.covers(need)):
            reason = f"lacks rows or columns that the query of {detection.shown} needs: {_MEND}"
            yield Problem(stages[source].path, "", reason)
