"""Tests of findings.publish: a whole file in place of the old one, or the old one."""

from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest

from gundog.core.errors import StoreError
from gundog.findings import publish, views
from gundog.warehouse import database, file_identity, tables
from tests import elsewhere, engines, kit
from tests.forks import Fork
from tests.kit import DAY, NOW

# Of how an empty file is made, or of what stops that.
makes_blanks = pytest.mark.usefixtures("new_blanks")
WEEK = 7 * DAY
STABLE, TRIAL = UUID(int=1), UUID(int=2)


@dataclass
class Press:
    """A warehouse in memory and the file it is published to."""

    con: duckdb.DuckDBPyConnection
    target: Path

    def finding(self, number: int, **values: Any) -> None:
        """Writes a finding that ended so many hours before NOW."""
        end = NOW - timedelta(hours=number)
        row = {
            "finding_id": UUID(int=number), "detection_id": STABLE, "detection_name": "Found",
            "kind": "match", "title": "t", "severity": "high", "risk_score": 10, "details": "{}",
            "start_time": end, "end_time": end, "interval_start": end - DAY, "interval_end": end,
            "triage_status": "new", "row": "{}", "evidence_digest": "d", "evidence_count": 0,
        }  # fmt: skip
        database.insert(self.con, "findings", [row | values])

    def detection(self, key: UUID, status: str) -> None:
        """Writes a detection."""
        row = {"detection_id": key, "stem": f"d{key.int}", "status": status}
        database.insert(self.con, "detections", [row])

    def publish(self, **options: Any) -> duckdb.DuckDBPyConnection:
        """Publishes, and opens what came of it."""
        publish.publish(self.con, self.target, **{"now": NOW, "late_arrival": WEEK, **options})
        self.opened = database.connect(self.target, read_only=True)
        return self.opened

    def files(self) -> list[str]:
        """Endings of the files beside the published one, and its own."""
        return sorted(path.suffix for path in self.target.parent.iterdir())

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query on a fresh publication."""
        con = self.publish()
        try:
            return con.execute(sql).fetchall()
        finally:
            con.close()


@pytest.fixture
def press(tmp_path: Path) -> Iterator[Press]:
    """An empty warehouse with one stable and one experimental detection."""
    with engines.memory() as con:
        for one in tables.TABLES:
            con.execute(next(tables.create(one)))
        made = Press(con, tmp_path / "deep" / "findings.duckdb")
        made.detection(STABLE, "stable")
        made.detection(TRIAL, "experimental")
        yield made


@pytest.fixture
def empty(press: Press) -> Iterator[duckdb.DuckDBPyConnection]:
    """What is published when nothing was found yet."""
    con = press.publish()
    yield con
    con.close()


@makes_blanks
def test_older_clients_can_read_it(empty: duckdb.DuckDBPyConnection) -> None:
    """The file is written in the storage version that DuckDB 1.5 reads."""
    assert publish.STORAGE_VERSION == "v1.5.0"
    found = empty.execute(
        "select tags['storage_version'] from duckdb_databases() where database_name = 'findings'"
    ).fetchall()
    assert found == [("v1.5.0+",)]


@makes_blanks
def test_every_table_and_view_is_there_and_nothing_else(empty: duckdb.DuckDBPyConnection) -> None:
    """What people query, without what only the engine needs."""
    found = {row[0] for row in empty.execute("select table_name from duckdb_tables()").fetchall()}
    views = {row[0] for row in empty.execute(
        "select view_name from duckdb_views() where not internal").fetchall()}  # fmt: skip

    assert found == {one.name for one in tables.TABLES if one.published}
    assert not {"stage_hours", "source_hours", "series_counts", "file_stages"} & found
    assert views == {"open_findings", "findings_by_day", "risk_by_entity"}


@makes_blanks
def test_everything_explains_itself(empty: duckdb.DuckDBPyConnection) -> None:
    """Tables, views and each of their columns carry a comment."""
    silent = empty.execute(
        """select table_name from duckdb_tables() where coalesce(comment, '') = ''
           union all select view_name from duckdb_views()
               where not internal and coalesce(comment, '') = ''
           union all select table_name || '.' || column_name from duckdb_columns()
               where not internal and coalesce(comment, '') = ''"""
    ).fetchall()
    said = empty.execute(
        """select table_name, comment from duckdb_columns()
           where column_name = 'finding_id' and table_name in ('findings', 'open_findings')"""
    ).fetchall()

    assert silent == []
    assert len(set(dict(said).values())) == 1


@makes_blanks
def test_columns_of_the_engine_stay_inside(press: Press) -> None:
    """Private columns are not published, in tables or views."""
    press.finding(1)
    press.con.execute("insert into run_intervals (detection_id, seq) values (?, 5)", [STABLE])

    columns = press.ask("select table_name, column_name from duckdb_columns() where not internal")

    for name in ("findings", "open_findings"):
        assert not {(name, "row"), (name, "evidence_digest")} & set(columns)
    assert ("run_intervals", "seq") not in columns
    assert ("source_files", "seen_seq") not in columns
    wanted = [(one.name, column.name) for one in tables.TABLES if one.published
              for column in one.published_columns]  # fmt: skip
    assert set(wanted) <= set(columns)


def test_rows_arrive_whole(press: Press) -> None:
    """Findings, evidence and history as they stand in the warehouse."""
    press.finding(1, tactics=["Collection"], details='{"gap": "1h"}', score=2.5)
    database.insert(
        press.con, "evidence",
        [{"finding_id": UUID(int=1), "ordinal": n, "event": f'{{"n": {n}}}'} for n in (1, 0)],
    )  # fmt: skip
    database.insert(
        press.con,
        "finding_changes",
        [{"finding_id": UUID(int=1), "change": "new", "changed_at": NOW}],
    )

    con = press.publish()
    try:
        found = con.execute("select tactics, details ->> '$.gap', score from findings").fetchall()
        assert found == [(["Collection"], "1h", 2.5)]
        ordered = con.execute("select ordinal, event ->> '$.n' from evidence").fetchall()
        assert ordered == [(0, "0"), (1, "1")]
        changes = con.execute("select change, changed_at from finding_changes").fetchall()
        assert changes == [("new", NOW)]
    finally:
        con.close()


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (NOW, "provisional"),
        (NOW + WEEK - timedelta(microseconds=1), "provisional"),
        (NOW + WEEK, "final"),
    ],
)
def test_state_follows_from_the_time_of_the_run(press: Press, now: datetime, state: str) -> None:
    """Provisional until the interval's end plus lateArrival, in findings and ledger alike."""
    press.finding(0)
    for known in ("done", "failed"):
        press.con.execute(
            """insert into run_intervals (detection_id, interval_start, interval_end, state)
               values (?, ?, ?, ?)""",
            [STABLE, NOW - DAY, NOW, known],
        )

    con = press.publish(now=now)
    try:
        assert con.execute("select interval_state from findings").fetchall() == [(state,)]
        ledger = con.execute("select state from run_intervals order by state").fetchall()
        assert sorted(ledger) == sorted([(state,), ("failed",)])
    finally:
        con.close()


