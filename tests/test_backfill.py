"""Backfills: planned, announced, watched, stopped and taken up again."""

from __future__ import annotations

import os
import pty
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gundog.cli import main, progress
from gundog.core.errors import InputError
from gundog.core.times import parse_range
from gundog.run import estimate, run, stage_step
from gundog.staging import stage
from gundog.warehouse import database
from tests import elsewhere, kit
from tests.forks import Fork
from tests.kit import NOW, hunt, table
from tests.test_laws import content

WEEK = ("2026-03-01", "2026-03-09")
FIVE = ("2026-03-05", "2026-03-09")
LAST = ("2026-03-08", "2026-03-09")
COMMAND = ("backfill", "--from", WEEK[0], "--to", WEEK[1], "--project")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with nine quiet days before NOW."""
    kit.make_project(tmp_path)
    kit.fill_days(tmp_path, WEEK[0], 9)
    return tmp_path


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A project with five quiet days before NOW, whose files may be three days late."""
    kit.make_project(tmp_path)
    kit.fill_days(tmp_path, FIVE[0], 5)
    kit.write_text(tmp_path / "gundog.yaml", f"{kit.CONFIG}lateArrival: 3d\n")
    return tmp_path


def backfill(root: Path, **options: Any) -> run.Outcome:
    project = run.load_project(root, {})
    within = parse_range(*options.pop("within", FIVE))
    request = run.Request("backfill", within, yes=options.pop("yes", False))
    return run.run(project, request, NOW, kit.uuid4(), **options)


