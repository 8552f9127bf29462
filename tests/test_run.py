"""Tests of run.run: what nights, backfills and late files leave behind."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gundog.core.errors import InputError, LockError
from gundog.core.times import parse_range
from gundog.run import run
from tests import deaths, elsewhere, kit
from tests.forks import Fork
from tests.kit import DAY, NOW, event, hunt, table, write_file
from tests.test_laws import content

FIVE = ("2026-03-05", "2026-03-09")
PAIR_ID = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with nine quiet days before NOW."""
    kit.make_project(tmp_path)
    kit.fill_days(tmp_path, "2026-03-01", 9)
    return tmp_path


@pytest.fixture(scope="module")
def five_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a project with a pair on the 8th, of which five days were hunted."""
    root = kit.make_project(tmp_path_factory.mktemp("five_days"))
    kit.fill_days(root, "2026-03-01", 9)
    pair(root, "2026-03-08T10:00", "2026-03-08T12:00")
    hunt(root, FIVE)
    return root


@pytest.fixture
def hunted(five_days: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return kit.copy_project(five_days, tmp_path)


def states(root: Path) -> dict[str, str]:
    """The published state of each day."""
    rows = table(
        root,
        "select strftime(interval_start, '%d'), state from run_intervals order by interval_start",
    )
    return dict(rows)


def pair(root: Path, opened: str, closed: str, number: int = 1, name: str = "a") -> None:
    """Writes an opening and its closing into the files of their days."""
    write_file(root, opened[:10], [event(opened, "open", number=number)], f"{name}-open")
    write_file(root, closed[:10], [event(closed, "close", number=number + 1)], f"{name}-close")


def test_pair_across_midnight_belongs_to_the_second_day(project: Path) -> None:
    """A pair is found once, in the interval of its last event."""
    pair(project, "2026-03-08T23:50", "2026-03-09T00:10")

    hunt(project, ("2026-03-08", "2026-03-09"))

    assert table(project, "select strftime(interval_start, '%d') from findings") == [("09",)]


def test_running_twice_changes_nothing(hunted: Path) -> None:
    """A second run of the same range hunts nothing and leaves the tables as they are."""
    before = table(hunted, "from findings"), table(hunted, "from evidence")

    outcome = hunt(hunted, FIVE)

    assert outcome.hunted == 0
    assert (table(hunted, "from findings"), table(hunted, "from evidence")) == before
    assert all(before)


def test_again_hunts_what_is_done_and_finds_it_unchanged(hunted: Path) -> None:
    """`--again` hunts finals too; the same rows are not a change."""
    outcome = hunt(hunted, ("2026-03-07", "2026-03-09"), command="backfill", again=True)

    assert (outcome.hunted, outcome.changes.unchanged) == (3, 1)
    assert outcome.changes.new == outcome.changes.changed == 0


def test_next_night_catches_up_what_was_missed(project: Path) -> None:
    """A first run hunts yesterday; after a night without a run the next one hunts both."""
    first = hunt(project, now=NOW - 2 * DAY)
    assert (first.exit_status, states(project)) == (0, {"07": "provisional"})

    outcome = hunt(project)

    assert outcome.hunted == 2
    assert list(states(project)) == ["07", "08", "09"]


def test_a_late_run_hunts_the_night_it_was_due(project: Path) -> None:
    """What starts late hunts the night it was meant for, and writes down when it ran."""
    outcome = hunt(project, due=NOW - 2 * DAY)

    assert list(states(project)) == ["07"]
    started = table(project, "select epoch(started_at) from runs")
    assert started == [(NOW.timestamp(),)]
    assert outcome.stamp.at == NOW


def test_catch_up_goes_back_no_further_than_late_arrival(project: Path) -> None:
    """A hole older than lateArrival is listed as missing and left to a backfill."""
    kit.write_text(project / "gundog.yaml", f"{kit.CONFIG}lateArrival: 2d\n")
    hunt(project, ("2026-03-06", "2026-03-06"))

    outcome = hunt(project, now=NOW)

    assert outcome.hunted == 2
    assert states(project)["07"] == "missing"


def test_late_file_hunts_again_exactly_what_it_touches(hunted: Path) -> None:
    """A late file makes the day of its rows stale, and the day that reads back to it."""
    write_file(hunted, "2026-03-06", [event("2026-03-06T12:00", "open", number=7)], "late")

    outcome = hunt(hunted)

    days = table(
        hunted,
        "select strftime(interval_start, '%d') from run_intervals where run_id = ? order by 1",
        [str(outcome.run_id)],
    )
    assert days == [("06",), ("07",)]


def test_late_earlier_closing_changes_the_finding_and_keeps_its_id(hunted: Path) -> None:
    """When late events change the evidence, the id stays and the change is written down."""
    before = table(hunted, "select finding_id from findings")
    write_file(hunted, "2026-03-08", [event("2026-03-08T11:00", "close", number=9)], "late")

    outcome = hunt(hunted)

    assert outcome.changes.changed == 1
    assert table(hunted, "select finding_id from findings") == before
    assert table(hunted, "select is_late, details ->> '$.gap' from findings") == [(True, "1h")]
    assert table(hunted, "select change from finding_changes order by changed_at") == [
        ("new",),
        ("changed",),
    ]


def test_finding_goes_and_comes_back_with_its_file(hunted: Path) -> None:
    """A changed file withdraws what it proved; the same events again return the finding."""
    rows = [event("2026-03-08T12:00", "close", number=2)]
    path = write_file(hunted, "2026-03-08", [event("2026-03-08T12:30", "other")], "a-close")
    os.utime(path, ns=(1, 1))
    gone = hunt(hunted)
    path = write_file(hunted, "2026-03-08", rows, "a-close")
    os.utime(path, ns=(2, 2))

    back = hunt(hunted)

    assert (gone.changes.withdrawn, back.changes.returned) == (1, 1)
    assert table(hunted, "select change from finding_changes order by changed_at, change") != []


@pytest.mark.slow
def test_finding_that_two_days_hold_belongs_to_the_first(project: Path) -> None:
    """With an identity that comes again, whichever day is hunted first or again."""
    path = project / "detections/pair.yaml"
    path.write_text(path.read_text().replace("identity: [open_id]", "identity: [account_name]"))
    pair(project, "2026-03-06T10:00", "2026-03-06T12:00", number=10)
    pair(project, "2026-03-08T10:00", "2026-03-08T12:00", number=20)
    hunt(project, ("2026-03-08", "2026-03-08"))
    hunt(project, ("2026-03-06", "2026-03-06"))

    hunt(project, ("2026-03-08", "2026-03-08"), again=True)

    held = table(project, "select strftime(interval_start, '%d') from findings")
    assert held == [("06",)]


def test_vanished_file_leaves_its_findings(hunted: Path) -> None:
    """The lake's own retention removes files; what was staged and found stays."""
    (hunted / "lake/date=2026-03-08/a-open.parquet").unlink()

    outcome = hunt(hunted, ("2026-03-08", "2026-03-09"), again=True)

    assert outcome.changes.unchanged == 1
    assert table(hunted, "select count(*) from findings") == [(1,)]


