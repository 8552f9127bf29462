"""The channels of gundog.yaml: the key `notify`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gundog.core.fields import Fields
from gundog.core.severity import SEVERITIES
from gundog.notify.channel import Channel
from gundog.report.target import Target

_KEYS = frozenset("name url minSeverity mode detections tags tenants report".split())
_ATTACH = "attach"
_MAIL = re.compile(r"mailtos?:", re.IGNORECASE)


def read(fields: Fields, report: Target | None) -> tuple[Channel, ...]:
    """The channels; what is wrong with them is added to the fields' problems.

    Args:
        fields: gundog.yaml.
        report: where its report goes, which messages may link to.
    """
    channels: list[Channel] = []
    for place, item in enumerate(fields.items("notify")):
        if not isinstance(item, dict):
            fields.problem(f"notify.{place}", f"is {fields.said(item)}: write keys and values")
            continue
        inner = fields.inner(f"notify.{place}", _KEYS, item)
        channel = _channel(inner)
        if channel.name and channel.name in [channel.name for channel in channels]:
            inner.problem("name", "is used twice: give each channel its own name")
        _check_report(inner, channel, report)
        channels.append(channel)
    _check_tenants(fields, channels)
    return tuple(channels)


def _channel(fields: Fields) -> Channel:
    is_text = isinstance(fields.data.get("report"), str)
    return Channel(
        name=fields.text("name"),
        url=_url(fields),
        min_severity=fields.choice("minSeverity", SEVERITIES, "informational"),
        mode=fields.choice("mode", ("each", "digest"), "each"),
        detections=fields.texts("detections"),
        tags=fields.texts("tags"),
        tenants=fields.texts("tenants"),
        report=not is_text and fields.flag("report", False),
        attach=is_text and fields.choice("report", (_ATTACH,)) == _ATTACH,
    )


def _url(fields: Fields) -> str:
    # Never through Fields.text alone: a wrong address may still hold a token.
    value = fields.data.get("url")
    if isinstance(value, str) and re.match(r"[a-z][a-z0-9+.-]*:.", value.strip(), re.IGNORECASE):
        return value.strip()
    fields.problem("url", "is not a URL: write one such as https://… or mailto://…")
    return ""


def _check_report(fields: Fields, channel: Channel, report: Target | None) -> None:
    """A link needs an address; a page is for digests by mail, and about every tenant."""
    if channel.report and not (report and report.link):
        fields.problem(
            "report",
            "the report has no address to link to: write report: {path: FILE, url: https://…}",
        )
    if not channel.attach:
        return
    if channel.url and not _MAIL.match(channel.url):
        fields.problem("report", "attach is for mail: write report: true to link to the report")
    if channel.mode != "digest":
        fields.problem("report", "attach is for digests: write mode: digest")
    if channel.tenants:
        fields.problem(
            "report", "attach sends the page of all tenants: remove it, or remove tenants"
        )


def _check_tenants(fields: Fields, channels: Sequence[Channel]) -> None:
    if channels and all(channel.tenants for channel in channels):
        fields.problem(
            "notify",
            "gives tenants to every channel, so nobody would receive gundog's own problems:"
            " add a channel without tenants",
        )
