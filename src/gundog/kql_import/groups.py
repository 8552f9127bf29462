"""Staged tables that imported hunts share: which of them a hunt may read, and which are new.

A hunt reads a staged table that is there when the table has all its rows and columns. The other
hunts of one import share a new one for each source: a table that is there is not changed, since all
its files would be read again.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gundog.detections import stage_sql as detections_stage_sql
from gundog.detections.staged import STAGE_COLUMNS, StagedTable
from gundog.kql_import import stage_sql, translator
from gundog.kql_import.stage_sql import Need
from gundog.warehouse import quoting

_ROWS = re.compile(r"^-- Rows:     (all|[0-9a-f ]+)$", re.MULTILINE)
_MADE = re.compile(r"^-- Made:     ([0-9a-f]{16})$", re.MULTILINE)


@dataclass(frozen=True)
class Group:
    """A staged table of imported hunts as its file says.

    Args:
        name: of the table.
        source: its source.
        types: DuckDB's type by column.
        branches: what its rows fulfil, each as the hashes of its conditions.
        is_intact: False when the SQL was changed by hand.
    """

    name: str
    source: str
    types: Mapping[str, str]
    branches: frozenset[frozenset[str]]
    is_intact: bool

    def covers(self, need: Need) -> bool:
        """True when every row and column that is needed is in it."""
        return (
            self.is_intact
            and self.source == need.source
            and all(self.types.get(name) == kind for name, kind in need.types.items())
            and all(any(own <= branch for own in self.branches) for branch in need.digests)
        )


@dataclass(frozen=True)
class Placed:
    """Which staged tables hunts read.

    Args:
        stages: by hunt, the staged table of each of its sources.
        new: the text of each staged table that is new, by name.
    """

    stages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    new: Mapping[str, str] = field(default_factory=dict)


def read(stage: StagedTable) -> Group | None:
    """What a staged table says of its rows; None for one that was not imported."""
    rows = _ROWS.findall(stage.sql)
    if not rows:
        return None
    branches = frozenset(frozenset(() if row == "all" else row.split()) for row in rows)
    types = {name: kind for name, kind in stage.columns if name not in STAGE_COLUMNS}
    made = _MADE.search(stage.sql)
    is_intact = made is not None and made[1] == _made(stage.sql)
    return Group(stage.name, stage.source, types, branches, is_intact)


def _made(sql: str) -> str:
    plain = detections_stage_sql.canonical(sql)
    return hashlib.sha256(plain.encode()).hexdigest()[:16]


def stage_name(group: str, source: str, *, whole: bool = False) -> str:
    """The staged table of a group of hunts and a source.

    >>> stage_name("community", "DeviceProcessEvents")
    'kql_community_device_process_events'
    """
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", source).lower() + ("_whole" if whole else "")
    longest = quoting.LONGEST - 28 - len(plain)
    return f"kql_{group[:longest].rstrip('_')}_{plain}"


def placed(
    needs: Mapping[str, Mapping[str, Need]],
    there: Iterable[Group],
    name: str,
    taken: Collection[str],
) -> Placed:
    """Which staged tables the hunts read, those that are there before new ones.

    Hunts that need all rows of a source do not share with those that need few: they have few
    columns, and these would be staged for all rows.

    Args:
        needs: what each hunt needs of each source.
        there: the staged tables that may be read as they are.
        name: what new staged tables are named after.
        taken: names that they cannot have.
    """
    stages: dict[str, dict[str, str]] = {hunt: {} for hunt in needs}
    waiting = defaultdict[tuple[str, bool], list[str]](list)
    smallest_first = sorted(there, key=lambda group: (len(group.types), group.name))
    for hunt, by_source in needs.items():
        for source, need in by_source.items():
            fitting = next((group for group in smallest_first if group.covers(need)), None)
            if fitting:
                stages[hunt][source] = fitting.name
            else:
                waiting[source, need.is_whole].append(hunt)
    new: dict[str, str] = {}
    for (source, whole), hunts in sorted(waiting.items()):
        made = _free(name, source, whole, {*taken, *new})
        new[made] = text([needs[hunt][source] for hunt in hunts])
        for hunt in hunts:
            stages[hunt][source] = made
    return Placed(stages, new)


def _free(name: str, source: str, whole: bool, taken: Collection[str]) -> str:
    made, number = stage_name(name, source, whole=whole), 2
    while made in taken:
        made = stage_name(f"{name}_{number}", source, whole=whole)
        number += 1
    return made


def text(needs: Sequence[Need]) -> str:
    """The file of a staged table with all rows and columns that the hunts need."""
    need = stage_sql.merged(needs)
    rows = sorted(" ".join(sorted(branch)) or "all" for branch in need.digests)
    head = [
        f"-- Rows of {need.source} that imported hunts read, typed as in Kusto.",
        "--",
        "-- Grain:    one row per event.",
        "-- Interval: all rows of the files at hand.",
        f"-- Reads:    {need.source}",
        "-- Params:   none",
        f"-- Imported: by duckdb-kql {translator.VERSION}; do not edit, import again",
    ]
    body = stage_sql.select(need, "")
    made = [f"-- Rows:     {row}" for row in rows] + [f"-- Made:     {_made(body)}"]
    return "\n".join([*head, *made, body])
