"""What people say of findings: lines appended to triage.jsonl, read over what is published.

Each line holds the whole state of its finding from then on, so the newest line of a finding is its
state, whatever becomes of the finding itself. Saying something never waits for a run: the file has
a lock of its own, held for one line.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
from filelock import FileLock

from gundog import tables, warehouse
from gundog.errors import InputError
from gundog.fields import unknown
from gundog.interval import format_time, parse_time

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
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Entry:
    """One thing a person said of a finding, and what it is from then on."""

    finding_id: str
    at: datetime
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


def spelled(word: str, known: Iterable[str], kind: str) -> str:
    """A status or verdict as it is stored, from the ways people write it.

    Raises:
        InputError: when it is none.

    >>> spelled("In progress", STATUSES, "status")
    'in_progress'
    """
    name = word.strip().lower().replace("-", "_").replace(" ", "_")
    if name not in known:
        raise InputError(f"{kind} {word!r}: {unknown(name, list(known), kind)}")
    return name


def append(
    path: Path, finding_id: str, said: Said, before: tuple[str, str | None], now: datetime
) -> Entry:
    """Writes down what a person said of a finding; it is on disk when this returns.

    A verdict without a status resolves. A status without a verdict keeps the verdict of before,
    unless it opens the finding again.

    Args:
        path: triage.jsonl.
        finding_id: the whole id.
        said: what was said.
        before: status and verdict the finding is published with; lines in the file are newer.
        now: the present; a line is never older than the one above it.

    Raises:
        InputError: when nothing was said, or the status or verdict is no known one.
    """
    if not (said.status or said.verdict or said.note):
        raise InputError("nothing was said: give --status, --verdict or --note")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        entries, _ = read(path)
        mine = [one for one in entries if one.finding_id == finding_id]
        if mine:
            before = mine[-1].status, mine[-1].verdict
        at = max(now, entries[-1].at + _TICK) if entries else now
        entry = _entry(finding_id, said, before, at)
        _write_line(path, entry)
    return entry


def _entry(finding_id: str, said: Said, before: tuple[str, str | None], at: datetime) -> Entry:
    verdict = spelled(said.verdict, VERDICTS, "verdict") if said.verdict else None
    asked = spelled(said.status, STATUSES, "status") if said.status else None
    status = asked or ("resolved" if verdict else before[0])
    if verdict is None and asked not in _OPEN:
        verdict = before[1]
    return Entry(
        finding_id=finding_id,
        at=at,
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

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        import getpass

        return getpass.getuser()


def _write_line(path: Path, entry: Entry) -> None:
    line = json.dumps({**asdict(entry), "at": format_time(entry.at)}, ensure_ascii=True) + "\n"
    with path.open("a+b") as file:
        if file.tell() and not _ends_with_newline(file):
            line = "\n" + line  # after a line that was cut short
        file.write(line.encode("ascii"))
        file.flush()
        os.fsync(file.fileno())


def _ends_with_newline(file: Any) -> bool:
    file.seek(-1, os.SEEK_END)
    return bool(file.read(1) == b"\n")


def read(path: Path) -> tuple[list[Entry], list[str]]:
    """Every entry in the order it was said, and what is wrong with lines that hold none."""
    if not path.is_file():
        return [], []
    entries, problems = list[Entry](), list[str]()
    for number, line in enumerate(
        path.read_text(encoding="utf-8", errors="replace").split("\n"), 1
    ):
        if not line.strip():
            continue
        try:
            entries.append(_parse(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError, InputError):
            problems.append(f"{path.name}: line {number}: says nothing that can be read: remove it")
    return entries, problems


def _parse(data: dict[str, Any]) -> Entry:
    values = {one.name: data[one.name] for one in fields(Entry)}
    status, verdict = str(values["status"]), values["verdict"]
    values["at"] = parse_time(values["at"])
    values["status_id"] = STATUSES[status]
    values["verdict_id"] = VERDICTS[verdict] if verdict else None
    return Entry(**values)


# The newest of what was said of each finding.
NOW = """select finding_id, status, verdict from triage
    qualify row_number() over (partition by finding_id order by "at" desc) = 1"""


def copy_in(con: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
    """Adds to the table `triage` what it does not hold yet; it keeps what the file has lost."""
    warehouse.insert(con, "triage", [asdict(one) for one in _fresh(con, entries)])


def _fresh(con: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> list[Entry]:
    known = set(con.execute('select finding_id::varchar, "at" from main.triage').fetchall())
    return [one for one in entries if (one.finding_id, one.at) not in known]


def overlay(con: duckdb.DuckDBPyConnection, entries: Sequence[Entry]) -> None:
    """Makes a connection to findings.duckdb see what was said since it was published.

    The published views read `findings` by its plain name and see it too.
    """
    fresh = _fresh(con, entries)
    if not fresh:
        return
    [(catalog,)] = con.execute("select current_database()").fetchall()
    published = f'"{catalog}".main'
    inner = ", ".join(f'"{one.name}" {one.type}' for one in tables.TRIAGE.columns)
    con.execute(f"create temp table triage_since ({inner})")
    warehouse.insert(con, "triage_since", [asdict(one) for one in fresh])
    con.execute(
        f"create temp view triage as from {published}.triage union all by name from triage_since"
    )
    con.execute(
        f"""create temp view findings as
            select f.* replace (
                coalesce(t.status, f.triage_status) as triage_status,
                case when t.status is null then f.verdict else t.verdict end as verdict
            )
            from {published}.findings as f left join ({NOW}) as t using (finding_id)"""
    )
