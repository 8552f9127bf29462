"""Where the report of every run goes: the key `report` of gundog.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gundog.core import text_files
from gundog.core.fields import Fields, unknown
from gundog.lake.path import SCHEMES, split_uri

_KEYS = frozenset("path url evidence".split())
# Pages that `gundog report` writes beside the findings where nobody says where.
BESIDE = re.compile(r"report(-\d{4}-\d{2})?(-part)?\.html")


@dataclass(frozen=True)
class Target:
    """Where the report of every run goes.

    Attributes:
        place: an absolute path of a file, or an address in an object store.
        url: where people open it; empty when they open `place` itself.
        evidence: False leaves raw events out of it.
    """

    place: str
    url: str = ""
    evidence: bool = True

    @property
    def is_remote(self) -> bool:
        return "://" in self.place

    @property
    def link(self) -> str:
        """The address that messages link to; empty where there is only a file."""
        return self.url or (self.place if self.is_remote else "")


def read(fields: Fields, root: Path) -> Target | None:
    """The value of the key `report`; None when there is none."""
    value = fields.data.get("report")
    if value is None:
        return None
    if isinstance(value, str):
        place = _place(fields.text("report"), root, lambda text: fields.problem("report", text))
        return Target(place)
    if not isinstance(value, dict):
        kind = fields.said(value)
        fields.problem("report", f"is {kind}: write a file, or keys and values with a path")
        return None
    inner = fields.inner("report", _KEYS, value)
    place = _place(inner.text("path"), root, lambda text: inner.problem("path", text))
    url = inner.text("url", "")
    if url and not url.startswith(("https://", "http://")):
        inner.problem("url", "is not a URL: write one that starts with https:// or http://")
    return Target(place, url, inner.flag("evidence", True))


def _place(text: str, root: Path, problem: Callable[[str], None]) -> str:
    """A file below the project's folder, or an address as it is written."""
    scheme = split_uri(text)[0]
    if scheme in ("http", "https"):
        problem(
            "is a web address, where gundog cannot write: write {path: FILE or s3://…, url: it}"
        )
    elif scheme and scheme not in SCHEMES:
        problem(unknown(scheme, SCHEMES, "scheme", secret=True))
    elif scheme in ("s3", "gs", "abfss"):
        if not all(split_uri(text)[1:]) or text.endswith("/"):
            problem("names no file: write one such as s3://bucket/gundog/report.html")
        return text
    local = root / (f"/{split_uri(text)[2]}" if scheme else text)
    if text and text_files.is_folder(local):
        problem("is a folder: name a file in it")
    return str(local)
