"""A project folder read: its settings and its content."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gundog.core import child
from gundog.core.errors import ContentError, Problem
from gundog.core.fields import plain_key
from gundog.detections import content_folder
from gundog.detections.hunt import Content
from gundog.findings import canaries, exceptions
from gundog.health import acknowledged
from gundog.project import loading, settings
from gundog.project.settings import Settings


@dataclass(frozen=True)
class Project:
    """A project folder read: its settings and its content.

    Attributes:
        exceptions: what is known to be harmless.
        acknowledged: what is known to be wrong with the data.
        problems: what is wrong with exceptions.yaml and acknowledged.yaml, and stops nothing.
    """

    settings: Settings
    content: Content
    environ: Mapping[str, str] = field(repr=False)
    exceptions: exceptions.File = field(default_factory=exceptions.File)
    acknowledged: tuple[acknowledged.Entry, ...] = ()
    problems: tuple[Problem, ...] = ()


def load_settings(
    root: Path, environ: Mapping[str, str], uses: Collection[str] = settings.MAY_BE_UNSET
) -> Settings:
    """A project folder's settings, channels that can be spoken to included.

    Args:
        root: the folder that holds gundog.yaml.
        environ: what `${NAME}` in it stands for.
        uses: see `settings.load`.

    Raises:
        ContentError: when gundog.yaml is wrong.
    """
    loaded = settings.load(root, environ, uses)
    if not loaded.notify:
        return loaded
    from gundog.notify import services  # loads TLS and HTTP: only channels need them

    problems = [
        Problem(settings.FILE, plain_key(f"notify.{channel.name}.url"), reason)
        for place, channel in enumerate(loaded.notify)
        if f"notify.{place}.url" not in loaded.unset
        and (reason := services.url_problem(channel.url))
    ]
    if problems:
        raise ContentError(problems)
    return loaded


def load_project(
    root: Path,
    environ: Mapping[str, str],
    uses: Collection[str] = settings.MAY_BE_UNSET,
    helper: child.Child | None = None,
) -> Project:
    """A project folder's settings and content.

    Args:
        root: the folder.
        environ: what `${NAME}` in gundog.yaml stands for.
        uses: see `settings.load`.
        helper: the process that reads content, which goes on; without it one of its own.

    Raises:
        ContentError: when gundog.yaml is wrong; broken detections are problems of the content.
    """
    loaded = load_settings(root, environ, uses)
    excepted = exceptions.load(loaded.root)
    loaded_content = _load_content(loaded, helper)
    acknowledgements, wrong = acknowledged.load(loaded.root)
    wrong = (*excepted.problems, *wrong)
    if not loaded_content.problems:  # what does not load may be what an entry names
        names = [(detection.id, detection.stem) for detection in loaded_content.detections]
        wrong += exceptions.check_names(excepted, names)
        wrong += tuple(canaries.check_names(loaded.canaries, names, settings.FILE))
        wrong += acknowledged.check_names(
            acknowledgements, loaded_content.sources, loaded_content.stages
        )
    return Project(loaded, loaded_content, environ, excepted, acknowledgements, wrong)


def _load_content(loaded: Settings, helper: child.Child | None) -> Content:
    where = content_folder.folders(loaded.content, loaded.root)
    with _helper_or_own(helper) as used:
        return loading.load(used, where, loaded.overrides, loaded.root, loaded.memory_limit)


@contextmanager
def _helper_or_own(helper: child.Child | None) -> Iterator[child.Child]:
    """The process that is given, else one that ends with the block."""
    if helper:
        yield helper
        return
    with child.Child("gundog.detections.content") as own:
        yield own


def without_lake(project: Project) -> dict[str, str]:
    """Why a hunt cannot run, by its stem: gundog.yaml has no path for a source that it reads."""
    idle = {}
    for hunt in project.content.hunts:
        lacking = [source for source in hunt.sources if source not in project.settings.lake]
        if lacking:
            names = " and ".join(f"lake.{source}" for source in lacking)
            idle[hunt.detection.stem] = f"gundog.yaml has no {names}"
    return idle
