"""Functions of gundog's own that SQL may call, where it runs and where it is only bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import duckdb


@dataclass(frozen=True)
class Function:
    """A function's name and types, as DuckDB spells them."""

    name: str
    parameters: tuple[str, ...]
    returned: str

    def register(self, con: duckdb.DuckDBPyConnection, work: Callable[..., Any]) -> None:
        """Has SQL of a connection call `work`; null where an argument is null."""
        con.create_function(self.name, work, list(self.parameters), self.returned)

    def declare(self, con: duckdb.DuckDBPyConnection) -> None:
        """Makes the types known where SQL is bound and never run; a macro needs no NumPy."""
        names = [f"argument_{n}" for n in range(len(self.parameters))]
        typed = ", ".join(map(" ".join, zip(names, self.parameters, strict=True)))
        con.execute(f"create macro {self.name}({typed}) as cast(null as {self.returned})")
