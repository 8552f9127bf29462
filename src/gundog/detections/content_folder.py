"""Files of content folders: found, watched while they are read, and named as people know them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gundog.core import text_files
from gundog.core.errors import InputError, Problem
from gundog.core.fields import brief_name, unknown

# Hunts that ship and run only where gundog.yaml names them under `content`.
COMMUNITY = "community"
# What is said of an error that nobody foresaw.
DEFECT = "a bug in gundog"


def builtin() -> Path:
    """The folder of the content that ships: inside the wheel, or this repository's own."""
    packed = Path(__file__).parents[1] / "shipped"
    return packed if packed.is_dir() else Path(__file__).parents[3]


def community() -> Path:
    """The folder of the community hunts, which lie inside the content that ships."""
    return builtin() / "detections" / COMMUNITY


def folders(names: Iterable[str], root: Path) -> tuple[Path, ...]:
    """The content folders that gundog.yaml names, each once."""
    return tuple(dict.fromkeys(place_of(name, root).resolve() for name in names))


def place_of(name: str, root: Path) -> Path:
    """The folder that a name under `content` means.

    A folder of the project's own that is called `community` goes before the one that ships.
    """
    if name == "builtin":
        return builtin()
    if name == COMMUNITY and not text_files.is_folder(root / name):
        return community()
    return root / name


@dataclass(frozen=True)
class Layout:
    """Where the files of a content folder are.

    Args:
        detections: the YAML files, also in folders below.
        sql: what `sql:` in a YAML file is relative to.
        tables: the folder of `sources` and `stage`.
    """

    detections: Path
    sql: Path
    tables: Path


def layout(folder: Path) -> Layout:
    """Where the files of a content folder are: the community hunts share the shipped `sql`."""
    if folder.resolve() == community().resolve():
        sql = builtin().resolve() / "sql"
        return Layout(folder, sql, sql / COMMUNITY)
    return Layout(folder / "detections", folder / "sql", folder / "sql")


def belongs(path: Path, folder: Path) -> bool:
    """False for a file of the community hunts that is seen from the content around them."""
    if folder.resolve() != builtin().resolve():
        return True
    return not any(path.is_relative_to(folder / part / COMMUNITY) for part in ("detections", "sql"))


@dataclass(frozen=True)
class Watch:
    """Tells which file is read at the moment; those in `skip` are problems and not read."""

    skip: Mapping[str, str] = field(default_factory=dict)
    at: Callable[[str], object] = len

    def passes(self, path: Path, where: str, problems: list[Problem]) -> bool:
        """True when the file is to be read."""
        if why := self.skip.get(str(path)):
            problems.append(Problem(where, "", why))
            return False
        self.at(str(path))
        return True


def shown(path: Path, root: Path | None) -> str:
    """The path as people know it: relative to the project where it lies below it."""
    for base in (root, builtin()):
        if base and path.is_relative_to(base.resolve()):
            return text_files.readable(str(path.relative_to(base.resolve())))
    return text_files.readable(str(path))


def sql_files(
    where: Iterable[Path], below: str, root: Path | None, problems: list[Problem]
) -> dict[str, Path]:
    """SQL files of `stage` or `sources` by stem; a later folder's wins."""
    paths: dict[str, Path] = {}
    for folder in where:
        listed = text_files.find(layout(folder).tables / below, (".sql",))
        problems += [Problem(shown(path, root), "", reason) for path, reason in listed.wrong]
        paths |= {path.stem: path for path in listed.files}
    return paths


def named(where: Iterable[Path], name: str) -> list[Path]:
    """The files that content folders hold under a name, in the order of the folders.

    Args:
        where: content folders.
        name: a detection, staged table, source table or SQL file, without its ending.

    Raises:
        InputError: when there is none.
    """
    paths = [path for folder in where for path in _files(folder)]
    if not (chosen := [path for path in paths if path.stem == name]):
        names = sorted({path.stem for path in paths})
        raise InputError(f"--where {brief_name(name)}: {unknown(name, names, 'file')}")
    return chosen


def _files(folder: Path) -> list[Path]:
    """The detections and SQL files of a content folder."""
    places = layout(folder)
    patterns = (
        (places.detections, "*.yaml"),
        (places.detections, "*.yml"),
        (places.tables, "*.sql"),
    )
    paths = (path for place, ending in patterns for path in place.glob(f"**/{ending}"))
    return [path for path in paths if belongs(path, folder)]


def text_of(path: Path, where: str, problems: list[Problem]) -> str | None:
    """The text of a file; None, with a problem noted, when it cannot be read."""
    try:
        return text_files.read(path)
    except InputError as error:
        problems.append(Problem(where, "", str(error)))
        return None


def defect_of(where: str, error: Exception) -> Problem:
    first = (str(error).strip().splitlines() or [""])[0]
    summary = f"{type(error).__name__}: {brief_name(first)}"
    return Problem(where, "", f"cannot be used, {DEFECT} ({summary}): report it with the file")


# Reads every file and tells nobody.
UNWATCHED = Watch()
