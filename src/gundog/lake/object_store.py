"""Object stores: a filesystem for a path, and their errors in plain words."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
from pyarrow import fs

from gundog.core.errors import StoreError
from gundog.core.fields import unknown
from gundog.lake.layout import (
    Layout,
    as_bytes,
    shown_place,
)
from gundog.lake.path import SCHEMES, LakePath, split_uri
from gundog.lake.refusals import store_error

# pyarrow's own are 1 s, 3 s and 3 attempts, which a slow listing or one throttled minute outlasts.
# Six attempts back off about 15 s in all: a dead store still fails soon.
CONNECT_TIMEOUT_S = 10


REQUEST_TIMEOUT_S = 60


ATTEMPTS = 6


# For somebody who waits at a terminal, with two attempts.
_HASTY_TIMEOUT_S = 10


_PARALLEL_LISTINGS = 8


Failure = (OSError, pa.ArrowException)


def filesystem(path: LakePath, environ: Mapping[str, str], is_hasty: bool = False) -> Any:
    """The pyarrow filesystem that holds a lake path; nothing is asked of the store yet.

    `endpoint:` wins over AWS_ENDPOINT_URL. What `environ` does not say, the store's own client
    looks for where it always does: configuration files, then the machine's identity. With
    `is_hasty` it gives up a store that does not answer within seconds instead of a minute.

    Raises:
        StoreError: when the scheme is unknown or the store refuses its options.
    """
    scheme, authority, _ = split_uri(path.template)
    get = environ.get
    try:
        if scheme in ("", "file"):
            return fs.LocalFileSystem()
        if scheme == "s3":
            endpoint = path.endpoint or get("AWS_ENDPOINT_URL_S3") or get("AWS_ENDPOINT_URL")
            region = path.region or get("AWS_REGION") or get("AWS_DEFAULT_REGION")
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
            keys = (None,) * 3 if path.anonymous else tuple(get(name) or None for name in names)
            patience = (_HASTY_TIMEOUT_S, 2) if is_hasty else (REQUEST_TIMEOUT_S, ATTEMPTS)
            return _s3(endpoint, region, path.anonymous, patience, *keys)
        if scheme == "gs":
            timeout_s = _HASTY_TIMEOUT_S if is_hasty else REQUEST_TIMEOUT_S
            return _gcs(path.endpoint, path.anonymous, timeout_s)
        if scheme == "abfss":
            key = get("AZURE_STORAGE_ACCOUNT_KEY") or get("AZURE_STORAGE_KEY")
            return _azure(authority, path.endpoint, path.anonymous, key)
    except (*Failure, ValueError) as error:
        raise store_error(path.template, "cannot be reached", error) from error
    raise StoreError(f"{path.template}: {unknown(scheme, SCHEMES, 'scheme')}")


@lru_cache
def _s3(
    endpoint: str | None,
    region: str | None,
    anonymous: bool,
    patience: tuple[int, int],
    access_key: str | None,
    secret_key: str | None,
    session_token: str | None,
) -> Any:
    scheme, host = _split_endpoint(endpoint)
    timeout_s, attempts = patience
    return fs.S3FileSystem(
        access_key=access_key,
        secret_key=secret_key,
        session_token=session_token,
        anonymous=anonymous,
        # A private server ignores the region, but without one the client asks the network.
        region=region or ("us-east-1" if endpoint else None),
        scheme=scheme,
        endpoint_override=host,
        connect_timeout=CONNECT_TIMEOUT_S,
        request_timeout=timeout_s,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
    )


@lru_cache
def _gcs(endpoint: str | None, anonymous: bool, timeout_s: int) -> Any:
    scheme, host = _split_endpoint(endpoint)
    return fs.GcsFileSystem(
        anonymous=anonymous,
        scheme=scheme,
        endpoint_override=host,
        retry_time_limit=timedelta(seconds=timeout_s),
    )


@lru_cache
def _azure(authority: str, endpoint: str | None, anonymous: bool, key: str | None) -> Any:
    scheme, host = _split_endpoint(endpoint)
    try:
        base64.b64decode(key or "", validate=True)
    except ValueError as error:  # Azure's own client would end the process
        raise ValueError("the account key is not Base64 text") from error
    if scheme == "http" and not (key or anonymous):  # it would end the process here, too
        raise ValueError("an identity is not permitted for non TLS endpoints")
    if anonymous:
        # Only the URI form knows anonymous access.
        query = {"credential_kind": "anonymous"}
        if host:
            query |= {"blob_storage_authority": host, "dfs_storage_authority": host}
            query |= {"enable_tls": str(scheme == "https").lower()}
        store, _ = fs.FileSystem.from_uri(f"abfss://{authority}/?{urlencode(query)}")
        return store
    options = {"account_name": authority.partition("@")[2].partition(".")[0], "account_key": key}
    if host:
        options |= {"blob_storage_authority": host, "dfs_storage_authority": host}
        options |= {"blob_storage_scheme": scheme, "dfs_storage_scheme": scheme}
    return fs.AzureFileSystem(**options)


def _split_endpoint(endpoint: str | None) -> tuple[str, str | None]:
    scheme, host, _ = split_uri(endpoint or "")
    return scheme or "https", host or endpoint or None


def lists_folders(store: Any) -> bool:
    """False for a Google store, of which pyarrow lists files only, those in folders or all below.

    A star in a folder's place is then looked for among all files below the folder before it.
    """
    return bool(store.type_name != "gcs")


def list_folders(
    listing: Callable[[str], list[tuple[str, Any]]], folders: Sequence[str], in_threads: bool
) -> Iterator[list[tuple[str, Any]]]:
    if not in_threads or len(folders) < 2:
        yield from map(listing, folders)
        return
    with ThreadPoolExecutor(_PARALLEL_LISTINGS) as pool:
        try:
            yield from pool.map(listing, folders)
        finally:
            # After a failure the other folders would only fail one after the other.
            pool.shutdown(wait=False, cancel_futures=True)


def shown_entries(
    store: Any, layout: Layout, folder: str, recursive: bool
) -> list[tuple[str, Any]]:
    return entries_of(store, folder or "/", shown_place(layout, folder) or folder, recursive)


def entries_of(store: Any, folder: str, shown: str, recursive: bool) -> list[tuple[str, Any]]:
    selector = fs.FileSelector(as_bytes(folder), recursive=recursive, allow_not_found=True)
    try:
        return [(location_of(info), info) for info in store.get_file_info(selector)]
    except NotADirectoryError:
        return []
    except Failure as error:
        raise store_error(shown, "cannot be listed", error) from error


def location_of(info: Any) -> str:
    try:
        return str(info.path)
    except UnicodeDecodeError as error:
        return error.object.decode("utf-8", "surrogateescape")
