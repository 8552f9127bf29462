"""Source tables and staged tables: what they are called, and which columns they have."""

from __future__ import annotations

from dataclasses import dataclass

from gundog.detections.stage_keys import Keys
from gundog.warehouse import quoting
from gundog.warehouse.context_columns import Learned

STAGE_COLUMNS = {
    "file_id": "BIGINT",
    "event_id": "UUID",
    "event_time": "TIMESTAMP WITH TIME ZONE",
    "reject_reason": "VARCHAR",
    "tenant": "VARCHAR",
}
# What stage SQL may read beside its source's own columns.
BESIDE_SOURCE = ("file_id", "timestamp_ns")
HIDDEN_COLUMNS = ("file_id", "reject_reason")


@dataclass(frozen=True)
class Source:
    """A source table: its CREATE TABLE and the columns that it promises, with their types."""

    name: str
    ddl: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class StagedTable:
    """A staged table: the SELECT that fills it, from which source, with which columns.

    `keys` are the columns without which a row is of no use; they change no row and no hash, nor do
    `contexts`: whose they are, and the columns that are one.
    """

    name: str
    path: str
    sql: str
    source: str
    hash: str
    columns: tuple[tuple[str, str], ...]
    keys: Keys = ()
    contexts: Keys = ()

    @property
    def learned(self) -> Learned | None:
        """What is kept of its contexts; None where its header names none."""
        if not self.contexts:
            return None
        return Learned(self.name, self.view, self.contexts[0][0], self.contexts[1:])

    @property
    def table(self) -> str:
        """The physical table as SQL writes it; a changed SELECT has another, so that rows of two
        never mix."""
        return table(f"{self.name}_{self.hash[:8]}")

    @property
    def view(self) -> str:
        """The view of it that hunts read, by its name as SQL writes it."""
        return f"main.{quoting.name(self.name)}"


def table(name: str) -> str:
    """A table of the schema that holds staged rows, as SQL writes it."""
    return f"staged.{quoting.name(name)}"
