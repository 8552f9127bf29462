"""Tests of detections.records: what exporters do to a record is undone, and nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.detections import stage_sql
from gundog.detections.records import normalise

NAMES = "Id MailboxOwnerUPN Folders FolderItems"
RECORD = {"Id": "1", "MailboxOwnerUPN": "ana@example.com", "Folders": [{"FolderItems": [{}, {}]}]}

keys = st.sampled_from([*NAMES.split(), "Other", "AuditLog"])
leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
)
records = st.dictionaries(keys, values, min_size=1)


def compact(value: Any) -> str:
    """JSON as `normalise` writes it."""
    return json.dumps(value, separators=(",", ":"))


@st.composite
def wrapped(draw: st.DrawFn, record: dict[str, Any]) -> str:
    """The JSON text of a record as exporters write it."""
    value: Any = record
    texts = 0
    for _ in range(draw(st.integers(0, 5))):
        how = draw(st.sampled_from(["text", "list", "AuditData", "auditdata", "RawEventData"]))
        if how == "text" and texts < 3:
            value, texts = draw(st.sampled_from(["", "\ufeff"])) + json.dumps(value), texts + 1
        elif how == "list":
            value = [value]
        elif how != "text":
            value = {"CreationDate": "2026-01-01", how: value}
    mark = draw(st.sampled_from(["", "\ufeff", " \ufeff ", "\u00ef\u00bb\u00bf", "\r\n"]))
    return mark + json.dumps(value) + draw(st.sampled_from(["", "\r\n"]))


@given(records, st.data())
def test_every_wrapping_is_undone(record: dict[str, Any], data: st.DataObject) -> None:
    """Texts, lists of one, wrappers and marks in any nesting give the record back."""
    assert normalise(data.draw(wrapped(record)), NAMES) == compact(record)


@given(records)
def test_a_plain_record_keeps_its_values(record: dict[str, Any]) -> None:
    """What needs nothing gets nothing, and twice is once."""
    once = normalise(json.dumps(record), NAMES)

    assert json.loads(once) == record
    assert normalise(once, NAMES) == once


@given(records, st.sampled_from([str.lower, str.upper, str.swapcase]))
def test_names_are_spelled_as_asked(record: dict[str, Any], spelled: Any) -> None:
    """At every depth and in any case; other keys stay, and so do values."""

    def respelled(value: Any) -> Any:
        if isinstance(value, list):
            return [respelled(one) for one in value]
        if isinstance(value, dict):
            return {
                spelled(key) if key in NAMES.split() else key: respelled(one)
                for key, one in value.items()
            }
        return value

    assert json.loads(normalise(json.dumps(respelled(record)), NAMES)) == record


@pytest.mark.parametrize(
    ("text", "record"),
    [
        ('{"id": 1, "Id": 2, "ID": 3}', {"id": 1, "Id": 2, "ID": 3}),
        ('{"id": 1, "ID": 3}', {"Id": 1}),
        ('{"Id": 1, "Id": 2}', {"Id": 1}),
        ('{"Id": 1.50, "n": 9007199254740993}', {"Id": "1.50", "n": 9007199254740993}),
        ('{"AuditData": "no JSON", "Id": 1}', {"AuditData": "no JSON", "Id": 1}),
        ('{"AuditData": [{}, {}], "Id": 1}', {"AuditData": [{}, {}], "Id": 1}),
        ("{}", {}),
    ],
)
def test_what_an_object_says_twice(text: str, record: dict[str, Any]) -> None:
    """The exact name wins, else the first; a wrapper that holds no record is a key like others."""
    assert json.loads(normalise(text, NAMES)) == record


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\ufeff", "{", "[1]", '"x"', '""', "null", "1", "NaN", '{"Id": NaN}',
        "[{}, {}]", '[{"Id": 1}, {"Id": 2}]', '{"Id": 1} {"Id": 2}', '{"Id": "x"',
        json.dumps(json.dumps(json.dumps(json.dumps(json.dumps(RECORD))))),
        "[" * 100_000, '{"Id":' * 100_000, "[" * 100_000 + "]" * 100_000, '"' * 99_999,
    ],
)  # fmt: skip
def test_what_holds_no_record_stays(text: str) -> None:
    """Several records, other JSON, too many levels and no JSON at all come back as they are."""
    assert normalise(text, NAMES) == text


def test_three_levels_of_text_are_undone() -> None:
    """A text within a text within a text within the text of the column."""
    assert normalise(json.dumps(json.dumps(json.dumps(json.dumps(RECORD)))), NAMES) == compact(
        RECORD
    )


def test_a_number_of_many_digits_fails_nothing() -> None:
    """Python refuses to read numbers of more than some thousand digits."""
    digits = "7" * 10_000

    assert json.loads(normalise(f'{{"Id": {digits}}}', NAMES)) == {"Id": digits}


@given(st.text(alphabet=st.characters(codec=None, categories=None), max_size=40))
def test_any_string_is_taken_lone_surrogates_included(text: str) -> None:
    """Nothing raises."""
    assert isinstance(normalise(text, NAMES), str)


def test_version_goes_with_the_results() -> None:
    """Staged rows hold what was until its version is raised: raise it, then pin the new results."""
    spelled = [RECORD, {"id": "1", "folders": [{"FOLDERITEMS": "x"}], "Other": 1.5, "n": 7}]
    shapes = [json.dumps(record) for record in spelled]
    for wrap in (
        "[%s]",
        "[%s,1]",
        '{"AuditData":%s}',
        '{"rawEventData":%s,"a":1}',
        "\ufeff%s",
        "%s]",
    ):
        shapes += [wrap % text for text in shapes] + [json.dumps(shapes[-1])]
    found = hashlib.sha256(repr([normalise(text, NAMES) for text in shapes]).encode()).hexdigest()

    assert (stage_sql.VERSIONS["normalise_record"], found[:16]) == ("1", "036d86d91edb5284")
