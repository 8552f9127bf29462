"""Kills runs at random moments and compares what is left with a run that nobody disturbed.

`python -m tests.crash 200` kills two hundred times. The parent only forks: it imports everything
once and opens no database itself, so that a child starts hunting at once.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from gundog.core.child import Child
from gundog.core.times import parse_range, parse_time
from gundog.hunting.scoring import hour_scores
from gundog.run import run
from tests import kit
from tests.kit import DAY, event, write_file

FIRST = parse_time("2026-03-02")
DAYS = 6
# What a run writes down of the parts that it began, for whoever aims.
STEPS_BEGUN = "begun.txt"
# Kinds of parts that are aimed at, and whether their helper is killed; None for any moment. Seven,
# and four tries a step: only the first try of a step has much to stage, and each aim must be it.
AIMS = (
    None, ("stage", False), ("hunt", True), None, ("hunt", False), ("stage", True), ("stage", True),
)  # fmt: skip
# So many kills must have hit each of them.
MANY = 100
# A run's own name and how long it took are all that may differ.
FREE = frozenset({"run_id", "seconds"})
PUBLISHED = (
    "findings", "evidence", "finding_changes", "run_intervals", "source_files", "series_points",
    "detections",
)  # fmt: skip
KEPT = ("source_hours", "stage_hours", "counted_files", "day_counts", "series_counts", "happenings")


def make_world(root: Path) -> None:
    """A project of six days; files have the same times in every world."""
    kit.make_project(root, series=True)
    kit.fill_days(root, f"{FIRST - DAY:%Y-%m-%d}", DAYS + 2)
    for turn in range(DAYS):
        day = f"{FIRST + turn * DAY:%Y-%m-%d}"
        for who in ("a", "b"):
            pair = [event(f"{day}T10:00", "open", who, 100 + turn),
                    event(f"{day}T11:00", "close", who, 200 + turn)]  # fmt: skip
            counts = [event(f"{day}T{hour:02}:30", "count", who, 300 + hour) for hour in range(24)]
            write_file(root, day, pair + counts, who)
    settle(root)


def late_one(root: Path) -> None:
    """Files that come late: new events of two old days, and a changed file."""
    write_file(root, "2026-03-03", [event("2026-03-03T10:30", "close", "a", 500)], "late")
    write_file(root, "2026-03-05", [event("2026-03-04T23:50", "open", "c", 501)], "late")
    write_file(root, "2026-03-06", [event("2026-03-05T00:10", "close", "c", 502)], "late")
    settle(root, 1)


def late_two(root: Path) -> None:
    """A file that changes and a broken one that is repaired later."""
    day = "2026-03-04"
    write_file(root, day, [event(f"{day}T10:00", "open", "a", 102)], "a")
    kit.write_text(root / f"lake/date={day}/broken.parquet", "not yet")
    settle(root, 2)


def late_three(root: Path) -> None:
    """The broken file comes whole."""
    day = "2026-03-04"
    write_file(root, day, [event(f"{day}T12:00", "close", "a", 600)], "broken")
    settle(root, 3)


def settle(root: Path, step: int = 0) -> None:
    """Gives every file that was just written the time of its step."""
    for path in (root / "lake").rglob("*.parquet"):
        if path.stat().st_mtime > 1000:
            os.utime(path, (step + 1, step + 1))


STEPS: tuple[tuple[Callable[[Path], None], str, int], ...] = (
    (make_world, "backfill", 0),
    (late_one, "hunt", 0),
    (late_two, "backfill", 1),
    (late_three, "hunt", 1),
)


def hunt(root: Path, command: str, days_later: int) -> int:
    """What one step runs; the same time however often it is run."""
    days = parse_range(f"{FIRST:%Y-%m-%d}", f"{FIRST + (DAYS - 1) * DAY:%Y-%m-%d}")
    now = FIRST + (DAYS + days_later) * DAY + timedelta(hours=4)
    request = run.Request(command, days if command == "backfill" else None, origin=command)

    def step(part: run.Part, work: Callable[[], Any]) -> Any:
        with (root / STEPS_BEGUN).open("a") as begun:
            begun.write(f"{part.label}\n")
        return work()

    (root / STEPS_BEGUN).write_text("")
    with Child() as helper:
        project = run.load_project(root, {}, helper=helper)
        return run.run(project, request, now, uuid4(), step=step, helper=helper).exit_status


def fork(work: Callable[[], Any], limit_bytes: int | None = None) -> int:
    """Runs `work` in a child; returns its process id. What it returns becomes its exit status."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        if limit_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        status = int(work() or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def ended(child: int) -> int:
    """Waits for a child: its exit status, negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(work: Callable[[], Any], delay: float) -> bool:
    """Runs `work` and kills it after `delay` seconds; False when it had ended by itself."""
    child, until = fork(work), time.monotonic() + delay
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(min(0.01, delay))
    os.kill(child, signal.SIGKILL)
    return ended(child) == -signal.SIGKILL


def killed_at(
    work: Callable[[], Any], root: Path, kind: str, turn: int, delay: float, *, helper: bool
) -> bool:
    """Runs `work` and kills it, or its helper, while a step of some kind is at work.

    The helper stages and hunts; a run whose helper is killed goes on. False when `work` had ended
    before it came to so many such steps.
    """
    begun = root / STEPS_BEGUN
    begun.unlink(missing_ok=True)
    child = fork(work)
    while not (begun.exists() and _count(begun, kind) >= turn):
        if os.waitpid(child, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    time.sleep(delay)
    victims = children_of(child) if helper else [child]
    for one in victims:
        with suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    status = ended(child)
    if helper:
        assert status in (0, 1), f"{root}: a run whose helper was killed: exit {status}"
        return bool(victims)
    return status == -signal.SIGKILL


def _count(begun: Path, kind: str) -> int:
    return sum(line.startswith(kind) for line in begun.read_text().splitlines())


def children_of(parent: int) -> list[int]:
    """The processes that a process has started and not yet reaped."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, above = path.read_text().rpartition(")")[2].split()[:2]
            if int(above) == parent and state != "Z":
                found.append(int(path.parent.name))
    return found


