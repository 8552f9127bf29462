"""The samples hunted as they ship: every planted case by name, the late file, what is missing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gundog.cli import main
from gundog.notify import messages
from gundog.run import run
from gundog.samples.cases import CASES, Case
from gundog.warehouse import database
from tests import kit

pytestmark = pytest.mark.slow

SAMPLES = Path(__file__).parents[1] / "parquet_samples"
LATE = "DeviceProcessEvents/date=2026-10-30/part-1.parquet"
DAYS = ("2026-10-25", "2026-10-31")
DETECTIONS = tuple(sorted({case.detection for case in CASES}))
NOW = datetime(2026, 11, 1, 4, tzinfo=UTC)
CONFIG = """\
content: [builtin]
lake:
  DeviceProcessEvents: parquet_samples/DeviceProcessEvents/date=%Y-%m-%d/*.parquet
  DeviceEvents: parquet_samples/DeviceEvents/date=%Y-%m-%d/*.parquet
  CloudAppEvents:
    - parquet_samples/CloudAppEvents/date=%Y-%m-%d/*.parquet
    - parquet_samples/CloudAppEvents/date=%Y-%m-%d/h=%H/*.parquet
warehouse: .gundog/warehouse.duckdb
findings: .gundog/findings.duckdb
memoryLimit: 2GB
"""


@dataclass(frozen=True)
class Hunted:
    """A hunt of the samples: how it went, and a copy of what it published."""

    root: Path
    outcome: run.Outcome
    published: Path
    rows: list[dict[str, Any]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with a copy of the samples as its lake."""
    root = tmp_path_factory.mktemp("samples")
    kit.write_text(root / "gundog.yaml", CONFIG)
    shutil.copytree(SAMPLES, root / "parquet_samples")
    return root


def hunt_samples(root: Path, name: str) -> Hunted:
    """Hunts the last days of the samples and keeps a copy of what is published."""
    outcome = kit.hunt(root, DAYS, NOW, detections=DETECTIONS)
    published = root / f"{name}.duckdb"
    shutil.copy(root / ".gundog/findings.duckdb", published)
    rows = ask(
        published,
        """select f.*, d.stem from findings as f inner join detections as d using (detection_id)
           order by finding_id""",
    )
    return Hunted(root, outcome, published, rows)


def ask(path: Path, sql: str, params: Any = None) -> list[dict[str, Any]]:
    """Rows of a query on a published file."""
    con = database.connect(path, read_only=True)
    try:
        return database.rows(con, sql, params)
    finally:
        con.close()


@pytest.fixture(scope="module")
def first(project: Path) -> Hunted:
    """The samples hunted once, before anything arrived late."""
    return hunt_samples(project, "first")


@pytest.fixture(scope="module")
def second(project: Path, first: Hunted) -> Hunted:
    """The same hunted again with nothing new in the lake."""
    return hunt_samples(first.root, "second")


@pytest.fixture(scope="module")
def late(project: Path, second: Hunted) -> Hunted:
    """The same hunted again after the late file arrived."""
    shutil.copy(project / "parquet_samples/late" / LATE, project / "parquet_samples" / LATE)
    return hunt_samples(second.root, "late")


def entities(row: Mapping[str, Any]) -> set[str]:
    """The names that a case may know a finding by."""
    if row["kind"] == "series":
        return {row["mailbox"]}
    names = {row[name] for name in ("host_name", "mailbox", "account_name")}
    return {name for one in names if one for name in (one, f"{one}@example.com")}


def of_case(rows: list[dict[str, Any]], case: Case) -> list[dict[str, Any]]:
    """The findings that are a case's: its detection, its interval, its entity."""
    return [
        row
        for row in rows
        if row["stem"] == case.detection
        and row["interval_start"].date() == case.day
        and case.entity in entities(row)
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case_has_what_was_promised(first: Hunted, case: Case) -> None:
    """A case that fires has its one finding of its severity; a silent one has none."""
    found = of_case(first.rows, case)

    if case.expected == "silent":
        assert found == []
    elif case.name == "other_users_mailboxes":
        assert sorted(row["mailbox"] for row in found) == [
            f"{name}@example.com" for name in ("anna", "bert", "cara", "dora")
        ]
    else:
        assert len(found) == 1
    if case.severity:
        assert {row["severity"] for row in found} == {case.severity}


def test_no_finding_without_a_case(first: Hunted) -> None:
    """The ordinary days of forty mailboxes and a dozen hosts give nothing."""
    told = [row["finding_id"] for case in CASES for row in of_case(first.rows, case)]

    assert len(told) == len(set(told))
    assert {row["finding_id"] for row in first.rows} == set(told)


def test_hunt_is_clean(first: Hunted) -> None:
    """No file, row or detection of the samples is a problem to the run."""
    assert first.outcome.problems == []
    assert first.outcome.hunted == 7 * len(DETECTIONS)
    assert first.outcome.changes.new == len(first.rows)


def test_hunting_again_finds_nothing_new(first: Hunted, second: Hunted) -> None:
    """A second run hunts no interval and publishes the same findings and evidence."""
    assert (second.outcome.hunted, second.outcome.files) == (0, 0)
    assert second.outcome.exit_status == 0
    assert second.rows == first.rows
    evidence = "from evidence order by finding_id, ordinal"
    assert ask(second.published, evidence) == ask(first.published, evidence)


def test_late_file_changes_its_finding_and_nothing_else(first: Hunted, late: Hunted) -> None:
    """The earlier removal wins: same id, marked late, evidence from the late file."""
    case = next(case for case in CASES if case.name == "late_removal")
    [before], [after] = of_case(first.rows, case), of_case(late.rows, case)

    changes = late.outcome.changes
    assert (changes.changed, changes.new, changes.withdrawn, changes.returned) == (1, 0, 0, 0)
    assert after["finding_id"] == before["finding_id"]
    assert (before["is_late"], after["is_late"]) == (False, True)
    assert (f"{before['end_time']:%H:%M}", f"{after['end_time']:%H:%M}") == ("15:00", "10:00")
    assert after["created_at"] == before["created_at"]
    files = ask(
        late.published,
        "select role, source_file from evidence where finding_id = ? order by event_time",
        [after["finding_id"]],
    )
    assert files[-1]["source_file"] == f"parquet_samples/{LATE}"
    others = [row for row in late.rows if row["finding_id"] != after["finding_id"]]
    assert others == [row for row in first.rows if row["finding_id"] != after["finding_id"]]


def test_late_file_is_written_into_the_history(late: Hunted) -> None:
    """The append-only history says what changed and keeps the row as it was."""
    changes = ask(
        late.published,
        """select change, reason, before ->> '$.end_time' as ended from finding_changes
           where finding_id in (select finding_id from findings where is_late)
           order by changed_at, change desc""",
    )

    assert [one["change"] for one in changes] == ["new", "changed"]
    assert "end_time" in changes[1]["reason"]
    assert "evidence" in changes[1]["reason"]
    assert changes[1]["ended"] == "2026-10-30T15:00:00Z"


def test_late_file_hunts_exactly_the_stale_intervals(late: Hunted) -> None:
    """Rows of Friday make Friday stale, and Saturday, whose lookback reaches them."""
    hunted = ask(
        late.published,
        """select d.stem, strftime(interval_start, '%d') as day from run_intervals
           inner join detections as d using (detection_id) where run_id = ? order by all""",
        [str(late.outcome.run_id)],
    )

    assert [(one["stem"], one["day"]) for one in hunted] == [
        ("mailbox_export", "30"),
        ("mailbox_export", "31"),
        ("mailbox_export_removed", "30"),
        ("mailbox_export_removed", "31"),
    ]
    assert late.outcome.files == 1


def test_hour_without_a_file_is_no_data_and_its_neighbours_are_not(first: Hunted) -> None:
    """The lost hour is unknown for every series: no count, no score, no flag."""
    rows = ask(
        first.published,
        """select strftime(hour, '%d %H') as hour, data_state, observed, score, flagged
           from series_points where series_key = '/*' order by hour""",
    )
    lost = [one for one in rows if one["data_state"] != "observed"]

    assert len(rows) == 7 * 24
    assert lost == [
        {"hour": "27 13", "data_state": "no_data", "observed": None, "score": None,
         "flagged": False}
    ]  # fmt: skip


def test_lost_hour_is_no_data_for_every_mailbox(first: Hunted) -> None:
    """The warehouse keeps the points of all forty mailboxes, whether or not they are published."""
    con = duckdb.connect(str(first.root / ".gundog/warehouse.duckdb"), read_only=True)
    try:
        found = con.execute(
            """select data_state, count(*), count(observed) from series_points
               where hour = timestamptz '2026-10-27 13:00:00+00' group by all"""
        ).fetchall()
        series = con.execute("select count(distinct series_key) from series_points").fetchall()
    finally:
        con.close()

    assert found == [("no_data", series[0][0], 0)]
    assert series[0][0] > 40


def test_throttled_mailbox_is_unknown_for_a_day(first: Hunted) -> None:
    """theo's points are throttled for the 24 hours after the record that says so."""
    con = database.connect(first.root / ".gundog/warehouse.duckdb", read_only=True)
    try:
        [(start, end, hours)] = con.execute(
            """select min(hour), max(hour), count(*) from series_points
               where series_key = '/theo@example.com' and data_state = 'throttled'"""
        ).fetchall()
    finally:
        con.close()

    assert (f"{start:%d %H}", f"{end:%d %H}", hours) == ("28 14", "29 13", 24)


def test_malformed_rows_are_counted_where_they_are(first: Hunted) -> None:
    """Four of max's five damaged records are rejected; no other file has any."""
    rows = ask(
        first.published,
        "select path, rejected_rows from source_files where rejected_rows > 0 order by path",
    )

    assert [(one["path"], one["rejected_rows"]) for one in rows] == [
        ("parquet_samples/CloudAppEvents/date=2026-10-26/h=15/part-0.parquet", 4)
    ]


def test_older_schema_files_carry_remarks(first: Hunted) -> None:
    """Both older files say which columns they lack and what had to be cast."""
    rows = ask(
        first.published,
        """select path, missing_columns, cast_columns from source_files
           where len(missing_columns) > 0 or len(cast_columns) > 0 order by path""",
    )

    cloud, process = rows
    assert cloud["path"].endswith("CloudAppEvents/date=2026-10-28/h=10/part-0.parquet")
    assert {"AuditSource", "SessionData", "OAuthAppId"} <= set(cloud["missing_columns"])
    assert cloud["cast_columns"] == ["IsAdminOperation (BIGINT)"]
    assert process["path"].endswith("DeviceProcessEvents/date=2026-10-25/part-0.parquet")
    assert "AppGuardContainerId" in process["missing_columns"]
    assert process["cast_columns"] == ["ProcessId (VARCHAR)"]


def test_redelivered_pair_has_two_events_from_the_smallest_paths(first: Hunted) -> None:
    """The export lies in two files and the removal twice in one: two events, each once."""
    case = next(case for case in CASES if case.name == "delivered_again")
    [row] = of_case(first.rows, case)

    evidence = ask(
        first.published,
        "select role, source_file from evidence where finding_id = ? order by ordinal",
        [row["finding_id"]],
    )

    assert row["evidence_count"] == 2
    path = "parquet_samples/DeviceProcessEvents/date=2026-10-29/part-0.parquet"
    assert [one["source_file"] for one in evidence] == [path, path]


def test_record_delivered_six_times_counts_once(first: Hunted) -> None:
    """Items of rita's hour are those of its distinct records."""
    con = database.connect(first.root / ".gundog/warehouse.duckdb", read_only=True)
    try:
        [(observed,)] = con.execute(
            """select observed from series_points where series_key = '/rita@example.com'
               and hour = timestamptz '2026-10-28 14:00:00+00'"""
        ).fetchall()
    finally:
        con.close()
    files = str(SAMPLES / "CloudAppEvents/date=2026-10-28/h=*/part-0.parquet")
    [(records, deliveries, items)] = duckdb.execute(
        """with rita as (
               select json_extract_string(RawEventData, '$.Id') as id,
                      json_extract_string(RawEventData, '$.OperationCount')::bigint as n
               from read_parquet(?, union_by_name = true)
               where contains(RawEventData, '"MailboxOwnerUPN":"rita@example.com"')
               and ActionType = 'MailItemsAccessed'
               and "Timestamp" >= timestamptz '2026-10-28 14:00:00+00'
               and "Timestamp" < timestamptz '2026-10-28 15:00:00+00'
           ), once as (select id, any_value(n) as n from rita group by id)
           select (select count(*) from once), (select count(*) from rita),
                  (select sum(n)::bigint from once)""",
        [files],
    ).fetchall()

    assert deliveries >= 6 * records > 0
    assert observed == items


