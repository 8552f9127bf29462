"""Whether an imported detection's query and its SQL still belong together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gundog.core.errors import Problem
from gundog.detections.hunt import Content, Hunt
from gundog.detections.stage_sql import canonical
from gundog.kql_import import reading, translating, translator
from gundog.kql_import.query import KqlQuery
from gundog.kql_import.refusing import RefusalError
from gundog.kql_import.translating import Sources

_IMPORTED = re.compile(
    r"^-- Imported: .*KQL (?P<digest>[0-9a-f]{16}), duckdb-kql (?P<version>\S+)$"
)
_MEND = "run gundog import --update with the query's file, or put back what was changed"


def problems(content: Content, sources: Sources) -> Iterator[Problem]:
    """What no longer belongs together, detection by detection.

    Where the translator is installed, the query is translated again and compared.

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


def _of_hunt(hunt: Hunt, sources: Sources) -> Iterator[Problem]:
    detection, now = hunt.detection, translating.digest(hunt.detection.query)
    texts = {f"sql/{detection.sql}": hunt.sql, **{stage.path: stage.sql for stage in hunt.stages}}
    differing = [path for path, sql in texts.items() if made_of(sql) not in ("", now)]
    for path in differing:
        reason = f"is not what {path} was translated from: {_MEND}"
        yield Problem(detection.shown, "query", reason)
    if not differing and translator.duckdb_kql is not None:
        yield from _of_translation(hunt, sources)


def _of_translation(hunt: Hunt, sources: Sources) -> Iterator[Problem]:
    """What differs from a new translation by the same version of the translator."""
    detection = hunt.detection
    if f"duckdb-kql {translator.VERSION}\n" not in hunt.sql:
        return
    frequency = detection.frequency
    query = KqlQuery(
        detection.shown, detection.stem, detection.id, detection.name, "", detection.query,
        frequency=frequency, period=frequency + detection.lookback,
    )  # fmt: skip
    try:
        reading.check(query)
        again = translating.translate(query, detection.stem, sources)
    except (RefusalError, ValueError) as error:
        yield Problem(detection.shown, "query", f"is not translated any more: {error}")
        return
    texts = {f"sql/{detection.sql}": (hunt.sql, again.sql)}
    for stage in hunt.stages:
        if stage.name in again.stages:
            texts[stage.path] = stage.sql, again.stages[stage.name]
    for path, (there, new) in texts.items():
        if canonical(there) != canonical(new):
            yield Problem(path, "", f"is not what the query of {detection.shown} gives: {_MEND}")