def test_ledger_names_what_is_stale_and_missing(press: Press) -> None:
    """Of the intervals between those that were hunted."""
    for back in (3, 1):
        press.con.execute(
            """insert into run_intervals
                   (detection_id, detection_hash, interval_start, interval_end, state)
               values (?, 'h', ?, ?, 'done')""",
            [STABLE, NOW - back * DAY, NOW - (back - 1) * DAY],
        )
    due = [
        {"detection_id": str(STABLE), "detection_hash": "h", "interval_start": NOW - back * DAY,
         "interval_end": NOW - (back - 1) * DAY, "state": state}
        for back, state in ((3, "stale"), (2, "missing"))
    ]  # fmt: skip

    con = press.publish(due=due)
    try:
        found = con.execute("select state from run_intervals order by interval_start").fetchall()
    finally:
        con.close()

    assert found == [("stale",), ("missing",), ("provisional",)]
    assert press.con.execute("select distinct state from run_intervals").fetchall() == [("done",)]


def test_series_of_the_tenant_are_whole_and_others_where_they_have_findings(press: Press) -> None:
    """Thousands of quiet mailboxes stay in the warehouse."""
    for key in ("/*", "t/*", "/a", "/b", "/c*"):
        press.con.execute(
            "insert into series_points (detection_id, series_key, hour) values (?, ?, ?)",
            [STABLE, key, NOW],
        )
    press.finding(1, kind="series", details='{"series_key": "/a"}')
    press.finding(2, kind="series", detection_id=TRIAL, details='{"series_key": "/b"}')

    assert press.ask("select series_key from series_points order by 1") == [
        ("/*",), ("/a",), ("t/*",)
    ]  # fmt: skip


