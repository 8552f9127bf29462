"""Gundog's own folders and files: who may read a new one. Modes of what exists are not changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gundog.core.errors import StoreError

FOLDER = 0o750
PUBLISHED = 0o640
_GROUP_WRITES = 0o020
_SETGID = 0o2000


@contextmanager
def private() -> Iterator[None]:
    """What is made meanwhile is for this account alone: events, scratch files, logs of DuckDB."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def folder(path: Path) -> None:
    """Makes a folder and those above it; new ones can be read by their group.

    Raises:
        StoreError: when it cannot be made.
    """
    try:
        missing = [place for place in (path, *path.parents) if not place.exists()]
        for place in reversed(missing):
            place.mkdir(exist_ok=True)
            place.chmod(FOLDER | place.stat().st_mode & _SETGID)
        path.mkdir(exist_ok=True)  # says what is wrong where it is not a folder
    except OSError as error:
        raise unusable(path, error) from error


def shared(path: Path) -> None:
    """Makes an empty file, unless it is there, that the folder's group may use as the folder.

    Raises:
        OSError: when it cannot be made.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    path.chmod(PUBLISHED | path.parent.stat().st_mode & _GROUP_WRITES)


def keep_access(aside: Path, target: Path) -> None:
    """Gives a file that will replace another the other's mode and, where allowed, its group."""
    held = target.stat()
    with suppress(PermissionError):  # the group is not one of ours
        os.chown(aside, -1, held.st_gid)
    aside.chmod(held.st_mode & 0o7777)


def give_access(aside: Path, target: Path) -> None:
    """Gives a finished file the access of the one that it will replace; a new one is for its group.

    Args:
        aside: the file that was written.
        target: where it will be.
    """
    if target.exists():
        keep_access(aside, target)
    else:
        aside.chmod(PUBLISHED)


def check_files(paths: Iterable[Path]) -> None:
    """Raises StoreError where a folder lies in the place of a file of gundog's own."""
    for path in paths:
        if path.is_dir():
            raise StoreError(f"{path}: is a folder where gundog keeps a file: move it away")


def check_folder(path: Path) -> None:
    """Raises StoreError where a file lies in the place of a folder of gundog's own."""
    if path.exists() and not path.is_dir():
        raise StoreError(f"{path}: is a file where gundog keeps a folder: move it away")


def unusable(path: Path, error: OSError) -> StoreError:
    """Why a file or folder of gundog's own cannot be made or written, and what to do."""
    why = error.strerror or type(error).__name__
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        cure = "a file lies where a folder must be: move it away"
    elif isinstance(error, IsADirectoryError):
        cure = "a folder lies where a file must be: move it away"
    elif isinstance(error, PermissionError):
        cure = "let this account write there"
    else:
        cure = "free disk space, or let this account write there"
    return StoreError(f"{path}: cannot be written ({why}): {cure}: nothing was changed")
