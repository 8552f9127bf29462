"""What people say of findings: lines appended to triage.jsonl, read over what is published.

Each line holds status and verdict of its finding from then on, so the newest line of a finding
holds, whatever becomes of the finding itself. Saying something never waits for a run: the file has
a lock of its own, held for one line.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import duckdb

from gundog.core import appending
from gundog.core.errors import InputError
from gundog.core.fields import unknown
from gundog.core.times import MICROSECOND, format_time, parse_time
from gundog.core.wording import count
from gundog.warehouse import database, quoting, tables, upgrading

# The numbers are OCSF's status_id and verdict_id.
STATUSES = {"new": 1, "in_progress": 2, "resolved": 4, "archived": 5}
VERDICTS = {
    "false_positive": 1,
    "true_positive": 2,
    "disregard": 3,
    "suspicious": 4,
    "benign": 5,
    "test": 6,
    "insufficient_data": 7,
    "duplicate": 10,
}
_OPEN = ("new", "in_progress")
# Lines of triage.jsonl keep the names that they were first written with.
_KEYS = {"said_at": "at"}
# What one line may hold, in bytes; a note on the command line cannot become as long.
_LONGEST = 1_000_000
_NAMED = 20  # lines that a problem is told of, each
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC) for year in (1970, 2200))


@dataclass(frozen=True)
class Entry:
    """One thing a person said of a finding, and what it is from then on."""

    finding_id: str
    said_at: datetime
    actor: str
    host: str
    status: str
    status_id: int
    verdict: str | None
    verdict_id: int | None
    note: str | None


@dataclass(frozen=True)
class Said:
    """What a person wants to say of a finding; at least one of the three."""

    status: str | None = None
    verdict: str | None = None
    note: str | None = None


def beside(findings: Path) -> Path:
    """The file that belongs to a findings.duckdb."""
    return findings.with_name("triage.jsonl")


def spelled(word: str, words: Iterable[str], kind: str) -> str:
    """A status or verdict as it is stored, from the ways people write it.

    Raises:
        InputError: when it is none.

    >>> spelled("In progress", STATUSES, "status")
    'in_progress'
    """
    name = word.strip().lower().replace("-", "_").replace(" ", "_")
    if name not in words:
        raise InputError(f"{kind} {word!r}: {unknown(name, list(words), kind)}")
    return name


def append(
    path: Path, finding_id: str, said: Said, before: tuple[str, str | None], now: datetime
) -> Entry:
    """Writes down what a person said of a finding; it is on disk when this returns.

    A verdict without a status resolves. A status without a verdict keeps the earlier verdict,
    unless it opens the finding again.

    Args:
        path: triage.jsonl.
        finding_id: the whole id.
        said: what was said.
        before: status and verdict the finding is published with; lines in the file are newer.
        now: the present; a line is never older than the one above it.

    Raises:
        InputError: when there is nothing to record, the status or verdict is unknown, or the note
            cannot be kept.
        StoreError: when it cannot be written, as on a full disk; the file stays as it was.
    """
    if not (said.status or said.verdict or said.note):
        raise InputError("nothing to record: give --status, --verdict or --note")
    with appending.locked(path.with_suffix(".lock")):
        entries, _ = read(path)
        mine = [entry for entry in entries if entry.finding_id == finding_id]
        if mine:
            before = mine[-1].status, mine[-1].verdict
        said_at = max(now, entries[-1].said_at + MICROSECOND) if entries else now
        entry = _entry(finding_id, said, before, said_at)
        line = _line(entry)
        if _usable(line) is None:
            raise InputError("--note cannot be kept: write a shorter one, in UTF-8")
        appending.add_line(path, line)
    return entry


def _entry(finding_id: str, said: Said, before: tuple[str, str | None], said_at: datetime) -> Entry:
    verdict = spelled(said.verdict, VERDICTS, "verdict") if said.verdict else None
    asked = spelled(said.status, STATUSES, "status") if said.status else None
    status = asked or ("resolved" if verdict else before[0])
    if verdict is None and asked not in _OPEN:
        verdict = before[1]
    return Entry(
        finding_id=finding_id,
        said_at=said_at,
        actor=actor(),
        host=socket.gethostname(),
        status=status,
        status_id=STATUSES[status],
        verdict=verdict,
        verdict_id=VERDICTS[verdict] if verdict else None,
        note=said.note,
    )


def actor() -> str:
    """The account as the operating system knows it; the environment could say anything."""
    try:
        import pwd

        name = pwd.getpwuid(os.getuid()).pw_name
    except ImportError:
        import getpass

        name = getpass.getuser()
    except KeyError:  # a container's account may have a number and no name
        name = f"uid {os.getuid()}"
    return name.encode("utf-8", "replace").decode("utf-8")


def _line(entry: Entry) -> bytes:
    values = {**asdict(entry), "said_at": format_time(entry.said_at)}
    line = {_KEYS.get(name, name): value for name, value in values.items()}
    return json.dumps(line, ensure_ascii=True).encode("ascii")


def read(path: Path) -> tuple[list[Entry], list[str]]:
    """Every entry in the order it was said, and what is wrong with lines that hold none.

    Nothing that stands in the file keeps the other lines from being read.
    """
    entries, problems = list[Entry](), list[str]()
    lines_by_key = dict[tuple[str, datetime], int]()
    try:
        with path.open("rb") as file:
            for number, line in enumerate(_lines(file), 1):
                entry = _usable(line)
                key = (entry.finding_id, entry.said_at) if entry else None
                if entry is None or key is None:
                    if line.strip():
                        problems.append(f"line {number}: cannot be read: remove it")
                elif key in lines_by_key:
                    problems.append(f"line {number}: repeats line {lines_by_key[key]}: remove it")
                else:
                    lines_by_key[key] = number
                    entries.append(entry)
    except FileNotFoundError:
        pass
    except OSError as error:
        why = error.strerror or type(error).__name__
        problems.append(f"cannot be read ({why}): let this account read it")
    return entries, [f"{path.name}: {problem}" for problem in _few(problems)]


def _few(problems: Sequence[str]) -> list[str]:
    more = len(problems) - _NAMED
    return [
        *problems[:_NAMED],
        *([f"{count(more, 'more line')} cannot be used"] if more > 0 else []),
    ]


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The lines; of one that is too long only the beginning, itself too long."""
    while line := file.readline(_LONGEST + 1):
        yield line
        while len(line) > _LONGEST and not line.endswith(b"\n"):
            line = file.readline(_LONGEST + 1)


