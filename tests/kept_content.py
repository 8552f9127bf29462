"""Content folders that were read already: projects of tests hold the same few files.

What `loading.load` returns follows from the bytes of the files, where they lie in the project and
what gundog.yaml overrides. A test that loads them again, in any folder, gets what the first one
got; content with problems is always read again. So it is with the schemas of the files that people
write: they follow from the code alone, and whoever makes a project writes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gundog.core.child import Child
from gundog.detections import content_folder
from gundog.detections.hunt import Content
from gundog.project import loading, schemas

_load, _schemas = loading.load, schemas.schemas
_kept: dict[str, Content] = {}
_MOST = 100


def keep() -> None:
    """From now on content is read once, and schemas are made once."""
    loading.load, schemas.schemas = _remembered, cache(_schemas)


def read_again() -> None:
    """From now on content is read whenever it is loaded, and schemas are made again."""
    loading.load, schemas.schemas = _load, _schemas


def _remembered(
    helper: Child, where: tuple[Path, ...], overrides: Mapping[str, Any], root: Path, memory: int
) -> Content:
    return once(where, overrides, root, lambda: _load(helper, where, overrides, root, memory))


def once(
    where: tuple[Path, ...], overrides: Mapping[str, Any], root: Path, load: Callable[[], Content]
) -> Content:
    """What `load` returns, or returned for a project with the same files in the same places.

    Takes what `loading.load` takes; content names no place but those below `root`, from there.
    """
    key = _key(where, overrides, root)
    if key not in _kept:
        loaded = load()
        if loaded.problems:
            return loaded
        if len(_kept) >= _MOST:
            _kept.pop(next(iter(_kept)))
        _kept[key] = loaded
    return _kept[key]


def _key(where: tuple[Path, ...], overrides: Mapping[str, Any], root: Path) -> str:
    def place(path: Path) -> str:
        if path.is_relative_to(root):
            return str(path.relative_to(root))
        return str(path) if path.is_relative_to(shipped) else f"{path} of {root}"

    shipped = content_folder.builtin()  # known by the places below it in every project
    digest = hashlib.sha256(repr(([*map(place, where)], overrides)).encode())
    for path in (path for folder in where for path in sorted(_files(folder))):
        digest.update(repr((place(path), path.stat().st_mode)).encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for name in ("sql", "detections"):
        yield from (folder / name).rglob("*")
