"""What goes with time or on request, and what stays."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest

from gundog.cli.main import main
from gundog.core.times import parse_time
from gundog.detections.hunt import Content
from gundog.findings import purging, retention
from gundog.findings.retention_times import Retention
from gundog.run import run
from gundog.warehouse import database
from tests import kit
from tests.kit import DAY, NOW, event, hunt, table, write_file
from tests.test_laws import content

DAYS = ("2026-03-07", "2026-03-09")
OLD_NIGHT = parse_time("2026-01-05")
TRAINED_FROM = parse_time("2026-02-01")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of which nothing was hunted."""
    return make(tmp_path)


def make(root: Path) -> Path:
    """Nine quiet days, a finding on the eighth, everything kept for 20 days, evidence for 10."""
    kit.make_project(root)
    keep(root, staged="20d", series="20d", evidence="10d", findings="30d")
    kit.fill_days(root, "2026-03-01", 9)
    pair(root)
    return root


@pytest.fixture(scope="module")
def three_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a project of which three days were hunted."""
    root = make(tmp_path_factory.mktemp("three_days"))
    hunt(root, DAYS)
    return root


@pytest.fixture
def hunted(three_days: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return kit.copy_project(three_days, tmp_path)


@pytest.fixture(scope="module")
def expired_once(three_days: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after a night three weeks later."""
    root = kit.copy_project(three_days, tmp_path_factory.mktemp("expired"))
    later(root, 21)
    return root