def comparable(row: dict[str, Any]) -> str:
    """A row as text, without what may differ."""
    if row.get("before"):
        row["before"] = sorted(
            (name, value) for name, value in json.loads(row["before"]).items() if name not in FREE
        )
    return repr(sorted((name, str(value)) for name, value in row.items() if name not in FREE))


def contents(root: Path, target: Path) -> int:
    """Writes down every table of a world, published and kept, without what may differ."""
    from gundog.warehouse import database

    found: dict[str, list[str]] = {}
    for file, names in ((".gundog/findings.duckdb", PUBLISHED), (".gundog/warehouse.duckdb", KEPT)):
        con = database.connect(root / file, read_only=True)
        for name in names:
            rows = database.rows(con, f"from {name}")
            found[name] = sorted(map(comparable, rows))
        con.close()
    target.write_text(json.dumps(found))
    return 0


def tables(root: Path) -> dict[str, list[str]]:
    """The contents of a world, read by a child."""
    target = root / "contents.json"
    if status := ended(fork(partial(contents, root, target))):
        raise RuntimeError(f"the tables could not be read: {status}")
    found: dict[str, list[str]] = json.loads(target.read_text())
    return found


@dataclass
class Undisturbed:
    """What each step leaves when nobody kills it, and how long it takes."""

    tables: list[dict[str, list[str]]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def undisturbed() -> Undisturbed:
    """Goes through all steps once."""
    found = Undisturbed()
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        root = Path(folder)
        for prepare, command, later in STEPS:
            prepare(root)
            began = time.perf_counter()
            ended(fork(partial(hunt, root, command, later)))
            found.seconds.append(time.perf_counter() - began)
            found.tables.append(tables(root))
    return found


def torture(kills: int, seed: int, per_step: int = 4) -> Counter[str]:
    """Kills until enough have died, and compares after every step.

    Raises:
        AssertionError: naming the world, the step and the table that differs.
    """
    rng = random.Random(seed)  # noqa: S311 - no secret
    expected = undisturbed()
    counted = Counter[str]()
    while counted["kills"] < kills:
        with tempfile.TemporaryDirectory(prefix="crash-") as folder:
            root = Path(folder)
            for step, (prepare, command, later) in enumerate(STEPS):
                prepare(root)
                for _ in range(per_step):
                    if counted["kills"] >= kills:
                        break
                    work = partial(hunt, root, command, later)
                    aim = AIMS[counted["tries"] % len(AIMS)]
                    counted["tries"] += 1
                    if aim:
                        turn, delay = rng.randint(1, 3), rng.uniform(0, 0.1)
                        died = killed_at(work, root, aim[0], turn, delay, helper=aim[1])
                    else:
                        died = killed(work, rng.uniform(0, expected.seconds[step]))
                    counted["kills"] += died
                    counted[f"kills in step {step}"] += died
                    counted[_named(aim)] += died
                    counted["ended before the kill"] += not died
                began = time.perf_counter()
                status = ended(fork(partial(hunt, root, command, later)))
                # The machine may be busier or quieter by now; a kill must hit a run that runs.
                expected.seconds[step] = (expected.seconds[step] + time.perf_counter() - began) / 2
                assert status in (0, 1), f"{root}: step {step}: exit {status}"
                compare(expected.tables[step], tables(root), f"{root}: step {step}")
            if counted["kills"] >= kills:
                break
        counted["worlds"] += 1
        sys.stderr.write(f"{counted['kills']} kills survived\n")
    return counted


def _named(aim: tuple[str, bool] | None) -> str:
    return (
        f"{aim[0]} kills of {'the helper' if aim[1] else 'a run'}" if aim else "kills at any moment"
    )


def compare(expected: dict[str, list[str]], found: dict[str, list[str]], where: str) -> None:
    """Raises AssertionError with the first rows that differ."""
    for name, rows in expected.items():
        lost = [row for row in rows if row not in set(found[name])]
        more = [row for row in found[name] if row not in set(rows)]
        assert rows == found[name], f"{where}: {name}: lost {lost[:2]}, more {more[:2]}"


def main() -> None:
    """Prints how many kills were survived."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    per_step = int(sys.argv[3]) if len(sys.argv) > 3 else 4
    assert hour_scores  # imported before the first fork, for it takes seconds
    began = time.perf_counter()
    counted = torture(kills, seed, per_step)
    took = time.perf_counter() - began
    if kills >= MANY:
        assert all(counted[_named(aim)] for aim in AIMS), f"an aim was never hit: {counted}"
    told = ", ".join(f"{value} {name}" for name, value in sorted(counted.items()))
    sys.stdout.write(f"survived: {told}; {took:.0f} s\n")


if __name__ == "__main__":
    main()
