"""Tests of project.schemas: an editor that goes by them says what `gundog check` says."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from gundog.cli import main
from gundog.core import documents
from gundog.core.errors import Problem
from gundog.core.fields import Fields
from gundog.core.recording import Recorder, recorded
from gundog.detections import detection_yaml
from gundog.findings import exceptions
from gundog.health import acknowledged
from gundog.project import scaffold, schema_samples, schemas, variables
from gundog.project import settings as project_settings
from tests import draws

SCHEMAS = schemas.schemas()
Check = Callable[[Any], list[Problem]]


def settings_problems(data: Any) -> list[Problem]:
    """As `settings.load` reads gundog.yaml, without a file."""
    problems: list[Problem] = []
    expanded = variables.expand(data, "", {"X": "low"}, {}, {}, problems)
    fields = Fields(expanded, "gundog.yaml", problems, allowed=project_settings.KEYS)
    project_settings.read(fields, Path("/"))
    return problems


def detection_problems(data: Any) -> list[Problem]:
    """As `detection_yaml.load` reads a file, without what several keys say together."""
    problems: list[Problem] = []
    keys = detection_yaml.KEYS | detection_yaml.IGNORED | {"enabled"}
    renamed = {detection_yaml.CONVERTED.get(key, key): value for key, value in data.items()}
    fields = Fields(renamed, "x.yaml", problems, allowed=keys)
    detection_yaml.read(fields, Path("x.yaml"), "x.yaml")
    return problems


def list_problems(read: Callable[[Fields], Any], keys: Any) -> Check:
    """As entries of a list are read."""

    def check(data: Any) -> list[Problem]:
        problems: list[Problem] = []
        for item in data or ():
            read(Fields(item, "x.yaml", problems, allowed=keys, bounded=False))
        return problems

    return check


CHECKS: dict[str, Check] = {
    "gundog": settings_problems,
    "detection": detection_problems,
    "exceptions": list_problems(exceptions.read_entry, exceptions.KEYS),
    "acknowledged": list_problems(acknowledged.read_entry, acknowledged.KEYS),
}
SAMPLES: dict[str, list[Any]] = {
    "gundog": [*schema_samples.SETTINGS],
    "detection": [*schema_samples.MATCH, *schema_samples.FORECAST, *schema_samples.KQL],
    "exceptions": [[entry] for entry in schema_samples.EXCEPTIONS],
    "acknowledged": [[entry] for entry in schema_samples.ACKNOWLEDGED],
}
# What no JSON Schema says: the meaning of a value, the file system, two values together.
BEYOND = re.compile(
    r"write at (least|most) \d|is not a folder|is a folder|IANA name|used twice|names .* twice"
    r"|no address to link|attach is for|attach sends|the warehouse itself"
    r"|names no files?|names no folder|unknown scheme"
    r"|not after from|before from|is longer than|would receive gundog's own|spans |two times in UTC"
    r"|is more than any machine|too little to stage|is not a time|is not a duration|not complete"
    r"|needs its whole date|for JSON lines|for a Delta table|folder of a Delta|fields above it"
    r"|an unknown field"
    r"|needs the bucket|three slashes|a web address|outside the years|add a channel without"
    r"|unknown model|one model of statsforecast"
)


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value within."""
    items = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else items:
        yield (*above, key)
        yield from places(inner, (*above, key))


texts = st.sampled_from(
    ["", " ", "x", "low", " High ", "series", "kql", "forecast", "1d", "90 m", "PT1H", "P", "T1114",
     "T1", "Collection", "4GB", "2026-01-05", "2026-01-05T10:00:00Z", "monday", "${X}", "a ${X}",
     "https://x.example", "ftp://x", "s3://b/*.parquet", "s3://b/c", "postgresql://u@h/d", "json",
     "public", "a?b", "10.0.0.0/8", "b9e5e66f7a534f0c8a0c0f4cf1b6c5d1", "hole", "tcp://h:1"]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-2, 200) | st.sampled_from([0.5, 2.0, 1e13])
values = st.recursive(
    scalars | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=3,
)


@st.composite
def changed(draw: st.DrawFn, name: str) -> Any:
    """A file that is right, with up to three changes that may make it wrong."""
    data = copy.deepcopy(draw(st.sampled_from(SAMPLES[name])))
    for _ in range(draw(st.integers(0, 3))):
        *above, key = draw(st.sampled_from(list(places(data))))
        holder = data
        for part in above:
            holder = holder[part]
        how = draw(st.sampled_from(["other", "other", "without", "more"]))
        if how == "other":
            holder[key] = draw(values)
        elif how == "without":
            del holder[key]
        elif isinstance(holder, dict):
            names = ["level", "queryPeriod", "tags", "frequency", "lake", "NAME", "x y"]
            new = draw(st.sampled_from(names))
            holder.setdefault(new, draw(values))
        if not list(places(data)):
            break
    return data


