"""Which files of content folders are detections, and which of two with one name or id may run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gundog.core import text_files
from gundog.core.errors import Problem
from gundog.detections import content_folder

_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class Place:
    """A detection's file: the content folder it lies in, its path, and the path people know."""

    folder: Path
    path: Path
    shown: str

    @property
    def stem(self) -> str:
        return self.path.stem


@dataclass(frozen=True)
class Claim:
    """What a file says it is; `works` when it may run.

    `id` is empty where none could be read.
    """

    place: Place
    id: str
    works: bool


def find(
    where: Iterable[Path], shown: Callable[[Path], str], problems: list[Problem]
) -> list[Place]:
    """The detections' files, in the order of the folders and of their names.

    Args:
        where: content folders.
        shown: a path as people know it.
        problems: what lies there and is not such a file is added.
    """
    places = []
    for folder in where:
        listed = text_files.find(content_folder.layout(folder).detections, _ENDINGS, deep=True)
        problems += [
            Problem(shown(path), "", reason)
            for path, reason in listed.wrong
            if content_folder.belongs(path, folder)
        ]
        files = [path for path in listed.files if content_folder.belongs(path, folder)]
        names = set(files)
        for path in files:
            other = path.with_suffix(".yaml")
            if path != other and other in names:
                reason = f"exists beside {other.name}, which is read instead: remove one of them"
                problems.append(Problem(shown(path), "", reason))
                continue
            places.append(Place(folder, path, shown(path)))
    return places


def contest(claims: Sequence[Claim]) -> tuple[frozenset[Path], tuple[Problem, ...]]:
    """Who may use a name and an id that several files claim: the first of them that works.

    Names and ids are what findings, exceptions and overrides go by, so that only one may have each.

    Returns:
        The paths that may run, and a problem for each of the others, naming who has what it claims.
    """
    kept: list[Claim] = []
    for claim in claims:
        if claim.works and not any(
            _same_id(claim, winner) or _same_stem(claim, winner) for winner in kept
        ):
            kept.append(claim)
    problems = [
        problem
        for number, claim in enumerate(claims)
        if claim not in kept
        for problem in _lost(claim, [*kept, *claims[:number]])
    ]
    return frozenset(claim.place.path for claim in kept), tuple(problems)


def _lost(claim: Claim, others: Sequence[Claim]) -> Iterable[Problem]:
    by_id = next((other for other in others if _same_id(claim, other)), None)
    by_stem = next((other for other in others if _same_stem(claim, other)), None)
    if by_id:
        reason = f"is also the id of {by_id.place.shown}: make a new one"
        yield Problem(claim.place.shown, "id", reason)
    if by_stem:
        reason = f"has the name of {by_stem.place.shown}: rename one of them"
        yield Problem(claim.place.shown, "", reason)


def _same_id(claim: Claim, other: Claim) -> bool:
    return claim.id == other.id != ""


def _same_stem(claim: Claim, other: Claim) -> bool:
    return claim.place.stem == other.place.stem
