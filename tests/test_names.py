"""Tests of names: a variable says what it holds, and a constant has one place."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LIMITS = {"one": 30, "found": 20, "what": 10, "known": 10}
"""How often a word may name a variable: that it says nothing of the thing is the exception."""

SHARED = {"HOUR", "DAY", "WEEK", "MICROSECOND", "HOUR_US", "DAY_US", "EPOCH"}
"""Constants of core/times, which no other module has a copy of."""


@lru_cache
def trees() -> dict[Path, ast.Module]:
    """The modules of src/ and flows/, parsed, by path."""
    paths = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "flows").rglob("*.py")])
    return {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def variables(tree: ast.Module) -> Iterator[str]:
    """Every use of a variable and every parameter."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


@lru_cache
def counts() -> dict[Path, Counter[str]]:
    """How often each variable is used, by module."""
    return {path: Counter(variables(tree)) for path, tree in trees().items()}


def constants(tree: ast.Module) -> Iterator[str]:
    """What a module binds by an assignment at its top level, without a leading underscore."""
    for statement in tree.body:
        if isinstance(statement, (ast.Assign, ast.AnnAssign)):
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id.lstrip("_")


@pytest.mark.parametrize("word", LIMITS)
def test_variables_are_named_after_what_they_hold(word: str) -> None:
    """`for column in columns` instead of `for one in columns`: the names say nothing else."""
    uses = Counter({str(path): count[word] for path, count in counts().items()})

    assert uses.total() <= LIMITS[word], f"name the thing; most often in {uses.most_common(5)}"


def test_a_length_of_time_is_defined_once() -> None:
    """Hours, days and the count of microseconds since 1970 come from core/times."""
    copies = [
        f"{path}: {name}"
        for path, tree in trees().items()
        if path.parts[-2:] != ("core", "times.py")
        for name in constants(tree)
        if name in SHARED
    ]

    assert copies == []


def test_no_parameter_has_the_name_of_its_function() -> None:
    """`score(con, hunt)`, not `hunt(con, hunt)`: a verb for the act, a noun for the thing."""
    double = [
        f"{path}: {node.name}"
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.name.lstrip("_") in {argument.arg for argument in parameters(node)}
    ]

    assert double == []


def parameters(function: ast.FunctionDef) -> list[ast.arg]:
    """The parameters of a function that have a name."""
    given = function.args
    return [*given.posonlyargs, *given.args, *given.kwonlyargs]


def test_every_use_of_a_variable_counts() -> None:
    """In comprehensions, lambdas and texts too, and as a parameter."""
    source = 'def run(one: int) -> object:\n    return [f"{one}" for one in (lambda one: one)(one)]'

    assert Counter(variables(ast.parse(source)))["one"] == 6
