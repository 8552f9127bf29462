"""A Delta table's own list of its files: what its newest snapshot holds, and nothing else."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from gundog.core.errors import StoreError
from gundog.core.times import Interval
from gundog.lake import layout
from gundog.lake.file_version import FileVersion
from gundog.lake.path import LakePath, split_uri
from gundog.lake.refusals import store_error

# What a reader must know of a table that changes nothing about rows in its parquet files.
_HARMLESS = frozenset({"timestampNtz", "vacuumProtocolCheck", "v2Checkpoint"})
_WITH_VECTORS = "deletionVectors"
_TENANT = "tenantid"
# Statistics are cut to milliseconds, the latest time downwards.
_CUT = timedelta(milliseconds=1)


def list_table(
    source: str,
    index: int,
    path: LakePath,
    span: Interval | None,
    root: Path,
    environ: Mapping[str, str],
) -> Iterator[FileVersion]:
    """The files of a table's newest snapshot that can hold rows of `span`; all files when None.

    A file without statistics of its times always counts.

    Raises:
        StoreError: when the table cannot be read, has what gundog would read wrongly, or names a
            file outside its folder.
    """
    place = layout.parse_layout(path, root)
    folder = "/".join((place.base.rstrip("/"), *place.segments))
    for row in _rows(path, folder, environ):
        below = _inside(path, row["path"])
        if span is None or _may_overlap(row, path, span):
            location = f"{folder}/{below}"
            partition = dict(_partition(row))
            yield FileVersion(
                source=source,
                path=layout.shown_place(place, location),
                size=row["size_bytes"],
                mtime_ns=row["modification_time"] * 1_000_000,
                covers=None,
                tenant=next(
                    (text for name, text in partition.items() if name.lower() == _TENANT), None
                ),
                lake_path=index,
                partition_by="event",
                reading=path.reading,
                partition=tuple(sorted(partition.items())),
                location=location,
            )


def _rows(path: LakePath, folder: str, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    try:
        from deltalake import DeltaTable
    except ImportError as error:
        raise StoreError(
            f"{path.template}: format: delta needs the package deltalake:"
            " install it with pip install 'gundog[delta]'"
        ) from error
    scheme = split_uri(path.template)[0]
    uri = folder if scheme in ("", "file") else path.template.rstrip("/")
    try:
        table = DeltaTable(uri, storage_options=_options(path, environ))
        _check(path, table)
        rows: list[dict[str, Any]] = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    except StoreError:
        raise
    except Exception as error:  # its client raises kinds of its own, and others
        raise store_error(path.template, "cannot be read as a Delta table", error) from error
    return rows


def _check(path: LakePath, table: Any) -> None:
    """Raises StoreError for a table whose parquet files are not all that its rows are."""
    mapping = table.metadata().configuration.get("delta.columnMapping.mode") or "none"
    features = set(table.protocol().reader_features or ())
    if mapping != "none" or "columnMapping" in features:
        raise StoreError(
            f"{path.template}: its columns have other names in its files (column mapping), which"
            " gundog does not read: write the table again without it, or name parquet files"
        )
    if unknown := sorted(features - _HARMLESS - {_WITH_VECTORS}):
        raise StoreError(
            f"{path.template}: needs {', '.join(unknown)} of whoever reads it, which gundog does"
            " not know: write the table again without it, or name parquet files"
        )
    if _WITH_VECTORS in features and (count := _count_vectors(table)):
        raise StoreError(
            f"{path.template}: {count} of its files have deletion vectors, which gundog does not"
            " read: rewrite them (REORG TABLE … APPLY (PURGE)) and turn the vectors off"
        )


def _count_vectors(table: Any) -> int:
    return int(pa.table(table.deletion_vectors()).num_rows)


def _inside(path: LakePath, listed: str) -> str:
    """Where a file lies below the table's folder."""
    below = posixpath.normpath(unquote(listed))
    if "://" in listed or below.startswith(("/", "../")) or below in ("..", "."):
        raise StoreError(
            f"{path.template}: its log names a file outside of the table ({below}), which is not"
            " read: name the table that holds the file"
        )
    return below


def _partition(row: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    for name, value in row.items():
        if name.startswith("partition."):
            yield name.removeprefix("partition."), None if value is None else str(value)


def _may_overlap(row: Mapping[str, Any], path: LakePath, span: Interval) -> bool:
    column = path.columns.get("Timestamp", "Timestamp")
    first, last = (_moment(row.get(f"{edge}.{column}")) for edge in ("min", "max"))
    if first is None or last is None:
        return True
    # Rows without a time are in no statistics, and are counted where their file is read.
    return bool(row.get(f"null_count.{column}")) or (first < span.end and last + _CUT > span.start)


def _moment(value: Any) -> datetime | None:
    """A statistic as a time; None for one of another type."""
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _options(path: LakePath, environ: Mapping[str, str]) -> dict[str, str]:
    """What the table's client is told of the store; the rest it finds as gundog's own does."""
    scheme = split_uri(path.template)[0]
    get = environ.get
    options: dict[str, str | None] = {}
    if scheme == "s3":
        endpoint = path.endpoint or get("AWS_ENDPOINT_URL_S3") or get("AWS_ENDPOINT_URL")
        region = path.region or get("AWS_REGION") or get("AWS_DEFAULT_REGION")
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
        options = {name: None if path.anonymous else get(name) for name in names}
        options |= {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": region or ("us-east-1" if endpoint else None),
            "AWS_SKIP_SIGNATURE": "true" if path.anonymous else None,
            "AWS_ALLOW_HTTP": _if_plain(endpoint),
        }
    elif scheme == "abfss":
        options = {
            "azure_storage_account_key": get("AZURE_STORAGE_ACCOUNT_KEY")
            or get("AZURE_STORAGE_KEY"),
            "azure_storage_endpoint": path.endpoint,
            "azure_skip_signature": "true" if path.anonymous else None,
            "allow_http": _if_plain(path.endpoint),
        }
    return {name: value for name, value in options.items() if value}


def _if_plain(endpoint: str | None) -> str | None:
    return "true" if (endpoint or "").lower().startswith("http://") else None
