"""The parts of the benchmark: what each runs, in processes of their own, and what it gives."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.engine import generator, lines, wide
from benchmarks.engine.imported import imported
from benchmarks.engine.peers import ENGINES, SOURCES
from benchmarks.engine.project import DAILY, DAY, FIRST, HOURLY

PACKAGES = ("duckdb", "pyarrow", "polars", "chdb", "datafusion")
LIMITS = ("600MB", "4GB")
NIGHTS = 60
LOOKBACK_NIGHTS = 34
YEAR = 365
# A mailbox has about ten records a day, in hours of its own.
TENANT = generator.Size(30, processes=20_000, records=1_000_000, mailboxes=100_008, bare=True,
                        hourly=False)  # fmt: skip
# Nights whose ratio counts, once 28 days of training are there.
_LAST = 6
Found = dict[str, Any]


def machine() -> Found:
    """What the figures were measured on; no names of hosts."""
    return {
        "cores": os.cpu_count(),
        "arch": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES if _version(name)},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def task(name: str, lake: Path, *what: str) -> Found:
    """One measured task in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.engine.tasks", name, str(lake), *what]
    done = subprocess.run(command, capture_output=True, text=True)  # noqa: S603 - our own command
    if done.returncode:
        raise SystemExit(f"{' '.join(command[2:])} failed:\n{done.stderr}")
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def engines(root: Path, megabytes: int, rounds: int) -> Found:
    """Both hunts: merely decoding, gundog, the core in plain DuckDB, and in its peers."""
    lake = generator.write(root / "day", generator.sized(1, megabytes))
    hunts = {hunt: _contest(lake, hunt, rounds) for hunt in SOURCES}
    return {"megabytes": generator.megabytes(lake), "rounds": rounds, "hunts": hunts}


def _contest(lake: Path, hunt: str, rounds: int) -> Found:
    """One hunt by everyone, in turn; the first time with both forms, then with the faster one."""
    contestants: dict[str, Callable[[], Found]] = {
        "decode": lambda: task("decode", lake, SOURCES[hunt]),
        "gundog": lambda: task("engine", lake, SOURCES[hunt]),
    }
    forms, missing, answers = {}, list[str](), list[Found]()
    first = {name: run() for name, run in contestants.items()}
    for name, hunts in ENGINES.items():
        if not find_spec(name):
            missing.append(name)
            continue
        tried = {form: task("peer", lake, f"{name}/{hunt}/{form}") for form in hunts[hunt][1]}
        answers += [{"who": f"{name}, {form}", **one} for form, one in tried.items()]
        forms[name] = min(tried, key=lambda form: float(tried[form]["cpu"]))
        first[name] = tried[forms[name]]
        what = f"{name}/{hunt}/{forms[name]}"
        contestants[name] = lambda what=what: task("peer", lake, what)  # type: ignore[misc]
    turns = [first]
    turns += [{name: run() for name, run in contestants.items()} for _ in range(rounds - 1)]
    answers += [{"who": name, **one} for turn in turns for name, one in turn.items()
                if name != "decode"]  # fmt: skip
    rows = _same(hunt, answers)
    return {
        "rows": rows, "forms": forms, "missing": missing,
        "taken": {name: _summary(name, turns) for name in contestants},
    }  # fmt: skip


def _same(hunt: str, answers: Iterable[Mapping[str, Any]]) -> int:
    """How many rows each gave; ends the benchmark when they differ or there are none."""
    said = {one["who"]: (one["result"], one["hash"]) for one in answers}
    if len(set(said.values())) != 1 or not next(iter(said.values()))[0]:
        lines = [f"  {who}: {rows} rows, {digest}" for who, (rows, digest) in said.items()]
        raise SystemExit("\n".join([f"{hunt}: the answers differ or are empty:", *lines]))
    return int(next(iter(said.values()))[0])


def _summary(name: str, turns: list[dict[str, Found]]) -> Found:
    return {
        "cpu": statistics.median(turn[name]["cpu"] for turn in turns),
        "ratio": statistics.median(turn[name]["cpu"] / turn["decode"]["cpu"] for turn in turns),
        "peak_mb": max(turn[name]["rss_mb"] for turn in turns),
    }


