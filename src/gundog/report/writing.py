"""A finished page put where people find it: whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gundog.core import places
from gundog.core.errors import InputError, StoreError
from gundog.lake import object_store
from gundog.lake.path import LakePath, split_uri
from gundog.lake.refusals import store_error

_TYPE = {"Content-Type": "text/html; charset=utf-8"}


def write(place: str, html: str, environ: Mapping[str, str]) -> None:
    """Writes the page in place of the last one.

    Args:
        place: a path, or an address in an object store.
        html: the page.
        environ: where the store's credentials are looked for.

    Raises:
        InputError: when it cannot be written there; the last page stays.
    """
    if "://" in place:
        _put(place, html, environ)
    else:
        _replace(Path(place), html)


def _replace(path: Path, html: str) -> None:
    """Writes aside and renames; a new file is for its group, an old one's mode and link stay."""
    target = path.resolve() if path.is_symlink() else path
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        places.check_files([target])
        places.folder(target.parent)
        with places.private(), aside.open("w", encoding="utf-8", newline="\n") as file:
            file.write(html)
            file.flush()
            os.fsync(file.fileno())
        places.give_access(aside, target)
        aside.replace(target)
    except StoreError as error:
        raise InputError(f"{error}; or name another file for the report") from error
    except OSError as error:
        aside.unlink(missing_ok=True)
        reason = error.strerror or type(error).__name__
        raise InputError(
            f"{path}: the report cannot be written ({reason}): let this account write there, or"
            " name another file"
        ) from error


def _put(address: str, html: str, environ: Mapping[str, str]) -> None:
    """Puts the page into an object store, which shows it when all of it has arrived."""
    _, authority, rest = split_uri(address)
    # pyarrow names a place on a store by its bucket or container, not by its host.
    location = f"{authority.partition('@')[0]}/{rest}"
    try:
        store = object_store.filesystem(LakePath(address), environ)
        with store.open_output_stream(location, metadata=_TYPE) as file:
            file.write(html.encode())
    except object_store.Failure as error:
        told = store_error(address, "the report cannot be written", error)
        raise InputError(str(told)) from error
    except StoreError as error:
        raise InputError(str(error)) from error