@pytest.mark.slow
def test_stopped_backfill_keeps_its_days_and_goes_on_from_there(
    short: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Asked to stop, a run ends after its day, publishes, says how to continue, and later does."""
    whole = kit.copy_project(short, tmp_path_factory.mktemp("whole"))
    three = ("2026-03-07", "2026-03-09")
    backfill(whole, within=three)
    days: list[tuple[int, int]] = []

    first = backfill(
        short, within=three, went=lambda *at: days.append(at), stop=lambda: len(days) > 1
    )
    between = table(short, "select count(*) from run_intervals")
    second = backfill(short, within=three)

    assert first.stopped
    assert first.notes == ["stopped before 2026-03-08: run the same command again to continue"]
    assert days == [(0, 3), (1, 3)]
    assert between == [(1,)]
    assert (second.hunted, second.done) == (2, 1)
    assert content(short) == content(whole)


@pytest.mark.slow
@pytest.mark.parametrize(("room", "steps"), [(1, ["05", "06"]), (10**9, ["05"])])
def test_days_are_staged_together_as_far_as_a_batch_goes(
    short: Path, monkeypatch: pytest.MonkeyPatch, room: int, steps: list[str]
) -> None:
    """Small days cost one step; where there is no room, a day brings only what it may read.

    Files may be three days late, so that the first day reads four of the five.
    """
    monkeypatch.setattr(stage, "BATCH_BYTES", room)
    taken: list[str] = []

    def step(part: run.Part, work: Callable[[], Any]) -> Any:
        taken.append(part.label)
        return work()

    outcome = backfill(short, step=step)

    assert [name for name in taken if name.startswith("stage")] == [
        f"stage 2026-03-{day}" for day in steps
    ]
    assert (outcome.hunted, outcome.files) == (5, 5)


@pytest.mark.slow
@pytest.mark.parametrize(("room", "passes"), [(1, 2), (10**9, 1)])
def test_day_is_looked_at_again_only_when_files_came_after_it(
    short: Path, monkeypatch: pytest.MonkeyPatch, room: int, passes: int
) -> None:
    """A pair of the first day lies in the file of the fifth; either way the same run finds it."""
    kit.write_file(
        short,
        "2026-03-09",
        [kit.event("2026-03-05T10:00", "open"), kit.event("2026-03-05T10:05", "close", number=1)],
    )
    monkeypatch.setattr(stage, "BATCH_BYTES", room)
    days: list[int] = []

    outcome = backfill(short, went=lambda *at: days.append(at[0]))

    assert days == list(range(5)) * passes
    assert outcome.hunted == 5 + (passes - 1)
    found = table(short, "select interval_start::date::varchar from findings")
    assert found == [("2026-03-05",)]


@pytest.mark.slow
def test_nothing_hunted_is_older_than_what_the_run_itself_staged(
    short: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files of later days touch days that are hunted already: those are hunted once more.

    Pairs of four days lie in files of later days, and each file is staged only when a day needs
    it. The run leaves what one leaves that stages everything first, and nothing to hunt.
    """
    kit.write_text(short / "gundog.yaml", f"{kit.CONFIG}lateArrival: 1d\n")
    for day, later in ((5, 7), (6, 9), (7, 9), (8, 9)):
        rows = [kit.event(f"2026-03-0{day}T10:0{n}", kind, number=10 * day + n)
                for n, kind in enumerate(("open", "close"))]  # fmt: skip
        kit.write_file(short, f"2026-03-0{later}", rows, f"late{day}")
    whole = kit.make_project(tmp_path_factory.mktemp("whole"))
    kit.write_text(whole / "gundog.yaml", f"{kit.CONFIG}lateArrival: 1d\n")
    (whole / "lake").symlink_to(short / "lake")
    backfill(whole)

    monkeypatch.setattr(stage, "BATCH_BYTES", 1)
    stage_parts: list[str] = []

    def step(part: run.Part, work: Callable[[], Any]) -> Any:
        if part.kind == run.Kind.STAGE:
            stage_parts.append(part.label)
        return work()

    outcome = backfill(short, step=step)

    assert len(stage_parts) > 3
    assert content(short) == content(whole)
    assert table(short, "select count(*) from findings") == [(4,)]
    assert outcome.hunted > 5
    request = run.Request("backfill", parse_range(*FIVE))
    assert "pair: 0 of 5 intervals to hunt" in run.plan(run.load_project(short, {}), request, NOW)


@pytest.mark.slow
def test_night_after_done_ones_stages_before_it_looks(short: Path) -> None:
    """Its own day is the last that is looked at, and brings late rows that two done ones read."""
    hunt(short, ("2026-03-07", "2026-03-09"))
    kit.fill_days(short, "2026-03-10", 1)
    late = [kit.event("2026-03-08T10:00", "open"), kit.event("2026-03-08T10:05", "close", number=1)]
    kit.write_file(short, "2026-03-10", late)
    days: list[int] = []

    night = run.run(
        run.load_project(short, {}), run.Request("hunt"), NOW + kit.DAY, kit.uuid4(),
        went=lambda *at: days.append(at[0]),
    )  # fmt: skip

    assert days == list(range(len(days)))
    assert (night.hunted, night.changes.new) == (3, 1)


@pytest.mark.slow
def test_ctrl_c_stops_after_the_day(project: Path) -> None:
    """The first Ctrl-C ends a backfill in good order, with its own exit status."""
    log = project / "log"
    process = Fork(elsewhere.gundog, *COMMAND, str(project), log=log)
    _wait_for("1 hunt", process, log)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(kit.HUNG_S) == 130
    done = table(project, "select count(*) from run_intervals")[0][0]

    assert "stopping after this day" in log.read_text()
    assert "run the same command again to continue" in log.read_text()
    assert 1 <= done < 9
    assert hunt(project, WEEK).hunted == 9 - done


@pytest.mark.slow
def test_second_ctrl_c_stops_at_once(project: Path) -> None:
    """Wherever it falls, in a query that never ends too, and it fails no detection."""
    sql = project / "sql/pair.sql"
    fast = sql.read_text()
    slow = "where (select sum(sin(i)) from range(1000000000000) as r(i)) is not null and "
    sql.write_text(fast.replace("where ", slow, 1))
    log = project / "log"
    process = Fork(elsewhere.gundog, *COMMAND, str(project), "--from", LAST[0], log=log)
    _wait_for("staging", process, log)
    while not list((project / ".gundog/warehouse.tmp").glob("sandbox-*")):
        assert process.is_alive()
        time.sleep(0.01)  # until the process that hunts has opened the warehouse
    os.kill(process.pid, signal.SIGINT)
    _wait_for("Ctrl-C again stops at once\n", process, log)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(kit.HUNG_S) == -signal.SIGINT  # which a shell shows as 130
    sql.write_text(fast)

    assert log.read_text().endswith("Ctrl-C again stops at once\n")
    assert hunt(project, LAST).hunted == 2
    assert table(project, "select count(error) from run_intervals") == [(0,)]


def _wait_for(words: str, process: Fork, log: Path) -> None:
    while not log.exists() or words not in log.read_text():
        assert process.is_alive(), log.read_text()
        time.sleep(0.01)


def _interrupt_the_query(con: duckdb.DuckDBPyConnection) -> None:
    """Ctrl-C once a query of the connection is under way."""
    while con.query_progress() <= 0:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_in_a_query_is_no_failure() -> None:
    """Whoever calls a run from Python gets KeyboardInterrupt, not a detection that failed."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with database.connect(threads=1) as con:
            con.execute("set enable_progress_bar = true; set enable_progress_bar_print = false")
            threading.Thread(target=_interrupt_the_query, args=(con,)).start()
            with pytest.raises(RuntimeError) as raised:
                con.execute("select sum(sin(i)) from range(1000000000000) as r(i)")
    finally:
        signal.signal(signal.SIGINT, before)
    assert database.is_interrupt(raised.value)
    assert not database.is_interrupt(RuntimeError("another"))


def test_bar_on_a_terminal(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal a bar tells days done, of how many."""
    screen, side = pty.openpty()
    shown = bytearray()
    looking = threading.Thread(target=_look, args=(screen, shown))
    monkeypatch.setenv("TERM", "xterm")
    with open(side, "w", encoding="utf-8") as terminal:  # noqa: PTH123 - it has no path
        looking.start()
        monkeypatch.setattr(sys, "stderr", terminal)
        assert main.main([*COMMAND, str(short), "--from", LAST[0]]) == 0
    looking.join()
    os.close(screen)

    assert b"/2" in shown
    assert b"days" in shown


def _look(screen: int, shown: bytearray) -> None:
    """Reads a terminal until nobody writes there any more."""
    with suppress(OSError):  # how a terminal ends
        while part := os.read(screen, 65_536):
            shown += part


def test_log_tells_how_far_a_long_run_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a log there is a plain line now and then, with an estimate."""
    clock = iter([0.0, 20.0, 40.0, 50.0, 100.0, 400.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    lines: list[str] = []
    went = progress._in_lines(lines.append)
    for done in range(1, 5):
        went(done, 10)

    assert lines == [
        "2 of 10 days, about 3 minutes left",
        "4 of 10 days, about 2 minutes left",
    ]


def test_plan_expects_what_past_runs_took(short: Path) -> None:
    """Minutes come from the runs before, and are called a guess until there was one."""
    loaded = run.load_project(short, {})
    request = run.Request("backfill", parse_range(*FIVE))
    before = run.plan(loaded, request, NOW)
    hunt(short, ("2026-03-05", "2026-03-05"))
    after = run.plan(loaded, request, NOW)

    assert before[-1].startswith("expected: less than a minute (a guess")
    assert after[-1] == "expected: less than a minute (from past runs)"


def test_minutes_add_staging_and_hunting() -> None:
    """Bytes at the known speed, and each detection at its own usual time."""
    known = estimate.Speed(1e6, {"a": 2.0, "b": 4.0}, is_known=True)

    assert known.seconds(60_000_000, {"a": 10, "b": 5, "new": 1}) == 60 + 20 + 20 + 4
    assert known.words(600_000_000, {}) == "about 10 minutes (from past runs)"


def test_very_large_first_staging_wants_a_yes(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backfill that must read a great deal does nothing until --yes; a night goes on."""
    monkeypatch.setattr(stage_step, "LARGE_BYTES", 1000)

    with pytest.raises(InputError, match=r"would read 4 files, .* GB: add --yes"):
        backfill(short, within=LAST)
    assert not (short / ".gundog/findings.duckdb").exists()
    said: list[str] = []
    monkeypatch.setattr(stage_step, "ANNOUNCED_BYTES", 1000)

    outcome = backfill(short, within=LAST, yes=True, say=said.append)

    assert outcome.hunted == 2
    assert any(line.startswith("to stage in all: 4 files") for line in said)
    assert table(short, "select count(*) from runs") == [(1,)]
    assert hunt(short).exit_status == 0
