"""A finished file put where it is wanted: whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gundog.core import places
from gundog.core.errors import InputError, StoreError
from gundog.core.fields import unknown
from gundog.lake import object_store
from gundog.lake.path import SCHEMES, LakePath, split_uri
from gundog.lake.refusals import store_error


def inside(folder: str, name: str) -> str:
    """The place of a file in a folder or below an address.

    >>> inside("s3://bucket/out/", "findings.csv"), inside("/", "findings.csv")
    ('s3://bucket/out/findings.csv', '/findings.csv')
    """
    return f"{folder.rstrip('/')}/{name}"


@contextmanager
def file(place: str, environ: Mapping[str, str]) -> Iterator[Path]:
    """An empty file to write into; it comes to `place` when the block ends without an error.

    Args:
        place: a path, or an address in an object store. The folder of a path is made.
        environ: where the store's credentials are looked for.

    Raises:
        InputError: when it cannot be written there; what was there stays.
    """
    scheme, _, rest = _checked(place)
    if scheme in ("", "file"):
        path = Path(f"/{rest}" if scheme else place)
        with _beside(path) as aside:
            yield aside
            _settle(aside, path)
    else:
        with tempfile.TemporaryDirectory(prefix="gundog-") as folder:
            aside = Path(folder) / "export"
            aside.touch(0o600)
            yield aside
            _upload(aside, place, environ)


def _checked(place: str) -> tuple[str, str, str]:
    """Scheme, authority and rest of a place where a file can be written."""
    scheme, authority, rest = split_uri(place)
    if scheme and scheme not in SCHEMES:
        raise InputError(f"--out: gundog cannot write there: {unknown(scheme, SCHEMES, 'scheme')}")
    if scheme not in ("", "file") and not (authority and rest.strip("/")):
        raise InputError(f"{place}: names no file: write one such as {scheme}://bucket/gundog.csv")
    return scheme, authority, rest


def _target(path: Path) -> Path:
    return path.resolve() if path.is_symlink() else path


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """An empty file in the folder of `path`, for this account alone; gone afterwards."""
    target = _target(path)
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        places.check_files([target])
        places.folder(target.parent)
        with places.private():
            aside.touch(0o600)
    except StoreError as error:
        raise InputError(f"{error}; or give another --out") from error
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _settle(aside: Path, path: Path) -> None:
    """Renames into place; an old file's mode and link stay, a new one is for its group."""
    target = _target(path)
    try:
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        places.give_access(aside, target)
        aside.replace(target)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> InputError:
    reason = error.strerror or type(error).__name__
    return InputError(
        f"{path}: cannot be written ({reason}): let this account write there, or give another --out"
    )


def _upload(aside: Path, address: str, environ: Mapping[str, str]) -> None:
    _, authority, rest = split_uri(address)
    # pyarrow names a place on a store by its bucket or container, not by its host.
    location = f"{authority.partition('@')[0]}/{rest}"
    try:
        store = object_store.filesystem(LakePath(address), environ)
        with aside.open("rb") as source, store.open_output_stream(location) as out:
            shutil.copyfileobj(source, out)
    except object_store.Failure as error:
        raise InputError(str(store_error(address, "cannot be written", error))) from error
    except StoreError as error:
        raise InputError(str(error)) from error