# Views.


def test_open_findings_wait_for_a_person(press: Press) -> None:
    """New or in progress, not suppressed, of stable detections; the newest first."""
    press.finding(2)
    press.finding(1)
    press.finding(3, detection_id=TRIAL)
    press.finding(4, suppressed_by="an exception")
    press.finding(5, detection_id=UUID(int=9))

    assert press.ask("select finding_id from open_findings") == [(UUID(int=1),), (UUID(int=2),)]
    columns = "select count(*) from duckdb_columns() where table_name = '{}'"
    assert press.ask(columns.format("open_findings")) == press.ask(columns.format("findings"))


def test_findings_by_day_counts(press: Press) -> None:
    """Per day of the last event, detection and severity."""
    press.finding(1)
    press.finding(2, severity="low")
    press.finding(3)
    press.finding(30)

    assert press.ask("select strftime(day, '%d'), severity, findings from findings_by_day"
                     " order by all") == [
        ("08", "high", 1), ("10", "high", 2), ("10", "low", 1)
    ]  # fmt: skip


def test_risk_is_summed_per_entity(press: Press) -> None:
    """Over 7 and 30 days before the newest finding; not of nobody, everybody or the suppressed."""
    press.finding(1, host_name="h", account_name="ana", risk_score=50)
    press.finding(24 * 7 + 2, host_name="h", risk_score=20)
    press.finding(24 * 30 + 2, host_name="h", risk_score=1000)
    press.finding(3, host_name="h", risk_score=400, suppressed_by="x")
    press.finding(4, mailbox="*", account_name="", risk_score=30)
    press.finding(5, mailbox="m", risk_score=None)

    found = press.ask("select kind, name, risk_7d, risk_30d, findings from risk_by_entity")

    assert found == [
        ("mailbox", "m", 75, 75, [UUID(int=5)]),
        ("host", "h", 50, 70, [UUID(int=1), UUID(int=24 * 7 + 2)]),
        ("account", "ana", 50, 50, [UUID(int=1)]),
    ]


@makes_blanks
def test_views_of_nothing_are_empty(empty: duckdb.DuckDBPyConnection) -> None:
    """Before the first finding they answer too."""
    for name in views.VIEWS:
        assert empty.execute(f"from {name}").fetchall() == []


@makes_blanks
def test_views_read_the_file_they_are_in(press: Press, tmp_path: Path) -> None:
    """Also when it was copied elsewhere under another name."""
    press.finding(1)
    press.publish().close()
    copy = tmp_path / "other.duckdb"
    shutil.copy(press.target, copy)
    press.target.unlink()

    con = database.connect(copy, read_only=True)
    try:
        assert len(con.execute("from open_findings").fetchall()) == 1
    finally:
        con.close()


# The file.


@makes_blanks
def test_publishing_again_replaces_the_file_and_leaves_nothing_beside(press: Press) -> None:
    """One file, of the second time."""
    press.finding(1)
    press.publish().close()
    press.finding(2)

    assert press.ask("select count(*) from findings") == [(2,)]
    assert press.files() == [".blank", ".duckdb"]


def everything(con: duckdb.DuckDBPyConnection) -> dict[str, object]:
    """What a published file holds: rows, columns and comments of its tables, and its views."""
    names = [row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall()]
    said = con.execute(
        """select table_name, column_name, data_type, comment from duckdb_columns()
           where not internal order by all"""
    ).fetchall()
    views = con.execute(
        "select view_name, sql, comment from duckdb_views() where not internal order by all"
    ).fetchall()
    comments = con.execute("select table_name, comment from duckdb_tables() order by all")
    rows = {name: con.execute(f"select * from {name} order by all").fetchall() for name in names}
    return {"columns": said, "views": views, "comments": comments.fetchall(), **rows}


