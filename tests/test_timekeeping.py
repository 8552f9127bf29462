"""A wrong clock deletes nothing and silences nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import duckdb
import pytest

from gundog.cli.main import main
from gundog.core.times import parse_time
from gundog.notify import sending
from gundog.notify.channel import Channel
from gundog.run import run, status, timekeeping
from gundog.warehouse import database, tables
from tests import kit
from tests.kit import DAY, table, write_file
from tests.sinks import Request, Sink, http_sink

Con = duckdb.DuckDBPyConnection
RIGHT = parse_time("2026-03-04T04:00:00Z")
SHORT = 'retention: {findings: "20d", evidence: "20d"}\n'
YEARS = parse_time("2029-04-04T04:00:00Z")  # later than anything is kept


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five days of events, a pair on the third."""
    root = kit.make_project(tmp_path_factory.mktemp("lake"))
    kit.fill_days(root, "2026-03-01", 5)
    pair(root, "2026-03-03")
    return root


@pytest.fixture(scope="module")
def hunted_once(lake: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Request]]:
    """The same after a night with the right clock, and what its channel was sent."""
    root = kit.copy_project(lake, tmp_path_factory.mktemp("hunted"))
    with pytest.MonkeyPatch.context() as patched, http_sink() as first:
        patched.setenv("NO_PROXY", "*")
        configure(root, first)
        night(root, RIGHT)
    assert len(told(first)) == 1
    return root, first.requests


@pytest.fixture(scope="module")
def ahead_once(
    hunted_once: tuple[Path, list[Request]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Request], run.Outcome]:
    """The same after a night years ahead, what its channel was sent, and what came of it."""
    before, requests = hunted_once
    root = kit.copy_project(before, tmp_path_factory.mktemp("ahead"))
    with pytest.MonkeyPatch.context() as patched, http_sink() as second:
        patched.setenv("NO_PROXY", "*")
        second.requests += requests
        configure(root, second)
        outcome = night(root, YEARS)
    return root, second.requests, outcome


@pytest.fixture
def root(lake: Path, tmp_path: Path, sink: Sink) -> Path:
    """A copy of the lake with a channel, of which nothing was hunted."""
    configure(kit.copy_project(lake, tmp_path), sink)
    return tmp_path


@pytest.fixture
def hunted(hunted_once: tuple[Path, list[Request]], tmp_path: Path, sink: Sink) -> Path:
    """A copy of it after its first night; its channel remembers what it was sent then."""
    before, requests = hunted_once
    sink.requests += requests
    configure(kit.copy_project(before, tmp_path), sink)
    return tmp_path


@pytest.fixture
def ahead(
    ahead_once: tuple[Path, list[Request], run.Outcome], tmp_path: Path, sink: Sink
) -> tuple[Path, run.Outcome]:
    """A copy of it after its night years ahead, and what came of that night."""
    before, requests, outcome = ahead_once
    sink.requests += requests
    configure(kit.copy_project(before, tmp_path), sink)
    return tmp_path, outcome


def configure(root: Path, sink: Sink, more: str = "freshness: 100d\n") -> None:
    """Writes gundog.yaml with its one channel."""
    channel = f"notify: [{{name: soc, url: '{sink.url()}'}}]\n"
    kit.write_text(root / "gundog.yaml", kit.CONFIG + more + channel)


def pair(root: Path, day: str, number: int = 1) -> None:
    rows = [kit.event(f"{day}T10:00", "open", number=number),
            kit.event(f"{day}T11:00", "close", number=number + 1)]  # fmt: skip
    write_file(root, day, rows)


def night(root: Path, at: datetime, **options: Any) -> run.Outcome:
    return kit.hunt(root, now=at, **options)


def told(sink: Sink, kind: str = "finding") -> list[str]:
    return [one.body["title"] for one in sink.requests if one.body["kind"] == kind]


