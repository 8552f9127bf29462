"""Real servers on the loopback that take messages: HTTP and SMTP, answering as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


@dataclass
class Request:
    """What the sink was sent; `body` is parsed where it is JSON."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class Sink:
    """A loopback HTTP server; `script` holds the answers to come, 200 when it is used up.

    An answer is a status, a status with headers and perhaps a text, "hang", "drop", or a function
    that returns one of these.
    """

    port: int = 0
    script: list[Any] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hook", scheme: str = "http", user: str = "") -> str:
        return f"{scheme}://{user}127.0.0.1:{self.port}{path}"

    def keys(self) -> list[str]:
        return [one.headers["Idempotency-Key"] for one in self.requests]


def _handler_of(sink: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.take()

        def do_GET(self) -> None:
            self.take()

        def take(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sink.requests.append(Request(self.command, self.path, dict(self.headers), _body(raw)))
            answer = sink.script.pop(0) if sink.script else 200
            if callable(answer):
                answer = answer()
            if answer == "hang":
                sink.released.wait(30)
            elif answer != "drop":
                status, headers, *text = answer if isinstance(answer, tuple) else (answer, {})
                said = "".join(text).encode()
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _body(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return raw.decode()


@contextmanager
def http_sink() -> Iterator[Sink]:
    """A sink that serves until the block ends."""
    made = Sink()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(made))
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield made
    finally:
        made.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Letter:
    """A mail as the server took it."""

    sender: str
    recipients: list[str]
    message: EmailMessage

    def part(self, kind: str) -> str:
        body = self.message.get_body((kind,))
        assert body is not None
        return str(body.get_content()).replace("\r\n", "\n")


@dataclass
class PostOffice:
    """A loopback SMTP server; `refuse` maps a recipient, or DATA, to the answer it gets."""

    port: int = 0
    letters: list[Letter] = field(default_factory=list)
    refuse: dict[str, str] = field(default_factory=dict)

    # Names and arguments are those that the server calls with.
    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any
    ) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        if "DATA" in self.refuse:
            return self.refuse["DATA"]
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.letters.append(Letter(envelope.mail_from, envelope.rcpt_tos, message))
        return "250 OK"


class _AnyPort(Controller):
    """Asks the system for a free port and knows which it got."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def smtp_sink(**options: Any) -> Iterator[PostOffice]:
    """A post office that serves until the block ends; options are the server's own."""
    office = PostOffice()
    controller = _AnyPort(office, hostname="127.0.0.1", port=0, **options)
    controller.start()
    try:
        office.port = controller.port
        yield office
    finally:
        controller.stop()
