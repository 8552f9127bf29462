"""Lines added to files that people keep: what they wrote stays to the byte, on a full disk too."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gundog.core import places
from gundog.core.errors import InputError


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Keeps two additions apart.

    Raises:
        StoreError: when the lock cannot be written.
    """
    from filelock import FileLock  # only for writing: those who read do without

    places.folder(lock.parent)
    try:
        places.shared(lock)
        held = FileLock(lock).acquire()
    except OSError as error:
        raise places.unusable(lock, error) from error
    with held:
        yield


def append(path: Path, head: str, item: str, holds: Callable[[Path], bool]) -> str:
    """Adds an item to a list, built aside and renamed into place; returns the lines added.

    Args:
        path: the file; a missing or empty one begins with `head`. A link is followed.
        head: the comment at its beginning.
        item: the item as YAML, beginning with `- `.
        holds: reads the file that was built; True when it holds the old items and the new one.

    Raises:
        InputError: when `holds` says no: the file is not a list that can be added to.
        StoreError: when it cannot be written, as on a full disk; the file stays as it was.
    """
    target = path.resolve()
    try:
        before = target.read_bytes().decode("utf-8") if target.is_file() else ""
        added = ("" if before.endswith("\n") or not before else "\n") + item
        added = added if before else head + added
        aside = target.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            _write(aside, (before + added).encode())
            if before:
                places.keep_access(aside, target)
            if not holds(aside):
                raise InputError(
                    f"{path.name}: cannot be added to: write it as a list, each entry beginning"
                    " with '- '"
                )
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise places.unusable(path, error) from error
    return added


def add_line(path: Path, line: bytes) -> None:
    """Adds a line at the end of a file, on disk when this returns; a cut line above it is ended.

    Raises:
        StoreError: when it cannot be written, as on a full disk; the file stays as it was.
    """
    try:
        places.shared(path)
        with path.open("a+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                _write_all(file, _gap(file, size) + line + b"\n")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise
    except OSError as error:
        raise places.unusable(path, error) from error


def replace(path: Path, data: bytes) -> None:
    """Puts `data` in a file's place, with its mode; a link is followed.

    Raises:
        StoreError: when it cannot be written; the file stays as it was.
    """
    target = path.resolve()
    aside = target.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            _write(aside, data)
            places.keep_access(aside, target)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise places.unusable(path, error) from error


def _gap(file: io.FileIO, size: int) -> bytes:
    if not size:
        return b""
    file.seek(size - 1)
    return b"" if file.read(1) == b"\n" else b"\n"


def _write_all(file: io.FileIO, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
