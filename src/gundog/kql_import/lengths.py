"""How long a query is once its lets are written out, since each step costs time at import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gundog.kql_import import translator
from gundog.kql_import.refusing import RefusalError

# The longest of 1,938 public queries has 297, and takes 7 s of CPU.
MOST_STEPS = 1_000


def refuse_long(query: Any) -> None:
    """Raises RefusalError for a query of too many steps.

    Twenty lets that each read the one before twice are a million steps.
    """
    if (steps := _steps(query, {})) > MOST_STEPS:
        reason = f"has {steps:,} steps with its lets written out: give at most {MOST_STEPS:,}"
        raise RefusalError("query", reason, 1, 1)


def _steps(query: Any, lets: Mapping[str, int]) -> int:
    """The steps of a query, those of what it reads included."""
    ir = translator.ir
    named = dict(lets)
    for name, bound in query.lets:
        named[name] = _steps(bound, named) if isinstance(bound, ir.Query) else 0
    source = query.source
    steps = named.get(source.name, 0) if isinstance(source, ir.TableRef) else 0
    for step in query.operators:
        steps += 1
        if isinstance(step, (ir.Join, ir.Lookup)):
            steps += _steps(step.right, named)
        elif isinstance(step, ir.Union):
            steps += sum(_steps(branch, named) for branch in step.branches)
    return steps
