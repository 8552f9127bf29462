"""Why a query is refused: the construct, where it stands, and what to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class RefusalError(Exception):
    """A query that is not imported.

    Args:
        cause: the construct or name, as the ranking of refusals counts it.
        reason: what is wrong with it, and how to go on.
        line, column: where it stands in the query, from 1; 0 where that is not known.
    """

    cause: str
    reason: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = f"line {self.line}" if self.line else ""
        where += f", column {self.column}" if self.line and self.column else ""
        return ": ".join(part for part in (where, self.cause, self.reason) if part)


@dataclass(frozen=True, order=True)
class Remark:
    """What a person should know of a query that is imported; `line` is 0 for the whole of it."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}" if self.line else self.text
