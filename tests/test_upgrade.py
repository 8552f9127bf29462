"""A project of 0.1.0 under the code of today: told before it reads, and nothing is lost for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest

from gundog.cli import main
from gundog.core.times import parse_range
from gundog.hunting import hour_states
from gundog.run import run
from gundog.run.outcome import Outcome
from tests import kit, old_project
from tests.kit import DAY, NOW, table, write_file
from tests.sinks import Sink, http_sink
from tests.test_upgrading import aged

STAGED_THEN = "staged.happenings_179ef172"
NEW_DAY = "2026-03-09"


@dataclass
class Night:
    """A run as its log tells it: what it said, and which steps began, in one order."""

    log: list[str] = field(default_factory=list)

    def step(self, part: run.Part, work: Callable[[], Any]) -> Any:
        """Runs a part, and writes down that it began."""
        self.log.append(f"step {part.label}")
        return work()

    def before_reading(self) -> list[str]:
        """What was said until the first file was opened."""
        steps = [n for n, line in enumerate(self.log) if line.startswith("step stage")]
        return [line for line in self.log[: steps[0]] if not line.startswith("step")]


def hunt(
    root: Path, within: tuple[str, str] | None = None, now: datetime = NOW, **asked: Any
) -> tuple[Night, Outcome]:
    """A run as the command line begins it, with its log."""
    night = Night()
    request = run.Request("hunt", parse_range(*within) if within else None, **asked)
    project = run.load_project(root, {})
    return night, run.run(project, request, now, uuid4(), night.log.append, night.step)


def kept(root: Path, sql: str) -> list[tuple[Any, ...]]:
    """Rows of a query on the warehouse."""
    con = duckdb.connect(str(root / ".gundog/warehouse.duckdb"), read_only=True)
    try:
        con.execute("set timezone = 'UTC'")
        return con.execute(sql).fetchall()
    finally:
        con.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old project on the morning after another day of the lake, with a pair in it."""
    root = old_project.make(tmp_path_factory.mktemp("made"), "http://127.0.0.1:9/hook")
    old_project.write_day(root, NEW_DAY)
    write_file(root, NEW_DAY, old_project.pair(NEW_DAY, "d", 7), "d")
    return root


@pytest.fixture
def project(made: Path, tmp_path: Path, sink: Sink) -> Path:
    """A copy of it, for one test."""
    old_project.configure(kit.copy_project(made, tmp_path), sink.url())
    return tmp_path


FINDINGS = """
    select finding_id::varchar, title, start_time, created_at, suppressed_by from findings
    where start_time < '2026-03-09' order by start_time"""


def test_unchanged_content_is_neither_read_nor_hunted_again(project: Path, sink: Sink) -> None:
    """The same SQL under newer code has the same hashes: only the new day is read and hunted."""
    before = kept(project, FINDINGS)

    night, outcome = hunt(project)

    assert (outcome.problems, outcome.files, outcome.hunted) == ([], 2, 2)
    assert kept(project, f"select count(*) from {STAGED_THEN}") == [(30 + 5,)]
    assert not any("changed" in line for line in night.log)
    assert table(project, FINDINGS) == before
    assert [one.body["title"][:8] for one in sink.requests] == ["d opened"]


@pytest.fixture
def changed(project: Path) -> Path:
    """The same, with other SQL in the stage, and without the files of a day."""
    old_project.change_sql(project)
    old_project.lose_files(project)
    return project


@dataclass(frozen=True)
class Upgraded:
    """Such a project after a night: what was said, what came of it, and what was sent."""

    root: Path
    before: list[tuple[Any, ...]]
    night: Night
    outcome: Outcome
    titles: list[str]


