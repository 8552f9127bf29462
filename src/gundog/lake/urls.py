"""Addresses of stores as people have them at hand, as lake paths have them."""

from __future__ import annotations

import re
from pathlib import Path

from gundog.core.errors import InputError
from gundog.core.fields import unknown
from gundog.lake.path import SCHEMES, LakePath, split_uri

_SCHEMES = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss", "wasb": "abfss",
            "wasbs": "abfss", "az": "abfss"}  # fmt: skip
_AZURE = re.compile(r"https?://([^./]+)\.(?:blob|dfs)\.core\.([^/:]+)(?:/([^/?]*)/?([^?]*))?")
# The emulator names the account in the path.
_EMULATOR = re.compile(r"(https?://[^/]+)/(devstoreaccount1)(?:/([^/?]*)/?([^?]*))?")
_S3 = re.compile(r"https?://([^/]+)\.s3[.-](?:([a-z0-9-]+)\.)?amazonaws\.com/?([^?]*)")
_GOOGLE = re.compile(r"https?://storage\.(?:cloud\.)?google(?:apis)?\.com/([^/?]+)/?([^?]*)")


def place(url: str, endpoint: str | None = None) -> LakePath:
    """The place that a URL, as portals and tools show it, or a folder on a disk means.

    >>> place("https://acc.blob.core.windows.net/logs/a").template
    'abfss://logs@acc.dfs.core.windows.net/a'
    >>> place("s3a://bucket/a/").template
    's3://bucket/a'

    Raises:
        InputError: when it is none, or holds a key.
    """
    if re.search(r"AccountKey=|SharedAccessSignature=|[?&]sig=", url, re.IGNORECASE):
        raise InputError(
            "--from: holds a key or a shared access signature, which gundog does not use: write the"
            " URL without it, and set AZURE_STORAGE_ACCOUNT_KEY, or sign in with az login"
        )
    if match := _AZURE.fullmatch(url):
        account, cloud, container, rest = match.groups(default="")
        return _azure(f"{account}.dfs.core.{cloud}", container, rest, endpoint)
    if match := _EMULATOR.fullmatch(url):
        server, account, container, rest = match.groups(default="")
        host = f"{account}.dfs.core.windows.net"
        return _azure(host, container, rest, endpoint or server)
    if match := _S3.fullmatch(url):
        bucket, region, rest = match.groups(default="")
        return LakePath(_joined(f"s3://{bucket}", rest), endpoint=endpoint, region=region or None)
    if match := _GOOGLE.fullmatch(url):
        return LakePath(_joined(f"gs://{match[1]}", match[2]), endpoint=endpoint)
    return _said(url, endpoint)


def _azure(host: str, container: str, rest: str, endpoint: str | None) -> LakePath:
    authority = f"{container}@{host}" if container else host
    return LakePath(_joined(f"abfss://{authority}", rest), endpoint=endpoint)


def _joined(start: str, rest: str) -> str:
    return f"{start}/{rest.strip('/')}" if rest.strip("/") else start


def _said(url: str, endpoint: str | None) -> LakePath:
    scheme, authority, rest = split_uri(url)
    if not scheme or scheme == "file":
        return LakePath(str(Path(f"/{rest}" if scheme else url).absolute()))
    scheme = _SCHEMES.get(scheme, scheme)
    if scheme not in SCHEMES:
        raise InputError(
            f"--from: begins with an {unknown(scheme, SCHEMES, 'scheme', secret=True)}"
        )
    if scheme == "abfss":
        authority = authority.replace(".blob.core.", ".dfs.core.")
        if "." not in authority:
            raise InputError(
                "--from: needs abfss://CONTAINER@ACCOUNT.dfs.core.windows.net, or without"
                " CONTAINER@ for all of an account"
            )
    elif not authority or "@" in authority:
        raise InputError(f"--from: needs the bucket's plain name: write {scheme}://BUCKET/FOLDER")
    return LakePath(_joined(f"{scheme}://{authority}", rest), endpoint=endpoint)
