"""exceptions.yaml: what is known to be harmless, why, who says so, and until when.

An entry hides findings whose columns match and whose `start_time` lies in [from, expires). Expired
entries stay: a backfill of old days needs them.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from gundog.core import addresses, appending, globs
from gundog.core.errors import ContentError, InputError, Problem
from gundog.core.fields import Fields, brief, read_list, unknown
from gundog.core.times import format_time, parse_time

FILE = "exceptions.yaml"
ANY = "*"
ALWAYS = datetime(1, 1, 1, tzinfo=UTC)
KEYS = frozenset("detection match from expires reason owner".split())
_HEAD = """\
# What is known to be harmless. A finding is hidden, and kept, when all keys of match fit and it
# starts in [from, expires). * stands for any text, [*] for a star; a list is any of its values;
# an address range such as 10.0.0.0/8 works. gundog except adds entries.
"""


@dataclass(frozen=True)
class Entry:
    """One thing that is known to be harmless.

    Attributes:
        detection: a detection's id or file stem, or `*` for every one.
        match: patterns by column; a finding must fit one pattern of each.
        start: from when it holds, in UTC, by the findings' start_time.
        end: until when, exclusive.
    """

    detection: str
    match: tuple[tuple[str, tuple[str, ...]], ...]
    start: datetime
    end: datetime
    reason: str
    owner: str = ""

    @property
    def id(self) -> str:
        """The same while it is about the same; expiry, reason and owner may change."""
        about = json.dumps([self.detection, self.match, format_time(self.start)])
        return hashlib.sha256(about.encode()).hexdigest()[:8]

    @property
    def shown(self) -> str:
        """What `suppressed_by` says of a finding that it hides."""
        by = f" by {self.owner}" if self.owner else ""
        return f"exception {self.id}{by}: {self.reason}"

    def names(self, detection_id: str, stem: str) -> bool:
        """True when it is about that detection."""
        return self.detection in (ANY, stem) or self.detection.lower() == detection_id


@dataclass(frozen=True)
class File:
    """What exceptions.yaml holds.

    Attributes:
        entries: those that are right, in its order.
        problems: what is wrong with the file or with other entries.
        whole: False when there is something that could not be read, so that entries may be missing.
        places: of each entry, from 0, among all that stand in the file.
    """

    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    whole: bool = True
    places: tuple[int, ...] = ()

    def in_force(self, last: Iterable[Entry]) -> tuple[Entry, ...]:
        """The entries that hold.

        Nothing is unhidden because of a slip of the pen: while the file is not whole, entries of
        the last run that are not in it hold on.

        Args:
            last: the entries that held in the last run.
        """
        if self.whole:
            return self.entries
        ids = {entry.id for entry in self.entries}
        return (*self.entries, *(entry for entry in last if entry.id not in ids))


def load(root: Path) -> File:
    """What a project's exceptions.yaml holds; nothing when there is no such file."""
    path = root / FILE
    if not path.exists() and not path.is_symlink():
        return File()
    problems: list[Problem] = []
    items = read_list(path, FILE, problems)
    if problems:
        return File(problems=tuple(problems), whole=False)
    return _read(items)


def _read(items: Sequence[Any]) -> File:
    entries: dict[str, tuple[int, Entry]] = {}
    problems: list[Problem] = []
    whole = True
    for place, item in enumerate(items):
        wrong: list[Problem] = []
        entry = read_entry(Fields(item, FILE, wrong, str(place), KEYS, bounded=False))
        whole = whole and not wrong
        if not wrong and entry.id in entries:
            problem = (
                f"is about the same as {entries[entry.id][0]}: keep one, with the later expires"
            )
            wrong.append(Problem(FILE, str(place), problem))
        if not wrong:
            entries[entry.id] = (place, entry)
        problems += wrong
    return File(
        tuple(entry for _, entry in entries.values()),
        tuple(problems),
        whole,
        tuple(place for place, _ in entries.values()),
    )


