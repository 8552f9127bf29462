"""Messages by mail: one SMTP transaction, text and HTML, nothing in either but characters."""

from __future__ import annotations

import html
import re
import smtplib
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit
from uuid import UUID

from gundog.notify.http_post import Answer, failure, in_time, is_loopback, late

_ADDRESS = re.compile(r"[^@\s<>,;:\"()\[\]\\]+@[^@\s<>,;:\"()\[\]\\]+")
_MODES = {"insecure": 25, "starttls": 587, "ssl": 465}


@dataclass(frozen=True)
class Mailbox:
    """Where mail goes and through which server; `mode` is insecure, starttls or ssl."""

    server: str
    port: int
    mode: str
    user: str = field(repr=False)
    password: str = field(repr=False)
    sender: str = field(repr=False)
    to: tuple[str, ...] = field(repr=False)
    cc: tuple[str, ...] = field(repr=False, default=())
    bcc: tuple[str, ...] = field(repr=False, default=())


def parse(url: str) -> Mailbox | None:
    """What a mailto:// or mailtos:// address says; None when it cannot be used.

    Spelled as in Apprise: `mailtos://USER:PASSWORD@HOST[:PORT][/TO…]`, and after `?` any of to,
    cc, bcc, from, smtp, user, pass and mode. Without `to` mail goes to its sender; mailtos is
    STARTTLS on port 587, `mode=ssl` TLS from the start on port 465, mailto is plain on port 25.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    options = {key.lower(): value for key, value in parse_qsl(parts.query)}
    mode = options.get("mode", "starttls" if parts.scheme == "mailtos" else "insecure").lower()
    server = options.get("smtp") or unquote(parts.hostname or "")
    if mode not in _MODES or not re.fullmatch(r"[\w.:-]+", server):
        return None
    user = options.get("user") or unquote(parts.username or "")
    sender = options.get("from") or _own_address(user, unquote(parts.hostname or ""))
    sender = (re.findall(r"<([^<>]*)>\s*$", sender) or [sender])[0]
    to = _addresses(options.get("to", "")) + _targets(parts) or (sender,)
    copied_to = {name: _addresses(options.get(name, "")) for name in ("cc", "bcc")}
    everyone = (sender, *to, *copied_to["cc"], *copied_to["bcc"])
    if not all(_ADDRESS.fullmatch(part) for part in everyone):
        return None
    password = options.get("pass") or unquote(parts.password or "")
    return Mailbox(server, port or _MODES[mode], mode, user, password, sender, to, **copied_to)


def _own_address(user: str, host: str) -> str:
    return user if "@" in user else f"{user or 'gundog'}@{host}"


def _addresses(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[,;\s]+", text) if part)


def _targets(parts: SplitResult) -> tuple[str, ...]:
    return tuple(unquote(part) for part in parts.path.split("/") if part)


def compose(
    box: Mailbox, body: Mapping[str, Any], key: UUID, now: datetime, page: bytes = b""
) -> EmailMessage:
    """The mail of a message.

    Its Message-ID follows from the key, so that a mail server that is handed it twice can tell.

    Args:
        box: from whom and to whom.
        body: the generic body, neutralised as it is in the outbox.
        key: the Idempotency-Key.
        now: the run's time.
        page: the report as an HTML file that goes with it; empty for none.
    """
    message = EmailMessage(policy=SMTP)
    severity = f" {body['severity']}:" if body.get("severity") else ""
    message["Subject"] = f"[gundog]{severity} {body['title']}"
    message["From"] = box.sender
    message["To"] = ", ".join(box.to)
    if box.cc:
        message["Cc"] = ", ".join(box.cc)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = f"<{key}@gundog.invalid>"
    message["Idempotency-Key"] = str(key)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(f"{body['title']}\n\n{body['text']}\n", cte="quoted-printable")
    message.add_alternative(as_html(body), subtype="html", cte="quoted-printable")
    if page:
        name = f"gundog-report-{now:%Y-%m-%d}.html"
        message.add_attachment(
            page, maintype="text", subtype="html", filename=name, params={"charset": "utf-8"}
        )
    return message


def as_html(body: Mapping[str, Any]) -> str:
    """The HTML part: a heading and lines, with every character written as itself."""
    lines = "<br>\n".join(html.escape(line) for line in body["text"].splitlines())
    return (
        '<!doctype html>\n<html><head><meta charset="utf-8"></head><body>\n'
        f"<p><strong>{html.escape(body['title'])}</strong></p>\n<p>{lines}</p>\n</body></html>\n"
    )


def send(box: Mailbox, message: EmailMessage, timeout_s: float) -> Answer:
    """Hands one mail to the server; a message that some recipients got counts as arrived."""
    return in_time(timeout_s, lambda: _hand_over(box, message, timeout_s))


def _hand_over(box: Mailbox, message: EmailMessage, timeout_s: float) -> Answer:
    everyone = [*box.to, *box.cc, *box.bcc]
    try:
        server = _connect(box, timeout_s)
    except (OSError, UnicodeError, ValueError) as error:
        return _failure(error, timeout_s)
    try:
        refused = server.send_message(message, box.sender, everyone)
    except (OSError, UnicodeError, ValueError) as error:
        return _failure(error, timeout_s)
    finally:
        # The server has the mail or has it not, whatever it says to goodbye.
        with suppress(OSError):
            server.quit()
        server.close()
    remark = f"refused {len(refused)} of {len(everyone)} recipients" if refused else ""
    return Answer(remark=remark)


def _connect(box: Mailbox, timeout_s: float) -> smtplib.SMTP:
    tls = ssl.create_default_context()
    server: smtplib.SMTP
    if box.mode == "ssl":
        server = smtplib.SMTP_SSL(box.server, box.port, timeout=timeout_s, context=tls)
    else:
        server = smtplib.SMTP(box.server, box.port, timeout=timeout_s)
    try:
        server.ehlo_or_helo_if_needed()
        # A password goes in the clear only where the server offers nothing else.
        offered = box.password and server.has_extn("starttls") and not is_loopback(box.server)
        if box.mode == "starttls" or (box.mode == "insecure" and offered):
            server.starttls(context=tls)
        if box.password:
            server.login(box.user, box.password)
    except BaseException:
        server.close()
        raise
    return server


def _failure(error: Exception, timeout_s: float) -> Answer:
    """What went wrong in words of our own: the server's would quote addresses."""
    code = getattr(error, "smtp_code", None)
    for kind, words in (
        (smtplib.SMTPAuthenticationError, "refused the sign-in"),
        (smtplib.SMTPSenderRefused, "refused the sender"),
        (smtplib.SMTPRecipientsRefused, "refused every recipient"),
        (smtplib.SMTPDataError, "refused the message"),
        (smtplib.SMTPNotSupportedError, "does not offer STARTTLS, or the sign-in, as asked"),
        (smtplib.SMTPResponseException, "did not take the mail"),
        (UnicodeError, "cannot take an address with such characters"),
    ):
        if isinstance(error, kind):
            return Answer(f"{words} ({code})" if code else words)
    if isinstance(error, smtplib.SMTPServerDisconnected):
        if isinstance(error.__context__, TimeoutError):
            return late(timeout_s)
        return Answer("closed the connection before it answered", reached=False)
    return failure(error, timeout_s)