def agree(name: str, data: Any) -> None:
    """What the reader takes fits the schema; what it refuses does not, as far as that can say."""
    problems = CHECKS[name](copy.deepcopy(data))
    errors = [error.message for error in Draft7Validator(SCHEMAS[name]).iter_errors(data)]
    if not problems:
        assert errors == [], data
    elif not any(BEYOND.search(problem.reason) for problem in problems):
        assert errors, (data, problems)


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_fit(name: str) -> None:
    """The reader and the schema both take them."""
    Draft7Validator.check_schema(SCHEMAS[name])
    for sample in SAMPLES[name]:
        assert CHECKS[name](sample) == []
        assert list(Draft7Validator(SCHEMAS[name]).iter_errors(sample)) == []


def test_a_series_may_leave_out_what_a_match_must_have() -> None:
    """And the other way round."""
    [match], [series, *_] = schema_samples.MATCH, schema_samples.FORECAST
    for data in (match, match | {"identity": []}, series, series | {"identity": []}):
        agree("detection", data)
    agree("detection", {key: value for key, value in series.items() if key != "series"})


def unasked(schema: Any) -> Iterator[str]:
    """The keys of which a schema says nothing."""
    for key, inner in schema.get("properties", {}).items() if isinstance(schema, dict) else ():
        if inner is True or inner == {}:
            yield key
    for inner in schema.values() if isinstance(schema, dict) else ():
        for part in [inner, *(inner.values() if isinstance(inner, dict) else ())]:
            yield from unasked(part) if isinstance(part, dict) else ()


@pytest.mark.parametrize("name", SAMPLES)
def test_each_key_that_is_read_is_in_a_sample(name: str) -> None:
    """A key that is new is not forgotten: of it the schema would say nothing."""
    # The last two are said by kind.
    unread = {*detection_yaml.IGNORED, "requiredDataConnectors", "series", "identity"}

    assert set(unasked(SCHEMAS[name])) - unread == set()


@pytest.mark.parametrize("name", SAMPLES)
@given(data=st.data())
@draws.law(500, quick=60)
def test_schema_and_reader_agree(name: str, data: st.DataObject) -> None:
    """For random files, right and wrong ones."""
    agree(name, data.draw(changed(name)))


def test_a_variable_fits_where_text_has_a_form() -> None:
    """Its value is known to runs only."""
    data = {"lake": {"NAME": "${LAKE}"}, "memoryLimit": "${X}GB", "heartbeat": "${URL}"}

    assert list(Draft7Validator(SCHEMAS["gundog"]).iter_errors(data)) == []
    assert list(Draft7Validator(SCHEMAS["gundog"]).iter_errors({**data, "memoryLimit": "X"}))


def test_what_ships_fits() -> None:
    """Every detection and the project's own gundog.yaml."""
    root = Path(__file__).parent.parent
    shipped = sorted((root / "detections").rglob("*.yaml"))
    assert shipped
    for path in shipped:
        assert fitting("detection", path) == [], path
    assert fitting("gundog", root / "gundog.yaml") == []


def fitting(name: str, path: Path) -> list[str]:
    """What an editor would mark in a file; it reads days as texts."""
    data = json.loads(json.dumps(documents.load(path.read_text()), default=date.isoformat))
    return [error.message for error in Draft7Validator(SCHEMAS[name]).iter_errors(data)]


def test_new_files_name_schemas_that_are_there_and_that_they_fit(tmp_path: Path) -> None:
    """The way from each file to its schema is right, also where `schemas/` was removed."""
    scaffold.init(tmp_path)
    for path in (tmp_path / schemas.FOLDER).iterdir():
        path.unlink()
    scaffold.new(tmp_path, "match", "one")
    scaffold.new(tmp_path, "series", "two")

    for name, path in (
        ("gundog", tmp_path / "gundog.yaml"),
        ("detection", tmp_path / "detections/one.yaml"),
        ("detection", tmp_path / "detections/two.yaml"),
    ):
        first = path.read_text().splitlines()[0]
        where = path.parent / first.removeprefix("# yaml-language-server: $schema=")
        assert json.loads(where.read_text()) == SCHEMAS[name]
        assert fitting(name, path) == []


def test_check_schema_prints_them_or_writes_them_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a project; a folder that cannot be made is one clear error."""
    assert main.main(["check", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMAS

    (tmp_path / "gundog.json").write_text("old")
    assert main.main(["check", "--schema", str(tmp_path)]) == 0
    assert {path.stem: json.loads(path.read_text()) for path in tmp_path.iterdir()} == SCHEMAS
    assert main.main(["check", "--schema", str(tmp_path / "gundog.json")]) == 1
    assert "a file lies where a folder must be" in capsys.readouterr().err


def test_a_sample_that_is_wrong_is_an_error() -> None:
    """Else its reader would not ask for all, and the schema would lack keys without a word."""

    def read(sample: Any, shape: Any, problems: list[Problem]) -> None:
        Recorder(sample, shape, problems).text("name")

    with pytest.raises(ValueError, match="a sample is wrong: sample: name: is missing"):
        recorded(read, [{}])
    assert recorded(read, [{"name": "x"}]).schema()["required"] == ["name"]