def test_publishing_what_was_sent_is_as_good_as_publishing_all(press: Press) -> None:
    """After sending, the file that was just published takes over runs and notifications."""
    press.finding(1)
    press.finding(2, triage_status="closed")
    run = {"run_id": UUID(int=7), "command": "hunt", "started_at": NOW}
    message = {"channel": "soc", "kind": "finding", "attempts": 0}
    queued = [message | {"notification_id": UUID(int=number)} for number in (1, 2)]
    database.insert(press.con, "runs", [run])
    database.insert(press.con, "notifications", queued)
    reader = press.publish()
    press.con.execute("update notifications set attempts = 1, sent_at = now()")
    press.con.execute("update runs set exit_status = 1, problems = ['soc is down']")

    publish.publish_sent(press.con, press.target)

    assert reader.execute("select attempts from notifications").fetchall() == [(0,), (0,)]
    reader.close()
    assert press.files() == [".blank", ".duckdb"]
    with database.connect(press.target, read_only=True) as con:
        after = everything(con)
        assert con.execute("select distinct attempts from notifications").fetchall() == [(1,)]
    with press.publish() as con:
        assert after == everything(con)


@makes_blanks
def test_failed_publish_leaves_the_old_file(press: Press) -> None:
    """Whatever goes wrong while building, readers have what they had."""
    press.publish().close()
    before = press.target.read_bytes()
    press.con.execute("drop table notifications")

    with pytest.raises(duckdb.Error):
        publish.publish(press.con, press.target, now=NOW, late_arrival=WEEK)
    with pytest.raises(duckdb.Error):
        publish.publish_sent(press.con, press.target)

    assert press.target.read_bytes() == before
    assert "published" not in [
        row[0]
        for row in press.con.execute("select database_name from duckdb_databases()").fetchall()
    ]


@makes_blanks
def test_killed_publish_leaves_the_old_file_and_the_next_one_tidies(press: Press) -> None:
    """kill -9 between building and renaming: the old file stays; its remains go next time."""
    press.publish().close()
    before = press.target.read_bytes()
    victim = Fork(elsewhere.publish, press.target)
    assert victim.wait(kit.HUNG_S) == -signal.SIGKILL
    assert press.target.read_bytes() == before
    assert press.files() == [".blank", ".duckdb", ".tmp"]

    press.publish().close()

    assert press.files() == [".blank", ".duckdb"]


@makes_blanks
def test_blank_file_of_another_version_goes(press: Press, monkeypatch: pytest.MonkeyPatch) -> None:
    """Views and comments are those of the code that publishes, whatever was kept from before."""
    press.publish().close()
    [old] = press.target.parent.glob(".*.blank")
    monkeypatch.setitem(views.VIEWS, "told", ("said", "select 1 as day"))
    publish._digest.cache_clear()

    try:
        assert press.ask("select * from told") == [(1,)]
    finally:
        publish._digest.cache_clear()

    assert press.files() == [".blank", ".duckdb"]
    assert not old.exists()


@makes_blanks
def test_broken_blank_file_is_made_anew(press: Press) -> None:
    """The publish that meets it is well, and so is the next one."""
    press.publish().close()
    [blank] = press.target.parent.glob(".*.blank")
    blank.write_bytes(blank.read_bytes()[:5000])

    publish.publish(press.con, press.target, now=NOW, late_arrival=WEEK)

    assert press.ask("select count(*) from findings") == [(0,)]


