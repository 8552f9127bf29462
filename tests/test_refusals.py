"""Refusals of stores: what the clients say becomes one sentence with its cure."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gundog.core.errors import StoreError
from gundog.lake.fetch import local_copy
from gundog.lake.file_version import FileVersion
from gundog.lake.listing import LakePath, list_files
from gundog.lake.refusals import store_error

EXPIRED = "the credentials have expired: renew them in the environment"
SILENT = (
    "the store refuses the request and does not say why, as it does when a session token has"
    " expired: renew the credentials in the environment"
)
CHECK = "check the credentials in the environment, or set anonymous: true for a public bucket"
BODY = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>ExpiredToken</Code>'
    b"<Message>The provided token has expired.</Message></Error>"
)


class _Expired(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(400)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY if self.command == "GET" else b"")

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        """Keeps the test's output clean."""


@pytest.fixture
def expired() -> Iterator[LakePath]:
    """A path on an S3 server to which every token has expired."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Expired)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield LakePath("s3://b/%Y-%m-%d/*", endpoint=f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()


def test_listing_with_an_expired_token_says_so(expired: LakePath) -> None:
    """The store names the reason, and so does the sentence."""
    with pytest.raises(StoreError) as caught:
        list_files("Cloud", [expired], None, Path("/nowhere"), {})

    assert str(caught.value) == f"s3://b/: cannot be listed: {EXPIRED}"


def test_reading_with_an_expired_token_says_so(expired: LakePath, tmp_path: Path) -> None:
    """The answer to a request for a file's size has no words; the sentence finds them."""
    path = "b/2026-01-05/a.parquet"
    file = FileVersion("Cloud", f"s3://{path}", 5, 0, None, location=path)

    with pytest.raises(StoreError) as caught, local_copy(file, [expired], tmp_path, {}):
        pass

    assert str(caught.value) == f"s3://{path}: cannot be read: {SILENT}"


@pytest.mark.parametrize(
    ("said", "cure"),
    [
        (
            "403 not authorized to perform this operation using this permission.",
            "Storage Blob Data Reader",
        ),
        ("403 KeyBasedAuthenticationNotPermitted", "unset AZURE_STORAGE_ACCOUNT_KEY"),
        ("409 Public access is not permitted: PublicAccessNotPermitted", "az login"),
        ("403 AuthorizationFailure", "firewall"),
        ("403 Server failed to authenticate the request. AuthorizationFailure", "credentials"),
        (
            "DefaultAzureCredential: Failed to get token from any of the credentials",
            "AZURE_CLIENT_SECRET",
        ),
        ("404 The specified container does not exist. ContainerNotFound", "no such container"),
        ("AWS Error NO_SUCH_BUCKET during ListObjectsV2: The specified bucket", "no such bucket"),
        ("AWS Error INVALID_ACCESS_KEY_ID during ListObjectsV2", "AWS_ACCESS_KEY_ID"),
        ("AWS Error SIGNATURE_DOES_NOT_MATCH during", "AWS_SECRET_ACCESS_KEY"),
        (
            "PERMISSION_DENIED: a@b.example does not have storage.objects.list access to x",
            "Storage Object Viewer",
        ),
        ("Could not create a OAuth2 access token to authenticate", "gcloud auth"),
    ],
)
def test_identities_that_may_not_read_are_told_what_lacks(said: str, cure: str) -> None:
    """In our words: a store's own name a code."""
    text = str(store_error("x", "cannot be listed", OSError(said)))

    assert text.startswith("x: cannot be listed: ")
    assert cure in text
    assert said not in text


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("AWS Error EXPIRED_TOKEN during ListObjectsV2 operation", EXPIRED),
        ("Unable to parse ExceptionName: ExpiredToken Message: The token has expired.", EXPIRED),
        ("AuthenticationFailed: Signature not valid in the specified time frame", EXPIRED),
        ("google::cloud::Status(UNAUTHENTICATED: invalid_grant)", EXPIRED),
        (
            "AWS Error UNKNOWN (HTTP status 400) during HeadObject operation: No response body.",
            SILENT,
        ),
        ("a thing\n that\t nobody knows", "a thing that nobody knows: run `gundog check --lake`"),
        (
            "AWS Error ACCESS_DENIED: no",
            f"AWS Error ACCESS_DENIED: no: {CHECK}",
        ),
    ],
)
def test_one_sentence_says_what_to_do(said: str, meant: str) -> None:
    """Known answers in our words, others in the store's and with a hint."""
    assert str(store_error("x", "fails", OSError(said))) == f"x: fails: {meant}"
