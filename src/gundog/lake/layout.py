"""Lake paths as templates: which folders hold a time, and which time a file's path names.

Nothing here touches a store.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gundog.core.times import DAY, HOUR, Interval
from gundog.lake.path import LakePath, split_uri, template_tokens

# A range of more folders than this is listed whole, from the folder above them.
_MOST_FOLDERS = 1500
_DIGITS = {"%Y": 4, "%y": 2, "%m": 2, "%d": 2, "%j": 3, "%H": 2, "%M": 2}
_DATE_FIELDS = frozenset({"%Y", "%y", "%m", "%d", "%j"})
_LENGTHS = {"%d": DAY, "%H": HOUR, "%M": timedelta(minutes=1)}


@dataclass(frozen=True)
class Layout:
    """A lake path cut into the place where listing starts and the segments below it."""

    shown: str
    base: str
    segments: tuple[str, ...]
    is_local: bool


def parse_layout(path: LakePath, root: Path) -> Layout:
    """A lake path cut up; relative ones start from the project folder `root`."""
    scheme, authority, rest = split_uri(path.template)
    if scheme not in ("", "file"):
        # pyarrow names a place on a store by its bucket or container, not by its host.
        base = authority.partition("@")[0]
        segments = tuple(part for part in rest.split("/") if part)
        return Layout(f"{scheme}://{authority}/", base, segments, is_local=False)
    rest = posixpath.normpath(f"/{rest}" if scheme else rest)
    segments = tuple(part for part in rest.split("/") if part)
    if rest.startswith("/"):
        return Layout("/", "/", segments, is_local=True)
    ups = segments.count("..")
    base = os.path.normpath(root.absolute().joinpath(*segments[:ups]))
    return Layout("../" * ups, base, segments[ups:], is_local=True)


def shown_place(layout: Layout, location: str) -> str:
    """A place below the layout's base as people read it."""
    return layout.shown + readable(location[len(layout.base.rstrip("/")) + 1 :])


def readable(location: str) -> str:
    """A name without the bytes that no UTF-8 text can hold."""
    return as_bytes(location).decode("utf-8", "backslashreplace")


def as_bytes(location: str) -> bytes:
    """What pyarrow is given for a place."""
    # A name on a disk need not be text; pyarrow takes bytes where a str would fail.
    return location.encode("utf-8", "surrogateescape")


def name_pattern(segments: Iterable[str]) -> re.Pattern[str]:
    """What the names that a template matches look like; a field that repeats must agree.

    A star that begins a segment leaves out hidden and temporary names.
    """
    seen: set[str] = set()
    parts = []
    for segment in segments:
        part = r"(?![._])" if segment.startswith("*") else ""
        for token in template_tokens(segment):
            name = token[1:]
            if token.startswith("*"):
                part += "[^/]*"
            elif token not in _DIGITS:
                part += re.escape(token.replace("%%", "%"))
            elif name in seen:
                part += f"(?P={name})"
            else:
                part += f"(?P<{name}>[0-9]{{{_DIGITS[token]}}})"
                seen.add(name)
        parts.append(part)
    return re.compile("/".join(parts), re.DOTALL)


def fields_of(segments: Iterable[str]) -> set[str]:
    """The time fields that segments hold, such as %Y."""
    return {token for part in segments for token in template_tokens(part)} & _DIGITS.keys()


def finest_field(fields: set[str]) -> str:
    """The finest field: %M, %H, %d (also for %j), %m, %Y, or '' without any."""
    if "%j" in fields:
        fields = fields | {"%d"}
    if "%y" in fields:
        fields = fields | {"%Y"}
    return next((field for field in ("%M", "%H", "%d", "%m", "%Y") if field in fields), "")


def covered_time(match: re.Match[str], grain: str) -> Interval | None:
    """The time that the fields of a path name; raises ValueError when it is none."""
    if not grain:
        return None
    fields = {name: int(text) for name, text in match.groupdict().items()}
    year = fields.get("Y", 2000 + fields.get("y", 0))
    moment = datetime(year, fields.get("m", 1), fields.get("d", 1), tzinfo=UTC)
    if "j" in fields:
        moment = datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=fields["j"] - 1)
    moment = moment.replace(hour=fields.get("H", 0), minute=fields.get("M", 0))
    if any(int(f"{moment:%{name}}") != number for name, number in fields.items()):
        raise ValueError("the fields of a path disagree")
    return Interval(moment, _next(moment, grain))


def known_time(match: re.Match[str], fields: set[str]) -> Interval | None:
    """The time that the first segments of a path name, as far as they tell it from the year on.

    None while a field is missing that is coarser than another. Raises ValueError when it is none.
    """
    order = ("%Y", "%m", "%d", "%H", "%M")
    grain = finest_field(fields)
    implied = (
        fields | ({"%Y"} if "%y" in fields else set()) | ({"%m", "%d"} if "%j" in fields else set())
    )
    is_whole = bool(grain) and implied.issuperset(order[: order.index(grain)])
    return covered_time(match, grain) if is_whole else None


def _floor(moment: datetime, grain: str) -> datetime:
    moment = moment.replace(minute=0, second=0, microsecond=0)
    moment = moment if grain in ("%H", "%M") else moment.replace(hour=0)
    moment = moment.replace(day=1) if grain in ("%m", "%Y") else moment
    return moment.replace(month=1) if grain == "%Y" else moment


def _next(moment: datetime, grain: str) -> datetime:
    """The end of the year, month, day, hour or minute that begins at `moment`."""
    try:
        if grain in _LENGTHS:
            return moment + _LENGTHS[grain]
        months = moment.year * 12 + moment.month - 1 + (12 if grain == "%Y" else 1)
        return moment.replace(year=months // 12, month=months % 12 + 1)
    except (OverflowError, ValueError):
        return datetime.max.replace(tzinfo=UTC)


def rendered_depth(segments: Sequence[str], dated: bool = True) -> int:
    """How many leading segments name the folders to list: down to the last date field.

    Without date fields, or with `dated` off, down to the first star or field. The last segment
    names files and never counts.
    """
    folders = segments[:-1]
    wanted = fields_of(segments) & _DATE_FIELDS if dated else set[str]()
    if wanted:
        depth = next(
            (n for n in range(len(folders) + 1) if wanted <= fields_of(folders[:n])), len(folders)
        )
        while depth and not fields_of(folders[depth - 1 : depth]) and "*" in folders[depth - 1]:
            depth -= 1
        return depth
    return next((n for n, part in enumerate(folders) if set("%*") & set(part)), len(folders))


def moments(span: Interval | None, grain: str) -> list[datetime] | None:
    """The times to render folders for; None when they are too many or there is no end."""
    if span is None or not grain:
        return None
    moments: list[datetime] = []
    moment = _floor(span.start, grain)
    while moment < span.end:
        if len(moments) == _MOST_FOLDERS:
            return None
        moments.append(moment)
        moment = _next(moment, grain)
    return moments


def render(segment: str, moment: datetime) -> str:
    """The segment at a time; stars stay."""
    return "".join(
        f"{moment:{token}}".zfill(_DIGITS[token]) if token in _DIGITS else token.replace("%%", "%")
        for token in template_tokens(segment)
    )
