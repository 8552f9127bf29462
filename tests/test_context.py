"""Tests of run.context: what is asked of a run is read and never written into."""

from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from gundog.findings.model import RunStamp
from gundog.run import parts
from gundog.run.context import Context, Request
from gundog.run.parts import Kind, Part, PartResult
from gundog.run.run import load_project
from tests import kit

RUN = Path(__file__).parents[1] / "src/gundog/run"


def is_frozen(decorator: ast.expr) -> bool | None:
    """Whether a dataclass is frozen; None for another decorator."""
    call = decorator if isinstance(decorator, ast.Call) else None
    name = call.func if call else decorator
    if not isinstance(name, ast.Name) or name.id != "dataclass":
        return None
    return any(keyword.arg == "frozen" for keyword in call.keywords) if call else False


def test_only_the_outcome_of_a_run_can_be_written_into() -> None:
    """Steps return what they found, so that a reader sees what each gives to the next."""
    classes = {
        node.name: [is_frozen(decorator) for decorator in node.decorator_list]
        for path in sorted(RUN.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }

    assert {"Context", "Listing", "Staging", "Due", "Part", "Request"} <= set(classes)
    assert [name for name, frozen in classes.items() if False in frozen] == ["Outcome"]


@pytest.mark.parametrize("error", ["", "it broke"])
def test_step_gets_the_part_and_what_failed_in_it(tmp_path: Path, error: str) -> None:
    """Whoever runs the parts of a run sees an error without knowing what a part returns."""
    seen: list[tuple[Part, str]] = []

    def step(part: Part, work: Callable[[], PartResult[Any]]) -> PartResult[Any]:
        result = work()
        seen.append((part, result.error))
        return result

    stamp = RunStamp(UUID(int=1), datetime(2026, 3, 10, tzinfo=UTC))
    project = load_project(kit.make_project(tmp_path), {})
    context = Context(project, Request("hunt"), stamp, (), step=step)

    assert context.run_part(parts.PUBLISH, lambda: error, lambda value: value) == error
    assert context.run_part(parts.NOTIFY, lambda: 7) == 7
    assert seen == [(parts.PUBLISH, error), (parts.NOTIFY, "")]


def test_kind_of_a_part_says_whether_it_reads_from_a_store() -> None:
    """The label is for people: nothing follows from it."""
    crossing = {kind for kind in Kind if Part(kind, "publish").crosses_network}

    assert crossing == {Kind.LIST, Kind.STAGE}