def test_flagged_hours_have_their_records_attached(first: Hunted) -> None:
    """Every record of the burst is evidence, whole, in order, with the commonest address said."""
    case = next(case for case in CASES if case.name == "burst_at_night")
    [row] = of_case(first.rows, case)

    evidence = ask(
        first.published,
        """select event_time, event ->> '$.mailbox' as mailbox, source_file,
                  event ->> '$.ip_address' as address
           from evidence where finding_id = ? order by ordinal""",
        [row["finding_id"]],
    )

    assert len(evidence) == row["evidence_count"] >= 50
    assert {one["mailbox"] for one in evidence} == {"mia@example.com"}
    assert sum(one["address"] == "198.51.100.77" for one in evidence) == 50
    assert row["ip_address"] == "198.51.100.77"
    times = [one["event_time"] for one in evidence]
    assert times == sorted(times)
    assert all(one["source_file"].startswith("parquet_samples/Cloud") for one in evidence)


def test_tenants_own_series_is_one_finding_beside_its_mailboxes(first: Hunted) -> None:
    """`/*` has its own finding, about nobody, with both mailboxes' records as evidence."""
    [row] = [one for one in first.rows if one["mailbox"] == "*"]

    assert row["title"].count("the whole tenant") == 1
    assert json.loads(row["details"])["series_key"] == "/*"
    mailboxes = ask(
        first.published,
        "select distinct event ->> '$.mailbox' as name from evidence where finding_id = ?",
        [row["finding_id"]],
    )
    assert {"mia@example.com", "noel@example.com"} <= {one["name"] for one in mailboxes}
    assert ask(first.published, "from risk_by_entity where name = '*'") == []


