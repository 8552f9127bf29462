"""Files of hunting queries: what is read of each form, and one sentence for what cannot be."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from gundog.core.errors import InputError
from gundog.kql_import import reading
from gundog.kql_import.query import KqlQuery

QUERY = 'Things | where Who has "x"'
RULE = f"""\
id: 0c8c1d5a-3c60-4d0f-9a0b-0d9d4f7b2a11
name: A thing
description: |
  'Looks for a thing. https://example.com/thing.'
severity: High
requiredDataConnectors:
  - connectorId: Somewhere
    dataTypes: [Things]
queryFrequency: 1h
queryPeriod: P14D
triggerOperator: gt
triggerThreshold: 0
tactics: [Collection, DefenseEvasion, Sorcery]
relevantTechniques: [T1114.002, T9]
entityMappings:
  - entityType: Account
    fieldMappings: [{{identifier: Name, columnName: Who}}]
customDetails: {{n: N}}
alertDetailsOverride: {{alertDisplayNameFormat: "Thing of {{{{Who}}}}"}}
version: 1.0.1
query: |
  {QUERY}
"""


def write(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder: Path, name: str, text: str | bytes) -> tuple[KqlQuery, ...]:
    return reading.read(write(folder, name, text), name)


def test_rule_keeps_what_its_yaml_says(tmp_path: Path) -> None:
    """Sentinel's keys become gundog's, and what is not kept is told."""
    (query,) = read(tmp_path, "AThing[x].yaml", RULE)

    assert query == KqlQuery(
        path="AThing[x].yaml",
        stem="a_thing_x",
        id="0c8c1d5a-3c60-4d0f-9a0b-0d9d4f7b2a11",
        name="A thing",
        description="Looks for a thing. https://example.com/thing.",
        query=QUERY + "\n",
        severity="high",
        tactics=("Collection", "DefenseEvasion"),
        techniques=("T1114.002",),
        entities=(("Account", (("Name", "Who"),)),),
        connectors=(("Somewhere", ("Things",)),),
        frequency=timedelta(hours=1),
        period=timedelta(days=14),
        title="Thing of {Who}",
        references=("https://example.com/thing",),
        origin="version 1.0.1",
        unused=(
            "customDetails is not kept",
            "tactics 'Sorcery' is unknown and left out",
            "relevantTechniques 'T9' is unknown and left out",
        ),
    )


def test_threshold_that_counts_rows_is_told(tmp_path: Path) -> None:
    """Here each row is a finding, so a threshold of five rows cannot be kept silently."""
    (query,) = read(tmp_path, "a.yaml", f"triggerThreshold: 5\nquery: '{QUERY}'\n")

    assert any("triggerThreshold 5" in line for line in query.unused)


def test_markdown_gives_a_query_for_each_fence(tmp_path: Path) -> None:
    """Fences of other languages are prose; ids differ by block and stay the same."""
    text = (
        "# Two things\nOn T1114 and https://example.com/a.\n\n```kql\nA | count\n```\n"
        "```sh\nls | wc\n```\nMore.\n~~~\nB\n| where x\n~~~\n"
    )
    first, second = read(tmp_path, "two.md", text)

    assert [first.query, second.query] == ["A | count\n", "B\n| where x\n"]
    assert [first.stem, second.stem] == ["two_1", "two_2"]
    assert [first.name, second.name] == ["Two things 1", "Two things 2"]
    assert first.techniques == ("T1114",)
    assert first.references == ("https://example.com/a",)
    assert first.id != second.id
    assert (first, second) == read(tmp_path, "two.md", text)


def test_bare_query_takes_its_comments_as_prose(tmp_path: Path) -> None:
    """The query stays as it is, comments and all."""
    text = "// Finds things, as T1059 has it.\n" + QUERY
    (query,) = read(tmp_path, "Bare Thing.kql", text)

    assert query.query == text
    assert query.description == "Finds things, as T1059 has it."
    assert (query.stem, query.techniques) == ("bare_thing", ("T1059",))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "name: x\n", "query: is missing"),
        ("a.yaml", "query: [1]\n", "query: is missing"),
        ("a.yaml", "- 1\n", "holds no keys and values"),
        ("a.yaml", "a: &a [*a]\nquery: x\n", "line 1: cannot be read"),
        ("a.yaml", "query: x\nquery: y\n", "line 2: cannot be read: duplicate key"),
        ("a.kql", b"T | where x == '\xff'", "line 1 is not UTF-8"),
        ("a.kql", "// nothing\n", "query: is empty"),
        ("a.kql", "", "holds no query"),
        ("a.kql", "\n \n", "holds no query"),
        ("a.kql", "T\n\0", "line 2, column 1: query: holds the character U+0000"),
        (
            "a.kql",
            "T | where " + "(" * 5000 + ")" * 5000,
            "line 1, column 71: query: nests 5000 brackets",
        ),
        ("a.kql", "T | where x == '" + "a" * 70_000 + "'", "70,017 characters"),
        ("a.md", "# nothing\n", "holds no query"),
        ("a.docx", "x", "ends in '.docx'"),
    ],
)
def test_bad_file_gets_one_sentence(
    tmp_path: Path, name: str, text: str | bytes, said: str
) -> None:
    """The sentence names the file, says what is wrong, and how to mend it."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, name, text)

    assert str(caught.value).startswith(f"{name}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder_get_one_sentence(tmp_path: Path) -> None:
    """A path to nothing gives no traceback."""
    for path, said in ((tmp_path, "is a folder"), (tmp_path / "no.kql", "is not there")):
        with pytest.raises(InputError, match=said):
            reading.read(path, "x")


@pytest.mark.parametrize("key", ["id", "tactics", "entityMappings", "queryPeriod", "metadata"])
@pytest.mark.parametrize("value", ["null", "7", "[1, {}]", "{a: b}", "''", "[[x]]"])
def test_no_value_of_a_key_stops_the_reading(tmp_path: Path, key: str, value: str) -> None:
    """What is odd beside the query is left out."""
    (query,) = read(tmp_path, "a.yaml", f"{key}: {value}\nquery: '{QUERY}'\n")

    assert query.query == QUERY


def test_rule_within_a_page_is_read(tmp_path: Path) -> None:
    """A text with a rule's YAML between other lines is that rule, and nothing of the page."""
    text = "A page\n\nT | where shown\n\nid: x\nname: N\nquery: |\n  T\n  | count\n\nThe end.\n"
    path = tmp_path / "page.txt"
    path.write_text(text)
    (query,) = reading.read(path, "page.txt")

    assert (query.name, query.query.strip()) == ("N", "T\n| count")


def test_query_in_the_colours_of_another_language_is_read(tmp_path: Path) -> None:
    """Public pages mark KQL as C#; code of that language has no lines that begin with a pipe."""
    path = tmp_path / "page.md"
    path.write_text("# P\n\n```C#\nT\n| count\n```\n\n```C#\nvar a = 1;\n```\n")
    (query,) = reading.read(path, "page.md")

    assert query.query.split() == ["T", "|", "count"]
