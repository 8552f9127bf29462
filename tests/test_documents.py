"""Tests of core.documents: plain values or one sentence, whatever a YAML text holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gundog.core import documents
from gundog.core.documents import DocumentError
from tests import draws


def said(text: str) -> str:
    """What is wrong with a text, with its line."""
    with pytest.raises(DocumentError) as error:
        documents.load(text)
    return f"line {error.value.line}: {error.value.reason}"


def laughs(line: str) -> str:
    """Nine anchors, each of which stands ten times in the next."""
    return "a0: &a0 [x]\n" + "".join(
        line.format(turn, ", ".join([f"*a{turn - 1}"] * 10)) for turn in range(1, 10)
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x: " + "[" * 20_000, "line 1: is nested more than 40 deep: nest it less"),
        ("x: " + "{a: " * 20_000, "is nested more than 40 deep"),
        ("- " * 20_000, "is nested more than 40 deep"),
        ("? " * 20_000, "is nested more than 40 deep"),
        ("x: 1\ny: &r [*r]", "line 2: the anchor 'r' contains itself: write it out"),
        ("&r {x: {y: [1, *r]}}", "the anchor 'r' contains itself"),
        ("x: &r {<<: *r}", "the anchor 'r' contains itself"),
        (laughs("a{0}: &a{0} [{1}]\n"), "holds more than 200,000 values"),
        (laughs("a{0}: &a{0} {{<<: [{1}]}}\n").replace("[x]", "{x: 1}"), "holds more than 200,000"),
        ("a: &a " + "x" * 9_000 + "\nb: [" + "*a, " * 2_000 + "1]", "or 10,000,000 characters"),
        ('x: "\\uD800"', "line 1: holds half of a character (a surrogate such as \\uD800)"),
        ('"\\uDFFF": 1', "holds half of a character"),
        ("x: " + "9" * 5_000, "is a number or date of 5000 characters: put it in quotes"),
        ("x: !!int abc", "is not a whole number: correct it, or put it in quotes"),
        ("x: !!int ''", "is not a whole number"),
        ("x: !!float abc", "is not a number"),
        ("x: !!bool abc", "is not true or false"),
        ("x: !!timestamp abc", "is not a date or time"),
        ("x: 2026-02-30", "line 1: day is out of range for month: correct it, or put it in quotes"),
        ("x: 2026-01-01T00:00:00+99:99", "correct it, or put it in quotes"),
        ("x: !!binary aGk=", "could not determine a constructor"),
        ("x: !!set {a, b}", "could not determine a constructor"),
        ("x: !!omap [a: 1]", "could not determine a constructor"),
        ("x: =", "could not determine a constructor"),
        ("x: 1\ny: \x07", "line 2: holds the control character U+0007: remove it"),
        ("x: *none", "found undefined alias"),
        ("? [1, 2]\n: x", "unhashable key"),
        ("x: 1\n---\ny: 1", "holds several documents: keep only the text before the line with ---"),
        ("x: 1\nx: 2", "line 2: duplicate key 'x': remove one"),
        ("x: 1\n" + "k" * 500 + ": 1\n" + "k" * 500 + ": 2", "k…': remove one"),
    ],
)
def test_what_cannot_be_held_is_one_sentence(text: str, problem: str) -> None:
    """Each ended a process, hung it or left a value that nothing later could write."""
    assert problem in said(text)


def test_what_people_write_is_read() -> None:
    """Bounds are far from it: aliases, merges, deep examples, times, a mark at the beginning."""
    text = """\
\ufeffbase: &base {a: 1, b: [x, 2.5, true, null, 2026-01-05, 2026-01-05T10:00:00Z]}
more: {<<: *base, a: 2}
again: [*base, *base]
escaped: "\\uD83D\\uDE00 \\x41"
"""
    found = documents.load(text)

    assert found == yaml.safe_load(text) | {"escaped": "\U0001f600 A"}
    assert documents.load("[" * 39 + "x" + "]" * 39) is not None
    assert (
        len(documents.load("a: &a [" + "x, " * 1_000 + "]\nb: [" + "*a, " * 100 + "]")["b"]) == 100
    )


scalars = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=8)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(values)
@draws.law(200)
def test_reads_what_the_library_reads(value: Any) -> None:
    """Within the bounds nothing else is told than PyYAML tells."""
    text = yaml.safe_dump(value)

    assert documents.load(text) == value


_PIECES = [
    "x", ": ", "- ", "\n", "  ", "&a ", "*a", "[", "]", "{", "}", ", ", "!!int ", "!!map ", "!x ",
    "<<: ", '"', "'", "\\uD800", "\\x00", "|\n", ">-\n", "?", "%YAML 1.1\n", "---\n", "...\n", "#",
    "0x", "1", ":", "1:2", "2026-01-01", "T25:00", ".inf", "\t", "\ufeff", "\x85", "caf\xe9",
]  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES) | st.text(max_size=3), max_size=40).map("".join))
@draws.law(500)
def test_no_text_ends_in_another_error(text: str) -> None:
    """A value that can be shown, hashed as text and written as JSON, or a DocumentError."""
    try:
        found = documents.load(text)
    except DocumentError:
        return
    repr(found).encode()
    json.dumps(found, default=str, skipkeys=True)


SIGNS = list("ab1:- ,[]{}?#&*!|>'\"%@`\n\t\\~.<=0e+_/")
PHRASES = [
    "a: ", "- ", ": ", "? ", "\n", "\n  ", "\n- ", "|\n  ", ">-\n  ", "---\n", "...\n", "&a ", "*a",
    "<<: ", "null", "yes", "2026-01-01", "2026-01-01T10:00:00Z", "0x1f", "1e3", "1:30", "=", "\r\n",
    "\u2028", "\x85", "\ufeff", "\x07", "\\u0041", "\\ud83d\\ude00", "\U0001f600", "!!str ",
    "%YAML 1.1\n",
    "- {a: 1, b: [x, 'y']}\n", "key: \"a\\tb\"\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(SIGNS + PHRASES), max_size=12).map("".join))
def test_both_parsers_make_the_same_values(text: str) -> None:
    """What PyYAML's own parser reads means the same with libyaml's, which is used first."""
    try:
        expected = documents._Loader(text).get_single_data()
    except yaml.YAMLError:
        return

    assert repr(documents.load(text)) == repr(expected)


def test_text_is_read_without_libyaml_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML can be built without it."""
    monkeypatch.setattr(yaml, "__with_libyaml__", False)

    assert documents.load("a: [1, {b: 2026-01-01T00:00:00Z}]\nc: !!str 1") == {
        "a": [1, {"b": datetime(2026, 1, 1, tzinfo=UTC)}],
        "c": "1",
    }
