"""What messages say to people: bodies in which text from events is only text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gundog.core import app_names
from gundog.core.safe_text import cut, for_message
from gundog.core.severity import SEVERITIES
from gundog.core.times import Interval, format_time

DIGEST_LINES = 20
NAME_LIMIT = 200
TITLE_LIMIT = 300

_BODY_KEYS = (
    "kind", "finding_id", "detection_id", "detection_name", "severity", "title", "text",
    "tenant", "host_name", "account_name", "mailbox", "start_time", "end_time", "command",
)  # fmt: skip


def message(row: Mapping[str, Any]) -> tuple[str, str]:
    """Title and text of the message about one finding; text from events cannot become markup.

    The text has a line each for: what was found, the tenant if there is one, who, when, why, the
    first triage step, and the command that shows all of it. Long values are cut.

    Args:
        row: columns of `findings`; `triage_step` is its detection's first triage step, or null.
    """
    title = for_message(row["title"] or row["detection_name"] or "", TITLE_LIMIT)
    lines = [
        f"{row['detection_name']} ({row['severity']})",
        f"Tenant: {cut(row['tenant'], NAME_LIMIT)}" if row.get("tenant") else "",
        f"Who: {_entities(row) or 'not known'}",
        f"When: {_when(row)}",
        f"Why: {row['reason'] or row['detection_name']}",
        f"First step: {row['triage_step']}" if row.get("triage_step") else "",
        f"Show: {_command(row)}",
    ]
    return title, "\n".join(for_message(line) for line in lines if line)


def _entities(row: Mapping[str, Any]) -> str:
    names = {
        "account": row["account_name"],
        "host": row["host_name"],
        "mailbox": row["mailbox"],
        "app": app_names.shown("app_id", row["app_id"]),
        "address": row["ip_address"],
    }
    # The tenant's own series carries * where a series has its mailbox.
    return ", ".join(
        "all mailboxes" if name == "*" else f"{kind} {cut(name, NAME_LIMIT)}"
        for kind, name in names.items()
        if name
    )


def _when(row: Mapping[str, Any]) -> str:
    first, last = _time(row["start_time"]), _time(row["end_time"])
    return f"{first} to {last}" if first and last and first != last else first or last or "?"


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None


def _command(row: Mapping[str, Any]) -> str:
    return f"gundog show {row['finding_id']}"


def finding_body(row: Mapping[str, Any], report: str = "") -> dict[str, Any]:
    """The generic body of one finding, ready for `for_json`.

    Args:
        row: as `message` takes it.
        report: the address of the report, for a line that links to the finding; empty for none.
    """
    title, text = message(row)
    body = body_of(
        "finding",
        title,
        text,
        finding_id=str(row["finding_id"]),
        detection_id=str(row["detection_id"]),
        detection_name=_name(row["detection_name"]),
        severity=row["severity"],
        tenant=_name(row.get("tenant") or None),
        host_name=_name(row["host_name"]),
        account_name=_name(row["account_name"]),
        mailbox=_name(row["mailbox"]),
        start_time=_time(row["start_time"]),
        end_time=_time(row["end_time"]),
        command=_command(row),
    )
    return _with_link(body, report and f"{report}#finding-{row['finding_id']}")


def _with_link(body: dict[str, Any], link: str) -> dict[str, Any]:
    """The body with a line of our own: the link is of gundog.yaml and an id, and stays a link."""
    return {**body, "text": f"{body['text']}\nReport: {link}"} if link else body


def digest_body(
    rows: Sequence[Mapping[str, Any]],
    history: Interval | None = None,
    coverage: str = "",
    withdrawn: Sequence[Mapping[str, Any]] = (),
    notes: Sequence[str] = (),
    report: str = "",
) -> dict[str, Any]:
    """The generic body of a digest: all findings, and a text of the first `DIGEST_LINES`.

    Args:
        rows: findings to send.
        history: the days it is about, when these are past ones.
        coverage: what was hunted.
        withdrawn: findings that were sent before and are no longer found.
        notes: what else to say, a sentence each.
        report: the address of the report, for a last line; empty for none.
    """
    findings = [finding_body(row, report) for row in rows]
    counts = Counter(row["severity"] for row in rows)
    split = ", ".join(
        f"{counts[severity]} {severity}" for severity in reversed(SEVERITIES) if counts[severity]
    )
    title = f"{len(rows)} new"
    if history is not None:
        span = f"{format_time(history.start)} to {format_time(history.end)}"
        title = f"History of {span}: {len(rows)} found"
    title += f" ({split})" if split else ""
    title += f"; {coverage}" if coverage else ""
    lines = _by_tenant(findings)
    if len(findings) > DIGEST_LINES:
        lines.append(f"and {len(findings) - DIGEST_LINES} more")
    gone = [finding_body({"triage_step": None, **row}) for row in withdrawn]
    lines += [
        f"withdrawn: {_of(body)}{body['title']}, {body['start_time']}, {body['command']}"
        for body in gone[:DIGEST_LINES]
    ]
    if len(gone) > DIGEST_LINES:
        lines.append(f"and {len(gone) - DIGEST_LINES} more withdrawn")
    title += f"; {len(gone)} withdrawn" if gone else ""
    lines += notes
    text = "\n".join(for_message(line) for line in lines or [title])
    worst = max(counts, key=SEVERITIES.index, default=None)
    body = body_of("digest", title, text, severity=worst, command="gundog findings")
    return {**_with_link(body, report), "findings": findings, "withdrawn": gone}


def _by_tenant(findings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each of the first findings, under its tenant where any has one."""
    counts = Counter(finding["tenant"] for finding in findings)
    by_tenant = dict[str | None, list[str]]()
    for finding in findings[:DIGEST_LINES]:
        said = f"{finding['title']}, {finding['start_time']}, {finding['command']}"
        line = f"{finding['severity']}: {said}"
        by_tenant.setdefault(finding["tenant"], []).append(line)
    if set(counts) <= {None}:
        return by_tenant.get(None, [])
    return [
        line
        for tenant, lines in by_tenant.items()
        for line in (f"{tenant or 'no tenant'}: {counts[tenant]} new", *lines)
    ]


def _of(row: Mapping[str, Any]) -> str:
    return f"{row['tenant']}: " if row["tenant"] else ""


def body_of(kind: str, title: str, text: str, **fields: str | None) -> dict[str, Any]:
    """A body with every key, null where a message of this kind has nothing to say."""
    shown = "\n".join(for_message(line) for line in text.splitlines())
    filled = {"kind": kind, "title": for_message(title, TITLE_LIMIT), "text": shown, **fields}
    return {key: filled.get(key) for key in _BODY_KEYS}


def _name(value: str | None) -> str | None:
    return value if value in (None, "*") else for_message(value, NAME_LIMIT)
