"""A project folder read: its settings and its content."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gundog import acknowledged, channels, content, exceptions, settings
from gundog.content import Content
from gundog.errors import ContentError, Problem
from gundog.settings import Settings


@dataclass(frozen=True)
class Project:
    """A project folder read: its settings and its content.

    Attributes:
        acknowledged: what is known to be wrong with the data.
        problems: what is wrong with acknowledged.yaml, and stops nothing.
    """

    settings: Settings
    content: Content
    environ: Mapping[str, str] = field(repr=False)
    exceptions: tuple[exceptions.Entry, ...] = ()
    acknowledged: tuple[acknowledged.Entry, ...] = ()
    problems: tuple[Problem, ...] = ()


def load_project(
    root: Path, environ: Mapping[str, str], uses: Collection[str] = settings.MAY_BE_UNSET
) -> Project:
    """A project folder's settings and content.

    Args:
        root: the folder that holds gundog.yaml.
        environ: what `${NAME}` in it stands for.
        uses: see `settings.load`.

    Raises:
        ContentError: when gundog.yaml or exceptions.yaml is wrong; broken detections are problems
            of the content.
    """
    loaded = settings.load(root, environ, uses)
    problems = [
        Problem(settings.FILE, f"notify.{channel.name}.url", what)
        for place, channel in enumerate(loaded.notify)
        if f"notify.{place}.url" not in loaded.unset and (what := channels.url_problem(channel.url))
    ]
    if problems:
        raise ContentError(problems)
    excepted = exceptions.load(loaded.root)
    where = content.folders(loaded.content, loaded.root)
    found = content.load(where, loaded.overrides, loaded.root)
    names = [(one.id, one.stem) for one in found.detections]
    # A detection that does not load may be the one that an exception names.
    if not found.problems and (unknown := exceptions.check_names(excepted, names)):
        raise ContentError(unknown)
    known, wrong = acknowledged.load(loaded.root)
    if not found.problems:  # a source or stage that does not load may be the one that is named
        wrong += acknowledged.check_names(known, found.sources, found.stages)
    return Project(loaded, found, environ, excepted, known, wrong)


def without_lake(project: Project) -> dict[str, str]:
    """Why a hunt cannot run, by its stem: gundog.yaml has no path for a source that it reads."""
    idle = {}
    for hunt in project.content.hunts:
        lacking = [source for source in hunt.sources if source not in project.settings.lake]
        if lacking:
            names = " and ".join(f"lake.{source}" for source in lacking)
            idle[hunt.detection.stem] = f"gundog.yaml has no {names}"
    return idle
