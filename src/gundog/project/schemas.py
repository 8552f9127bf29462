"""JSON Schemas of the YAML that people write, for editors: made by what reads it.

The readers of each file go over samples that have every key, and a `Recorder` notes what they ask
for. What a reader looks at by itself, such as the form of an address, is added here; a test holds
schemas and readers against each other.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from gundog.core.errors import Problem
from gundog.core.recording import NAME, Recorder, Shape, any_case, recorded
from gundog.detections import detection, detection_yaml
from gundog.findings import exceptions
from gundog.health import acknowledged
from gundog.lake import time_formats
from gundog.project import schema_samples, settings

# The folder of a project that `gundog init` and `gundog new` write them to.
FOLDER = "schemas"
_DIALECT = "http://json-schema.org/draft-07/schema#"
_HTTP = "|".join(map(any_case, ("https://", "http://")))
_URL = {"type": ["string", "null"], "pattern": rf"^\s*({_HTTP})[^/]"}
_URL_OR_BLANK = rf"^\s*(({_HTTP})[^/]|$)"
_TIME = r"^\s*\d{4}(-?\d{2}-?\d{2}|-?W\d{2}(-?\d)?)(?!\d)"
_VARIABLE = r"\$\{"
# A value that a finding's column is compared with.
_COMPARED = {"type": ["string", "number", "boolean"], "minLength": 1}
_MATCH = {
    "minProperties": 1,
    "additionalProperties": {
        "anyOf": [_COMPARED, {"type": "array", "minItems": 1, "items": _COMPARED}]
    },
}
_COLUMNS = {"additionalProperties": {"type": "string"}}
_TIME_FORMAT = {"pattern": rf"%|^\s*({'|'.join(time_formats.EPOCHS)})?\s*$"}
_SCHEMA = {"pattern": r"^\s*(?!pg_|public\s*$)[a-z_][a-z0-9_]{0,62}\s*$"}
# What some readers take for nothing.
_EMPTY: dict[str, Any] = {"enum": [None, False, 0, "", [], {}]}
_LOCAL_FILE = {"pattern": r"^(?![\s\S]*(://|\?))"}
# By the place in the file: what its reader looks at by itself.
_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "content": {"minItems": 1},
    "heartbeat": _URL,
    "lake": {"propertyNames": {"pattern": r"^[A-Za-z_]\w*$"}, "minProperties": 1},
    f"lake.{NAME}": {"type": ["array", "object", "string"], "minItems": 1, "minProperties": 1},
    f"lake.{NAME}.0": {"type": ["object", "string"]},
    f"lake.{NAME}.endpoint": _URL,
    f"lake.{NAME}.0.endpoint": _URL,
    f"lake.{NAME}.columns": _COLUMNS,
    f"lake.{NAME}.0.columns": _COLUMNS,
    f"lake.{NAME}.timeFormat": _TIME_FORMAT,
    f"lake.{NAME}.0.timeFormat": _TIME_FORMAT,
    "memoryLimit": {"pattern": r"^\s*(\d{1,12}(\.\d+)?\s*[kmgtKMGT][iI]?[bB]\s*)?$"},
    "workers": {
        "type": ["object", "string", "null"],
        "pattern": r"^\s*([a-z]+://\S+)?\s*$",
    },
    "workers.address": {"pattern": r"^\s*[a-z]+://\S+\s*$"},
    "warehouse": _LOCAL_FILE,
    "findings": _LOCAL_FILE,
    "notify.0": {"type": ["object"]},
    "notify.0.url": {"type": ["string"], "pattern": r"^\s*[A-Za-z][A-Za-z0-9+.-]*:."},
    "report": {"type": ["object", "string", "null"]},
    "report.url": {"pattern": r"^\s*(https?://|$)"},
    "canaries.0.match": _MATCH,
    "publishTo": {"type": ["array", "object", "string", "null"], "pattern": r"\S"},
    "publishTo.0": {"type": ["object", "string"], "pattern": r"\S"},
    "publishTo.endpoint": {"pattern": _URL_OR_BLANK},
    "publishTo.0.endpoint": {"pattern": _URL_OR_BLANK},
    "publishTo.schema": _SCHEMA,
    "publishTo.0.schema": _SCHEMA,
}
_TACTICS = [*detection.TACTICS, *detection_yaml.TACTIC_ALIASES]
_TACTIC = {"anyOf": [{"enum": _TACTICS}, {"pattern": rf"^\s*({'|'.join(_TACTICS)})\s*$"}]}
_TECHNIQUE = {"pattern": r"^\s*T\d{4}(\.\d{3})?\s*$"}
_MODEL = {"type": ["string", "object", "null"], "minProperties": 1, "maxProperties": 1}
_PARAM = {"type": ["string", "number", "boolean", "array"]}
_DETECTION: Mapping[str, Mapping[str, Any]] = {
    "id": {"pattern": r"^\s*(urn:|uuid:|\{)*(-*[0-9a-fA-F]){32}\}?\s*$"},
    "tactics": {"if": {"type": "string"}, "then": _TACTIC},
    "tactics.0": _TACTIC,
    "relevantTechniques": _TECHNIQUE,
    "relevantTechniques.0": _TECHNIQUE,
    "params": {
        "propertyNames": {"pattern": r"^[A-Za-z_][A-Za-z0-9_]*$"},
        "additionalProperties": {**_PARAM, "items": _PARAM},
    },
    "entityMappings.0": {"type": ["object"]},
    "suppression.most": {"minimum": 1, "multipleOf": 1},
    "examples.0": {"type": ["object"]},
    "examples.0.interval": {
        "minItems": 2, "maxItems": 2, "items": {"type": "string", "pattern": _TIME},
    },
    f"examples.0.events.{NAME}": {"type": [], "anyOf": [{"type": "array"}, _EMPTY]},
    f"examples.0.events.{NAME}.0": {"type": ["object"]},
    "examples.0.findings.0": {"type": ["object"]},
}  # fmt: skip
_EXCEPTIONS: Mapping[str, Mapping[str, Any]] = {
    "match": _MATCH,
    "from": {"type": ["string", "null"], "pattern": _TIME},
    "expires": {"type": ["string"], "pattern": _TIME},
}
_ACKNOWLEDGED: Mapping[str, Mapping[str, Any]] = {
    "from": {"type": ["string"], "pattern": _TIME},
    "to": {"type": ["string"], "pattern": _TIME},
}


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema (draft 7) of each kind of file that people write, by its name."""
    return {
        "gundog": _titled(_settings(), "gundog.yaml"),
        "detection": _titled(_detection(), "A detection of gundog"),
        "exceptions": _titled(_list_of(_exceptions()), exceptions.FILE),
        "acknowledged": _titled(_list_of(_acknowledged()), acknowledged.FILE),
    }


