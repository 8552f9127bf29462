"""Files of hunting queries made into detections of a project: planned, checked, then written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from gundog.core import text_files
from gundog.core.child import Child
from gundog.core.errors import InputError
from gundog.detections.hunt import Content
from gundog.kql_import import reading, source_columns, translating, translator, writing
from gundog.kql_import.query import KqlQuery
from gundog.kql_import.refusing import RefusalError, Remark
from gundog.kql_import.translating import Sources
from gundog.project import loading
from gundog.project.settings import Settings


@dataclass(frozen=True)
class Imported:
    """A query that becomes a detection: the files' texts by path, and what is to be known."""

    stem: str
    path: str
    files: Mapping[str, str]
    remarks: tuple[Remark, ...]
    unused: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What an import would write, and why the other queries are not imported."""

    imported: tuple[Imported, ...]
    refused: tuple[str, ...]


def sources_of(content: Content, folders: Iterable[Path]) -> Sources:
    """The source tables of a project, with the columns that their files say hold JSON."""
    dynamic: dict[str, tuple[str, ...]] = {}
    for folder in folders:
        for path in text_files.find(folder / "sql/sources", (".sql",)).files:
            dynamic[path.stem] = source_columns.dynamic_of(text_files.read(path))
    return Sources(content.sources, dynamic)


def plan(
    paths: Sequence[Path],
    settings: Settings,
    content: Content,
    folders: Sequence[Path],
    *,
    new_id: bool = False,
    update: bool = False,
) -> Plan:
    """What importing the files would write.

    Args:
        paths: the files.
        settings: the project's.
        content: what the project has already.
        folders: its content folders.
        new_id: True to give each detection an id of its own.
        update: True to replace the query and SQL of detections that are there.

    Raises:
        InputError: when the translator is not installed.
    """
    translator.require()
    known = sources_of(content, folders)
    imported: list[Imported] = []
    refused: list[str] = []
    for path in paths:
        try:
            queries = reading.read(path, str(path))
        except InputError as error:
            refused.append(str(error))
            continue
        for query in queries:
            try:
                taken = {made.stem for made in imported}
                imported.append(_made(query, settings.root, content, known, taken, new_id, update))
            except RefusalError as error:
                number = f" ({query.stem})" if len(queries) > 1 else ""
                refused.append(f"{path}{number}: {error}")
            except InputError as error:
                refused.append(str(error))
    return _checked(imported, refused, settings, folders)


def _made(
    query: KqlQuery,
    root: Path,
    content: Content,
    known: Sources,
    taken: set[str],
    new_id: bool,
    update: bool,
) -> Imported:
    stem = query.stem
    target = root / "detections" / f"{stem}.yaml"
    if stem in taken:
        raise InputError(f"{query.path}: {stem} is imported from another file: rename the file")
    if update and not target.exists():
        raise InputError(f"{query.path}: detections/{stem}.yaml is not there: leave out --update")
    derived = query.id if new_id and not update else ""
    query = replace(query, id=str(uuid4())) if derived else query
    if not update:
        _refuse_taken(query, stem, root, content)
    translation = translating.translate(query, stem, known)
    files = writing.files(query, stem, translation, translation.sources, derived)
    if update:
        before = text_files.read(target)
        files[f"detections/{stem}.yaml"] = writing.updated(before, query, translation)
    told = translation.remarks, query.unused, translation.sources
    return Imported(stem, query.path, files, *told)


def _refuse_taken(query: KqlQuery, stem: str, root: Path, content: Content) -> None:
    """Raises InputError for a name or an id that a detection has already."""
    for name in (f"detections/{stem}.yaml", f"sql/{stem}.sql"):
        if (root / name).exists():
            raise InputError(f"{query.path}: {name} exists: add --update, or rename the file")
    for other in content.detections:
        if other.stem == stem:
            raise InputError(f"{query.path}: {stem} is the name of {other.shown}: rename the file")
        if other.id == query.id:
            raise InputError(f"{query.path}: id {query.id} is that of {other.shown}: add --id new")


def _checked(
    imported: list[Imported], refused: list[str], settings: Settings, folders: Sequence[Path]
) -> Plan:
    """The plan without what would not load."""
    if not imported:
        return Plan((), tuple(refused))
    with tempfile.TemporaryDirectory() as made, Child("gundog.detections.content") as helper:
        folder = Path(made).resolve()
        for one in imported:
            write(one, folder)
        where = (*(path for path in folders if path != settings.root), folder)
        content = loading.load(helper, where, {}, folder, settings.memory_limit)
    wrong: dict[str, str] = {}
    for problem in content.problems:
        for one in imported:
            if any(problem.path.endswith(name) for name in one.files):
                wrong.setdefault(one.stem, f"{one.path}: {problem}")
    good = tuple(one for one in imported if one.stem not in wrong)
    return Plan(good, (*refused, *wrong.values()))


def write(imported: Imported, root: Path) -> tuple[Path, ...]:
    """Writes the files of a detection below a folder; returns their paths."""
    paths = []
    for name, text in imported.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return tuple(paths)