@pytest.fixture(scope="module")
def upgraded_once(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    """Its channel answers as long as copies of it are hunted."""
    with pytest.MonkeyPatch.context() as patched, http_sink() as sink:
        patched.setenv("NO_PROXY", "*")
        root = kit.copy_project(made, tmp_path_factory.mktemp("upgraded"))
        old_project.configure(root, sink.url())
        old_project.change_sql(root)
        old_project.lose_files(root)
        before = kept(root, FINDINGS)
        night, outcome = hunt(root)
        titles = [request.body["title"] for request in sink.requests]
        yield Upgraded(root, before, night, outcome, titles)


@pytest.fixture
def upgraded(upgraded_once: Upgraded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, for one test."""
    monkeypatch.setenv("NO_PROXY", "*")
    return kit.copy_project(upgraded_once.root, tmp_path)


@pytest.mark.slow
def test_changed_sql_is_told_before_anything_is_read(
    upgraded_once: Upgraded, upgraded: Path
) -> None:
    """Which SQL, how many files and bytes, and how long; what becomes of earlier intervals."""
    old = [path for path in (upgraded / "lake").rglob("*.parquet") if NEW_DAY not in str(path)]
    size = sum(path.stat().st_size for path in old)
    outcome = upgraded_once.outcome

    reading, *hunting = upgraded_once.night.before_reading()
    assert reading == (
        "the SQL of happenings changed: to read again: 10 files that were read before,"
        f" {size / 1e6:,.1f} MB, less than a minute (from past runs)"
    )
    assert hunting == [
        f"{stem} changed: 1 interval hunted with the new version; what was found in 4 earlier"
        " intervals stays: gundog backfill --from 2026-03-05 --to 2026-03-08"
        f" --detection {stem} hunts again, less than a minute (from past runs)"
        for stem in ("count", "pair")
    ]
    assert (outcome.problems, outcome.files, outcome.hunted) == ([], 12, 2)


def test_findings_keep_ids_triage_and_exceptions_and_are_not_sent_again(
    upgraded_once: Upgraded,
) -> None:
    """Only the pair of the new day is news."""
    root, before = upgraded_once.root, upgraded_once.before

    assert table(root, FINDINGS) == before
    assert [row[1][:8] for row in before] == ["a opened", "b opened", "c opened"]
    assert [title[:8] for title in upgraded_once.titles] == ["d opened"]
    said = "select triage_status, verdict from findings where title like 'a %'"
    assert table(root, said) == [("resolved", "true_positive")]
    hidden = "select suppressed_by like 'exception %' from findings where title like 'b %'"
    assert table(root, hidden) == [(True,)]
    assert table(root, "select count(*) from finding_changes") == [(4,)]


def test_rows_of_files_that_left_are_kept_and_named(
    made: Path, upgraded_once: Upgraded, upgraded: Path
) -> None:
    """All other rows of the old SQL go when their files were read; these stay, run after run.

    That the SQL changed is told by the first run alone.
    """
    left = kept(made, "select file_id from source_files where path like '%2026-03-05%'")
    name = (
        "happenings: its SQL changed, and 2 files that it was read from left the lake"
        " (2026-03-05 to 2026-03-05): their 4 rows are kept as they were staged, and hunts do not"
        " see them"
    )

    assert name in upgraded_once.outcome.notes
    again, outcome = hunt(upgraded, now=NOW + timedelta(hours=1))
    assert name in outcome.notes
    assert outcome.exit_status == 0
    assert not any("changed" in line for line in again.log)
    for root in (upgraded_once.root, upgraded):
        rows = kept(root, f"select distinct file_id from {STAGED_THEN} order by all")
        assert rows == sorted(left)
        assert kept(root, f"select count(*) from {STAGED_THEN}") == [(4,)]
    files = "select count(*) from source_files where path like '%03-05%'"
    assert table(upgraded, files) == [(2,)]


@pytest.mark.slow
def test_rows_of_files_that_left_go_with_retention(upgraded: Path) -> None:
    """They age as all staged rows do; the note ends with them."""
    later = NOW + 61 * DAY
    old_project.write_day(upgraded, f"{later - DAY:%Y-%m-%d}")

    _, outcome = hunt(upgraded, now=later)

    assert kept(upgraded, "select count(*) from duckdb_tables() where schema_name = 'staged'") == [
        (1,)
    ]
    assert not any("left the lake" in note for note in outcome.notes)


@pytest.mark.slow
def test_interval_that_cannot_be_hunted_whole_keeps_what_it_found(changed: Path) -> None:
    """The pair of the 6th opens in a file that left: hunted again, its finding would be gone."""
    before = kept(changed, FINDINGS)

    _, outcome = hunt(changed, old_project.HUNTED, again=True)

    assert table(changed, FINDINGS) == before
    assert [note for note in outcome.notes if note.startswith("pair")] == [
        f"pair [2026-03-{day:02}T00:00:00Z, 2026-03-{day + 1:02}T00:00:00Z): kept as it is: Things:"
        " 4 rows of 2 files are not seen: they were read by an earlier SQL and left the lake"
        for day in (5, 6)
    ]
    assert outcome.exit_status == 0


def test_interval_that_was_never_hunted_says_what_it_does_not_see(changed: Path) -> None:
    """A hole next to a lost day is hunted with what is there, and its note says what is not."""
    con = duckdb.connect(str(changed / ".gundog/warehouse.duckdb"))
    con.execute("delete from run_intervals where interval_start = '2026-03-06'")
    con.execute("delete from run_intervals where interval_start = '2026-03-05'")
    con.close()

    _, outcome = hunt(changed, ("2026-03-05", "2026-03-06"), detections=("pair",))

    states = table(
        changed,
        """select state, note, error from run_intervals inner join detections using (detection_id)
           where stem = 'pair' and interval_start between '2026-03-05' and '2026-03-06'
           order by interval_start""",
    )
    assert [row[0] for row in states] == ["no_data", "provisional"]
    assert "no file covers any part of" in states[0][2]
    assert "4 rows of 2 files are not seen" in states[1][1]
    assert outcome.exit_status == 1


def test_counts_of_hours_that_cannot_be_counted_again_are_kept(upgraded: Path) -> None:
    """Those of the lost day stay as the earlier detection counted them; all others go."""
    then = "detection_hash <> (select detection_hash from detections where stem = 'count')"

    old = f"select hour::date::varchar, observed from series_counts where {then} order by all"
    assert kept(upgraded, old) == [("2026-03-05", 5.0)]
    spans = f"select interval_start::date::varchar from series_spans where {then}"
    assert kept(upgraded, spans) == [("2026-03-05",)]


def test_hours_of_files_that_left_are_not_observed(upgraded: Path) -> None:
    """No row of them is seen, which is not the same as no row: a baseline must not learn zeros."""
    stages = run.load_project(upgraded, {}).content.hunt("count").stages
    span = parse_range(old_project.LEFT, "2026-03-06")

    with duckdb.connect(str(upgraded / ".gundog/warehouse.duckdb"), read_only=True) as con:
        known = hour_states.hour_states(con, stages, span).of("")

    assert [hour_states.STATES[one] for one in known] == ["no_data"] * 24 + ["observed"] * 24


def test_plan_tells_the_same(changed: Path) -> None:
    """Before a backfill is begun, and without doing anything."""
    request = run.Request("backfill", parse_range(*old_project.HUNTED))
    lines = run.plan(run.load_project(changed, {}), request, NOW)

    assert lines[0].startswith("the SQL of happenings changed: to read again: 10 files")
    assert kept(changed, f"select count(*) from {STAGED_THEN}") == [(30,)]


@pytest.mark.slow
def test_files_that_come_back_are_read_again(upgraded: Path) -> None:
    """A lake that was only out of reach: what was kept for it goes, and its day can be hunted."""
    old_project.write_lake(upgraded)

    _, outcome = hunt(upgraded, old_project.HUNTED)

    assert outcome.exit_status == 0
    assert not any("left the lake" in note for note in outcome.notes)
    assert kept(upgraded, "select count(*) from duckdb_tables() where schema_name = 'staged'") == [
        (1,)
    ]


@pytest.mark.slow
def test_sql_that_is_taken_back_reads_nothing_that_it_has_read(upgraded: Path) -> None:
    """A rollback: the lost file's rows are seen again, for they were staged by that very SQL."""
    kit.write_text(upgraded / "sql/stage/happenings.sql", kit.STAGE)

    _, outcome = hunt(upgraded, now=NOW + timedelta(hours=1))

    assert outcome.exit_status == 0
    assert not any("left the lake" in note for note in outcome.notes)
    assert kept(upgraded, "select count(*) from happenings where id in (1, 2)") == [(2,)]


# ---- columns that have other names now ----


def make_old(root: Path) -> None:
    """Both files as they were before columns of theirs got other names."""
    for file in ("warehouse", "findings"):
        con = duckdb.connect(str(root / f".gundog/{file}.duckdb"))
        aged(con)
        con.execute("drop table if exists warehouse_layout")
        con.close()


@pytest.mark.slow
def test_renamed_columns_change_no_finding_and_send_nothing(project: Path, sink: Sink) -> None:
    """Neither the run after the upgrade nor a range that is hunted again sees a change."""
    hunt(project)
    changes = kept(project, "select * from finding_changes order by all")
    findings = kept(project, "select * from findings order by all")
    make_old(project)

    for again, hunted in ((False, 0), (True, 4)):
        span = ("2026-03-08", NEW_DAY)
        _, outcome = hunt(project, span, now=NOW + timedelta(hours=1), again=again)
        assert (outcome.exit_status, outcome.files, outcome.hunted) == (0, 0, hunted)

    assert kept(project, "select * from finding_changes order by all") == changes
    assert kept(project, "select * from findings order by all") == findings
    assert [request.body["title"][:8] for request in sink.requests] == ["d opened"]
    assert table(project, "select said_at::varchar, status from triage") == [
        ("2026-03-08 09:00:00+00", "resolved")
    ]


@pytest.mark.slow
def test_published_file_of_an_older_gundog_is_read_until_the_next_run(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command that reads it works, under the names of today, also with a new entry."""

    def told(*arguments: str) -> str:
        assert main.main([*arguments, "--project", str(project)]) == 0
        return capsys.readouterr().out

    hunt(project)
    make_old(project)
    [(finding,)] = table(project, "select finding_id::varchar from findings where title like 'd %'")
    said = "select count(*) as entries, count(said_at) as times from triage"

    assert json.loads(told("sql", said, "--format", "json")) == [{"entries": 1, "times": 1}]
    told("triage", finding, "--status", "resolved")

    assert json.loads(told("sql", said, "--format", "json")) == [{"entries": 2, "times": 2}]
    assert finding[:8] not in told("findings")
    assert "d opened" in told("findings", "--all")
    shown = told("show", finding)
    assert "2026-03-10 04:00 new" in shown
    assert "resolved" in shown
    told("sql", "select changed_at from finding_changes")
