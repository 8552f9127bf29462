"""A lake path as a template, guessed from the names of folders and files.

Nothing here touches a store.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

# What writers put around a table's name in the name of a container or folder.
_AROUND = re.compile(r"^(insightslogsadvancedhunting|advancedhunting|am)(?=.)|(?<=.)cl$")
_YEAR = r"(?:19|20|21)\d\d"
_TWO_DIGIT_MONTH, _TWO_DIGIT_DAY, _TWO_DIGIT_HOUR = (
    r"(?:0[1-9]|1[0-2])",
    r"(?:0[1-9]|[12]\d|3[01])",
    r"(?:[01]\d|2[0-3])",
)
# Whole dates in one name, the longest first.
_DATES = (
    (rf"{_YEAR}-{_TWO_DIGIT_MONTH}-{_TWO_DIGIT_DAY}-{_TWO_DIGIT_HOUR}", "%Y-%m-%d-%H"),
    (rf"{_YEAR}-{_TWO_DIGIT_MONTH}-{_TWO_DIGIT_DAY}T{_TWO_DIGIT_HOUR}", "%Y-%m-%dT%H"),
    (rf"{_YEAR}-{_TWO_DIGIT_MONTH}-{_TWO_DIGIT_DAY}", "%Y-%m-%d"),
    (rf"{_YEAR}{_TWO_DIGIT_MONTH}{_TWO_DIGIT_DAY}{_TWO_DIGIT_HOUR}", "%Y%m%d%H"),
    (rf"{_YEAR}{_TWO_DIGIT_MONTH}{_TWO_DIGIT_DAY}", "%Y%m%d"),
    (rf"{_YEAR}-{_TWO_DIGIT_MONTH}", "%Y-%m"),
)
# A part of a date on its own, in the order in which folders have them.
_PARTS = (("%Y", _YEAR), ("%m", _TWO_DIGIT_MONTH), ("%d", _TWO_DIGIT_DAY), ("%H", _TWO_DIGIT_HOUR))
_KEYS = {
    "y": "%Y", "year": "%Y", "m": "%m", "month": "%m", "d": "%d", "day": "%d", "h": "%H",
    "hour": "%H", "hr": "%H",
}  # fmt: skip
_ENDING = re.compile(
    r"(?:\.(?:snappy|zstd|gz|c\d+))*\.(?:parquet|jsonl?|ndjson|avro|csv|orc|txt)(?:\.(?:gz|zst))?$",
    re.IGNORECASE,
)
# Files that are always called so, one in a folder.
_FIXED = re.compile(r"PT\d+[HM]\.json", re.IGNORECASE)


def plain(name: str) -> str:
    """A name without what tells no tables apart.

    >>> plain("insights-logs-advancedhunting-cloudappevents"), plain("Cloud_App_Events_CL")
    ('cloudappevents', 'cloudappevents')
    """
    folded = re.sub(r"[\W_]", "", name).casefold()
    return _AROUND.sub("", _AROUND.sub("", folded))


def table_of(name: str, tables: Iterable[str]) -> str:
    """The table that a folder or container is named after; empty without one.

    >>> table_of("am-CloudAppEvents", ["CloudAppEvents"]), table_of("events", ["CloudAppEvents"])
    ('CloudAppEvents', '')
    """
    wanted = plain(name.rpartition("=")[2])
    return next((table for table in tables if plain(table) == wanted), "")


def is_inner(name: str) -> bool:
    """True for a folder that parts one table's files: a date, a number or `key=value`.

    >>> is_inner("y=2026"), is_inner("2026-03-09"), is_inner("tenantId=a"), is_inner("exports")
    (True, True, True, False)
    """
    return "=" in name or bool(re.fullmatch(r"[\d-]{2,}(?:T\d\d)?", name))


@dataclass(frozen=True)
class Segment:
    """A segment of a template, and the fields of time that it adds."""

    text: str
    fields: frozenset[str] = frozenset()


def folder(names: Sequence[str], chosen: str, earlier: Collection[str]) -> Segment:
    """The segment that stands for a folder and for those beside it.

    Args:
        names: all folders at that place.
        chosen: the one that was opened.
        earlier: the fields of time that the segments before it have.

    >>> folder(["m=02", "m=03"], "m=03", {"%Y"}).text, folder(["m=00"], "m=00", {"%Y", "%H"}).text
    ('m=%m', 'm=00')
    """
    key, sign, value = chosen.rpartition("=")
    field = _field(key.lower(), value, earlier) if sign else _bare(value, earlier)
    if field:
        used = frozenset(re.findall("%[YmdH]", field))
        return Segment(_escaped(f"{key}{sign}") + field, used)
    if len(set(names)) == 1 and not _is_one_of_many(key, value):
        return Segment(_escaped(chosen))
    alike = bool(sign) and all(name.startswith(f"{key}=") for name in names)
    return Segment(f"{_escaped(key)}=*" if alike else "*")


def _is_one_of_many(key: str, value: str) -> bool:
    """True for a value of which there will be others: a tenant, a GUID, minutes that are not 0."""
    is_time = bool(key) and key.lower() in {*_KEYS, "min", "minute"}
    return key.lower() == "tenantid" or (is_time and value != "00")


def _field(key: str, value: str, earlier: Collection[str]) -> str:
    """The fields of a `key=value`; minutes, after the hour, are none."""
    wanted = _KEYS.get(key)
    pattern = dict(_PARTS).get(wanted or "", "")
    if (
        wanted
        and wanted not in earlier
        and _follows(wanted, earlier)
        and re.fullmatch(pattern, value)
    ):
        return wanted
    return "" if "%H" in earlier or wanted else _date(value, earlier)


def _bare(value: str, earlier: Collection[str]) -> str:
    if date := _date(value, earlier):
        return date
    for field, pattern in _PARTS:
        if field not in earlier:
            fits = _follows(field, earlier) and re.fullmatch(pattern, value)
            return field if fits else ""
    return ""


def _date(value: str, earlier: Collection[str]) -> str:
    if earlier:
        return ""
    return next((fields for pattern, fields in _DATES if re.fullmatch(pattern, value)), "")


def _follows(field: str, earlier: Collection[str]) -> bool:
    """True when all coarser fields are there."""
    order = [name for name, _ in _PARTS]
    return set(order[: order.index(field)]) <= set(earlier)


def files(names: Sequence[str], earlier: Collection[str]) -> str:
    """The last segment of a template: what most of a folder's files are called.

    >>> files(["PT1H.json"], {"%Y"}), files(["a.parquet", "b.parquet", "_SUCCESS"], {"%Y"})
    ('PT1H.json', '*.parquet')
    >>> files(["events-2026-03-09.json.gz"], ())
    '*%Y-%m-%d*.json.gz'
    """
    usual = [name for name in names if not name.startswith((".", "_"))]
    if not usual:
        return ""
    if len(set(usual)) == 1 and _FIXED.fullmatch(usual[0]):
        return usual[0]
    endings = [ending_of(name) for name in usual]
    most = max(sorted(set(endings)), key=endings.count)
    return f"*{_date_in(usual, most, earlier)}{_escaped(most)}"


def _date_in(names: Sequence[str], ending: str, earlier: Collection[str]) -> str:
    """The date in the names of files that lie in folders without one, with a star after it."""
    if earlier:
        return ""
    for pattern, fields in _DATES[:-1]:
        searched = re.compile(rf"(?<!\d){pattern}(?!\d)")
        if all(searched.search(name) for name in names if ending_of(name) == ending):
            return f"{fields}*"
    return ""


def ending_of(name: str) -> str:
    """What tells a file's format at the end of its name.

    >>> ending_of("part-0.c000.snappy.parquet"), ending_of("a.json.gz"), ending_of("data")
    ('.parquet', '.json.gz', '')
    """
    match = _ENDING.search(name)
    return re.sub(r"^(?:\.(?:snappy|zstd|gz|c\d+))+(?=\.)", "", match[0]) if match else ""


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
