"""A lake file brought near: where it lies on a disk, or copied from its store."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gundog.core.errors import StoreError
from gundog.lake import partial
from gundog.lake.file_version import FileVersion
from gundog.lake.object_store import filesystem
from gundog.lake.path import DELTA, JSON, LakePath, split_uri
from gundog.lake.refusals import store_error

_COPY_BYTES = 1024 * 1024
# The client repeats requests that fail; a body that breaks off is repeated here.
_COPY_ATTEMPTS = 3
# Smaller files are copied whole: their requests would cost more than their bytes.
SPARSE_BYTES = 2 * 1024 * 1024


class FileChangedError(StoreError):
    """A file is gone or another version than the one listed; the next run lists it again."""


@contextmanager
def local_copy(
    file: FileVersion,
    paths: Sequence[LakePath],
    tmp_dir: Path,
    environ: Mapping[str, str] | None = None,
    columns: Collection[str] | None = None,
    start: int = 0,
) -> Iterator[Path]:
    """A local file with the content of `file`; what was made for it goes when the block ends.

    Args:
        file: from `list_files`.
        paths: the source's lake paths.
        tmp_dir: where a copy may lie, on a disk with room for `file.size` bytes.
        environ: where the store's credentials come from; this process's environment when None.
        columns: names, in lower case, of the only columns that will be read; None for all. A file
            that `is_partial` is then copied without its other columns.
        start: from where on the bytes of a file that grows are needed; a copy has a hole before.

    Raises:
        FileChangedError: when the file is gone, or changed since it was listed.
        StoreError: when the store does not give it.
        pa.ArrowException: when it is not a parquet file; only with `columns`.
    """
    path = paths[file.lake_path]
    location = file.location or file.path
    if _is_on_disk(path):
        with _local(file, location, tmp_dir) as copy:
            yield copy
        return
    store = filesystem(path, os.environ if environ is None else environ)
    target = _scratch_name(tmp_dir)
    try:
        if columns is not None and is_partial(file, paths):
            _copy_columns(store, file, location, target, columns, dated=path.format != DELTA)
        else:
            _download(store, file, location, target, start, may_grow=path.grows)
        yield target
    finally:
        target.unlink(missing_ok=True)


def is_partial(file: FileVersion, paths: Sequence[LakePath]) -> bool:
    """True when a copy of only some columns is worth it: large, and not on a disk of ours."""
    path = paths[file.lake_path]
    return file.size >= SPARSE_BYTES and path.format != JSON and not _is_on_disk(path)


def is_remote(paths: Iterable[LakePath]) -> bool:
    """True when some of a source's paths lie on a store."""
    return not all(map(_is_on_disk, paths))


def _is_on_disk(path: LakePath) -> bool:
    return split_uri(path.template)[0] in ("", "file")


def check_unchanged(file: FileVersion, paths: Sequence[LakePath]) -> None:
    """Raises FileChangedError when a file on a disk is another version than the one listed.

    One that grows may be longer by now: only what was listed of it was read.
    """
    path = paths[file.lake_path]
    if not _is_on_disk(path):
        return  # its copy was checked when it was made
    try:
        status = Path(file.location or file.path).stat()
    except OSError as error:
        raise _gone(file) from error
    has_grown = path.grows and status.st_size > file.size
    # Files of a Delta table never change; its log has a time of its own.
    is_as_old = status.st_mtime_ns == file.mtime_ns or path.format == DELTA
    if not has_grown and not (status.st_size == file.size and is_as_old):
        raise _changed(file)


def _gone(file: FileVersion) -> FileChangedError:
    return FileChangedError(
        f"{file.path}: was removed after it was listed: the next run lists it again"
    )


def _changed(file: FileVersion) -> FileChangedError:
    return FileChangedError(f"{file.path}: changed since it was listed: the next run reads it")


@contextmanager
def _local(file: FileVersion, location: str, tmp_dir: Path) -> Iterator[Path]:
    """The file itself, or a link to it where its name would be read as a pattern."""
    try:
        with Path(location).open("rb") as opened:
            opened.read(1)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise _gone(file) from error
    except OSError as error:
        raise store_error(file.path, "cannot be read", error) from error
    if location.isprintable() and not set("*?[{") & set(location):
        yield Path(location)
        return
    link = _scratch_name(tmp_dir)
    link.unlink()
    link.symlink_to(location)
    try:
        yield link
    finally:
        link.unlink()


def _scratch_name(tmp_dir: Path) -> Path:
    handle, name = tempfile.mkstemp(suffix=".parquet", dir=tmp_dir)
    os.close(handle)
    return Path(name)


def _download(
    store: Any,
    file: FileVersion,
    location: str,
    target: Path,
    start: int = 0,
    *,
    may_grow: bool = False,
) -> None:
    for left in reversed(range(_COPY_ATTEMPTS)):
        try:
            with target.open("wb") as local:
                if start:
                    local.seek(start)
                    with store.open_input_file(location) as remote:
                        remote.seek(start)
                        shutil.copyfileobj(remote, local, _COPY_BYTES)
                else:
                    with store.open_input_stream(location) as remote:
                        shutil.copyfileobj(remote, local, _COPY_BYTES)
            break
        except FileNotFoundError as error:
            raise _gone(file) from error
        except OSError as error:
            if not left:
                raise store_error(file.path, "cannot be read", error) from error
    size = target.stat().st_size
    if size != file.size and not (may_grow and size > file.size):
        raise _changed(file)


def _copy_columns(
    store: Any,
    file: FileVersion,
    location: str,
    target: Path,
    columns: Collection[str],
    *,
    dated: bool,
) -> None:
    for left in reversed(range(_COPY_ATTEMPTS)):
        try:
            with store.open_input_file(location) as remote:
                if remote.size() != file.size:
                    raise _changed(file)
                partial.copy(remote, target, columns)
            info = store.get_file_info(location)
            break
        except FileNotFoundError as error:
            raise _gone(file) from error
        except OSError as error:
            if not left:
                raise store_error(file.path, "cannot be read", error) from error
    # A store may list times in finer steps than it tells of a single file.
    is_other = dated and abs((info.mtime_ns or 0) - file.mtime_ns) >= 1_000_000_000
    if info.size != file.size or is_other:
        raise _changed(file)
