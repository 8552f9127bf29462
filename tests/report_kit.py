"""What tests of the report share: a page of some rows, and the page as a parser sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID

from gundog.findings import reader
from gundog.report import page
from gundog.report.asked import Asked
from gundog.report.model import Page
from gundog.report.night import Night
from tests.test_finding_list import DETECTION, NOW, evidence, finding, published

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
QUIET = Night(NOW)
WHOLE = Asked()


def gathered(path: Path, asked: Asked = WHOLE, night: Night = QUIET) -> Page:
    """The values of a page of a published file."""
    with reader.published(path) as con:
        return page.gather(con, asked, night)


def html(path: Path, asked: Asked = WHOLE, night: Night = QUIET) -> str:
    """The page of a published file."""
    return page.html(gathered(path, asked, night))


def interval(
    day: int, state: str = "done", detection: Any = DETECTION, **values: Any
) -> dict[str, Any]:
    """A row of the ledger: the day that began so many days before the last midnight."""
    start = NOW.replace(hour=0) - day * DAY
    row = {
        "detection_id": detection, "detection_hash": "h", "interval_start": start,
        "interval_end": start + DAY, "state": state, "note": None, "updated_at": NOW,
    }  # fmt: skip
    return row | values


def looked(**values: Any) -> dict[str, Any]:
    """A row of looked_at: the newest interval of the one detection."""
    midnight = NOW.replace(hour=0)
    row = {
        "detection_id": DETECTION, "tenant": "", "interval_start": midnight - DAY,
        "interval_end": midnight, "rows": 12_000, "mailboxes": 900, "scored": 900, "learning": 0,
        "throttled": 0, "silent": 0,
    }  # fmt: skip
    return row | values


def run(day: float, *, asked_range: bool = False, **values: Any) -> dict[str, Any]:
    """A finished run that began so many days before NOW."""
    at = NOW - day * DAY
    row = {
        "run_id": UUID(int=int(day * 1000)), "command": "hunt", "version": "0.1.0",
        "started_at": at, "finished_at": at + HOUR, "asked_range": asked_range, "exit_status": 0,
        "summary": "{}", "problems": [],
    }  # fmt: skip
    return row | values


def change(number: int, days: float, kind: str = "new", **values: Any) -> dict[str, Any]:
    """A row of finding_changes, so many days before NOW."""
    row = {
        "finding_id": finding(number)["finding_id"], "detection_id": DETECTION, "change": kind,
        "reason": None, "before": None, "changed_at": NOW - days * DAY,
    }  # fmt: skip
    return row | values


@dataclass
class Parsed(HTMLParser):
    """A page as an HTML parser sees it: tags with their attributes, and text."""

    source: str
    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)

    @property
    def text(self) -> str:
        # A blank at which no line may end is a blank to who reads.
        return "".join(self.pieces).replace("\u00a0", " ")

    def values(self, name: str) -> Iterator[str]:
        """Every value of an attribute."""
        for _, attributes in self.tags:
            if name in attributes:
                yield attributes[name]


__all__ = ["DETECTION", "NOW", "evidence", "finding", "published"]
