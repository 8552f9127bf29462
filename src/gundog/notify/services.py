"""Where messages go: what a channel's address means, and one try of one message.

An address is a secret. What is said of it anywhere is its host, or the kind of service it names.
"""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit
from uuid import UUID

from gundog.core.safe_text import for_json, for_message
from gundog.notify import http_post, mail
from gundog.notify.http_post import Answer

SLACK_HOOKS = "https://hooks.slack.com/services/"
TEAMS_HOOKS = "https://{team}.webhook.office.com/webhookb2/"
HEC_PATH, HEC_PORT = "/services/collector/event", 8088
SHOWN = 200
# What Slack takes in one block, and Teams in one card with room for JSON around it.
_SLACK_TEXT, _SLACK_HEADER, _TEAMS_TEXT = 3000, 150, 18_000
_GENERIC = {"http": "http", "https": "https", "json": "http", "jsons": "https"}
_TOKEN = re.compile(r"[\w@.-]+")
_Body = Mapping[str, Any]


@dataclass(frozen=True)
class _Hook:
    """An address that is one POST: where to, with which headers, how a message is put."""

    place: str
    url: str = field(repr=False)
    payload: Callable[[_Body], Any]
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)


def deliver(
    url: str, body: str, key: UUID, now: datetime, timeout_s: float, page: bytes = b""
) -> Answer:
    """Tries to hand one message to a channel, once.

    Args:
        url: the channel's address.
        body: the generic body, as JSON.
        key: the Idempotency-Key.
        now: the run's time.
        timeout_s: the longest that it may take.
        page: the report, for a mail to have with it; empty for none.
    """
    kind = _kind(url)
    if kind == "mail" and (box := mail.parse(url)):
        return mail.send(box, mail.compose(box, json.loads(body), key, now, page), timeout_s)
    if kind == "apprise":
        return http_post.in_time(timeout_s, lambda: _by_apprise(url, json.loads(body)))
    hook = _hook(url)
    if hook is None:
        return Answer("is not a kind of address that gundog can send to", reached=False)
    headers = {"Content-Type": "application/json", "Idempotency-Key": str(key), **hook.headers}
    payload = hook.payload(json.loads(body))
    sent = body if payload is None else for_json(payload)
    return http_post.call(hook.url, sent.encode("ascii"), headers, timeout_s)


def beat(url: str, timeout_s: float) -> Answer:
    """Calls an address with a GET."""
    hook = _hook(url)
    if hook is None:
        return Answer("is not a kind of address that gundog can send to", reached=False)
    return http_post.call(hook.url, None, hook.headers, timeout_s)


def url_problem(url: str) -> str | None:
    """Why a channel's address cannot be used, without a part of it, or None."""
    kind = _kind(url)
    if kind == "mail":
        return None if mail.parse(url) else (
            "is not a mail address: write mailtos://USER:PASSWORD@HOST?from=A@B&to=C@D"
        )  # fmt: skip
    if kind == "apprise":
        return _apprise_problem(url)
    if _hook(url):
        return None
    return {
        "slack": "is not a Slack webhook: write slack://A/B/C as its address ends, or slack://HOST/…",
        "msteams": "is not a Teams webhook: write msteams:// and the workflow's address after https://",
        "splunk": "is not a Splunk collector: write splunk://TOKEN@HOST:8088",
    }.get(
        kind,
        "is not a channel URL: write https://HOST/…, slack://, msteams://, splunk://,"
        " mailtos:// or another of Apprise's",
    )


# Services that take the generic JSON and show nothing of it: host, path, name and spelling.
_CHATS = (
    (r"hooks\.slack(-gov)?\.com", r"/services/.+", "Slack", "slack:// in place of https://"),
    (r"[\w-]+\.webhook\.office\.com", r"/webhookb2/.+", "Teams", "msteams:// in place of https://"),
    (r".*", r"/(.*/)?workflows/[^/]+/triggers/[^/]+/paths/invoke", "Teams",
     "msteams:// in place of https://, or jsons:// where the workflow reads gundog's own JSON"),
    (r"(\w+\.)?discord(app)?\.com", r"/api/(v\d+/)?webhooks/.+", "Discord",
     "discord://ID/TOKEN, the two parts that its address ends with"),
)  # fmt: skip


