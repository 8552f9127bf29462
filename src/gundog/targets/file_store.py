"""Files in a folder or bucket: written whole, listed and removed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from gundog.core import places
from gundog.lake import object_store
from gundog.lake.path import LakePath, split_uri
from gundog.lake.refusals import store_error

_AT_ONCE = 8


@dataclass(frozen=True)
class FileStore:
    """A folder or a place in a bucket, with all its files named by their path below it."""

    store: Any
    base: str
    shown: str
    is_local: bool

    def read(self, name: str) -> bytes | None:
        """What a file holds; None when it is not there."""
        with self._explained("cannot be read"):
            if self.store.get_file_info(self._path(name)).type == fs.FileType.NotFound:
                return None
            with self.store.open_input_stream(self._path(name)) as file:
                return bytes(file.read())

    def write(self, name: str, data: bytes) -> None:
        """Writes a file: who reads it sees the old one or the whole new one.

        Raises:
            StoreError: when it cannot be written.
        """
        with self._explained("cannot be written"):
            if self.is_local:
                _replace(Path(self._path(name)), data)
                return
            with self.store.open_output_stream(self._path(name)) as out:
                out.write(data)

    def sizes(self, folders: Iterable[str]) -> dict[str, int]:
        """The size of each file in some folders."""
        return {name: size for folder in folders for name, size in self._listed(folder)}

    def _listed(self, folder: str) -> Iterator[tuple[str, int]]:
        selector = fs.FileSelector(self._path(folder), allow_not_found=True)
        with self._explained("cannot be listed"):
            for info in self.store.get_file_info(selector):
                if info.type == fs.FileType.File:
                    yield f"{folder}/{info.base_name}", info.size

    def remove(self, names: Iterable[str]) -> None:
        """Removes files; one that is not there any more is removed.

        Raises:
            StoreError: when one cannot be removed.
        """
        with self._explained("cannot be removed"):
            self.each(self._remove, names)

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):  # such as what a killed run left and this one renamed
            self.store.delete_file(self._path(name))

    def each(self, work: Any, items: Iterable[Any]) -> None:
        """Does something for each item, several at once in a bucket, where each takes a while."""
        if self.is_local:
            for item in items:
                work(item)
            return
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(work, items):
                pass

    def _path(self, name: str) -> str:
        return f"{self.base}/{name}"

    @contextmanager
    def _explained(self, failure: str) -> Iterator[None]:
        try:
            yield
        except object_store.Failure as error:
            raise store_error(self.shown, failure, error) from error


def opened(path: LakePath, environ: Mapping[str, str]) -> FileStore:
    """The files of a target; a bucket is not asked yet.

    Raises:
        StoreError: when its folder cannot be made, or its store refuses its options.
    """
    scheme, authority, rest = split_uri(path.template)
    store = object_store.filesystem(path, environ)
    if not scheme:
        places.folder(Path(path.template))
        return FileStore(store, path.template.rstrip("/"), path.template, is_local=True)
    base = f"{authority.partition('@')[0]}/{rest.strip('/')}"
    return FileStore(store, base, path.template.rstrip("/"), is_local=False)


def _replace(path: Path, data: bytes) -> None:
    places.folder(path.parent)
    aside = path.with_name(f".{path.name}.tmp")
    with places.private(), aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    places.give_access(aside, path)
    aside.replace(path)