def test_day_without_a_file_is_no_data_and_exits_1(project: Path) -> None:
    """A dead exporter never looks like a quiet night."""
    outcome = hunt(project, ("2026-02-25", "2026-02-25"))

    assert outcome.exit_status == 1
    assert states(project) == {"25": "no_data"}
    assert "no file covers" in outcome.problems[-1]
    assert outcome.health


def test_stale_exporter_is_no_data_although_its_files_are_there(project: Path) -> None:
    """Files whose newest event is older than freshness before the interval's end do not count."""
    old = [event("2026-03-04T01:00", "other")]
    (project / "lake/date=2026-03-06/quiet.parquet").unlink()
    (project / "lake/date=2026-03-05/quiet.parquet").unlink()
    write_file(project, "2026-03-06", old, "replayed")

    outcome = hunt(project, ("2026-03-06", "2026-03-06"))

    assert states(project) == {"06": "no_data"}
    assert "no event since" in outcome.problems[-1]


def test_arriving_data_fills_a_no_data_day(project: Path) -> None:
    """A day without data is hunted as soon as its file is there."""
    (project / "lake/date=2026-03-09/quiet.parquet").unlink()
    first = hunt(project)
    kit.fill_days(project, "2026-03-09", 1)

    second = hunt(project)

    assert (first.exit_status, second.exit_status) == (1, 0)
    assert states(project)["09"] == "provisional"


