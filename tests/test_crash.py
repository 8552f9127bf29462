"""Runs that are killed, run out of disk, or meet each other: no table differs in the end."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from gundog.core.times import format_time
from gundog.findings import publish
from gundog.warehouse import database
from tests import deaths, kit
from tests.forks import Fork
from tests.kit import DAY, hunt, table
from tests.test_laws import content

pytestmark = pytest.mark.stress

HERE = Path(__file__).parents[1]
WEEK = ("2026-03-01", "2026-03-09")
RANGE = ["--from", WEEK[0], "--to", WEEK[1]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Nine days with a finding on each."""
    return make(tmp_path)


def make(root: Path, noise: int = 0) -> Path:
    """Such a project, with so many other rows on each day."""
    kit.make_project(root)
    kit.fill_days(root, WEEK[0], 9)
    for day in range(1, 10):
        date = f"2026-03-{day:02}"
        rows = [kit.event(f"{date}T10:00", "open", number=1000 + day),
                kit.event(f"{date}T11:00", "close", number=2000 + day)]  # fmt: skip
        rows += [kit.event(f"{date}T12:00", f"noise {n}", f"who {n}", n) for n in range(noise)]
        kit.write_file(root, date, rows)
    return root


def start(root: Path, *words: str, log: str = "log", file_limit: int | None = None) -> Fork:
    """The command line in a process of its own; no file may grow beyond the limit."""
    given = [*words, "--project", str(root)]
    return Fork(deaths.command, given, file_limit, log=root / log)


def end(process: Fork) -> int | None:
    """The exit status."""
    status = process.wait(kit.HUNG_S)
    process.close()
    return status


@pytest.mark.slow
def test_killed_runs_leave_what_an_undisturbed_run_leaves() -> None:
    """A short form of `make torture`: a kill in three of four steps, every table equal after it."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash", "3", "2", "1"],
        cwd=HERE, capture_output=True, text=True, timeout=3 * kit.HUNG_S, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "3 kills" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("file_limit", [300_000, 20_000, 1_000_000])
def test_full_disk_is_one_clear_line_and_heals(tmp_path: Path, file_limit: int) -> None:
    """A disk that fills up at any moment: exit 1 and what to do; with room again all is right."""
    project, other = (make(tmp_path / name, noise=2000) for name in ("full", "other"))
    status = end(start(project, "backfill", *RANGE, file_limit=file_limit))
    said = (project / "log").read_text()
    hunt(other, WEEK)

    assert status == 1, said
    assert "Traceback" not in said
    assert "free disk space" in said.splitlines()[-1]
    assert hunt(project, WEEK).exit_status == 0
    assert content(project, ("findings", "evidence")) == content(other, ("findings", "evidence"))


@pytest.mark.slow
def test_two_runs_at_once_leave_what_one_leaves(project: Path) -> None:
    """The second waits for the first, finds everything done, and both end well."""
    words = ("backfill", *RANGE, "--wait", "2m")
    both = [start(project, *words, log=log) for log in ("first", "second")]
    statuses = [end(process) for process in both]

    assert statuses == [0, 0], [(project / log).read_text() for log in ("first", "second")]
    assert table(project, "select count(*), count(distinct finding_id) from findings") == [(9, 9)]
    assert table(project, "select count(*) from finding_changes") == [(9,)]
    assert table(project, "select count(*) from runs where exit_status = 0") == [(2,)]


def test_second_run_that_may_not_wait_exits_3_and_names_the_first(project: Path) -> None:
    """Without --wait a run beside another one ends at once and does nothing."""
    path = project / ".gundog/warehouse.duckdb"
    with database.lock(path, timedelta(), kit.NOW):
        status = end(start(project, "hunt", *RANGE))

    assert status == 3
    assert f"since {format_time(kit.NOW)}" in (project / "log").read_text()
    assert not (project / ".gundog/findings.duckdb").exists()


READER = """\
import sys, time
import duckdb
from pathlib import Path
path, stop = Path(sys.argv[1]), Path(sys.argv[2])
opens = queries = 0
print("reading", flush=True)
while not stop.exists():
    con = duckdb.connect(str(path), read_only=True)
    before = con.execute("select count(*) from runs").fetchall()
    for _ in range(5):
        assert con.execute("select count(*) from runs").fetchall() == before
        con.execute("select * from open_findings").fetchall()
        queries += 2
        time.sleep(0.01)
    con.close()
    opens += 1
print(opens, queries)
"""


@pytest.mark.slow
def test_reader_is_undisturbed_by_publishes(project: Path, tmp_path: Path) -> None:
    """Readers that hold findings.duckdb, and open it again and again, never fail nor wait."""
    hunt(project, WEEK)
    path, stop = project / ".gundog/findings.duckdb", tmp_path / "stop"
    held = duckdb.connect(str(path), read_only=True)
    reader = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(READER), str(path), str(stop)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert reader.stdout is not None
    assert reader.stdout.readline() == "reading\n"
    options = {"memory_limit": 1_000_000_000, "threads": 1}
    with database.writable(project / ".gundog/warehouse.duckdb", **options) as con:
        for turn in range(20):
            publish.publish(con, path, now=kit.NOW + turn * DAY, late_arrival=7 * DAY)
    stop.touch()
    out, said = reader.communicate(timeout=kit.HUNG_S)
    old = held.execute("select count(*) from runs").fetchall()
    held.close()

    assert reader.returncode == 0, said
    opens, queries = map(int, out.split())
    assert opens > 5
    assert queries == 10 * opens
    assert old == [(1,)]
    assert table(project, "select distinct interval_state from findings") == [("final",)]
    assert sorted(one.name for one in path.parent.iterdir() if one.suffix == ".tmp") == [
        "warehouse.tmp"
    ]


@pytest.mark.slow
def test_leftovers_of_a_killed_run_are_cleared(project: Path) -> None:
    """Copies, spills and half-built files of a run that died do not stay for ever."""
    hunt(project, WEEK[:1] * 2)
    folder = project / ".gundog"
    kit.write_text(folder / "warehouse.tmp/stage-x/copy.parquet", "x")
    kit.write_text(folder / ".findings.duckdb.77.tmp", "x")
    os.utime(folder / "findings.duckdb", (1, 1))

    hunt(project, WEEK[:1] * 2)

    left = [path for path in folder.rglob("*") if path.is_file() and "tmp" in str(path.name)]
    assert left == []
    assert not list((folder / "warehouse.tmp").glob("stage-*"))
    assert (folder / "findings.duckdb").stat().st_mtime > 1
