"""One HTTP request within a time limit, and how it went, in words that hold no address."""

from __future__ import annotations

import http.client
import ipaddress
import queue
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.error import URLError
from urllib.request import HTTPErrorProcessor, Request, build_opener

LONGEST_RETRY_AFTER_S = 24 * 3600.0
REDIRECT_HINT = ": redirects are not followed, write the address it leads to"


@dataclass(frozen=True)
class Answer:
    """How a channel took one try.

    Attributes:
        error: why it did not take the message, or None; never holds an address.
        retry_after_s: how long it asked to be left alone.
        reached: False when nothing answered, so that nothing else will arrive there either.
        remark: what is wrong although it took the message.
    """

    error: str | None = None
    retry_after_s: float | None = None
    reached: bool = True
    remark: str = ""


def in_time(timeout_s: float, work: Callable[[], Answer]) -> Answer:
    """What the work answers in at most `timeout_s`, names, connecting and slow answers included."""
    answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
    # A socket's own timeout starts again with every byte and does not cover the name's look-up.
    threading.Thread(target=lambda: answers.put(work()), daemon=True).start()
    try:
        return answers.get(timeout=timeout_s + 1)
    except queue.Empty:
        return late(timeout_s)


def late(timeout_s: float) -> Answer:
    """The answer that did not come."""
    return Answer(f"did not answer within {timeout_s:g} s", reached=False)


def call(
    url: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float,
    refused: Callable[[bytes], str] | None = None,
) -> Answer:  # fmt: skip
    """One request: a POST of `body`, or a GET without one.

    Args:
        url: http or https, without user and password.
        body: what to send.
        headers: besides the usual ones.
        timeout_s: the longest it may take.
        refused: looks into an answer of 200 for an error, for services that answer so.
    """
    return in_time(timeout_s, lambda: _request(url, body, headers, timeout_s, refused))


class _AnyStatus(HTTPErrorProcessor):
    """Returns every answer as it is: a redirect followed by urllib would lose the body."""

    def http_response(self, request: Request, response: Any) -> Any:  # noqa: ARG002 - urllib's signature
        return response

    https_response = http_response


def _request(
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    timeout_s: float,
    refused: Callable[[bytes], str] | None,
) -> Answer:
    try:
        request = Request(url, body, {"User-Agent": "gundog", **headers})  # noqa: S310 - http or https
        with build_opener(_AnyStatus).open(request, timeout=timeout_s) as response:
            answer = _read(response.status, response.headers)
            if answer.error is None and refused and (said := refused(response.read(10_000))):
                return Answer(said)
            return answer
    except (OSError, http.client.HTTPException, ValueError) as error:
        return failure(error.reason if isinstance(error, URLError) else error, timeout_s)


def _read(status: int, headers: Message) -> Answer:
    if 200 <= status < 300:
        return Answer()
    hint = REDIRECT_HINT if 300 <= status < 400 else ""
    return Answer(f"answered {status}{hint}", _retry_after(headers))


def _retry_after(headers: Message) -> float | None:
    """Seconds the answer asks to wait; a date counts from the answer's own Date."""
    value = (headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"\d{1,9}", value):
        return min(float(value), LONGEST_RETRY_AFTER_S)
    try:
        asked = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date") or "")
    except (TypeError, ValueError):
        return None
    return min(max(asked.total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (ssl.SSLCertVerificationError, "has a certificate that this machine does not trust"),
    (ssl.SSLError, "does not speak TLS as expected"),
    (socket.gaierror, "has a name that does not resolve"),
    (ConnectionRefusedError, "refused the connection"),
    (ConnectionError, "closed the connection before it answered"),
    (http.client.BadStatusLine, "closed the connection before it answered"),
)


def failure(error: object, timeout_s: float) -> Answer:
    """What went wrong in words of our own: a library's would quote the address."""
    if isinstance(error, TimeoutError):
        return late(timeout_s)
    for kind, words in _CAUSES:
        if isinstance(error, kind):
            return Answer(words, reached=False)
    return Answer(f"could not be reached ({type(error).__name__})", reached=False)


def is_loopback(host: str) -> bool:
    """True for this machine itself.

    >>> is_loopback("localhost"), is_loopback("::1"), is_loopback("10.0.0.1")
    (True, True, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
