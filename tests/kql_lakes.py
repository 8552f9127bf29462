"""Random lakes on which an imported Sentinel hunt is compared with the detection that holds it.

    python -m tests.kql_lakes EXPORTS MAIL [--seeds N]

EXPORTS and MAIL are files with the two queries; they are imported under other names and ids. A
lake has three nights of process starts, or sixteen days of mail records: rows at both sides of
hours and midnights, files that repeat rows, and files that come after the first hunt.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from gundog.core.times import parse_range
from gundog.kql_import import reading
from gundog.run import run
from tests import kit, kql_kit, test_kusto

Row = dict[str, Any]
Shown = Counter[tuple[str, ...]]
EXPORTS, MAIL = "imported_exports", "imported_mail"
LAKE = test_kusto.LAKE.replace("[builtin]", "[builtin, .]")
_MOMENT = re.compile(r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.0+)?(?:Z|\+00(?::00)?)?$")
NOW, HOUR, DAY, US = test_kusto.NOW, test_kusto.HOUR, test_kusto.DAY, test_kusto.US


def started(root: Path, name: str, kql: str) -> Path:
    """A project with a query imported beside what ships."""
    kit.write_text(root / "gundog.yaml", LAKE)
    kql_kit.write(root, kql, name)
    return root


def processes(seed: int) -> list[Row]:
    """Process starts of three days, many of them in pairs, also across the edges of hours."""
    draw = random.Random(seed)  # noqa: S311 - made-up events
    rows = []
    for number in range(draw.randrange(40, 120)):
        edge = NOW - 3 * DAY + draw.randrange(0, 72) * HOUR
        near = draw.choice([-US, 0 * US, US, 59 * timedelta(minutes=1), HOUR - US])
        rows.append(
            {
                "Timestamp": max(edge + near, NOW - 3 * DAY),
                "tick": draw.choice([0, 0, 3]),
                "DeviceName": draw.choice(["exch01", "EXCH01", "exch02.example.com", "", None]),
                "AccountName": draw.choice(["ana", "Ana", "", None]),
                "FileName": draw.choice(
                    ["cmd.exe", "PowerShell.exe", "powershell.exe", "pwsh.exe"]
                ),
                "ProcessCommandLine": draw.choice([*test_kusto.COMMANDS[:5], *test_kusto.COMMANDS]),
                "ReportId": number,
            }
        )
        if draw.random() < 0.5:
            rows.append({**rows[-1], "ReportId": 1_000 + number,
                         "ProcessCommandLine": draw.choice(test_kusto.COMMANDS[2:5])})  # fmt: skip
    return [row for row in rows if row["Timestamp"] < NOW]


def mails(seed: int) -> list[Row]:
    """Mail records with hours far above the others in the day that is scored."""
    draw = random.Random(seed)  # noqa: S311 - made-up events
    load = draw.choice(["flat", "noise", "daily", "rising"])
    spikes = [*draw.sample([312, 313, 320, 321, 334, 335], 3), draw.choice([200, 311, 336])]
    return test_kusto.mail_lake(seed, load, spikes, None)


def compared(root: Path, imported: str, seed: int) -> tuple[int, list[str]]:
    """How many rows both gave over a random lake, and where they differ.

    Args:
        root: a project from `started`.
        imported: EXPORTS or MAIL.
        seed: of the lake.
    """
    is_mail = imported == MAIL
    rows = mails(seed) if is_mail else processes(seed)
    shipped = test_kusto.MAIL if is_mail else test_kusto.EXPORTS
    table = test_kusto.CLOUD if is_mail else test_kusto.PROCESSES
    first = "2020-12-15" if is_mail else "2020-12-13"
    draw = random.Random(-seed)  # noqa: S311 - made-up events
    kinds = [draw.random() for _ in rows]
    late = [row for row, kind in zip(rows, kinds, strict=True) if kind < 0.1]
    on_time = [row for row, kind in zip(rows, kinds, strict=True) if kind >= 0.1]
    again = [row for row, kind in zip(rows, kinds, strict=True) if kind > 0.8]
    test_kusto.write(root, table, on_time, "ns")
    test_kusto.write(root, table, again, "text", "again")
    project = run.load_project(root, {})
    many, wrong = 0, list[str]()
    for state, more in (("in time", []), ("late", late)):
        test_kusto.write(root, table, more, "ns", "late")
        request = run.Request("hunt", parse_range(first, "2020-12-15"), (shipped, imported))
        outcome = run.run(project, request, test_kusto.LATER, uuid4())
        theirs, ours = (
            _stored(root, project.content.hunt(name).detection.id) for name in (shipped, imported)
        )
        many += sum(theirs.values())
        wrong += [f"{state}: {problem}" for problem in outcome.problems]
        wrong += [f"{state}: only published: {row}" for row in (theirs - ours).elements()]
        wrong += [f"{state}: only imported: {row}" for row in (ours - theirs).elements()]
    return many, wrong


def _stored(root: Path, detection_id: str) -> Shown:
    """The rows that a hunt gave: its night, and the columns of the query by name."""
    rows = kit.table(
        root,
        "select interval_start, details::varchar from findings"
        f" where detection_id::varchar = '{detection_id}'",
    )
    return Counter(_shown(str(night), json.loads(details)) for night, details in rows)


def _shown(night: str, details: Row) -> tuple[str, ...]:
    own = {name.removeprefix("kql_"): value for name, value in details.items()}
    return (night, *(f"{name}={_plain(own[name])}" for name in sorted(own) if name not in _EXTRA))


# What an imported finding has beside the query's columns.
_EXTRA = frozenset({"finding_key", "ordinal", "group_key"})


def _plain(value: Any) -> str:
    """A value however its text is written: times to the second, JSON without blanks."""
    if isinstance(value, str):
        if match := _MOMENT.match(value):
            return f"{match[1]} {match[2]}"
        try:
            value = json.loads(value)
        except ValueError:
            return str(value)
    return json.dumps(value, sort_keys=True)


def query_in(path: Path) -> str:
    """The query of a file, whatever stands around it."""
    (query, *_) = reading.read(path, path.name)
    return query.query


def main(given: Sequence[str] | None = None) -> int:
    """Prints for each query how many rows were compared, and what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exports", type=Path)
    parser.add_argument("mail", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args(given)
    texts = {EXPORTS: query_in(arguments.exports), MAIL: query_in(arguments.mail)}
    differing = 0
    for imported, text in texts.items():
        rows = empty = 0
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                many, wrong = compared(started(Path(folder), imported, text), imported, seed)
            rows, empty, differing = rows + many, empty + (many == 0), differing + len(wrong)
            for line in wrong[:5]:
                print(f"{imported} {seed}: {line[:400]}", flush=True)  # noqa: T201
        print(f"{imported}: {arguments.seeds} lakes, {rows} rows, {empty} lakes without rows,"  # noqa: T201
              f" {differing} differ so far", flush=True)  # fmt: skip
    return int(differing > 0)


if __name__ == "__main__":
    raise SystemExit(main())