def test_bad_files_are_named_and_the_rest_goes_on(project: Path) -> None:
    """They exit 1 once, are written down, and stop nothing else; rows are only counted.

    One is not parquet, one is damaged under an intact footer, and one has no usable time. Of a
    good one, a row has no time and its stage refuses another.
    """
    day = "2026-03-09"
    pair(project, f"{day}T10:00", f"{day}T12:00")
    kit.write_text(project / f"lake/date={day}/bad.parquet", "not parquet")
    rows = [event(f"{day}T10:00", f"kind-{n}", f"who-{n}", n) for n in range(5000)]
    damaged = write_file(project, day, rows, "damaged")
    content = bytearray(damaged.read_bytes())
    middle = slice(len(content) // 4, len(content) // 2)
    content[middle] = bytes(len(content[middle]))
    damaged.write_bytes(content)
    write_file(project, day, [event("1601-01-01", "open")], "ancient")
    mixed = [
        {**event(f"{day}T10:00", "open"), "Timestamp": None},
        event(f"{day}T10:00", "open", n=-1),
        event(f"{day}T10:00", "other"),
    ]
    write_file(project, day, mixed, "mixed")

    first, second = hunt(project), hunt(project)

    assert (first.exit_status, second.exit_status) == (1, 0)
    named = sorted(problem for problem in first.problems if ".parquet" in problem)
    assert len(named) == len(first.problems) == 3
    for name, problem in zip(("ancient", "bad", "damaged"), named, strict=True):
        assert f"{name}.parquet" in problem
    assert "usable Timestamp" in named[0]
    assert first.changes.new == 1
    assert states(project) == {"09": "provisional"}
    rejected = "select parse_filename(path, true) from source_files where state = 'rejected'"
    assert table(project, f"{rejected} order by all") == [("ancient",), ("bad",), ("damaged",)]
    counted = table(project, "select rejected_rows from source_files where path like '%mixed%'")
    assert counted == [(2,)]


def test_redelivered_event_counts_once(project: Path) -> None:
    """The same event in two files is one event; its file is the smallest path."""
    pair(project, "2026-03-09T10:00", "2026-03-09T12:00", name="b")
    pair(project, "2026-03-09T10:00", "2026-03-09T12:00", name="a")

    hunt(project)

    assert table(project, "select evidence_count from findings") == [(2,)]
    files = table(project, "select source_file from evidence order by ordinal")
    assert [path.rsplit("/", 1)[-1] for (path,) in files] == ["a-open.parquet", "a-close.parquet"]


def test_changed_prose_is_published_without_hunting(hunted: Path) -> None:
    """A new title or severity restates stored findings; nothing is hunted again.

    Nor is it for comments and layout of SQL, which are not part of the hash.
    """
    sql = hunted / "sql/pair.sql"
    sql.write_text("-- a remark\n" + sql.read_text().replace("    ", "  "))
    path = hunted / "detections/pair.yaml"
    text = path.read_text().replace("severity: medium", "severity: high")
    path.write_text(text.replace('title: "{account_name} opened', 'title: "{account_name} OPENED'))

    outcome = hunt(hunted)

    assert outcome.hunted == 0
    assert table(hunted, "select severity, title from findings") == [
        ("high", "a OPENED and closed after 2h")
    ]


def test_changed_parameter_starts_with_the_last_interval_only(hunted: Path) -> None:
    """A detection whose rows can change is a new one to the ledger."""
    path = hunted / "detections/pair.yaml"
    path.write_text(path.read_text().replace("within: 1d", "within: 12h"))

    outcome = hunt(hunted)

    assert outcome.hunted == 1


def test_changed_stage_sql_stages_again_and_hunts_again(hunted: Path) -> None:
    """New stage SQL reads its files again, into a table of its own."""
    path = hunted / "sql/stage/happenings.sql"
    path.write_text(path.read_text().replace("lower(Kind)", "trim(lower(Kind))"))

    outcome = hunt(hunted)

    assert outcome.hunted == 1
    assert outcome.files == 5  # of three days, and the two of the pair


def test_failing_detection_is_named_and_others_are_stored(project: Path) -> None:
    """One broken hunt stops no other, nor does a broken YAML: each is named, and exits 1."""
    pair(project, "2026-03-09T10:00", "2026-03-09T12:00")
    text = kit.PAIR.replace(
        "o.event_time as start_time", "(o.n // 0)::varchar as boom, o.event_time as start_time"
    )
    kit.write_text(project / "sql/broken.sql", text.replace("1 = ", "1 = "))
    yaml = kit.PAIR_YAML.replace(PAIR_ID, PAIR_ID.replace("1", "3")).replace(
        "pair.sql", "broken.sql"
    )
    kit.write_text(project / "detections/broken.yaml", yaml + kit.HEAD)
    kit.write_text(project / "detections/typo.yaml", "nmae: x\n")

    outcome = hunt(project)

    assert outcome.exit_status == 1
    assert any(problem.startswith("broken") for problem in outcome.problems)
    assert any("typo.yaml" in problem for problem in outcome.problems)
    assert outcome.changes.new == 1
    found = table(project, "select state from run_intervals order by state")
    assert found == [("failed",), ("provisional",)]


def test_only_the_named_detection_runs(project: Path) -> None:
    """`--detection` takes a file stem or an id; an unknown one is an error with a hint."""
    assert hunt(project, detections=(PAIR_ID,)).hunted == 1
    with pytest.raises(InputError, match="did you mean pair"):
        hunt(project, detections=("piar",))


def test_times_off_the_grid_name_the_two_nearest(project: Path) -> None:
    """Days are hunted whole."""
    with pytest.raises(InputError, match="use 2026-03-08T00:00:00Z or 2026-03-09T00:00:00Z"):
        hunt(project, ("2026-03-08T05:00", "2026-03-09"))


def test_detection_off_the_grid_of_a_range_is_left_out_alone(project: Path) -> None:
    """Its own `frequency` is its own affair: it is named, the others are hunted."""
    within = ("2026-03-05", "2026-03-06")
    pair(project, "2026-03-05T10:00", "2026-03-05T11:00")
    odd = (kit.PAIR_YAML + kit.HEAD).replace("11111111", "33333333")
    kit.write_text(project / "detections/odd.yaml", odd + "frequency: 7h\n")

    outcome = hunt(project, within)
    lines = run.plan(
        run.load_project(project, {}), run.Request("backfill", parse_range(*within)), kit.NOW
    )

    assert outcome.exit_status == 1
    assert [one for one in outcome.problems if "odd" in one] == outcome.problems
    assert "odd: left out of this run: --from" in outcome.problems[0]
    assert "is not on the grid of 7h: use 20" in outcome.problems[0]
    assert table(project, "select (detection_id::varchar)[:4] from findings") == [("1111",)]
    assert any(line.startswith("odd: left out of this run") for line in lines)
    with pytest.raises(InputError, match=r"odd: --from .* is not on the grid of 7h"):
        hunt(project, within, detections=("odd",))


def test_future_days_of_a_range_are_left_for_their_time(project: Path) -> None:
    """A range that reaches beyond now hunts what is over."""
    outcome = hunt(project, ("2026-03-09", "2026-03-20"))

    assert outcome.hunted == 1


def test_provisional_becomes_final_after_late_arrival(hunted: Path) -> None:
    """Whether late files may still change an interval follows from the run's time."""
    before = states(hunted)

    hunt(hunted, ("2026-03-09", "2026-03-09"), now=NOW + 8 * DAY)

    assert before["09"] == "provisional"
    assert states(hunted)["09"] == "final"


def test_second_run_waits_then_says_who_holds_the_warehouse(project: Path) -> None:
    """Two runs never write at once."""
    holder = Fork(elsewhere.hold, project / ".gundog/warehouse.duckdb")
    try:
        assert holder.connection.recv() == "held"
        with pytest.raises(LockError, match=f"process {holder.pid}"):
            hunt(project, wait=timedelta(milliseconds=100))
    finally:
        holder.connection.close()
        holder.wait(kit.HUNG_S)

    assert hunt(project).exit_status == 0


DAYS = ("2026-03-05", "2026-03-07")


def small(root: Path) -> Path:
    """Three days of pairs, in files of their own."""
    kit.make_project(root, series=True)
    kit.fill_days(root, "2026-03-04", 4)
    for day in (5, 6, 7):
        pair(root, f"2026-03-0{day}T10:00", f"2026-03-0{day}T11:00", number=10 * day, name="p")
    for path in (root / "lake").rglob("*.parquet"):
        os.utime(path, (1, 1))
    return root


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """The tables that a run leaves which nobody kills."""
    root = small(tmp_path_factory.mktemp("undisturbed"))
    hunt(root, DAYS)
    return content(root)


@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.parametrize(
    ("step", "module", "function"),
    [
        # Rows are there, nothing is committed.
        ("stage", "gundog.staging.staged_rows", "_record_files"),
        # Between two steps: findings are stored, the ledger is not.
        ("", "gundog.findings.storing", "_store_ledger"),
        # Built aside.
        ("publish", "gundog.findings.publish", "_rename"),
        ("list lake", "gundog.lake.listing", "list_files"),
        ("hunt pair 2026-03-06", "gundog.core.child", "Child.call"),
    ],
)
def test_killed_run_leaves_what_the_next_one_needs(
    tmp_path: Path, undisturbed: dict[str, list[Any]], step: str, module: str, function: str
) -> None:
    """kill -9 within each step, then the same command: the tables of an undisturbed run.

    Kills within `notify` are those of test_morning.
    """
    root = small(tmp_path)
    victim = Fork(deaths.before_call, root, DAYS, step, module, function, log=tmp_path / "log")
    assert victim.wait() == -signal.SIGKILL, (tmp_path / "log").read_text()
    assert victim.connection.recv().startswith(step)
    victim.close()

    hunt(root, DAYS)

    assert content(root) == undisturbed
    assert table(root, "select count(*), count(distinct finding_id) from findings") == [(3, 3)]


def test_reader_of_the_old_file_is_undisturbed_by_a_publish(hunted: Path) -> None:
    """Whoever has findings.duckdb open goes on reading what it opened."""
    import duckdb

    reader = duckdb.connect(str(hunted / ".gundog/findings.duckdb"), read_only=True)
    try:
        before = reader.execute("select count(*) from runs").fetchall()
        hunt(hunted)
        assert reader.execute("select count(*) from runs").fetchall() == before
    finally:
        reader.close()
    assert table(hunted, "select count(*) from runs") == [(2,)]


def test_plan_says_what_a_run_would_do_and_does_nothing(project: Path) -> None:
    """A plan names intervals, files and bytes, and leaves no staged file behind."""
    loaded = run.load_project(project, {})
    request = run.Request("backfill", parse_range("2026-03-08", "2026-03-09"))

    lines = run.plan(loaded, request, NOW)

    assert lines[0] == "pair: 2 of 2 intervals to hunt"
    assert lines[1].startswith("Things: 4 files to stage")
    assert hunt(project, ("2026-03-08", "2026-03-09")).hunted == 2


@pytest.mark.slow  # test_single_hunt has one whose limit comes at once
def test_a_hunt_that_takes_too_long_fails_alone_and_says_what_to_do(project: Path) -> None:
    """A time limit keeps one hunt from holding up the night."""
    pair(project, "2026-03-09T10:00", "2026-03-09T12:00")
    endless = kit.PAIR.replace(
        "select\n    *,\n    [", "select\n    *,\n    (select count(*) from range(300000) as a, "
        "range(300000) as b where a.range * b.range % 7 = 3) as pairs_counted,\n    ["
    )  # fmt: skip
    kit.write_text(project / "sql/endless.sql", endless)
    yaml = kit.PAIR_YAML.replace(PAIR_ID, PAIR_ID.replace("1", "3")).replace(
        "pair.sql", "endless.sql"
    )
    kit.write_text(project / "detections/endless.yaml", yaml + kit.HEAD)
    kit.write_text(project / "gundog.yaml", kit.CONFIG + "huntLimit: 6s\n")

    outcome = hunt(project)

    assert outcome.exit_status == 1
    assert [one.split()[0] for one in outcome.problems] == ["endless"]
    assert "took longer than allowed" in outcome.problems[0]
    assert outcome.changes.new == 1
