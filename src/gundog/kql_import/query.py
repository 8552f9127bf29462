"""A hunting query as its file gives it, before anything is translated."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePath

Entities = tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True)
class KqlQuery:
    """One query and what its file says of it.

    Args:
        path: the file, as people know it.
        stem: what the detection's file is to be called.
        id: a UUID: the file's own, or made of the file's name and the number of the query.
        name, description: prose of the source.
        query: the KQL, as it is written there.
        severity: one of gundog's; medium where the source says none.
        tactics, techniques: those that gundog knows.
        entities: (entity type, ((identifier, column), …)) for each mapping.
        connectors: (connector, (table, …)) for each connector that is required.
        frequency, period: how often it runs and how far it looks back; None where not said.
        title: a template for a finding's title; empty where none is given.
        references: addresses that the source names.
        origin: author, version and licence in one sentence; empty where none is given.
        derived: the id of the query that it was rewritten from; empty for one of a file.
        unused: what the source says and the import cannot keep, a sentence each.
    """

    path: str
    stem: str
    id: str
    name: str
    description: str
    query: str
    severity: str = "medium"
    tactics: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    entities: Entities = ()
    connectors: tuple[tuple[str, tuple[str, ...]], ...] = ()
    frequency: timedelta | None = None
    period: timedelta | None = None
    title: str = ""
    references: tuple[str, ...] = ()
    origin: str = ""
    derived: str = ""
    unused: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """The file's name, which says nothing of the machine that it lay on."""
        return PurePath(self.path).name
