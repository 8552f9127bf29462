"""Files of hunting queries made into detections of a project: planned, checked, then written."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import uuid4

from gundog.core import text_files
from gundog.core.child import Child
from gundog.core.errors import InputError, Problem
from gundog.core.times import DAY, format_duration
from gundog.detections.hunt import Content, Hunt
from gundog.kql_import import (
    groups,
    matching,
    reading,
    series_skeleton,
    source_columns,
    translating,
    translator,
    windows,
    writing,
)
from gundog.kql_import.groups import Group
from gundog.kql_import.query import KqlQuery
from gundog.kql_import.refusing import RefusalError, Remark
from gundog.kql_import.series_skeleton import Skeleton
from gundog.kql_import.translating import Sources, Translation
from gundog.project import loading
from gundog.project.settings import Settings

_READER = "gundog.detections.content"


@dataclass(frozen=True)
class Request:
    """What is asked of an import.

    Args:
        paths: the files.
        group: what new staged tables are named after; empty for the first detection's name.
        new_id: True to give each detection an id of its own.
        update: True to replace the query and SQL of detections that are there.
        rewrite: True to add, beside a query with bins, a detection with true windows, and beside
            one that scores a series, a series detection.
    """

    paths: Iterable[Path] = ()
    group: str = ""
    new_id: bool = False
    update: bool = False
    rewrite: bool = False


@dataclass(frozen=True)
class Project:
    """Where detections are imported to: its settings, content, and content folders.

    `helper` is the process that reads content; None for one of its own.
    """

    settings: Settings
    content: Content
    folders: Sequence[Path]
    helper: Child | None = None

    @property
    def root(self) -> Path:
        return self.settings.root

    def owns(self, stage: str) -> bool:
        """True for a staged table whose file is the project's own."""
        return (self.root / "sql/stage" / f"{stage}.sql").exists()


@dataclass(frozen=True)
class Imported:
    """A query that becomes a detection: the files' texts by path, and what is to be known.

    Args:
        stem: the detection's name.
        path: the query's file.
        files: the texts by path, `removed` the paths of staged tables that nothing reads any more.
        remarks, unused: what a person should know of it.
        stages: the staged table of each source.
        new: the staged tables that the import makes.
        translation: the query in SQL.
        skeleton: what a series detection is made of, where it is one.
    """

    stem: str
    path: str
    files: Mapping[str, str]
    remarks: tuple[Remark, ...]
    unused: tuple[str, ...]
    stages: Mapping[str, str]
    new: frozenset[str]
    translation: Translation
    removed: tuple[str, ...] = ()
    skeleton: Skeleton | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(sorted(self.stages))


@dataclass(frozen=True)
class Plan:
    """What an import would write, and why the other queries are not imported."""

    imported: tuple[Imported, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True)
class _Draft:
    """A translated query, before it is known which staged tables it reads.

    `derived` is the id of the query that it comes from, where its own is another; `before` is the
    hunt that it replaces.
    """

    query: KqlQuery
    translation: Translation
    derived: str = ""
    before: Hunt | None = None
    skeleton: Skeleton | None = None

    @property
    def stem(self) -> str:
        return self.query.stem


@dataclass
class _Drafts:
    drafts: list[_Draft] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def sources_of(content: Content, folders: Iterable[Path]) -> Sources:
    """The source tables of a project, with the columns that their files say hold JSON."""
    dynamic: dict[str, tuple[str, ...]] = {}
    for folder in folders:
        for path in text_files.find(folder / "sql/sources", (".sql",)).files:
            dynamic[path.stem] = source_columns.dynamic_of(text_files.read(path))
    return Sources(content.sources, dynamic)


