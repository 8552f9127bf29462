"""A real S3 server on loopback, and a proxy before it that spoils what passes."""

from __future__ import annotations

import http.client
import logging
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import boto3
from moto.server import ThreadedMotoServer


class Server:
    """A real S3 server on loopback, the requests it saw, and the environment that reaches it."""

    def __init__(self, url: str, requests: list[str]) -> None:
        self.url, self.requests = url, requests
        self.environ = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "word",
        }
        self.client = boto3.client(
            "s3",
            endpoint_url=url,
            aws_access_key_id="key",
            aws_secret_access_key="word",  # noqa: S106 - the server takes any
            region_name="us-east-1",
        )

    def bucket(self, name: str, *keys: str, content: bytes = b"x") -> None:
        self.client.create_bucket(Bucket=name)
        for key in keys:
            self.client.put_object(Bucket=name, Key=key, Body=content)


class _Requests(logging.Handler):
    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self.seen = seen

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.getMessage())


@lru_cache
def start_s3() -> Server:
    """The one server of a test run; it goes with the process."""
    seen: list[str] = []
    log = logging.getLogger("werkzeug")
    log.handlers, log.propagate = [_Requests(seen)], False
    log.setLevel(logging.INFO)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return Server(f"http://{host}:{port}", seen)


@dataclass
class Faults:
    """How often, of a thousand requests, each thing goes wrong; `latency_s` is added to all."""

    busy: int = 0
    cut: int = 0
    dropped: int = 0
    latency_s: float = 0.0
    dead_after: int | None = None
    rng: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - no secret

    def next(self) -> str:
        """What happens to the next request: busy, cut, dropped or nothing."""
        number = self.rng.randrange(1000)
        for name in ("busy", "cut", "dropped"):
            number -= getattr(self, name)
            if number < 0:
                return name
        return ""


class Proxy:
    """Passes requests on to a server; counts body bytes by path, and spoils some as told."""

    def __init__(self, server: Server, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.sent: Counter[str] = Counter()
        self.spoiled: Counter[str] = Counter()
        self.requests = 0
        self.lock = threading.Lock()
        upstream = urlsplit(server.url)
        handler = type("Handler", (_Handler,), {"proxy": self, "upstream": upstream.netloc})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.environ = {**server.environ, "AWS_ENDPOINT_URL": self.url}

    def __enter__(self) -> Proxy:
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.http.shutdown()
        self.http.server_close()

    def fate(self) -> str:
        """Counts a request and says what becomes of it."""
        with self.lock:
            self.requests += 1
            dead = self.faults.dead_after
            what = "busy" if dead is not None and self.requests > dead else self.faults.next()
            self.spoiled[what] += bool(what)
            return what


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy
    upstream: str

    def do_GET(self) -> None:
        time.sleep(self.proxy.faults.latency_s)
        what = self.proxy.fate()
        if what == "dropped":
            self.close_connection = True
        elif what == "busy":
            self._answer(503, {}, b"" if self.command == "HEAD" else _BUSY)
        else:
            self._pass_on(cut=what == "cut")

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def _pass_on(self, *, cut: bool) -> None:
        upstream = http.client.HTTPConnection(self.upstream)
        upstream.request(self.command, self.path, headers=dict(self.headers))
        answer = upstream.getresponse()
        body = answer.read()
        upstream.close()
        headers = {
            name: value
            for name, value in answer.getheaders()
            if name.lower() not in ("connection", "transfer-encoding", "content-length")
        }
        length = answer.getheader("Content-Length") if self.command == "HEAD" else len(body)
        self._answer(answer.status, headers, body[: len(body) // 2] if cut else body, length)
        if cut:
            self.close_connection = True

    def _answer(
        self, status: int, headers: dict[str, str], body: bytes, length: Any = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        with self.proxy.lock:
            self.proxy.sent[self.path.partition("?")[0]] += len(body)

    def log_message(self, *_: object) -> None:
        """Keeps the test's output clean."""

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


_BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Slow down</Message></Error>"