def meant(url: str) -> str | None:
    """Which service an http address is of that will not show the generic JSON, and its spelling.

    None for every other address, and for one that says json:// or jsons:// on purpose.
    """
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
    except ValueError:
        return None
    if parts.scheme not in ("http", "https"):
        return None
    for hosts, paths, name, spelling in _CHATS:
        if re.fullmatch(hosts, host) and re.fullmatch(paths, parts.path):
            said = f"is an address of {name}, which shows nothing of what it gets there"
            return f"{said}: write {spelling}"
    return None


def place(url: str) -> str:
    """What may be shown of an address: the host, or where that may be secret the service.

    >>> place("https://user:secret@hooks.example.com/services/secret"), place("slack://A/B/C")
    ('hooks.example.com', 'Slack')
    """
    kind = _kind(url)
    if kind == "mail":
        box = mail.parse(url)
        return for_message(box.server, SHOWN) if box else "its address"
    if kind == "apprise":
        return for_message(urlsplit(url).scheme, SHOWN)
    hook = _hook(url)
    return for_message(hook.place, SHOWN) if hook else "its address"


def _kind(url: str) -> str:
    """json, slack, msteams, splunk, mail, apprise, or '' for what is not a URL."""
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        return ""
    if scheme in _GENERIC:
        return "json"
    if scheme in ("mailto", "mailtos"):
        return "mail"
    if scheme in ("slack", "msteams", "splunk"):
        return scheme
    return "apprise" if re.match(r"[a-z][a-z0-9+.-]*://.", url, re.IGNORECASE) else ""


def _hook(url: str) -> _Hook | None:
    try:
        parts = urlsplit(url)
        has_place = bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return None
    if not has_place:
        return None
    make = {"slack": _slack, "msteams": _teams, "splunk": _splunk}.get(parts.scheme)
    if make:
        return make(parts)
    return _generic(parts) if parts.scheme in _GENERIC else None


def _generic(parts: SplitResult) -> _Hook:
    plain, headers = _plain(parts, _GENERIC[parts.scheme])
    return _Hook(parts.hostname or "", plain, lambda _: None, headers)


def _plain(parts: SplitResult, scheme: str) -> tuple[str, dict[str, str]]:
    """The address to call and, from user:password in it, the header that signs in."""
    user_info, _, host = parts.netloc.rpartition("@")
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?") for part in (parts.path, parts.query))
    plain = urlunsplit((scheme, host, path or "/", query, ""))
    if not user_info:
        return plain, {}
    user, _, password = user_info.partition(":")
    token = base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode("ascii")
    return plain, {"Authorization": f"Basic {token}"}


def _names_a_host(parts: SplitResult) -> bool:
    """True where a host stands and no token: slack://hooks.example.com/…, not slack://A/B/C."""
    host = parts.hostname or ""
    return "." in host or ":" in host or host == "localhost"


def _scheme(parts: SplitResult) -> str:
    """TLS, except to this machine itself."""
    return "http" if http_post.is_loopback(parts.hostname or "") else "https"


def _tokens(parts: SplitResult) -> list[str]:
    host = parts.netloc.rpartition("@")[2]
    return [unquote(part) for part in [host, *parts.path.split("/")] if part]


# ---- Slack ----


def _slack(parts: SplitResult) -> _Hook | None:
    if _names_a_host(parts):
        plain, headers = _plain(parts, _scheme(parts))
        return _Hook(parts.hostname or "", plain, slack_payload, headers)
    tokens = _tokens(parts)[:3]
    if len(tokens) < 3 or not all(re.fullmatch(r"[A-Za-z0-9]+", part) for part in tokens):
        return None
    return _Hook("Slack", SLACK_HOOKS + "/".join(tokens), slack_payload)


