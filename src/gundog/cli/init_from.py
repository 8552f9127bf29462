"""`gundog init --from`: looks at containers, and writes a gundog.yaml that reads their tables."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from gundog.cli import common, lake_check, lake_suggestions, row_names, run_commands
from gundog.core import safe_text
from gundog.core.errors import InputError, StoreError
from gundog.core.wording import count
from gundog.lake import latest, survey, template_guess, urls
from gundog.lake.path import JSON, LakePath
from gundog.lake.survey import Dataset, Survey
from gundog.project import project as projects
from gundog.project import scaffold
from gundog.run.run import Project

_MOST_SHOWN = 8


@dataclass(frozen=True)
class _Seen:
    """What containers hold: lake paths by table, and lines about the rest."""

    paths: Mapping[str, tuple[LakePath, ...]]
    others: tuple[str, ...]


def run(arguments: argparse.Namespace) -> int:
    """Writes the project and prints what was seen; 0, or 2 where no table was found."""
    directory = arguments.directory
    if (directory / "gundog.yaml").exists():
        raise InputError(
            f"{directory / 'gundog.yaml'}: already exists: choose another name or remove it"
        )
    places = [urls.place(url, arguments.endpoint) for url in arguments.places]
    with tempfile.TemporaryDirectory(prefix="gundog-") as scratch:
        project = _empty_project(Path(scratch) / "project")
        seen = _look(project, places)
        told, paths = _refined(project, seen.paths)
    for line in (*told, *seen.others):
        sys.stdout.write(safe_text.for_terminal(line) + "\n")
    if not paths:
        common.complain(
            "no table was found: name the folder above the tables, or write paths into"
            " gundog.yaml (docs/landing-data.md)"
        )
        return 2
    used = {stage.source for stage in project.content.stages.values()}
    lake = "".join(_entries(paths, used))
    for path in scaffold.init(directory, prefect=arguments.prefect, lake=lake):
        sys.stdout.write(f"wrote {run_commands.relative(path)}\n")
    sys.stdout.write(f"next: cd {directory}, gundog check --lake, gundog hunt\n")
    return 0


def _empty_project(root: Path) -> Project:
    """A project with the shipped content, and no lake of its own."""
    scaffold.init(root)
    return projects.load_project(root, os.environ)


def _look(project: Project, places: Sequence[LakePath]) -> _Seen:
    """The tables that are named by folders, or else by the rows in files."""
    tables = list(project.content.sources)
    paths, others = defaultdict[str, list[LakePath]](list), list[str]()
    for place in places:
        looked = survey.look(place, tables, project.environ)
        others += _rest(place, looked)
        for dataset in map(partial(_with_format, project), looked.datasets):
            names, why = _tables(project, dataset)
            for name in names:
                paths[name].append(dataset.path)
            if not names:
                others.append(f"{dataset.shown}: {why}")
    return _Seen({name: tuple(some) for name, some in paths.items()}, tuple(_few(others)))


def _with_format(project: Project, dataset: Dataset) -> Dataset:
    """A dataset whose files' names tell no format, with that of the newest file."""
    path = dataset.path
    if path.said_format or template_guess.ending_of(path.template):
        return dataset
    files, _ = latest.newest_files("", [path], project.settings.root, project.environ)
    if not files or not row_names.is_json(project, path, files[0]):
        return dataset
    return replace(dataset, path=replace(path, said_format=JSON))


def _rest(place: LakePath, looked: Survey) -> Iterator[str]:
    yield from looked.others
    if not looked.has_all:
        yield (
            f"{place.template}: {looked.folders} folders were opened, and there are more: name the"
            " folder above the tables"
        )


def _few(lines: Sequence[str]) -> Iterator[str]:
    yield from (f"not used: {line}" for line in lines[:_MOST_SHOWN])
    if len(lines) > _MOST_SHOWN:
        yield f"not used: {len(lines) - _MOST_SHOWN:,} more places"


def _tables(project: Project, dataset: Dataset) -> tuple[Sequence[str], str]:
    """The tables whose rows files hold, or why none is known."""
    if dataset.table:
        return [dataset.table], ""
    root, environ = project.settings.root, project.environ
    try:
        files, _ = latest.newest_files("", [dataset.path], root, environ)
        if not files:
            return [], "no files"
        return row_names.tables(project, dataset.path, files[0])
    except StoreError as error:
        return [], str(error)


def _refined(
    project: Project, paths: Mapping[str, Sequence[LakePath]]
) -> tuple[list[str], dict[str, list[LakePath]]]:
    """Lines about each table, and its paths with the columns and times that their files have."""
    told, refined = list[str](), dict[str, list[LakePath]]()
    for name, some in sorted(paths.items()):
        refined[name] = []
        for path in some:
            better, about = lake_check.looked_at(
                _with_lake(project, name, path), project.content.sources[name]
            )
            refined[name].append(better)
            told.append(f"{name}: {path.template}: {about}")
    return told, refined


def _with_lake(project: Project, name: str, path: LakePath) -> Project:
    return replace(project, settings=replace(project.settings, lake={name: (path,)}))


def _entries(paths: Mapping[str, Sequence[LakePath]], used: Collection[str]) -> Iterator[str]:
    """The lines below `lake:`; tables that no hunt reads are comments."""
    read = set(paths) & set(used) or set(paths)
    for name in sorted(paths, key=lambda name: (name not in read, name)):
        lines = _yaml({name: _said(paths[name])}).splitlines()
        mark = "  " if name in read else "  # "
        yield from (f"{mark}{line}\n" for line in lines)
    idle = count(len(set(paths) - set(read)), "table")
    if set(paths) - set(read):
        yield f"  # no hunt reads the {idle} behind a # yet\n"


def _said(paths: Iterable[LakePath]) -> Any:
    entries = [lake_suggestions.entry(path) for path in paths]
    short = [entry["path"] if list(entry) == ["path"] else entry for entry in entries]
    return short[0] if len(short) == 1 else short


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)