@pytest.fixture
def expired(expired_once: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return kit.copy_project(expired_once, tmp_path)


def keep(root: Path, **retention: str) -> None:
    more = f"lateArrival: 2d\nretention: {json.dumps(retention)}\n"
    kit.write_text(root / "gundog.yaml", kit.CONFIG + more)


def pair(root: Path, who: str = "a", day: str = "2026-03-08", number: int = 50) -> None:
    rows = [event(f"{day}T10:00", "open", who, number), event(f"{day}T11:00", "close", who, number)]
    write_file(root, day, rows, f"pair-{who[0]}")


def kept(root: Path, sql: str, params: Any = None) -> list[tuple[Any, ...]]:
    """Rows of a query on the warehouse."""
    con = duckdb.connect(str(root / ".gundog/warehouse.duckdb"), read_only=True)
    try:
        return con.execute(sql, params or []).fetchall()
    finally:
        con.close()


def staged(root: Path) -> int:
    return int(kept(root, "select count(*) from happenings")[0][0])


def later(root: Path, days: int, **options: Any) -> run.Outcome:
    """A night some days later, with that day's file."""
    now = NOW + days * DAY
    kit.fill_days(root, f"{now - DAY:%Y-%m-%d}", 1)
    return hunt(root, now=now, **options)


def test_young_rows_stay(hunted: Path) -> None:
    """Nothing goes before its time."""
    rows = staged(hunted)
    later(hunted, 8)

    assert staged(hunted) == rows + 24
    assert table(hunted, "select count(*) from evidence") == [(2,)]


def test_staged_rows_go_when_they_were_written_long_ago(expired_once: Path) -> None:
    """A file read 21 days ago loses its rows; it is called expired, and its findings stay."""
    assert staged(expired_once) == 24
    states = "select state, count(*) from source_files group by all order by all"
    assert kept(expired_once, states) == [("expired", 6), ("staged", 1)]
    assert table(expired_once, "select state, count(*) from source_files group by all") == [
        ("staged", 1)
    ]
    assert table(expired_once, "select count(*) from findings") == [(1,)]
    assert kept(expired_once, "select count(*) from stage_hours") == [(24,)]


def test_backfill_of_old_years_is_counted_from_when_it_was_written(project: Path) -> None:
    """Rows of long ago that were read today are kept as long as today's."""
    now = NOW + 500 * DAY
    hunt(project, DAYS, now=now)

    assert staged(project) == 5 * 24 + 2
    assert table(project, "select count(*) from evidence") == [(2,)]


def test_evidence_goes_and_that_of_true_positives_stays(project: Path) -> None:
    """What a person called true keeps its proof."""
    pair(project, "b", number=60)
    hunt(project, DAYS)
    ((true_one,),) = table(
        project, "select finding_id::varchar from findings where title like 'b %'"
    )
    status = main(
        ["triage", true_one, "--status", "resolved", "--verdict", "true_positive",
         "--project", str(project)]
    )  # fmt: skip
    later(project, 11)

    assert status == 0
    assert table(project, "select distinct finding_id::varchar from evidence") == [(true_one,)]
    assert table(project, "select count(*) from findings") == [(2,)]


@pytest.mark.parametrize(
    ("table", "old"),
    [
        ("series_points", {"interval_start": OLD_NIGHT}),
        ("series_counts", {"hour": TRAINED_FROM - DAY / 24}),
        ("series_counts", {"detection_hash": "earlier"}),
        ("series_counts", {"detection_id": UUID(int=1)}),
        ("series_spans", {"interval_start": TRAINED_FROM - DAY}),
        ("series_spans", {"detection_hash": "earlier"}),
    ],
)
def test_points_and_counts_go_when_no_interval_needs_them(
    tmp_path: Path, table: str, old: dict[str, Any]
) -> None:
    """Points with the interval that scored them, counts when no kept interval trains on them.

    Of two nights one was hunted too long ago; the other trains on the 21 days before it.
    """
    kit.make_project(tmp_path, series=True)
    loaded = run.load_project(tmp_path, {}).content
    count = loaded.hunt("count")
    mine = {"detection_id": count.detection.id, "detection_hash": count.hash}
    young = {**mine, "interval_start": TRAINED_FROM + 21 * DAY, "updated_at": NOW - 9 * DAY}
    ended = {**mine, "interval_start": OLD_NIGHT, "updated_at": NOW - 31 * DAY}
    names = {
        "series_points": ("detection_id", "interval_start"),
        "series_counts": ("detection_id", "detection_hash", "hour"),
        "series_spans": ("detection_id", "detection_hash", "interval_start"),
    }[table]
    stays = young | {"hour": TRAINED_FROM, "interval_start": TRAINED_FROM + 21 * DAY}
    with database.writable(tmp_path / "w.duckdb", memory_limit=10**9, threads=1) as con:
        database.insert(con, "run_intervals", [young, ended])
        for row in (stays, stays | old):
            database.insert(con, table, [{name: row[name] for name in names}])

        retention.apply(con, loaded, Retention(*[30 * DAY] * 4), timedelta(), NOW)

        found = con.execute(f"select {', '.join(names)} from {table}").fetchall()
    assert [tuple(map(str, row)) for row in found] == [tuple(str(stays[name]) for name in names)]


def test_of_forgotten_files_no_stage_keeps_anything(con: duckdb.DuckDBPyConnection) -> None:
    """Staging takes a file that it does not know for one of which nothing is stored."""
    kept = ("file_stages", "stage_hours", "read_ends", "older_reads", "rejected_reads")
    files = [(1, "rejected", NOW - 31 * DAY), (2, "staged", NOW - DAY)]
    for key, state, at in files:
        row = {"file_id": key, "state": state, "created_at": at}
        database.insert(con, "source_files", [row])
        for name in kept:
            database.insert(con, name, [{"file_id": key}])

    retention.apply(con, Content(), Retention(*[30 * DAY] * 4), timedelta(), NOW)

    for name in ("source_files", *kept):
        assert con.execute(f"select file_id from {name}").fetchall() == [(2,)]


@pytest.mark.parametrize(
    ("table", "time"), [("drifts", "until"), ("canaries", "judged_at"), ("runs", "started_at")]
)
def test_records_go_with_the_oldest_findings(
    con: duckdb.DuckDBPyConnection, table: str, time: str
) -> None:
    """What is as old as a finding may get goes; what is younger stays."""
    for days in (31, 29):
        database.insert(con, table, [{time: NOW - days * DAY}])

    retention.apply(con, Content(), Retention(*[30 * DAY] * 4), timedelta(), NOW)

    assert con.execute(f"select {time} from {table}").fetchall() == [(NOW - 29 * DAY,)]


def test_findings_go_last(hunted: Path) -> None:
    """After their own time findings go, with everything about them."""
    later(hunted, 31)

    for name in ("findings", "evidence", "finding_changes"):
        assert table(hunted, f"select count(*) from {name}") == [(0,)]
    assert table(hunted, "select count(*) from runs") == [(1,)]


def test_interval_whose_files_left_the_lake_is_kept_as_it_was(expired: Path) -> None:
    """Hunting again what cannot be read any more would lose its findings: it is left and named."""
    (expired / "lake/date=2026-03-08/pair-a.parquet").unlink()

    outcome = hunt(expired, DAYS, now=NOW + 22 * DAY, again=True)

    assert table(expired, "select count(*) from findings") == [(1,)]
    assert [note.split(":")[0][:8] for note in outcome.notes] == ["pair [20", "pair [20"]
    assert "left the lake" in outcome.notes[0]
    assert outcome.exit_status == 0


def test_expired_files_still_in_the_lake_are_read_again_when_asked_for(
    three_days: Path, expired: Path
) -> None:
    """A backfill over a time whose rows expired reads them again and finds the same."""
    before = content(three_days, ("findings", "evidence"))
    outcome = hunt(expired, DAYS, now=NOW + 22 * DAY, again=True)

    assert outcome.files == 6
    assert outcome.changes.unchanged == 1
    assert table(expired, "select count(*) from findings") == [(1,)]
    assert content(expired, ("findings",))["findings"] == [
        tuple("final" if one == "provisional" else one for one in row) for row in before["findings"]
    ]


@pytest.mark.slow
def test_rows_are_kept_as_long_as_nights_read_back(project: Path) -> None:
    """Too short a retention would only read the same files every night."""
    keep(project, staged="1d")
    hunt(project, DAYS)
    outcome = later(project, 3)

    assert staged(project) > 24
    assert outcome.files == 1


def test_rows_of_old_stage_sql_go_at_the_end_of_a_run(hunted: Path) -> None:
    """Another stage SQL has a table of its own; the one before is dropped, files are not lost."""
    path = hunted / "sql/stage/happenings.sql"
    path.write_text(path.read_text().replace("lower(Kind)", "trim(lower(Kind))"))
    hunt(hunted, DAYS)
    tables = kept(hunted, "select count(*) from duckdb_tables() where schema_name = 'staged'")

    assert tables == [(1,)]
    assert kept(hunted, "select count(distinct stage_hash) from file_stages") == [(1,)]
    assert table(hunted, "select count(*) from findings") == [(1,)]


def test_stage_that_does_not_load_tonight_keeps_its_rows(hunted: Path) -> None:
    """A typing error in a stage file costs no reading of the lake."""
    path = hunted / "sql/stage/happenings.sql"
    text = path.read_text()
    path.write_text("selekt")
    hunt(hunted, DAYS)
    path.write_text(text)

    assert hunt(hunted, DAYS).files == 0


def test_purge_of_an_account_leaves_nothing_of_it(project: Path) -> None:
    """Rows, findings, evidence, changes and what was said go, to the last byte of both files.

    One of its rows says who acts, and the other who was let in.
    """
    path = project / "sql/stage/happenings.sql"
    columns = [
        f"case when Kind = '{kind}' then Who end as {column},"
        for kind, column in (("open", "actor"), ("close", "grantee"))
    ]
    path.write_text(
        path.read_text().replace("Who as who,", "\n    ".join(["Who as who,", *columns]))
    )
    pair(project, "someone@example.com", number=60)
    hunt(project, DAYS)
    ((one,),) = table(
        project, "select finding_id::varchar from findings where title like 'someone%'"
    )
    main(["triage", one, "--note", "a word", "--project", str(project)])
    status = main(["purge", "--account", "SOMEONE@example.com", "--project", str(project)])
    files = [path for path in (project / ".gundog").rglob("*") if path.is_file()]

    assert status == 0
    assert table(project, "select count(*) from findings") == [(1,)]
    assert not any(b"someone" in path.read_bytes() for path in files)
    assert not any(one.encode() in path.read_bytes() for path in files)
    assert kept(project, "select count(distinct who) from happenings") == [(1,)]
    assert hunt(project, DAYS).hunted == 0


def test_purge_of_a_warehouse_from_before_redeliveries_were_marked(project: Path) -> None:
    """No run of this version has staged again yet: the rows go all the same."""
    path = project / "sql/stage/happenings.sql"
    path.write_text(path.read_text().replace("Who as who,", "Who as who,\n    Who as actor,"))
    hunt(project, DAYS)
    con = duckdb.connect(str(project / ".gundog/warehouse.duckdb"))
    ((old,),) = con.execute(
        "select table_name from duckdb_tables() where schema_name = 'staged'"
    ).fetchall()
    con.execute("drop view happenings")
    con.execute(f'alter table staged."{old}" drop column is_copy')
    con.close()

    assert main(["purge", "--account", "a", "--project", str(project)]) == 0
    assert kept(project, f"""select count(*) from staged."{old}" where who = 'a'""") == [(0,)]


def test_purge_needs_a_name(hunted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty name is an error and removes nothing."""
    assert main(["purge", "--account", " ", "--project", str(hunted)]) == 2
    assert "the name is empty" in capsys.readouterr().err
    assert table(hunted, "select count(*) from findings") == [(1,)]


def test_compacted_warehouse_is_the_same_warehouse(hunted: Path) -> None:
    """Rewriting the file changes no row."""
    before = content(hunted)
    purging.compact(hunted / ".gundog/warehouse.duckdb")
    outcome = hunt(hunted, DAYS)

    assert (outcome.hunted, outcome.files) == (0, 0)
    assert content(hunted) == before


@pytest.mark.slow
def test_warehouse_stops_growing(tmp_path: Path) -> None:
    """Over 26 nights the file settles once rows expire as fast as they come."""
    kit.make_project(tmp_path)
    short = dict.fromkeys(("staged", "series", "evidence", "findings"), "5d")
    kept = f"lateArrival: 2d\nretention: {json.dumps(short)}\n"
    kit.write_text(tmp_path / "gundog.yaml", kit.CONFIG + kept)
    sizes = []
    for night in range(26):
        now = NOW + night * DAY
        day = f"{now - DAY:%Y-%m-%d}"
        rows = [
            event(f"{day}T{n % 24:02}:00", f"kind {n * 7919 % 10_000}", f"who {n}", n)
            for n in range(3000)
        ]
        write_file(tmp_path, day, rows)
        hunt(tmp_path, now=now + timedelta(hours=1))
        sizes.append((tmp_path / ".gundog/warehouse.duckdb").stat().st_size)

    assert staged(tmp_path) == 6 * 3000
    assert max(sizes[12:]) <= 1.3 * max(sizes[7:11])
