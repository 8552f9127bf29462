"""Files that people write, found and read: what cannot be read is named, and stops nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from gundog.core.errors import InputError

# The largest file that ships has 30 kB.
MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class Found:
    """What lies in a folder: files in order, and what is wrong, each with the place it is about."""

    files: tuple[Path, ...] = ()
    wrong: tuple[tuple[Path, str], ...] = ()


def find(folder: Path, endings: Collection[str], deep: bool = False) -> Found:
    """The files of a folder that end so, in order; none when there is no such folder.

    What cannot be a file with a name that people can read is named instead: a folder in a file's
    place, a link to nothing, a name that is not UTF-8, a folder that cannot be opened.

    Args:
        folder: where to look; a link is followed, links to folders below it are not.
        endings: such as `.sql`.
        deep: True to look in the folders below it too.
    """
    if not os.path.lexists(folder):
        return Found()
    wrong: list[tuple[Path, str]] = []
    files = []
    for path in sorted(_entries(folder, deep, wrong)):
        if path.suffix not in endings:
            continue
        if reason := problem(path):
            wrong.append((path, reason))
        else:
            files.append(path)
    return Found(tuple(files), tuple(wrong))


def _entries(folder: Path, deep: bool, wrong: list[tuple[Path, str]]) -> Iterator[Path]:
    def unread(error: OSError) -> None:
        why = error.strerror or type(error).__name__
        reason = (
            f"is a folder that cannot be opened ({why}): let this account read it, or remove it"
        )
        wrong.append((Path(error.filename or folder), reason))

    if not folder.is_dir():
        wrong.append((folder, "is not a folder: make it one, or remove it"))
        return
    for where, folders, files in os.walk(folder, onerror=unread):
        yield from (Path(where, name) for name in (*folders, *files))
        if not deep:
            return


def problem(path: Path) -> str:
    """What keeps a path that is there from being read as a file; empty when nothing does."""
    if not is_text(path.name):
        return "has a name that is not UTF-8: rename it"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return _missing(path, error)
    if stat.S_ISDIR(mode):
        return "is a folder: put a file in its place, or remove it"
    # A pipe or a device would be read without end.
    return "" if stat.S_ISREG(mode) else "is not a plain file: put one in its place, or remove it"


def _missing(path: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        target = readable(str(path.readlink()))
        return f"is a link to {target}, which does not exist: correct the link"
    why = error.strerror or type(error).__name__
    return f"{why}: let this account read it, or remove it"


def read(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a file of at most so many bytes.

    Raises:
        InputError: when it is not a file that can be read, is too large, or is not UTF-8; without
            the path.
    """
    if reason := problem(path):
        raise InputError(f"cannot be read: {reason}")
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {_missing(path, error)}") from error
    if len(data) > most:
        size = f"{most // 1_000_000} MB"
        raise InputError(f"cannot be read: is larger than {size}: split it, or write less")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"cannot be read: line {line} is not UTF-8: save it as UTF-8") from error


def is_folder(path: Path) -> bool:
    """True for a folder; False also for what no path can be, such as one of 5,000 letters."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def readable(name: str) -> str:
    """A name without the bytes that no UTF-8 text can hold.

    >>> readable("ev" + chr(0xDCFF) + "il.yaml")
    'ev\\\\xffil.yaml'
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_text(name: str) -> bool:
    """True when the name can be written in UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
