"""Tests of lake.urls: addresses as portals and tools show them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gundog.core.errors import InputError
from gundog.lake import urls


@pytest.mark.parametrize(
    ("url", "template"),
    [
        ("abfss://logs@acc.dfs.core.windows.net/", "abfss://logs@acc.dfs.core.windows.net"),
        ("abfss://acc.dfs.core.windows.net", "abfss://acc.dfs.core.windows.net"),
        ("https://acc.blob.core.windows.net/", "abfss://acc.dfs.core.windows.net"),
        (
            "https://acc.blob.core.windows.net/logs/a/b/",
            "abfss://logs@acc.dfs.core.windows.net/a/b",
        ),
        ("https://acc.dfs.core.usgovcloudapi.net/l", "abfss://l@acc.dfs.core.usgovcloudapi.net"),
        ("wasbs://logs@acc.blob.core.windows.net/a", "abfss://logs@acc.dfs.core.windows.net/a"),
        ("s3a://bucket/a/", "s3://bucket/a"),
        ("https://bucket.s3.eu-west-1.amazonaws.com/a", "s3://bucket/a"),
        ("https://storage.googleapis.com/bucket/a", "gs://bucket/a"),
        ("gs://bucket", "gs://bucket"),
        ("file:///data/lake", "/data/lake"),
    ],
)
def test_addresses_are_understood(url: str, template: str) -> None:
    """Each means one place."""
    assert urls.place(url).template == template


def test_what_an_address_says_besides_is_kept() -> None:
    """Its region, and the server of the emulator, unless one is said."""
    assert urls.place("https://b.s3.eu-west-1.amazonaws.com").region == "eu-west-1"
    place = urls.place("http://127.0.0.1:10000/devstoreaccount1/logs")
    assert place.template == "abfss://logs@devstoreaccount1.dfs.core.windows.net"
    assert place.endpoint == "http://127.0.0.1:10000"
    assert urls.place("s3://b", "http://127.0.0.1:9").endpoint == "http://127.0.0.1:9"
    assert urls.place("lake").template == str(Path("lake").absolute())


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://host/a", "begins with an unknown scheme"),
        ("abfss://logs", "needs abfss://CONTAINER@ACCOUNT"),
        ("s3://", "needs the bucket's plain name"),
        ("s3://key:secret@bucket", "needs the bucket's plain name"),
        ("DefaultEndpointsProtocol=https;AccountName=a;AccountKey=c2VjcmV0", "holds a key"),
        ("https://acc.blob.core.windows.net/logs?sv=1&sig=c2VjcmV0", "holds a key"),
    ],
)
def test_other_addresses_are_named(url: str, problem: str) -> None:
    """Without what may be a secret."""
    with pytest.raises(InputError, match=problem) as raised:
        urls.place(url)

    assert "ecret" not in str(raised.value)
    assert "c2Vjc" not in str(raised.value)