def files() -> dict[str, str]:
    """The schemas as files, by their names in the folder."""
    return {
        f"{name}.json": json.dumps(schema, indent=1, ensure_ascii=True) + "\n"
        for name, schema in schemas().items()
    }


def pointer(name: str, above: str = "") -> str:
    """The first line of a YAML file, by which editors find its schema.

    Args:
        name: which schema.
        above: the way from the file's folder to the project's.

    >>> pointer("detection", "../")
    '# yaml-language-server: $schema=../schemas/detection.json'
    """
    return f"# yaml-language-server: $schema={above}{FOLDER}/{name}.json"


def first_line(root: Path, name: str) -> str:
    """The same with its end of line, for a file in a project folder that has the schema.

    Empty where it has none: an editor would complain of every line.
    """
    return f"{pointer(name)}\n" if (root / FOLDER / f"{name}.json").is_file() else ""


def _titled(schema: dict[str, Any], title: str) -> dict[str, Any]:
    return {"$schema": _DIALECT, "title": title, **schema}


def _list_of(shape: Shape) -> dict[str, Any]:
    return {"type": ["array", "null"], "items": shape.schema()}


def _settings() -> dict[str, Any]:
    """Where a text has a form, a variable of the environment may be in it instead."""

    def read(sample: Any, shape: Shape, problems: list[Problem]) -> None:
        fields = Recorder(sample, shape, problems, allowed=settings.KEYS)
        settings.read(fields, Path("/"))

    shape = _add(recorded(read, schema_samples.SETTINGS), _SETTINGS)
    _allow_variables(shape)
    return shape.schema()


def _allow_variables(shape: Shape) -> None:
    if "pattern" in shape.words:
        shape.words["pattern"] += f"|{_VARIABLE}"
    if "anyOf" in shape.words:
        shape.words["anyOf"] = [*shape.words["anyOf"], {"pattern": _VARIABLE}]
    for inner in (*shape.inner.values(), *filter(None, [shape.item])):
        _allow_variables(inner)