def json_lines(root: Path, megabytes: int, rounds: int) -> Found:
    """The same rows as parquet and JSON lines: staged, beside reading the lines as text.

    Process events once with all columns that Defender's table has, and once with a quarter of them.
    """
    narrow = generator.write(root / "lines", generator.sized(1, max(megabytes // 20, 1)))
    whole = wide.write(narrow, root / "wide")
    for lake in (narrow, whole):
        lines.write(lake)
    sources = {}
    for label, lake, source in (
        (f"{wide.SOURCE}, all 59 columns", whole, wide.SOURCE),
        (f"{wide.SOURCE}, 15 columns", narrow, wide.SOURCE),
        ("CloudAppEvents", narrow, "CloudAppEvents"),
    ):
        contestants = {"text": partial(task, "line_text", lake, source)} | {
            ending: partial(task, "lined", lake, source, ending) for ending in lines.ENDINGS
        }
        turns = [{name: run() for name, run in contestants.items()} for _ in range(rounds)]
        ratios = {
            name: statistics.median(turn[name]["cpu"] / turn["text"]["cpu"] for turn in turns)
            for name in contestants
        }
        sources[label] = {
            "megabytes": lines.megabytes(lake, source),
            "rows": turns[0]["json"]["result"],
            "taken": {
                name: {
                    "cpu": statistics.median(turn[name]["cpu"] for turn in turns),
                    "ratio": ratios[name],
                    "peak_mb": max(turn[name]["rss_mb"] for turn in turns),
                }
                for name in contestants
            },
        }
        if len({str(turns[0][ending]["result"]) for ending in lines.ENDINGS}) > 1:
            raise SystemExit(f"{label}: formats give different rows")
    return {"megabytes": generator.megabytes(narrow), "rounds": rounds, "sources": sources}


def memory(root: Path, megabytes: int, rounds: int) -> Found:
    """Peak memory of a whole night over a large day, scoring included, by memory limit."""
    del rounds
    lake = generator.write(root / "day", generator.sized(1, megabytes))
    taken = {limit: task("whole", lake, limit) for limit in LIMITS}
    return {"megabytes": generator.megabytes(lake), "taken": taken}


def backfill(root: Path, megabytes: int, rounds: int) -> Found:
    """Sixty nights one by one, the same days in one backfill, and one pass over the files.

    The last two also with larger days.
    """
    del rounds
    lake = _nights_lake(root, megabytes)
    nights = task("nights", lake, str(NIGHTS), HOURLY)
    together = task("backfill", lake, str(NIGHTS), HOURLY)
    once = task("one_pass", lake, str(NIGHTS), HOURLY)
    if nights["findings"] != together["findings"]:
        raise SystemExit("the nights and the backfill found different things")
    return {
        "megabytes": generator.megabytes(lake), "mailboxes": _size(megabytes).mailboxes,
        "nights": nights["result"], "together": together["result"],
        "once": once, "findings": nights["findings"], "larger": _larger(root, megabytes),
    }  # fmt: skip


def _larger(root: Path, megabytes: int) -> Found:
    size = generator.sized(NIGHTS, megabytes)
    lake = generator.write(root / "larger", size)
    return {
        "megabytes": generator.megabytes(lake),
        "mailboxes": size.mailboxes,
        "together": task("backfill", lake, str(NIGHTS), HOURLY)["result"],
        "once": task("one_pass", lake, str(NIGHTS), HOURLY),
    }


def _size(megabytes: int) -> generator.Size:
    return generator.sized(NIGHTS, megabytes // 8)


def _nights_lake(root: Path, megabytes: int) -> Path:
    return generator.write(root / "nights", _size(megabytes))


def lookback(root: Path, megabytes: int, rounds: int) -> Found:
    """Nights of the series hunt with 28 days of training beside nights with 1, in turn."""
    del rounds
    lake = _nights_lake(root, megabytes)
    found = task("lookback", lake, str(LOOKBACK_NIGHTS), HOURLY)["result"][-_LAST:]
    return {"megabytes": generator.megabytes(lake), "nights": found,
            "mailboxes": _size(megabytes).mailboxes}  # fmt: skip


def year(root: Path, megabytes: int, rounds: int) -> Found:
    """A year over a small lake: the last nights of each month, a backfill between them."""
    del megabytes, rounds
    # Nights read what arrives up to a week late, so that the lake goes on behind the last one.
    size = generator.Size(YEAR + 8, processes=3000, records=1440, mailboxes=24, hourly=False)
    lake = generator.write(root / "year", size)
    found = task("year", lake, str(YEAR), "date=%Y-%m-%d/*.parquet")
    return {"megabytes": generator.megabytes(lake), "nights": found["result"],
            "young": found["young"], "ends": found["ends"], "mailboxes": size.mailboxes,
            "findings": found["findings"]}  # fmt: skip


def tenant(root: Path, megabytes: int, rounds: int) -> Found:
    """The first night of a large tenant, which counts 28 days, and the one after it."""
    del megabytes, rounds
    lake = generator.write(root / "tenant", TENANT)
    shutil.rmtree(lake / "project", ignore_errors=True)
    last = TENANT.days - 1
    with _hidden(lake, f"date={FIRST + last * DAY:%Y-%m-%d}"):
        first = task("tenant", lake, str(last - 1), DAILY)
    steady = task("tenant", lake, str(last), DAILY)
    shutil.rmtree(lake / "project")
    return {"megabytes": generator.megabytes(lake), "nights": {"first": first, "steady": steady}}


@contextmanager
def _hidden(lake: Path, day: str) -> Iterator[None]:
    """A day that has not come yet."""
    there = [lake / source / day for source in SOURCES.values()]
    for folder in there:
        folder.rename(lake / f"{folder.parent.name} {day}")
    try:
        yield
    finally:
        for folder in there:
            (lake / f"{folder.parent.name} {day}").rename(folder)


PARTS: dict[str, Callable[[Path, int, int], Found]] = {
    "engines": engines,
    "json_lines": json_lines,
    "memory": memory,
    "lookback": lookback,
    "backfill": backfill,
    "year": year,
    "tenant": tenant,
    "imported": imported,
}
