"""A table of gundog's own: its columns, their types and what they mean."""

from __future__ import annotations

from dataclasses import dataclass

# The column of a staged row that says whether it is an event that another row holds too.
IS_COPY = "is_copy"


@dataclass(frozen=True)
class Column:
    """One column: its DuckDB type and what a reader should know of it."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Table:
    """One table; `published` ones are copied into findings.duckdb without `private` columns."""

    name: str
    comment: str
    columns: tuple[Column, ...]
    published: bool = True
    private: tuple[str, ...] = ()

    @property
    def published_columns(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.name not in self.private)


def table(
    name: str, comment: str, columns: str, *, published: bool = True, private: tuple[str, ...] = ()
) -> Table:
    """A table from lines of `name type: comment`."""
    parsed = []
    for line in columns.strip().splitlines():
        head, _, text = line.strip().partition(": ")
        column, _, kind = head.partition(" ")
        parsed.append(Column(column, kind, text))
    return Table(name, comment, tuple(parsed), published, private)