def clock_troubles(root: Path, now: datetime) -> list[str]:
    known = status.known(run.load_project(root, {}))
    with duckdb.connect(str(root / ".gundog/findings.duckdb"), read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        return [one.text for one in status.read(con, known, now).troubles if one.kind == "clock"]


# ---- a clock that is ahead ----


def test_a_run_years_ahead_removes_nothing_and_says_so(
    hunted_once: tuple[Path, list[Request]], ahead: tuple[Path, run.Outcome], sink: Sink
) -> None:
    """Findings, evidence, staged rows and history stay; the night exits 1 and one message goes."""
    before = table(hunted_once[0], "select * exclude (interval_state) from findings")
    hunted, outcome = ahead

    assert outcome.exit_status == 1
    (problem,) = [one for one in outcome.problems if one.startswith("clock: ")]
    assert problem.startswith(
        "clock: 2029-04-04T04:00:00Z is 1,127 days after the last run, 2026-03-04T04:00:00Z, and no"
        " events of the 7 days before it were read: the clock is wrong, or nothing came:"
    )
    assert problem.endswith("run once with --trust-clock")
    assert table(hunted, "select * exclude (interval_state) from findings") == before
    assert table(hunted, "select count(*) from evidence") == [(2,)]
    assert table(hunted, "select distinct state from source_files") == [("staged",)]
    assert told(sink, "health") == ["clock"]

    night(hunted, YEARS + DAY)  # it stays wrong for another night
    assert table(hunted, "select count(*) from findings") == [(1,)]
    assert told(sink, "health") == ["clock"]


@pytest.mark.slow
def test_after_a_run_ahead_all_is_as_without_it(
    ahead: tuple[Path, run.Outcome], sink: Sink
) -> None:
    """Nothing is told twice, and the ledger and the nights know nothing of years to come."""
    hunted, _ = ahead
    assert len(clock_troubles(hunted, RIGHT)) == 1
    kit.fill_days(hunted, "2026-03-06", 2)
    outcome = night(hunted, RIGHT + 4 * DAY)

    assert outcome.exit_status == 0
    assert len(told(sink)) == 1
    assert table(hunted, "select max(interval_end) from run_intervals") == [
        (parse_time("2026-03-08T00:00:00Z"),)
    ]
    assert clock_troubles(hunted, RIGHT + 4 * DAY) == []
    times = "select max(created_at), max(updated_at) from findings"
    assert max(table(hunted, times)[0]) <= RIGHT + 4 * DAY


@pytest.mark.slow
def test_a_channel_that_began_under_a_clock_ahead_is_told(root: Path, sink: Sink) -> None:
    """The first run is nine days ahead; the next one, with the right clock, tells what it finds."""
    night(root, RIGHT + 9 * DAY)
    night(root, RIGHT)
    night(root, RIGHT + DAY)

    assert [one.split(" after ")[0] for one in told(sink)] == ["a opened and closed"]
    assert clock_troubles(root, RIGHT + DAY) == []


def test_a_machine_that_was_off_is_believed_when_events_came(hunted: Path, sink: Sink) -> None:
    """Three weeks without a run, the lake filled meanwhile: no word, and retention goes on."""
    configure(hunted, sink, f"lateArrival: 1d\n{SHORT}")
    later = RIGHT + 21 * DAY
    kit.fill_days(hunted, f"{later - DAY:%Y-%m-%d}", 1)
    outcome = night(hunted, later)

    assert [one for one in outcome.problems if "clock" in one] == []
    assert table(hunted, "select count(*) from findings") == [(0,)]


def test_a_person_can_say_that_the_clock_is_right(hunted: Path, sink: Sink) -> None:
    """With --trust-clock retention runs; the next night needs no word."""
    configure(hunted, sink, f"lateArrival: 1d\n{SHORT}")
    later = RIGHT + 30 * DAY
    assert clock_of(night(hunted, later)) != []
    assert len(table(hunted, "from findings")) == 1
    assert clock_of(night(hunted, later, trust_clock=True)) == []
    assert table(hunted, "select count(*) from findings") == [(0,)]
    assert clock_of(night(hunted, later + DAY)) == []


def clock_of(outcome: run.Outcome) -> list[str]:
    return [one for one in (*outcome.problems, *outcome.notes) if one.startswith("clock: ")]


@pytest.mark.slow
def test_an_archive_gets_a_note_and_keeps_its_rows(root: Path) -> None:
    """A project that only hunts ranges has no nights: years later it exits 0, and nothing goes."""
    days = ("2026-03-03", "2026-03-03")
    night(root, RIGHT, within=days)
    assert clock_of(night(root, RIGHT + 20 * DAY, within=days)) == []
    outcome = night(root, YEARS, within=days)

    assert outcome.exit_status == 0
    assert len(clock_of(outcome)) == 1
    assert table(root, "select count(*) from findings") == [(1,)]


def test_a_backfill_after_a_long_pause_is_no_problem(hunted: Path) -> None:
    """A range needs no clock: retention waits for a run that can be believed, with a note."""
    days = ("2026-03-01", "2026-03-01")
    later = night(hunted, RIGHT + 20 * DAY, command="backfill", within=days)
    assert (later.exit_status, clock_of(later)) == (0, [])
    much_later = night(hunted, YEARS, command="backfill", within=days)

    assert (much_later.exit_status, len(clock_of(much_later))) == (0, 1)
    assert len(table(hunted, "from findings")) == 1
    assert clock_troubles(hunted, YEARS) == []


@pytest.mark.slow
@pytest.mark.usefixtures("retries_at_once")
def test_what_waits_is_not_given_up_under_a_wrong_clock(root: Path, sink: Sink) -> None:
    """A message that failed is tried by the run years ahead, and again when the clock is right."""
    sink.script = [500] * 2
    night(root, RIGHT)
    sink.script = [500] * 9
    night(root, YEARS)
    sink.script = []
    night(root, RIGHT + DAY)

    assert table(root, "select count(*) from notifications where dead_at is not null") == [(0,)]
    sent = "select count(*) from notifications where kind = 'finding' and sent_at is not null"
    assert table(root, sent) == [(1,)]


@pytest.mark.slow
def test_a_day_to_come_is_told_when_it_came(hunted: Path, sink: Sink) -> None:
    """A clock two days ahead is believed; what it said of its day is said again on the day."""
    configure(hunted, sink, "freshness: 26h\nlateArrival: 3d\n")
    night(hunted, RIGHT + 3 * DAY)
    early = [one for one in told(sink, "health") if "2026-03-06" in one]
    night(hunted, RIGHT + DAY)
    night(hunted, RIGHT + 3 * DAY)
    late = [one for one in told(sink, "health") if "2026-03-06" in one]

    assert (len(early), len(late)) == (1, 2)


# ---- a clock that is behind ----


@pytest.mark.parametrize("back", [9 * DAY, 50 * 365 * DAY])
def test_a_run_behind_does_nothing_and_says_so(hunted: Path, sink: Sink, back: timedelta) -> None:
    """What it stored would look old to the next run; the next right one goes on."""
    outcome = night(hunted, RIGHT - back)

    (problem,) = outcome.problems
    assert problem.startswith(f"clock: {(RIGHT - back):%Y-%m-%dT04:00:00Z} is {back.days:,} days")
    assert (outcome.exit_status, outcome.hunted) == (1, 0)
    assert told(sink, "health") == ["clock"]
    night(hunted, RIGHT + DAY)
    assert table(hunted, "select count(*) from findings") == [(1,)]
    assert table(hunted, "select count(*) from runs") == [(2,)]
    assert len(told(sink)) == 1


# ---- judging ----


def ran(con: Con, at: datetime, *, proven: bool = False, doubt: str | None = None) -> None:
    row = {"run_id": uuid4(), "started_at": at, "finished_at": at, "asked_range": False,
           "clock_doubt": doubt, "clock_proven": proven}  # fmt: skip
    database.insert(con, "runs", [row])


def read_rows(con: Con, at: datetime, rows: int) -> None:
    row = {"file_id": 1, "source_table": "Things", "hour": at, "rows": rows}
    database.insert(con, "source_hours", [row])


def test_few_events_ahead_do_not_prove_a_clock_that_is_ahead(con: Con) -> None:
    """One machine of a large lake whose clock is a year ahead makes no run of that year right."""
    ran(con, RIGHT, proven=True)
    read_rows(con, RIGHT, 1_000_000)
    read_rows(con, YEARS, 9)
    assert timekeeping.judge(con, YEARS + DAY).doubt

    read_rows(con, YEARS, 1)
    judged = timekeeping.judge(con, YEARS + DAY)
    assert (judged.doubt, judged.proven) == ("", True)


def test_a_run_that_was_doubted_proves_nothing(con: Con) -> None:
    """Two nights ahead are not better than one."""
    ran(con, RIGHT)
    ran(con, YEARS, doubt="ahead")

    assert timekeeping.judge(con, YEARS + DAY).seen == RIGHT
    assert timekeeping.judge(con, YEARS + DAY).doubt


def test_a_first_run_that_nothing_proves_holds_up_no_later_one(con: Con) -> None:
    """A first run years ahead: the next one, at the right time, is believed."""
    ran(con, YEARS)

    assert timekeeping.judge(con, RIGHT) == timekeeping.Judged(seen=YEARS)


@pytest.mark.parametrize("days", [-7, -1, 0, 1, 7])
def test_a_week_is_near(con: Con, days: int) -> None:
    """Weekends, holidays and clocks that are set by hand do not matter."""
    ran(con, RIGHT, proven=True)

    judged = timekeeping.judge(con, RIGHT + days * DAY)
    assert (judged.doubt, judged.proven) == ("", True)


def test_mending_changes_nothing_where_no_clock_was_ahead(con: Con) -> None:
    """Every table is the same afterwards."""
    ran(con, RIGHT, proven=True)
    read_rows(con, RIGHT, 5)
    since = {"channel": "soc", "detection_id": UUID(int=1), "severity": "high",
             "since": RIGHT - 3 * DAY}  # fmt: skip
    database.insert(con, "notification_starts", [since])
    note = {"notification_id": UUID(int=2), "channel": "soc", "kind": "health", "sent_at": RIGHT,
            "created_at": RIGHT, "first_attempt_at": RIGHT,
            "next_attempt_at": RIGHT + DAY}  # fmt: skip
    database.insert(con, "notifications", [note])
    before = {one.name: con.execute(f"from {one.name}").fetchall() for one in tables.TABLES}
    timekeeping.mend(con, RIGHT, 3 * DAY)

    after = {one.name: con.execute(f"from {one.name}").fetchall() for one in tables.TABLES}
    assert before == after


def test_a_first_try_under_a_doubted_clock_counts_no_age(con: Con, sink: Sink) -> None:
    """A clock in 1970 must not make a message look fifty years old to the next run."""
    row = {"notification_id": UUID(int=1), "channel": "soc", "kind": "health", "key": "k",
           "body": '{"kind": "health"}', "attempts": 0, "created_at": RIGHT,
           "next_attempt_at": parse_time("1970-01-01T00:00:00Z")}  # fmt: skip
    database.insert(con, "notifications", [row])
    sink.script = [500] * 4
    channels = [Channel("soc", sink.url())]
    sending.send(con, channels, parse_time("1970-01-02"), lambda _: None, doubted=True)

    assert sending.send(con, channels, RIGHT, lambda _: None).dead == 0


def test_trust_clock_is_an_option_of_runs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence names it, so it must be there."""
    for command in ("hunt", "backfill"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "--trust-clock" in capsys.readouterr().out


AHEAD = [
    *timekeeping._WRITTEN,
    ("notifications", "next_attempt_at"),
    ("notifications", "first_attempt_at"),
    ("notification_starts", "since"),
    ("notification_tenants", "since"),
    ("run_intervals", "interval_end"),
]


@pytest.mark.parametrize(("table_name", "column"), AHEAD)
def test_each_time_that_is_ahead_is_enough_to_mend_it(
    con: Con, table_name: str, column: str
) -> None:
    """One question says first whether any is; where the interval is not over, its row goes."""
    key = {"notification_id": str(uuid4())} if table_name == "notifications" else {}
    database.insert(con, table_name, [{**key, column: YEARS}])

    timekeeping.mend(con, RIGHT, DAY)

    rows = con.execute(f"select {column} from {table_name}").fetchall()
    is_interval = column == "interval_end"
    assert rows == [] if is_interval else rows[0][0] <= RIGHT