def plan(request: Request, project: Project) -> Plan:
    """What importing the files would write.

    Raises:
        InputError: when the translator is not installed.
    """
    translator.require()
    sources = sources_of(project.content, project.folders)
    read = _Drafts()
    for path in request.paths:
        try:
            queries = reading.read(path, str(path))
        except InputError as error:
            read.refused.append(str(error))
            continue
        for query in queries:
            try:
                for asked in [query, *(_rewritten(query) if request.rewrite else ())]:
                    taken = {draft.stem for draft in read.drafts}
                    read.drafts.append(_drafted(asked, request, project, sources, taken))
                if request.rewrite and (begun := series_skeleton.of(query, sources)):
                    _refuse_taken(begun.query, begun.query.stem, project.root, project.content)
                    read.drafts.append(_Draft(begun.query, begun.translation, skeleton=begun))
            except RefusalError as error:
                number = f" ({query.stem})" if len(queries) > 1 else ""
                read.refused.append(f"{path}{number}: {error}")
            except InputError as error:
                read.refused.append(str(error))
    return _planned(read, request, project, _groups_of(project))


def _rewritten(query: KqlQuery) -> Iterator[KqlQuery]:
    """The query in a shape that misses less, as one of its own; nothing where there is none."""
    window = windows.rewritten(query.query)
    if window is None:
        return
    end = "_window"
    yield replace(
        query,
        stem=query.stem[: reading.LONGEST_STEM - len(end)] + end,
        id=reading.identify(query.id, 1),
        name=f"{query.name or query.stem}, in true windows",
        description=f"{query.stem}, where events at most {format_duration(window.width)} apart"
        f" meet, whatever the clock says. {query.description}".strip(),
        query=window.kql,
        period=(query.period or query.frequency or DAY) + window.width,
        derived=query.id,
    )


def regrouped(request: Request, project: Project) -> Plan:
    """The project's imported detections over one staged table for each source.

    Raises:
        InputError: when the translator is not installed, or nothing was imported.
    """
    translator.require()
    sources = sources_of(project.content, project.folders)
    read = _Drafts()
    for hunt in project.content.hunts:
        is_own = (project.root / "detections" / f"{hunt.detection.stem}.yaml").exists()
        if not is_own or not hunt.detection.query or not matching.made_of(hunt.sql):
            continue
        query = matching.query_of(hunt)
        try:
            translation = translating.translate(query, sources)
        except RefusalError as error:
            read.refused.append(f"{query.path}: {error}")
            continue
        read.drafts.append(_Draft(query, translation, before=hunt))
    if not read.drafts and not read.refused:
        raise InputError("import: no detection of this project was imported: name FILEs")
    return _planned(read, replace(request, update=True), project, ())


def _groups_of(project: Project) -> tuple[Group, ...]:
    """The staged tables of the project's own that imported hunts may share."""
    own = [stage for name, stage in project.content.stages.items() if project.owns(name)]
    return tuple(group for stage in own if (group := groups.read(stage)))


def _drafted(
    query: KqlQuery, request: Request, project: Project, sources: Sources, taken: set[str]
) -> _Draft:
    stem, update = query.stem, request.update
    target = project.root / "detections" / f"{stem}.yaml"
    if stem in taken:
        raise InputError(f"{query.path}: {stem} is imported from another file: rename the file")
    if update and not target.exists():
        raise InputError(f"{query.path}: detections/{stem}.yaml is not there: leave out --update")
    derived = query.derived or (query.id if request.new_id and not update else "")
    query = replace(query, id=str(uuid4())) if request.new_id and not update else query
    if not update:
        _refuse_taken(query, stem, project.root, project.content)
    hunts = [hunt for hunt in project.content.hunts if hunt.detection.stem == stem]
    return _Draft(
        query, translating.translate(query, sources), derived, hunts[0] if hunts else None
    )


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


def _planned(read: _Drafts, request: Request, project: Project, there: Sequence[Group]) -> Plan:
    """The plan without what would not load."""
    drafts, refused = list(read.drafts), list(read.refused)
    while drafts:
        imported = _imported(drafts, request, project, there)
        wrong = _wrong(imported, project)
        if len(wrong) > 1:  # a staged table that they share may be wrong because of one of them
            wrong = {
                stem: reason
                for draft in drafts
                if draft.stem in wrong
                for stem, reason in _wrong(
                    _imported([draft], request, project, there), project
                ).items()
            } or wrong
        if not wrong:
            return Plan(imported, tuple(refused))
        refused += wrong.values()
        drafts = [draft for draft in drafts if draft.stem not in wrong]
    return Plan((), tuple(refused))