def _detection() -> dict[str, Any]:
    """Some keys must be there, or are looked at, for one kind or method only."""
    keys = detection_yaml.KEYS | detection_yaml.IGNORED | {"enabled"}

    def read(sample: Any, shape: Shape, problems: list[Problem]) -> None:
        fields = Recorder(sample, shape, problems, allowed=keys)
        detection_yaml.read(fields, Path("sample.yaml"), "sample.yaml")

    kinds = (schema_samples.MATCH, schema_samples.FORECAST, schema_samples.KQL)
    match, forecast, kql = (recorded(read, samples) for samples in kinds)
    for shape in (match, forecast, kql):
        _move_repeats(shape)
        _add(shape, _DETECTION)
    series = _series(forecast.inner["series"], kql.inner["series"])
    is_series = {"properties": {"kind": _only("series")}, "required": ["kind"]}
    only_match, only_series = match.required - kql.required, kql.required - match.required
    match.required &= kql.required
    schema, other = match.schema(), kql.schema()["properties"] | {"series": series}
    differ = sorted(key for key, own in schema["properties"].items() if own != other[key])
    own = {key: schema["properties"][key] for key in differ}
    schema["properties"] |= dict.fromkeys(differ, True)
    return _converted(
        {
            **schema,
            "if": is_series,
            "then": _of_kind(only_series, {key: other[key] for key in differ}),
            "else": _of_kind(only_match, own),
        }
    )


def _of_kind(required: Collection[str], properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"required": sorted(required), "properties": dict(properties)}


def _series(forecast: Shape, kql: Shape) -> dict[str, Any]:
    """The two methods know different keys, and of two keys only one may be there."""
    only_kql = kql.required - forecast.required
    forecast.at(["model"]).words |= _MODEL
    forecast.inner |= {key: kql.inner[key] for key in detection_yaml.KQL_KEYS}
    return {
        **forecast.schema(),
        "not": {"required": ["alertBudget", "threshold"]},
        "if": {"properties": {"method": _only("kql")}, "required": ["method"]},
        "then": {
            "required": sorted(only_kql),
            "properties": dict.fromkeys(detection_yaml.FORECAST_KEYS, False),
        },
        "else": {"properties": dict.fromkeys(detection_yaml.KQL_KEYS, False)},
    }


def _only(choice: str) -> dict[str, str]:
    return {"type": "string", "pattern": rf"^\s*{any_case(choice)}\s*$"}


def _move_repeats(shape: Shape) -> None:
    """A row's `repeat` is read under the name of the list of rows: it belongs to the rows."""
    example = shape.at(["examples", "0"])
    for rows in (example.at(["findings"]), example.at(["events", NAME])):
        repeat, rows_own = rows.inner.pop("repeat"), rows.at(["0"])
        repeat.required |= rows_own.inner["repeat"].required
        rows_own.inner["repeat"] = Shape(words={"anyOf": [repeat.schema(), _EMPTY]})


def _converted(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with the names that Sentinel and Sigma have for some keys."""
    properties, required, either = schema["properties"], [], []
    for key in schema["required"]:
        aliases = [name for name, own in detection_yaml.CONVERTED.items() if own == key]
        if aliases:
            either.append({"anyOf": [{"required": [name]} for name in (key, *aliases)]})
        else:
            required.append(key)
    named = {name: properties[own] for name, own in detection_yaml.CONVERTED.items()}
    schema["properties"] = {**properties, **named}
    return {**schema, "required": required, "allOf": either}


def _exceptions() -> Shape:
    def read(sample: Any, shape: Shape, problems: list[Problem]) -> None:
        fields = Recorder(sample, shape, problems, allowed=exceptions.KEYS, bounded=False)
        exceptions.read_entry(fields)

    return _add(recorded(read, schema_samples.EXCEPTIONS), _EXCEPTIONS)


def _acknowledged() -> Shape:
    def read(sample: Any, shape: Shape, problems: list[Problem]) -> None:
        fields = Recorder(sample, shape, problems, allowed=acknowledged.KEYS, bounded=False)
        acknowledged.read_entry(fields)

    return _add(recorded(read, schema_samples.ACKNOWLEDGED), _ACKNOWLEDGED)


def _add(shape: Shape, places: Mapping[str, Mapping[str, Any]]) -> Shape:
    """The shape with what readers look at by themselves; types in it take the place of others.

    An empty list of types leaves it to the other words.
    """
    for place, words in places.items():
        part = shape.at(place.split("."))
        part.words |= {key: value for key, value in words.items() if key != "type"}
        if "type" in words:
            part.types = {*words["type"], *(part.types & {"null"} if words["type"] else ())}
    return shape
