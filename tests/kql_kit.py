"""Queries imported into a folder of their own, and run on rows like any detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from gundog.core.times import Interval, parse_time
from gundog.detections import content, content_folder
from gundog.detections.detection import Example
from gundog.detections.hunt import Content
from gundog.findings.model import Hit
from gundog.kql_import import groups, importing, reading, translating, writing
from gundog.kql_import.query import KqlQuery
from gundog.kql_import.refusing import Remark
from gundog.kql_import.translating import Sources, Translation
from gundog.testing import examples
from tests import benches, kit

DAY = Interval(parse_time("2026-02-02"), parse_time("2026-02-03"))
Rows = Mapping[str, Sequence[Mapping[str, Any]]]


@cache
def sources() -> Sources:
    """The source tables that ship."""
    return importing.sources_of(kit.shipped(), [content_folder.builtin()])


def query(kql: str, name: str = "query", **more: Any) -> KqlQuery:
    """A query as a file of this name would give it."""
    plain = KqlQuery(f"{name}.kql", name, reading.identify(name, 1), name, "", kql)
    return replace(plain, **more)


@cache
def translate(kql: str, name: str = "query", **more: Any) -> Translation:
    """A query in SQL; what the same text gave another test."""
    return translating.translate(query(kql, name, **more), sources())


def remarks(kql: str) -> tuple[Remark, ...]:
    """What the critic says of a query, whose SQL is not made shorter: that takes half the time."""
    return translating._translated(query(kql), sources(), is_tried=True).remarks


def stages(made: Translation, name: str = "query") -> dict[str, str]:
    """The SELECT of each staged table that a translated query needs, by its name."""
    return dict(groups.placed({name: made.needs}, (), name, ()).new)


def write(folder: Path, kql: str, name: str, **more: Any) -> None:
    """The files of an imported detection below a folder."""
    given, made = query(kql, name, **more), translate(kql, name, **more)
    placed = groups.placed({name: made.needs}, (), name, ())
    texts = writing.files(given, name, made, placed.stages[name])
    texts |= {f"sql/stage/{stage}.sql": sql for stage, sql in placed.new.items()}
    for path, text in texts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def write_source(folder: Path, table: str) -> None:
    """A source table that ships as one of a project's own: all that ships takes long to load."""
    path = f"sql/sources/{table}.sql"
    kit.write_text(folder / path, (content_folder.builtin() / path).read_text(encoding="utf-8"))


def load_alone(folder: Path, queries: Mapping[str, str]) -> Content:
    """Queries imported by name, with the source tables that they read and nothing else."""
    for name, kql in queries.items():
        write(folder, kql, name)
        for source in translate(kql, name).sources:
            write_source(folder, source)
    loaded = content.load([folder], None, folder)
    assert loaded.problems == ()
    return loaded


def load(folder: Path, queries: Mapping[str, str]) -> Content:
    """Queries imported by name, and loaded beside what ships."""
    for name, kql in queries.items():
        write(folder, kql, name)
    loaded = content.load([content_folder.builtin(), folder], None, folder)
    assert loaded.problems == ()
    return loaded


def hits(loaded: Content, name: str, rows: Rows, interval: Interval = DAY) -> tuple[Hit, ...]:
    """What an imported detection finds in rows of its sources."""
    given = {table: tuple(events) for table, events in rows.items()}
    hunt = loaded.hunt(name)
    asked = Example("rows", interval, given, ())
    return examples.run(loaded, hunt, asked, benches.of(loaded, hunt))


def values(found: Sequence[Hit], *names: str) -> list[tuple[Any, ...]]:
    """Some columns of hits, sorted."""
    return sorted((tuple(hit.row[name] for name in names) for hit in found), key=repr)


def reload(folder: Path) -> Content:
    """What a folder holds now, beside what ships."""
    loaded = content.load([content_folder.builtin(), folder], None, folder)
    assert loaded.problems == ()
    return loaded


def read_by(loaded: Content, name: str, rows: Rows) -> Rows:
    """The rows of the sources that a detection reads."""
    return {table: rows[table] for table in loaded.hunt(name).sources}