def _imported(
    drafts: Sequence[_Draft], request: Request, project: Project, there: Sequence[Group]
) -> tuple[Imported, ...]:
    """The drafts with the staged tables that they read; a new one is of the first that reads it."""
    stems = {draft.stem for draft in drafts}
    left = _read_by_others(project, stems if request.update else set())
    mine = {
        stage.name
        for draft in drafts
        if draft.before
        for stage in draft.before.stages
        if project.owns(stage.name) and stage.name not in left
    }
    taken = {*project.content.stages} - mine
    taken |= {p.stem for p in (project.root / "sql/stage").glob("*.sql") if p.stem not in mine}
    needs = {draft.stem: draft.translation.needs for draft in drafts}
    placed = groups.placed(needs, there, request.group or drafts[0].stem, taken)
    used = {name for stages in placed.stages.values() for name in stages.values()}
    unread = [f"sql/stage/{name}.sql" for name in sorted(mine - used)]
    imported, written = list[Imported](), set[str]()
    for draft in drafts:
        stages = placed.stages[draft.stem]
        files = _files(draft, stages)
        if request.update:
            name = f"detections/{draft.stem}.yaml"
            before = text_files.read(project.root / name)
            files[name] = writing.updated(before, draft.query, draft.translation)
        for name in sorted(set(stages.values()) & placed.new.keys() - written):
            files[f"sql/stage/{name}.sql"] = placed.new[name]
            written.add(name)
        imported.append(
            Imported(
                draft.stem, draft.query.path, files, _remarks(draft),
                draft.query.unused, stages, frozenset(placed.new), draft.translation,
                tuple(unread) if not imported else (), draft.skeleton,
            )
        )  # fmt: skip
    return tuple(imported)


def _remarks(draft: _Draft) -> tuple[Remark, ...]:
    return series_skeleton.REMARKS if draft.skeleton else draft.translation.remarks


def _files(draft: _Draft, stages: Mapping[str, str]) -> dict[str, str]:
    if draft.skeleton:
        return series_skeleton.files(draft.skeleton, stages)
    return writing.files(draft.query, draft.stem, draft.translation, stages, draft.derived)


def _read_by_others(project: Project, replaced: set[str]) -> set[str]:
    """The staged tables that hunts read which are not replaced."""
    return {
        stage.name
        for hunt in project.content.hunts
        if hunt.detection.stem not in replaced
        for stage in hunt.stages
    }


def _wrong(imported: Sequence[Imported], project: Project) -> dict[str, str]:
    """Why detections would not load, by their name."""
    with tempfile.TemporaryDirectory() as made:
        content = loaded(imported, project, Path(made).resolve())
    wrong: dict[str, str] = {}
    for problem in content.problems:
        for entry in imported:
            if _is_about(problem, entry):
                wrong.setdefault(entry.stem, f"{entry.path}: {problem}")
    return wrong


def loaded(imported: Sequence[Imported], project: Project, folder: Path) -> Content:
    """The detections alone, as a project would load them; what they read is put into `folder`."""
    _copied(imported, project, folder)
    for entry in imported:
        write(entry, folder)
    with nullcontext(project.helper) if project.helper else Child(_READER) as helper:
        return loading.load(helper, (folder,), {}, folder, project.settings.memory_limit)


def _is_about(problem: Problem, imported: Imported) -> bool:
    stages = (f"sql/stage/{name}.sql" for name in imported.stages.values())
    return any(problem.path.endswith(name) for name in (*imported.files, *stages))


def _copied(imported: Sequence[Imported], project: Project, folder: Path) -> None:
    """Copies the source tables that detections read, and the staged ones that are there."""
    wanted = {f"sql/sources/{name}.sql" for entry in imported for name in entry.sources}
    wanted |= {f"sql/stage/{name}.sql" for entry in imported for name in entry.stages.values()}
    for name in sorted(wanted):
        for place in (project.root, *reversed(project.folders)):
            if (place / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(place / name, folder / name)
                break


def write(imported: Imported, root: Path) -> tuple[Path, ...]:
    """Writes the files of a detection below a folder; returns their paths."""
    paths = []
    for name in imported.removed:
        (root / name).unlink(missing_ok=True)
    for name, text in imported.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return tuple(paths)
