"""Series detections that an import begins: their made-up examples run, and say what they find."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb

from gundog.core.errors import GundogError
from gundog.detections.hunt import Content
from gundog.kql_import import importing, series_skeleton
from gundog.kql_import.importing import Imported
from gundog.testing import examples

TODO = ".todo"


def proved(imported: Sequence[Imported], project: importing.Project) -> tuple[Imported, ...]:
    """What an import writes, with the findings that each begun series gives over its example.

    One whose burst is not found, or that finds something in the flat history, has a file that ends
    in `.yaml.todo`, which no night reads.

    Args:
        imported: what the import would write.
        project: where to.
    """
    with tempfile.TemporaryDirectory() as made:
        content = importing.loaded(imported, project, Path(made).resolve())
    return tuple(_proved(entry, content) for entry in imported)


def _proved(entry: Imported, content: Content) -> Imported:
    if not entry.skeleton:
        return entry
    keys = _found(entry.stem, content)
    name = f"detections/{entry.stem}.yaml"
    files = dict(entry.files)
    if keys:
        files |= series_skeleton.files(entry.skeleton, entry.stages, keys)
    else:
        files[f"{name}{TODO}"] = files.pop(name)
    return replace(entry, files=files)


def _found(stem: str, content: Content) -> list[str]:
    """The series that the burst of the example fires; empty where the examples do not hold."""
    for hunt in content.hunts:
        if hunt.detection.stem == stem:
            burst, quiet = hunt.detection.examples
            try:
                keys = [str(hit.row["series_key"]) for hit in examples.run(content, hunt, burst)]
                return [] if examples.run(content, hunt, quiet) else sorted(keys)
            except (GundogError, duckdb.Error):
                return []
    return []
