"""Content folders that were read already: projects of tests hold the same few files.

What `loading.load` returns follows from the bytes of the files, the names of the folders and what
gundog.yaml overrides. A test that loads them again gets what the first one got; content with
problems is always read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gundog.core.child import Child
from gundog.detections import content_folder
from gundog.detections.hunt import Content
from gundog.project import loading

_load = loading.load
_kept: dict[str, Content] = {}
_MOST = 50


def keep() -> None:
    """From now on content is read once."""
    loading.load = _remembered


def read_again() -> None:
    """From now on content is read whenever it is loaded."""
    loading.load = _load


def _remembered(
    helper: Child, where: tuple[Path, ...], overrides: Mapping[str, Any], root: Path, memory: int
) -> Content:
    key = _key(where, overrides, root)
    if key not in _kept:
        loaded = _load(helper, where, overrides, root, memory)
        if loaded.problems:
            return loaded
        if len(_kept) >= _MOST:
            _kept.pop(next(iter(_kept)))
        _kept[key] = loaded
    return _kept[key]


def _key(where: tuple[Path, ...], overrides: Mapping[str, Any], root: Path) -> str:
    is_shipped = where == (content_folder.builtin(),)  # its files lie below no project
    digest = hashlib.sha256(repr((where, overrides, "" if is_shipped else root)).encode())
    for path in (path for folder in where for path in sorted(_files(folder))):
        digest.update(repr((path, path.stat().st_mode)).encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for name in ("sql", "detections"):
        yield from (folder / name).rglob("*")