@makes_blanks
def test_full_disk_is_said_and_leaves_the_old_file(press: Press) -> None:
    """No file may grow beyond 100 kB, which is less than the blank file has."""
    press.publish().close()
    before = press.target.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StoreError, match="free disk space"):
            publish.publish(press.con, press.target, now=NOW, late_arrival=WEEK)
        with pytest.raises(StoreError, match="free disk space"):
            publish.publish_sent(press.con, press.target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert press.target.read_bytes() == before


@makes_blanks
def test_disk_that_fills_while_rows_are_written_leaves_the_old_file(press: Press) -> None:
    """No file may grow beyond the blank one; with room again the warehouse publishes as before."""
    press.publish().close()
    before = press.target.read_bytes()
    [blank] = press.target.parent.glob(".*.blank")
    press.con.execute(
        """insert into finding_changes by name
           select uuid() as finding_id, uuid()::varchar as reason from range(50_000)"""
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    resource.setrlimit(resource.RLIMIT_FSIZE, (blank.stat().st_size, hard))
    try:
        with pytest.raises(duckdb.Error, match="Could not write"):
            publish.publish(press.con, press.target, now=NOW, late_arrival=WEEK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert press.target.read_bytes() == before
    assert press.ask("select count(*) from finding_changes") == [(50_000,)]
    assert press.files() == [".blank", ".duckdb"]


@makes_blanks
def test_strange_folder_names_are_only_names(press: Press, tmp_path: Path) -> None:
    """A quote or a blank in the path is part of the path."""
    press.target = tmp_path / "o'brien's; drop" / "find ings.duckdb"

    press.publish().close()

    assert press.target.exists()


def test_detections_are_written_as_they_stand(press: Press, tmp_path: Path) -> None:
    """Prose, SQL and parameters for whoever reads a finding; a disabled one is deprecated."""
    kit.make_project(tmp_path, series=True)
    loaded = kit.load_content(tmp_path)
    pair = loaded.hunt("pair")
    off = replace(pair, detection=replace(pair.detection, enabled=False, id=str(UUID(int=8))))

    publish.write_detections(press.con, [*loaded.hunts, off])
    publish.write_detections(press.con, [*loaded.hunts, off])

    rows = database.rows(press.con, "select * from detections order by stem, detection_id")
    assert [(one["stem"], one["status"]) for one in rows] == [
        ("count", "stable"), ("pair", "deprecated"), ("pair", "stable")
    ]  # fmt: skip
    one = rows[2]
    assert one["triage"] == ["look at it"]
    assert (one["params"], one["frequency"], one["lookback"]) == ('{"within": "1d"}', "1d", "1d")
    assert (one["sql"], one["detection_hash"]) == (pair.sql, pair.hash)
    assert one["false_positives"] == ["f"]


def test_times_are_in_utc(press: Press) -> None:
    """TIMESTAMPTZ, the same moment for every reader."""
    press.finding(0)

    assert press.ask("select end_time, typeof(end_time) from findings") == [
        (NOW, "TIMESTAMP WITH TIME ZONE")
    ]


def test_log_of_a_reader_is_never_applied(press: Press) -> None:
    """A program that opened the file for writing and died takes no finding from later files."""
    press.finding(1)
    press.publish().close()
    assert Fork(elsewhere.leave_log, press.target).wait() == 9
    log = press.target.with_name(press.target.name + ".wal")
    assert log.exists()

    con = press.publish()

    assert con.execute("select count(*) from findings").fetchall() == [(1,)]
    assert not log.exists()


def test_each_published_file_has_an_identity_of_its_own(press: Press) -> None:
    """After publishing and after sending: a log fits one of them only."""
    seen = set()
    for _ in range(2):
        press.publish().close()
        seen.add(file_identity.read(press.target))
        publish.publish_sent(press.con, press.target)
        seen.add(file_identity.read(press.target))

    assert len(seen) == 4


def test_mode_of_the_replaced_file_stays(press: Press) -> None:
    """What an administrator allowed is not undone by a night, whatever the umask."""
    press.publish().close()
    press.target.chmod(0o640)
    before = os.umask(0o077)
    try:
        press.publish().close()
        publish.publish_sent(press.con, press.target)
    finally:
        os.umask(before)

    assert press.target.stat().st_mode & 0o7777 == 0o640


def test_symlink_of_the_replaced_file_stays(press: Press, tmp_path: Path) -> None:
    """A link to another folder is followed, and nothing is left beside either end."""
    press.publish().close()
    away = tmp_path / "away"
    away.mkdir()
    shutil.move(press.target, away / "shared.duckdb")
    press.target.symlink_to(away / "shared.duckdb")
    press.finding(1)

    con = press.publish()

    assert con.execute("select count(*) from findings").fetchall() == [(1,)]
    assert press.target.is_symlink()
    assert [path.name for path in away.iterdir()] == ["shared.duckdb"]