def _usable(line: bytes) -> Entry | None:
    """What a line says, or None when that cannot be used."""
    if len(line) > _LONGEST or not line.strip():
        return None
    try:
        return _parse(json.loads(line.decode("utf-8-sig")))
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError, InputError):
        return None


def _parse(data: Any) -> Entry:
    values = {field.name: data[_KEYS.get(field.name, field.name)] for field in fields(Entry)}
    status, verdict, note = values["status"], values["verdict"] or None, values["note"]
    return Entry(
        finding_id=str(UUID(_text(values["finding_id"]))),
        said_at=_moment(_text(values["said_at"])),
        actor=_text(values["actor"]),
        host=_text(values["host"]),
        status=status,
        status_id=STATUSES[status],
        verdict=verdict,
        verdict_id=VERDICTS[verdict] if verdict else None,
        note=None if note is None else _text(note),
    )


def _text(value: Any) -> str:
    """The value, when it is text that every table takes."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    value.encode("utf-8")  # a lone surrogate is none
    return value


def _moment(text: str) -> datetime:
    """A time with a zone that leaves room for a later one."""
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError
    moment = parse_time(text)
    if not _FIRST <= moment < _LAST:
        raise ValueError
    return moment


# The newest of what was said of each finding.
NOW = """select finding_id, status, verdict from triage
    qualify row_number() over (partition by finding_id order by said_at desc) = 1"""


def copy_in(con: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
    """Adds to the table `triage` what it does not hold yet; it keeps what the file has lost."""
    database.insert(con, "triage", [asdict(entry) for entry in _fresh(con, entries)])


def _fresh(con: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> list[Entry]:
    stored = set(con.execute("select finding_id::varchar, said_at from triage").fetchall())
    return [entry for entry in entries if (entry.finding_id, entry.said_at) not in stored]


def overlay(con: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
    """Makes a connection to findings.duckdb see what was said since it was published.

    The published views read `findings` by its plain name and see it too. A file of an older gundog
    is read under the column names of today.
    """
    [(catalog,)] = con.execute("select current_database()").fetchall()
    published = f"{quoting.name(catalog)}.main"
    renamed = upgrading.renamed(con, published)
    for table, select in renamed.items():
        con.execute(f"create temp view {table} as {select}")
    fresh = _fresh(con, entries)
    if not fresh:
        return
    inner = ", ".join(
        f"{quoting.name(column.name)} {column.type}" for column in tables.TRIAGE.columns
    )
    con.execute(f"create temp table triage_since ({inner})")
    database.insert(con, "triage_since", [asdict(entry) for entry in fresh])
    before = renamed.get("triage", f"from {published}.triage")
    con.execute(
        f"create or replace temp view triage as {before} union all by name from triage_since"
    )
    con.execute(
        f"""create temp view findings as
            select f.* replace (
                coalesce(t.status, f.triage_status) as triage_status,
                case when t.status is null then f.verdict else t.verdict end as verdict
            )
            from {published}.findings as f left join ({NOW}) as t using (finding_id)"""
    )
