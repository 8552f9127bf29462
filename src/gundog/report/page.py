"""The page: what it is about found out, its parts gathered, and the whole written as HTML."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from importlib import resources
from typing import Any

import duckdb
from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

import gundog
from gundog.core import safe_text
from gundog.core.wording import count
from gundog.health import clock
from gundog.report import (
    changes,
    evidence,
    findings,
    headline,
    loudness,
    month,
    palette,
    risk,
    scope,
    timeline,
    trust,
)
from gundog.report.asked import Asked
from gundog.report.model import About, Page
from gundog.report.night import Night, of_span, of_tenant
from gundog.report.scope import Scope, rows

_WHO = 3
# No text on the page is longer, whatever an event holds.
_LONGEST = 4000


def gather(con: duckdb.DuckDBPyConnection, asked: Asked, night: Night) -> Page:
    """Everything on the page.

    Args:
        con: findings.duckdb; of it only temporary tables are made.
        asked: what the report is about.
        night: what `gundog status` says, and the moment of the report.

    Raises:
        InputError: when a detection or tenant is asked for that the file does not know.
    """
    if asked.tenant is not None:
        night = of_tenant(night, asked.tenant)
    if asked.month:
        night = of_span(night, asked.month)
    about = scope.settle(con, asked, night)
    trusted = trust.of(con, about, night)
    numbers = month.of(con, about, trusted.grid, asked.month) if asked.month else None
    risky, more_risky = risk.of(con, about)
    lines = timeline.of(con, about, risky)
    answer, why = headline.of_month(numbers) if numbers else headline.complete(trusted, night)
    shown = findings.of(con, about, frozenset(item.anchor for item in lines))
    listed = frozenset(item.finding_id for item in (*shown.whole, *shown.lines))
    return Page(
        title="gundog report" + (f", {numbers.name}" if numbers else ""),
        scope=_said(asked),
        made=night.now,
        sentence=headline.sentence(con, about, numbers),
        since="" if asked.month else about.since_what,
        is_complete=not (numbers.gaps if numbers else night.doubts),
        complete=answer,
        complete_why=why,
        who=risky[:_WHO],
        worst=findings.worst(shown),
        trust=trusted,
        risky=risky,
        more_risky=more_risky,
        findings=shown,
        lines=lines,
        changes=changes.of(con, about, night, listed),
        loudness=loudness.of(con, about),
        about=_newest_run(con, about),
        month=numbers,
        evidence=asked.evidence,
    )


def _said(asked: Asked) -> tuple[str, ...]:
    """What narrows the page, in words."""
    parts = {
        "tenant": asked.tenant,
        "detection": asked.detection,
        "entity": asked.entity.shown if asked.entity else None,
    }
    return tuple(f"{name} {value}" for name, value in parts.items() if value is not None)


def _newest_run(con: duckdb.DuckDBPyConnection, about: Scope) -> About:
    newest = rows(con, "select * from runs order by started_at desc limit 1")
    hashes = tuple((row["stem"], row["status"], row["detection_hash"]) for row in about.detections)
    if not newest:
        return About((("gundog", gundog.__version__),), (), hashes)
    row = newest[0]
    summary = json.loads(row["summary"] or "{}")
    shown = {
        "run": str(row["run_id"]),
        "command": row["command"],
        "began (UTC)": evidence.shown_time(row["started_at"]),
        "ended (UTC)": evidence.shown_time(row["finished_at"]) or "not ended, or killed",
        "exit status": "" if row["exit_status"] is None else str(row["exit_status"]),
        "hunted": count(summary.get("intervals") or 0, "interval"),
        "gundog that ran": row["version"] or "",
        "gundog that made this page": gundog.__version__,
    }
    told = () if about.asked.tenant is not None else tuple(row["problems"] or ())
    return About(tuple((name, value) for name, value in shown.items() if value), told, hashes)


# ---- as HTML ----


def html(page: Page) -> str:
    """The page as one HTML text that loads nothing and runs nothing."""
    style = style_sheet()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template("page")
        .render(
            page=page,
            style=Markup(style),  # noqa: S704 - ours to the last character  # noqa: S704 - ours, and without a value
            policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none';"
            " form-action 'none'",
            words=trust.WORDS,
            signs=trust.STATES,
        )
    )


def style_sheet() -> str:
    """The style sheet with the colours of the palette; it is ours to the last character."""
    rules = resources.files("gundog.report").joinpath("page.css").read_text(encoding="utf-8")
    return f"{palette.css()}\n{rules}"


@cache
def _environment() -> Environment:
    source = resources.files("gundog.report").joinpath("page.html").read_text(encoding="utf-8")
    made = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True,
        lstrip_blocks=True, loader=DictLoader({"page": source}),
    )  # fmt: skip
    made.filters |= {
        "time": evidence.shown_time,
        "age": clock.age,
        "count": count,
        "unparted": unparted,
    }
    return made


def unparted(words: str) -> str:
    """Words in which no line ends between a number and what it counts.

    >>> unparted("2 new findings: 1 high.").split(" ")
    ['2\\xa0new', 'findings:', '1\\xa0high.']
    """
    return re.sub(r"(?<=\d) (?=[a-z])", "\u00a0", words)


def _shown(value: Any) -> Any:
    """Every value on its way into the page: characters that act instead of being shown are named.

    Escaping `<`, `&` and quotes comes after it.
    """
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return safe_text.for_terminal(safe_text.cut(value, _LONGEST))