def read_entry(fields: Fields) -> Entry:
    """The entry that fields hold; its problems are those of the fields."""
    start = _time(fields, "from") if fields.data.get("from") is not None else ALWAYS
    end = _time(fields, "expires")
    if start >= end != ALWAYS:
        fields.problem("expires", f"is not after from: {format_time(end)}: give a later time")
    reason = fields.text("reason")
    if not reason and isinstance(fields.data.get("reason"), str):
        fields.problem("reason", "is empty: write why this is harmless")
    return Entry(
        detection=fields.text("detection"),
        match=read_match(fields),
        start=start,
        end=end,
        reason=reason,
        owner=fields.text("owner", ""),
    )


def _time(fields: Fields, key: str) -> datetime:
    value = fields.data.get(key)
    if isinstance(value, (str, date)):
        try:
            return parse_time(value)
        except (InputError, OverflowError) as error:
            fields.problem(key, str(error))
            return ALWAYS
    held = "is missing" if value is None else f"is {brief(value)}"
    fields.problem(key, f"{held}: write a day or a time in UTC, such as 2027-01-31")
    return ALWAYS


def read_match(fields: Fields) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Patterns by column, as `match` has them."""
    columns = fields.mapping("match")
    if fields.data.get("match") in (None, {}):
        fields.problem("match", "is empty: name at least one column and its value")
    match = []
    for column, value in columns.items():
        values = value if isinstance(value, list) else [value]
        if not values or not all(_is_value(item) for item in values):
            problem = f"is {brief(value)}: write a text or a list of texts"
            fields.problem(f"match.{column}", problem)
            continue
        match.append((str(column), tuple(_spelled(item) for item in values)))
    return tuple(match)


def _is_value(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and value != ""


def _spelled(value: Any) -> str:
    """A value as text: times as people write them, numbers and booleans as JSON does."""
    if isinstance(value, datetime):
        return format_time(value)
    return value.strip() if isinstance(value, str) else json.dumps(value)


def check_names(file: File, detections: Collection[tuple[str, str]]) -> tuple[Problem, ...]:
    """Problems with entries that name no detection.

    Args:
        file: what exceptions.yaml holds.
        detections: id and file stem of every one there is.
    """
    stems = [stem for _, stem in detections]
    return tuple(
        Problem(FILE, f"{place}.detection", unknown(entry.detection, [*stems, ANY], "detection"))
        for place, entry in zip(file.places, file.entries, strict=True)
        if entry.detection != ANY and not any(entry.names(key, stem) for key, stem in detections)
    )


SOON = timedelta(days=7)
IDLE = timedelta(days=90)
Test = Callable[[Mapping[str, Any]], bool]


def attention(rows: Iterable[Mapping[str, Any]], now: datetime, news: bool = False) -> list[str]:
    """What a person should know of exceptions, a sentence each.

    Args:
        rows: of the table `exceptions`.
        now: the present.
        news: True to leave out what expired more than `SOON` ago.
    """
    remarks = []
    for row in rows:
        name = f"exception {row['exception_id']} of {row['detection']} ({row['reason']})"
        for column in row["unknown_columns"] or ():
            remarks.append(f"{name} hides nothing: no finding has the column {column}")
        if row["expires"] <= now:
            if not news or row["expires"] > now - SOON:
                remarks.append(f"{name} expired {format_time(row['expires'])}")
        elif row["expires"] <= now + SOON:
            remarks.append(f"{name} expires {format_time(row['expires'])}")
        elif _idle(row, now - IDLE):
            remarks.append(f"{name} hid nothing in {IDLE.days} days: remove it")
    return remarks


def _idle(row: Mapping[str, Any], since: datetime) -> bool:
    began, newest = row["from_time"], row["newest_hidden"]
    return (began is None or began <= since) and (newest is None or newest < since)


# ---- matching ----


def matcher(entry: Entry) -> Test:
    """A test of a finding's columns: True when every key of the entry's match fits.

    Texts are compared without case. A column that is null, empty or missing never matches; of a
    column that holds a list one value has to fit.

    >>> day = datetime(2026, 1, 5, tzinfo=UTC)
    >>> entry = Entry("*", (("account_name", ("svc-*",)),), day, day, "a service")
    >>> matcher(entry)({"account_name": "SVC-backup"}), matcher(entry)({"account_name": "ana"})
    (True, False)
    """
    tests = [
        (column, [_test_of(pattern) for pattern in patterns]) for column, patterns in entry.match
    ]

    def fits(row: Mapping[str, Any]) -> bool:
        return all(
            any(test(value) for value in _values(row.get(column)) for test in any_of)
            for column, any_of in tests
        )

    return fits


def _values(value: Any) -> list[str]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [shown for item in values if item is not None and (shown := _spelled(item))]


def _test_of(pattern: str) -> Callable[[str], bool]:
    text = globs.matcher(pattern)
    network = _network(pattern)

    def fits(value: str) -> bool:
        return text(value) or (network is not None and _lies_in(value, network))

    return fits


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(pattern: str) -> _Network | None:
    try:
        return ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return None


def _lies_in(value: str, network: _Network) -> bool:
    """True for an address of the network, with a port too, and when IPv6 writes an IPv4 address."""
    try:
        address = ipaddress.ip_address(addresses.plain(value))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address in network or (mapped is not None and mapped in network)


def literal(value: str) -> str:
    """The pattern that fits this very value and no other.

    >>> literal("svc-*")
    'svc-[*]'
    """
    return value.replace("*", "[*]")


# ---- adding ----


def propose(detection: str, row: Mapping[str, Any], columns: Sequence[str], **rest: Any) -> Entry:
    """The entry that hides what has the same values in `columns` as a finding.

    Args:
        detection: its file stem.
        row: the finding's columns, details among them.
        columns: what to compare.
        rest: start, end, reason and owner.

    Raises:
        InputError: when a column is none of the finding's, or is empty there.
    """
    match = []
    for column in dict.fromkeys(columns):
        if column not in row:
            names = [name for name, value in row.items() if _values(value)]
            raise InputError(f"--on {column}: {unknown(column, names, 'column')}")
        values = _values(row[column])
        if not values or isinstance(row[column], dict):
            raise InputError(f"--on {column}: the finding has no value there: name another column")
        match.append((column, tuple(literal(value) for value in values)))
    return Entry(detection, tuple(match), **rest)


def as_yaml(entry: Entry) -> str:
    """The entry as people write it, one item of a list."""
    data: dict[str, Any] = {
        "detection": entry.detection,
        "match": {
            column: patterns[0] if len(patterns) == 1 else list(patterns)
            for column, patterns in entry.match
        },
        "from": _day(entry.start),
        "expires": _day(entry.end),
        "reason": entry.reason,
    }
    if entry.owner:
        data["owner"] = entry.owner
    return yaml.safe_dump([data], sort_keys=False, allow_unicode=False, width=10**6)


def _day(moment: datetime) -> date | str:
    return (
        moment.date()
        if moment == moment.replace(hour=0, minute=0, second=0, microsecond=0)
        else format_time(moment)
    )


def append(root: Path, entry: Entry, lock: Path, first_line: str = "") -> str:
    """Adds an entry to exceptions.yaml; returns the lines that were added.

    The file as it was stays to the byte, comments too.

    Args:
        root: the project folder.
        entry: what to add.
        lock: a file that keeps two additions apart.
        first_line: a comment at the top of a file that is new.

    Raises:
        ContentError: when the file has problems already.
        InputError: when it holds such an entry, or is not a list that can be added to.
        StoreError: when it cannot be written; the file stays as it was.
    """
    with appending.locked(lock):
        file = load(root)
        if file.problems:
            raise ContentError(file.problems)
        for present in file.entries:
            if present.id == entry.id:
                raise InputError(
                    f"{FILE}: already has such an exception, until {format_time(present.end)}:"
                    " change its expires there"
                )

        def holds(path: Path) -> bool:
            problems: list[Problem] = []
            read = _read(read_list(path, FILE, problems))
            return not problems and not read.problems and read.entries == (*file.entries, entry)

        return appending.append(root / FILE, first_line + _HEAD, as_yaml(entry), holds)
