"""Tests of core.fields: every value typed, every problem named, nothing read twice."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.core.errors import Problem
from gundog.core.fields import Fields, read_yaml, unknown
from tests.kit import write_text

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3)
)


def fields(**data: Any) -> Fields:
    """Fields over some values, with an empty list of problems."""
    return Fields(data, "x.yaml", [])


def problems(one: Fields) -> list[str]:
    """What was noted, as people read it."""
    return [str(problem) for problem in one.problems]


def read(path: Path) -> tuple[dict[str, Any], list[str]]:
    """A YAML file read, and its problems."""
    found: list[Problem] = []
    return read_yaml(path, "x.yaml", found), [str(problem) for problem in found]


def test_yaml_mapping_is_read(tmp_path: Path) -> None:
    """Keys and values, times as times."""
    path = write_text(tmp_path / "x.yaml", "a: 1\nb: [x, y]\n")

    assert read(path) == ({"a": 1, "b": ["x", "y"]}, [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "x.yaml: holds nothing: write keys and values"),
        ("- a\n- b\n", "x.yaml: holds a list: write keys and values"),
        ("a: 1\nb: 2\na: 3\n", "x.yaml: line 3: cannot be read: duplicate key 'a': remove one"),
        ("a: {b: 1, b: 2}\n", "duplicate key 'b': remove one"),
        ("a: [1\n", "x.yaml: line 2: cannot be read"),
        ("a: !!python/object/apply:os.system [ls]\n", "cannot be read: could not determine"),
        ("? [1, 2]\n: x\n", "cannot be read"),
        ("a: \x01\n", "cannot be read"),
    ],
)
def test_what_is_no_mapping_is_one_problem(tmp_path: Path, text: str, problem: str) -> None:
    """Broken YAML, a key twice, and YAML that would run code."""
    data, found = read(write_text(tmp_path / "x.yaml", text))

    assert data == {}
    assert len(found) == 1
    assert problem in found[0]


def test_unreadable_file_is_a_problem(tmp_path: Path) -> None:
    """Not there, or not UTF-8."""
    assert "cannot be read" in read(tmp_path / "none.yaml")[1][0]
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9\xff\n")
    assert "cannot be read" in read(tmp_path / "latin.yaml")[1][0]


def test_unknown_keys_are_named_with_the_nearest() -> None:
    """A typo never passes as silence."""
    one = Fields({"freqency": 1, "zzz": 2, "name": 3}, "x.yaml", [], "a", ["frequency", "name"])

    assert problems(one) == [
        "x.yaml: a.freqency: unknown key: did you mean frequency?",
        "x.yaml: a.zzz: unknown key 'zzz': use one of frequency, name",
    ]


def test_what_is_no_mapping_has_no_fields() -> None:
    """A list where keys belong is one problem, and every value its default."""
    one = Fields(["a"], "x.yaml", [], "series")

    assert problems(one) == ["x.yaml: series: holds ['a']: write keys and values"]
    assert one.flag("on", True)


@pytest.mark.parametrize(
    ("take", "value", "problem"),
    [
        (lambda f: f.text("k"), None, "k: is missing: write a text"),
        (lambda f: f.text("k"), 5, "k: is 5: write a text"),
        (lambda f: f.text("k"), "  ", "k: is empty: write a text"),
        (lambda f: f.texts("k", ...), None, "k: is missing: write a list of texts"),
        (lambda f: f.texts("k", ...), [], "k: is empty: write a list of texts"),
        (lambda f: f.texts("k", ...), [" "], "k: is empty: write a list of texts"),
        (lambda f: f.texts("k"), [1], "k: is [1]: write a list of texts"),
        (lambda f: f.texts("k"), {"a": 1}, "k: is {'a': 1}: write a list of texts"),
        (lambda f: f.integer("k", None, 0, 9), 10, "k: is 10: write a whole number from 0 to 9"),
        (lambda f: f.integer("k", None, 0, 9), -1, "k: is -1: write a whole number from 0 to 9"),
        (lambda f: f.integer("k", None, 0, 9), True, "k: is True: write a whole number"),
        (lambda f: f.integer("k", None, 0, 9), 1.0, "k: is 1.0: write a whole number"),
        (lambda f: f.integer("k", ..., 0, 9), None, "k: is missing: write a whole number"),
        (lambda f: f.number("k"), 0, "k: is 0: write a number above 0"),
        (lambda f: f.number("k"), math.nan, "k: is nan: write a number above 0"),
        (lambda f: f.number("k"), math.inf, "k: is inf: write a number above 0"),
        (lambda f: f.number("k"), "1", "k: is '1': write a number"),
        (lambda f: f.number("k"), True, "k: is True: write a number"),
        (lambda f: f.flag("k", True), "yes", "k: is 'yes': write true or false"),
        (lambda f: f.flag("k", True), 1, "k: is 1: write true or false"),
        (lambda f: f.choice("k", ["low", "high"]), "hihg", "k: unknown value: did you mean"),
        (lambda f: f.choice("k", ["low", "high"]), "", "k: is empty"),
        (lambda f: f.choice("k", ["low", "high"], "low"), "", "k: unknown value '': use one"),
        (lambda f: f.duration("k"), None, "k: '' is not a duration"),
        (lambda f: f.duration("k"), 5, "k: '5' is not a duration"),
        (lambda f: f.mapping("k"), [1], "k: is [1]: write keys and values"),
        (lambda f: f.items("k"), {"a": 1}, "k: is {'a': 1}: write a list"),
        (lambda f: f.inner("k", ["a"]).text("b", ""), {"c": 1}, "k.c: unknown key 'c'"),
    ],
)  # fmt: skip
def test_wrong_value_is_one_problem_that_says_what_to_write(
    take: Callable[[Fields], Any], value: Any, problem: str
) -> None:
    """Key, what stands there, what belongs there."""
    one = Fields({} if value is None else {"k": value}, "x.yaml", [])

    take(one)

    assert len(one.problems) == 1, problems(one)
    assert str(one.problems[0]).startswith(f"x.yaml: {problem}")


@pytest.mark.parametrize(
    ("take", "value", "wanted"),
    [
        (lambda f: f.text("k"), " a b ", "a b"),
        (lambda f: f.text("k", "d"), None, "d"),
        (lambda f: f.texts("k"), "one", ("one",)),
        (lambda f: f.texts("k"), [" a ", "b"], ("a", "b")),
        (lambda f: f.texts("k"), None, ()),
        (lambda f: f.integer("k", 3, 0, 9), None, 3),
        (lambda f: f.integer("k", 3, 0, 9), 0, 0),
        (lambda f: f.integer("k", 3, 0, 9), 9, 9),
        (lambda f: f.number("k"), None, None),
        (lambda f: f.number("k"), 2, 2.0),
        (lambda f: f.flag("k", True), None, True),
        (lambda f: f.flag("k", True), False, False),
        (lambda f: f.choice("k", ["low", "High"]), "HIGH", "High"),
        (lambda f: f.choice("k", ["low", "High"], "low"), None, "low"),
        (lambda f: f.duration("k"), "36h", timedelta(hours=36)),
        (lambda f: f.duration("k", timedelta()), None, timedelta()),
        (lambda f: f.mapping("k"), None, {}),
        (lambda f: f.items("k"), None, []),
        (lambda f: f.inner("k", ["a"]).text("a"), {"a": "x"}, "x"),
    ],
)
def test_right_value_is_taken_typed(take: Callable[[Fields], Any], value: Any, wanted: Any) -> None:
    """With its default where it may be absent."""
    one = Fields({} if value is None else {"k": value}, "x.yaml", [])

    assert take(one) == wanted
    assert type(take(one)) is type(wanted)
    assert problems(one) == []


@given(values)
def test_no_value_breaks_the_reading(value: Any) -> None:
    """Whatever YAML holds, every reader returns its type."""
    one = fields(k=value)

    assert isinstance(one.text("k"), str)
    assert isinstance(one.texts("k", ...), tuple)
    assert isinstance(one.flag("k", True), bool)
    assert isinstance(one.choice("k", ["a"]), str)
    assert isinstance(one.duration("k"), timedelta)
    assert isinstance(one.mapping("k"), dict)
    assert isinstance(one.items("k"), list)
    assert one.number("k") is None or isinstance(one.number("k"), float)
    assert isinstance(one.inner("k", ["a"]), Fields)


def test_nearest_name_is_found_in_any_case() -> None:
    """The name is shown as it must be written."""
    assert unknown("ALERTBUDGET", ["alertBudget"], "key").endswith("did you mean alertBudget?")
