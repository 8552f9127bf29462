"""`lake:` of gundog.yaml: where the files of each source table are."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from gundog.core.fields import Fields
from gundog.lake import path, time_formats
from gundog.lake.path import LakePath
from gundog.project import addresses

_KEYS = frozenset(
    "path format exporter timeFormat partitionBy columns endpoint region anonymous".split()
)


def read(fields: Fields) -> dict[str, tuple[LakePath, ...]]:
    """The paths of each source; problems are added to `fields`."""
    if not fields.data.get("lake"):
        fields.problem("lake", "is missing: name the path of at least one source table")
        return {}
    sources = fields.mapping("lake")
    for source in sources:
        if not re.fullmatch(r"[A-Za-z_]\w*", str(source)):
            fields.problem(f"lake.{source}", "is not a table name: use letters, digits and _")
    return {str(source): tuple(_paths(fields, source)) for source in sources}


def _paths(fields: Fields, source: str) -> Iterator[LakePath]:
    value = fields.data["lake"][source]
    key = f"lake.{source}"
    if value in (None, "", [], {}):
        fields.problem(key, "is empty: write a path")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _path(fields, f"{key}.{place}", item)
    else:
        yield from _path(fields, key, value)


def _path(fields: Fields, key: str, value: Any) -> Iterator[LakePath]:
    if isinstance(value, str):
        template = fields.inner("", (), {key: value}).text(key)
        for problem in path.template_problems(template):
            fields.problem(key, problem)
        yield LakePath(template)
    elif isinstance(value, dict):
        yield _options(fields, key, value)
    else:
        fields.problem(
            key, f"is {fields.said(value)}: write a path, or keys and values with a path"
        )


def _options(fields: Fields, key: str, value: dict[str, Any]) -> LakePath:
    inner = fields.inner(key, _KEYS, value)
    template = inner.text("path")
    said = _said(inner, "format", path.FORMATS)
    is_table = said == path.DELTA
    for problem in path.template_problems(template, is_table) if "path" in inner.data else []:
        inner.problem("path", problem)
    lake_path = LakePath(
        template=template,
        partition_by=inner.choice(
            "partitionBy", ("ingest", "event"), "event" if is_table else "ingest"
        ),
        columns=_columns(inner),
        endpoint=addresses.web(inner, "endpoint"),
        region=inner.text("region", "") or None,
        anonymous=inner.flag("anonymous", False),
        said_format=said,
        exporter=_said(inner, "exporter", path.EXPORTERS),
        time_format=_time_format(inner),
    )
    if lake_path.exporter in path.OF_LINES and lake_path.format != path.JSON:
        inner.problem("exporter", "is for JSON lines: write format: json, or remove it")
    if is_table and lake_path.partition_by != "event":
        inner.problem("partitionBy", "is event for a Delta table, which knows times: remove it")
    return lake_path


def _said(fields: Fields, key: str, choices: Collection[str]) -> str:
    return fields.choice(key, choices) if key in fields.data else ""


def _time_format(fields: Fields) -> str:
    text = fields.text("timeFormat", "")
    if text and (problem := time_formats.problem(text)):
        fields.problem("timeFormat", problem)
        return ""
    return text


def _columns(fields: Fields) -> dict[str, str]:
    columns = fields.mapping("columns")
    for name, column in columns.items():
        if not isinstance(name, str) or not isinstance(column, str):
            fields.problem(
                f"columns.{name}", f"is {fields.said(column)}: write the file's column name"
            )
    return {str(name): str(column) for name, column in columns.items()}