def test_nights_after_attacks_are_as_sharp_as_before(first: Hunted) -> None:
    """What was planted in a small tenant raises no threshold of the nights that learn from it."""
    rows = ask(
        first.published,
        """select distinct note from run_intervals as r inner join detections as d
           using (detection_id) where d.stem = 'mail_items_accessed'""",
    )

    assert [row["note"] for row in rows] == ["threshold 3.00, 0.04 false findings expected"]


def test_one_finding_per_series_and_night(first: Hunted) -> None:
    """However many hours are flagged, a mailbox has one finding a day."""
    nights = [
        (row["mailbox"], row["interval_start"]) for row in first.rows if row["kind"] == "series"
    ]

    assert len(nights) == len(set(nights)) > 0
    flagged = ask(
        first.published,
        """select count(*) as n from series_points where flagged
           group by series_key, interval_start""",
    )
    assert max(one["n"] for one in flagged) > 1
    assert len(flagged) == len(nights)


def _queries_of_the_page() -> list[str]:
    page = (SAMPLES.parent / "docs/how-it-works.md").read_text()
    return re.findall(r"^```sql\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def test_the_page_follows_one_burst_from_file_to_finding(first: Hunted) -> None:
    """Each query of docs/how-it-works.md finds what the page says, in its order."""
    file, hours, finding, events = (ask(first.published, sql) for sql in _queries_of_the_page())

    assert [row["state"] for row in file] == ["staged"]
    assert [(row["hour"].hour, row["observed"]) for row in hours][:2] == [(2, 300), (3, 300)]
    assert [row["id"] for row in finding] == ["19bf1253"]
    at_night = [row for row in events if row["address"] == "198.51.100.77"]
    assert len(at_night) == 50
    assert {row["source_file"] for row in at_night} >= {
        "parquet_samples/CloudAppEvents/date=2026-10-29/h=02/part-0.parquet"
    }


def test_the_page_shows_the_message_of_the_burst(first: Hunted) -> None:
    """Title and lines are those that a channel gets."""
    page = " ".join((SAMPLES.parent / "docs/how-it-works.md").read_text().split())
    [row] = ask(
        first.published,
        """select f.*, d.triage[1] as triage_step
           from findings as f inner join detections as d using (detection_id)
           where starts_with(f.finding_id::varchar, '19bf1253')""",
    )
    title, text = messages.message(row)

    assert [line for line in (title, *text.splitlines()) if line not in page] == []


def test_a_stolen_session_is_told_by_what_is_new(first: Hunted) -> None:
    """Network, provider and country were never there before; client and application were."""
    (row,) = (
        row
        for row in first.rows
        if (row["stem"], row["mailbox"]) == ("mail_read_from_new_context", "karl@example.com")
    )
    contexts = ask(
        first.published,
        "from finding_contexts where finding_id = ? order by kind",
        [row["finding_id"]],
    )
    is_known = {context["kind"]: context["first_for_mailbox"] is not None for context in contexts}

    assert {context["records"] for context in contexts} == {6}
    assert {context["items"] for context in contexts} == {6}
    del is_known["session_id"]  # one of the day
    assert is_known == {
        "app_id": True,
        "app_id + record_app_id + client_family + access_mode": True,
        "client_family": True,
        "country": False,
        "isp": False,
        "network": False,
    }


def test_show_says_what_was_done_around_a_finding(
    first: Hunted, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who opened the mailbox that nolan reads, and that his reads were to go unrecorded."""
    (row,) = [
        row
        for row in first.rows
        if row["stem"] == "other_users_mailboxes" and row["mailbox"] == "anna@example.com"
    ]

    assert main.main(["show", str(row["finding_id"]), "--project", str(first.root)]) == 0

    out = " ".join(capsys.readouterr().out.split())
    around = out[out.index("Changes by or for the account") : out.index("detection ")]
    for told in ("add-mailboxpermission", "set-mailboxauditbypassassociation", "exadmin"):
        assert told in around
    assert out.index("Who read it") < out.index("Used elsewhere") < out.index("Changes by or for")
