"""An item added to a YAML list that people keep by hand: what they wrote stays to the byte."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from gundog.errors import InputError, StoreError


@contextmanager
def locked(lock: Path) -> Iterator[None]:
    """Keeps two additions apart.

    Raises:
        StoreError: when the lock cannot be written.
    """
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock).acquire()
    except OSError as error:
        raise _unwritten(lock, error) from error
    with held:
        yield


def append(path: Path, head: str, item: str, holds: Callable[[Path], bool]) -> str:
    """Adds an item to a list, built aside and renamed into place; returns the lines added.

    Args:
        path: the file; one that is not there, or empty, begins with `head`. A link is followed.
        head: the comment at its beginning.
        item: the item as YAML, beginning with `- `.
        holds: reads the file that was built; True when it holds the old items and the new one.

    Raises:
        InputError: when `holds` says no: the file is no list that can be added to.
        StoreError: when it cannot be written, as on a full disk; the file stays as it was.
    """
    target = path.resolve()
    try:
        before = target.read_bytes().decode("utf-8") if target.is_file() else ""
        added = ("" if before.endswith("\n") or not before else "\n") + item
        added = added if before else head + added
        aside = target.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            _write(aside, before + added)
            if before:
                shutil.copymode(target, aside)
            if not holds(aside):
                raise InputError(
                    f"{path.name}: cannot be added to: write it as a list, each entry beginning"
                    " with '- '"
                )
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritten(path, error) from error
    return added


def _unwritten(path: Path, error: OSError) -> StoreError:
    why = error.strerror or type(error).__name__
    return StoreError(
        f"{path}: cannot be written ({why}): free disk space, or let this account write there:"
        " nothing was changed"
    )


def _write(path: Path, text: str) -> None:
    with path.open("wb") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())