def slack_payload(body: _Body) -> dict[str, Any]:
    """The message for a Slack webhook: plain text throughout, nothing is parsed or unfurled."""
    title, text = body["title"], body["text"]
    blocks = [{"type": "header", "text": _slack_text(title[:_SLACK_HEADER] or body["kind"])}]
    blocks += [
        {"type": "section", "text": _slack_text(part)} for part in _pieces(text, _SLACK_TEXT)
    ]
    return {
        "text": title,
        "blocks": blocks,
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _slack_text(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _pieces(text: str, limit: int) -> list[str]:
    """The lines of a text in pieces of at most `limit` characters."""
    pieces = [""]
    for line in text.splitlines():
        line = line[:limit]
        joined = f"{pieces[-1]}\n{line}" if pieces[-1] else line
        if len(joined) <= limit:
            pieces[-1] = joined
        else:
            pieces.append(line)
    return [part for part in pieces if part]


# ---- Teams ----


def _teams(parts: SplitResult) -> _Hook | None:
    if _names_a_host(parts):
        plain, headers = _plain(parts, _scheme(parts))
        return _Hook(parts.hostname or "", plain, teams_payload, headers)
    team, *tokens = _tokens(parts)
    if len(tokens) not in (3, 4) or not all(_TOKEN.fullmatch(part) for part in tokens):
        return None
    if not re.fullmatch(r"[\w-]+", team):
        return None
    first, *rest = tokens
    path = "/".join([first, "IncomingWebhook", *rest])
    return _Hook("Teams", TEAMS_HOOKS.format(team=team) + path, teams_payload)


def teams_payload(body: _Body) -> dict[str, Any]:
    """The message as an Adaptive Card of text runs, which know no Markdown."""
    lines, size = list[str](), 0
    for line in body["text"].splitlines():
        size += len(for_json(line))
        if size > _TEAMS_TEXT:
            lines.append(f"and more: {body['command']}")
            break
        lines.append(line)
    blocks = [_teams_text(body["title"], weight="Bolder"), *(_teams_text(part) for part in lines)]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    }
    kind = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": kind, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _teams_text(text: str, **style: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}


# ---- Splunk ----


def _splunk(parts: SplitResult) -> _Hook | None:
    """HTTP Event Collector: splunk://TOKEN@HOST[:8088][/PATH][?index=…&sourcetype=…]."""
    token = unquote(parts.username or "")
    if not re.fullmatch(r"[\w-]+", token) or not _names_a_host(parts):
        return None
    options = dict(parse_qsl(parts.query))
    names = {"index", "sourcetype", "source", "host"}
    fields = {"source": "gundog", "sourcetype": "gundog", **options}
    host = parts.hostname or ""
    netloc = f"[{host}]" if ":" in host else host
    path = quote(parts.path.rstrip("/") or HEC_PATH, safe="/%")
    rest = urlencode({key: value for key, value in options.items() if key not in names})
    url = urlunsplit((_scheme(parts), f"{netloc}:{parts.port or HEC_PORT}", path, rest, ""))

    def payload(body: _Body) -> dict[str, Any]:
        return {**{key: value for key, value in fields.items() if key in names}, "event": body}

    return _Hook(host, url, payload, {"Authorization": f"Splunk {token}"})


# ---- all others ----


def _apprise() -> Any:
    """Apprise, or None where it is not installed; its log and its library's name addresses."""
    try:
        import apprise
    except ImportError:
        return None
    for name in ("apprise", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return apprise


def _target(apprise: Any, url: str) -> Any:
    asset = apprise.AppriseAsset(app_id="gundog", app_desc="gundog", secure_logging=True)
    target = apprise.Apprise(asset=asset)
    return target if target.add(url) else None


def _apprise_problem(url: str) -> str | None:
    apprise = _apprise()
    if apprise is None:
        return "is of a kind that needs Apprise: pip install apprise"
    return (
        None
        if _target(apprise, url)
        else "is not a URL that Apprise knows: see its list of services"
    )


def _by_apprise(url: str, body: _Body) -> Answer:
    apprise = _apprise()
    try:
        target = _target(apprise, url) if apprise else None
        if target is None:
            return Answer("is not a kind of address that gundog can send to", reached=False)
        kind = apprise.NotifyFormat.TEXT
        arrived = target.notify(title=body["title"], body=body["text"], body_format=kind)
    except Exception as error:  # whatever one of its many services may raise
        return Answer(f"could not be reached ({type(error).__name__})", reached=False)
    return Answer() if arrived else Answer("did not take the message")
