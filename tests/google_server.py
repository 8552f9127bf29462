"""A Google storage server on loopback: an emulator whose lists come in pages, as Google's do.

It runs in a process of its own: pyarrow waits for a store while it keeps Python from running, so
that a server in the same process would never answer.
"""

from __future__ import annotations

import atexit
import json
import logging
import re
import subprocess
import sys
import threading
from functools import lru_cache, partial
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.request import Request as Asked
from urllib.request import urlopen

from gcp_storage_emulator.handlers import objects
from gcp_storage_emulator.server import Request, RequestHandler, Response
from gcp_storage_emulator.storage import Storage
from pyarrow import fs

from gundog.lake.path import LakePath

PAGE = 1000  # entries of one answer


class Server:
    """An emulator, the requests it saw, and a client that fills it."""

    def __init__(self) -> None:
        # It ends when its input does, whatever becomes of this process.
        self._child = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout
        host = f"127.0.0.1:{self._child.stdout.readline().strip()}"
        self.url = f"http://{host}"
        self._client = fs.GcsFileSystem(anonymous=True, scheme="http", endpoint_override=host)

    def stop(self) -> None:
        """Ends the emulator, as its input does."""
        self._child.communicate(timeout=60)

    def requests(self) -> list[str]:
        """What was asked since this was called before."""
        found: list[str] = self._ask("/seen")
        return found

    def use_pages_of(self, size: int) -> None:
        """How many entries one answer to a list has from now on."""
        self._ask(f"/page/{size}")

    def bucket(self, name: str, *keys: str, content: bytes = b"x") -> None:
        """Makes a bucket with these objects."""
        self._ask("/storage/v1/b", {"name": name})
        for key in keys:
            self.put(name, key, content)

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Writes an object."""
        with self._client.open_output_stream(f"{bucket}/{key}") as out:
            out.write(content)

    def path(self, template: str, **options: Any) -> LakePath:
        """A lake path that leads to this server."""
        return LakePath(template, endpoint=self.url, anonymous=True, **options)

    def _ask(self, path: str, body: dict[str, str] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        with urlopen(Asked(self.url + path, data, headers), timeout=30) as answer:  # noqa: S310
            return json.load(answer)


@lru_cache
def start() -> Server:
    """The one server of a test run; it goes with the process."""
    server = Server()
    atexit.register(server.stop)
    return server


class _Handler(RequestHandler):
    seen: ClassVar[list[str]] = []
    page = PAGE

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        request, answer = Request(self, "GET"), Response(self)
        listing = re.fullmatch(r"/storage/v1/b/(?P<bucket_name>[^/]+)/o", request.path)
        if request.path == "/seen":
            answer.json(list(_Handler.seen))
            _Handler.seen.clear()
        elif request.path.startswith("/page/"):
            _Handler.page = int(request.path.rpartition("/")[2])
            answer.json(_Handler.page)
        else:
            _Handler.seen.append(self.path)
            if listing is None:
                super().do_GET()
                return
            request.set_match(listing)
            objects.ls(request, _Paged(answer, request, _Handler.page), self.storage)
        answer.close()

    def log_message(self, *_: object) -> None:
        """Keeps the test's output clean."""


class _Paged:
    """Answers a list with a part of it, and with where the next part begins."""

    def __init__(self, answer: Any, request: Any, size: int) -> None:
        self._answer, self._size = answer, size
        self._start = int((request.query.get("pageToken") or ["0"])[0] or 0)

    @property
    def status(self) -> HTTPStatus:
        found: HTTPStatus = self._answer.status
        return found

    @status.setter
    def status(self, value: HTTPStatus) -> None:
        self._answer.status = value

    def json(self, listed: dict[str, Any]) -> None:
        items = listed.get("items", [])
        end = self._start + self._size
        if "items" in listed:
            listed = {**listed, "items": items[self._start : end]}
        if end < len(items):
            listed["nextPageToken"] = str(end)
        self._answer.json(listed)


def main() -> None:
    """Serves on a port that it prints, until its input ends."""
    logging.disable(logging.CRITICAL)
    handler = partial(_Handler, Storage(use_memory_fs=True))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        sys.stdout.write(f"{server.server_port}\n")
        sys.stdout.flush()
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
