"""The samples: written again they are the committed ones, and every planted case is in them."""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gundog.samples import files, noise, plants
from gundog.samples.cases import CASES, find
from gundog.samples.rows import CLOUD, DEVICES, END, HOURLY_FROM, PROCESSES, START, sid

ROOT = Path(__file__).parents[1] / "parquet_samples"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.parquet"))
OLD = (
    "DeviceProcessEvents/date=2026-10-25/part-0.parquet",
    "CloudAppEvents/date=2026-10-28/h=10/part-0.parquet",
)
LATE = "late/DeviceProcessEvents/date=2026-10-30/part-1.parquet"
DOCUMENTATION = [
    ipaddress.ip_network(net)
    for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]


def october(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-10-{text}").replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("samples")
    files.write(out)
    return out


@pytest.fixture(scope="module")
def con():
    """All committed rows of both tables, with the file each is from in `src`."""
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        for table in (PROCESSES, CLOUD, DEVICES):
            con.execute(
                f"create table {table} as from read_parquet(?, union_by_name = true, "
                "filename = 'src', hive_partitioning = false)",
                [[str(ROOT / name) for name in FILES if name.startswith(table)]],
            )
        yield con


@pytest.fixture(scope="module")
def commands(con):
    """Exchange commands by host: time, program, command line; each delivery once."""
    found = defaultdict(list)
    for host, *rest in con.sql(
        f"""select distinct lower(split_part(DeviceName, '.', 1)), Timestamp, FileName,
        ProcessCommandLine from {PROCESSES} order by Timestamp"""
    ).fetchall():
        found[host].append(tuple(rest))
    return found


@pytest.fixture(scope="module")
def reads(con):
    """Well-formed MailItemsAccessed records, each delivery once, by time."""
    rows = con.sql(
        f"select distinct Timestamp, RawEventData from {CLOUD} "
        "where ActionType = 'MailItemsAccessed' and json_valid(RawEventData) order by all"
    ).fetchall()
    return [(at, json.loads(raw)) for at, raw in rows]


def of(reads, mailbox, start, end):
    owner = f"{mailbox}@example.com"
    return [
        raw
        for at, raw in reads
        if raw["MailboxOwnerUPN"] == owner and october(start) <= at < october(end)
    ]


def items(records):
    return sum(raw.get("OperationCount", 0) for raw in records)


@pytest.mark.slow
def test_written_again_the_files_are_the_committed_ones(written):
    """With the same pyarrow every byte is the same; with another, every row is."""
    again = sorted(path.relative_to(written).as_posix() for path in written.rglob("*.parquet"))

    assert again == FILES
    for name in FILES:
        ours, new = ROOT / name, written / name
        if pq.read_metadata(ours).created_by == pq.read_metadata(new).created_by:
            assert ours.read_bytes() == new.read_bytes(), name
        else:
            assert pq.ParquetFile(ours).read().equals(pq.ParquetFile(new).read()), name


@pytest.mark.slow
def test_the_readme_is_the_one_that_is_committed(written):
    """The page beside the samples says what this version plants."""
    assert (ROOT / "README.md").read_bytes() == (written / "README.md").read_bytes()


def test_the_samples_stay_small():
    """All files together are under 5 MB."""
    assert sum(path.stat().st_size for path in ROOT.rglob("*") if path.is_file()) < 5_000_000


@pytest.mark.parametrize("table", [PROCESSES, CLOUD, DEVICES])
def test_files_have_the_columns_and_types_of_their_source(table):
    """Every file but the two old ones has exactly the columns of its CREATE TABLE."""
    names = [name for name in FILES if table in name and name not in OLD]
    wanted = files.schema(table)

    assert names
    for name in names:
        assert wanted.equals(pq.read_schema(ROOT / name)), name


@pytest.mark.parametrize(
    ("name", "column", "kind"),
    [(OLD[0], "ProcessId", pa.string()), (OLD[1], "IsAdminOperation", pa.int64())],
)
def test_old_files_lack_columns_and_hold_one_as_another_type(name, column, kind):
    """The files with the older schema really have one."""
    found, wanted = pq.read_schema(ROOT / name), files.schema(name.split("/")[0])
    changed = {field.name for field in found if field.type != wanted.field(field.name).type}

    assert set(found.names) < set(wanted.names)
    assert changed == {column}
    assert found.field(column).type == kind


def test_the_lake_is_daily_and_then_hourly_with_one_hour_lost():
    """Every day and hour has its file, except 13:00 of 27 October; one source begins late."""
    whole = [START + DAY * n for n in range(36)]
    daily = [f"{PROCESSES}/date={day:%Y-%m-%d}/part-0.parquet" for day in whole]
    daily += [f"{CLOUD}/date={day:%Y-%m-%d}/part-0.parquet" for day in whole[:28]]
    daily += [f"{DEVICES}/date={day:%Y-%m-%d}/part-0.parquet" for day in whole[28:]]
    hours = [HOURLY_FROM + HOUR * n for n in range(8 * 24)]
    hourly = [f"{CLOUD}/date={one:%Y-%m-%d}/h={one:%H}/part-0.parquet" for one in hours]
    hourly.remove(f"{CLOUD}/date=2026-10-27/h=13/part-0.parquet")

    assert sorted([*daily, *hourly, LATE]) == FILES


def test_the_web_server_exports_without_a_process(con, commands):
    """What exch23 does is in DeviceEvents alone; in exch24 a shell and the server record it."""
    rows = con.sql(
        f"""select split_part(DeviceName, '.', 1), InitiatingProcessFileName,
        AdditionalFields ->> '$.Command' from {DEVICES}
        where AdditionalFields like '%MailboxExport%' order by Timestamp"""
    ).fetchall()

    assert [(host, program, text.split()[0]) for host, program, text in rows] == [
        ("exch23", "w3wp.exe", "New-MailboxExportRequest"),
        ("exch23", "w3wp.exe", "Remove-MailboxExportRequest"),
        ("exch24", "powershell.exe", "New-MailboxExportRequest"),
        ("exch24", "w3wp.exe", "New-MailboxExportRequest"),
    ]
    assert not commands["exch23"]
    assert not commands["exch24"]


def test_a_row_lies_in_its_own_file_or_a_later_one(con):
    """Nothing arrives before it happened, and most arrives in the hour or day it happened in."""
    for table in (PROCESSES, CLOUD):
        early = on_time = total = 0
        for at, src in con.sql(f"select Timestamp, src from {table}").fetchall():
            own = str(ROOT / files.path_of(table, at))
            early += src < own
            on_time += src == own
            total += 1

        assert early == 0
        assert on_time > 0.85 * total


def test_rows_in_a_file_are_in_no_order():
    """A file of many rows is not sorted by time."""
    for name in FILES:
        times = pq.read_table(ROOT / name, columns=["Timestamp"], partitioning=None)["Timestamp"]

        assert len(times) < 6 or times.to_pylist() != sorted(times.to_pylist()), name


@pytest.mark.parametrize("table", [PROCESSES, CLOUD])
def test_two_to_four_in_a_hundred_rows_are_delivered_again(con, table):
    """Re-delivered rows are the same in every column; rita's hour is left out of the count."""
    rows = con.sql(f"""
        select * exclude (src), count(*) from {table}
        where not (Timestamp >= timestamptz '2026-10-28 14:00Z'
            and Timestamp < timestamptz '2026-10-28 15:00Z')
        group by all
    """).fetchall()
    total = sum(row[-1] for row in rows)

    assert 0.02 <= 1 - len(rows) / total <= 0.04
    assert max(row[-1] for row in rows) == 3


def test_nothing_names_a_real_host_person_or_address(con):
    """Addresses are for documentation; names end in example.com, a stranger's in example.net."""
    text = con.sql(f"select string_agg(RawEventData, ' ') from {CLOUD}").fetchall()[0][0]
    addresses = set(re.findall(r'"Client(?:IP|IPAddress)":"([^"]+)"', text))
    addresses |= {row[0] for row in con.sql(f"select distinct IPAddress from {CLOUD}").fetchall()}
    lines = con.sql(f"select string_agg(distinct ProcessCommandLine, ' ') from {PROCESSES}")
    quads = set(re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", lines.fetchall()[0][0]))
    hosts = con.sql(f"select distinct lower(DeviceName) from {PROCESSES}").fetchall()

    assert len(addresses) > 40
    for address in addresses | quads:
        parsed = ipaddress.ip_address(address)
        assert any(parsed in net for net in DOCUMENTATION if net.version == parsed.version), address
    assert set(re.findall(r"@([\w.-]+\w)", text)) == {"example.com", "example.net"}
    assert all(host.endswith(".example.com") for (host,) in hosts)


def test_people_have_identifiers_of_their_own():
    """No two accounts share a SID, or cases would touch each other."""
    people = {*noise.MAILBOXES, "exadmin", "svc-leavers"}
    people |= {f"{case.entity}-admin" for case in CASES if case.table == PROCESSES}

    assert len(people) == len({sid(person) for person in people})


def test_case_names_are_unique_and_lie_in_the_last_eight_days():
    """A test may ask for a case by name, and a finding finds the one story behind it."""
    assert len(CASES) == len({case.name for case in CASES})
    assert len(CASES) == len({(case.detection, case.day, case.entity) for case in CASES})
    assert all(HOURLY_FROM.date() <= case.day < END.date() for case in CASES)
    assert all((case.severity is None) or case.expected == "fires" for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_readme_and_find_know_the_case(case):
    """Each case stands in the README with its story, and a finding leads back to it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert f"| {case.name} |" in readme
    assert case.story in readme
    assert find(case.detection, case.day, ["other", case.entity]) is case
    assert find(case.detection, case.day, ["other"]) is None


EXPORTS = [case for case in CASES if case.table == PROCESSES]


PLANTED = [case for case in EXPORTS if case.name in plants.LINES]


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: case.name)
def test_the_commands_of_an_export_case_are_in_the_lake(commands, case):
    """Every command of the case is recorded on its host at its time, and not the late one."""
    lines = plants.LINES[case.name]
    found = {(at, program) for at, program, _ in commands[case.entity]}
    for line in lines:
        program = "cmd.exe" if line.twin else line.program
        assert ((line.time, program) in found) is not line.late

    assert case.day in {line.time.date() for line in lines}


def around(commands, host, day):
    """Time and command line of what names an export cmdlet on a host that day."""
    return [
        (at, line)
        for at, _, line in commands[host]
        if at.date() == date(2026, 10, day) and re.search("(New|Remove)-MailboxExportRequest", line)
    ]


def test_the_gaps_are_exact_to_the_microsecond(commands):
    """One pair is 24 hours apart, the other one microsecond more, the first one two minutes."""
    gaps = {}
    for host, first, second in (("exch17", 28, 29), ("exch18", 28, 29), ("exch01", 30, 30)):
        gaps[host] = around(commands, host, second)[-1][0] - around(commands, host, first)[0][0]

    assert gaps == {
        "exch17": DAY,
        "exch18": DAY + timedelta(microseconds=1),
        "exch01": timedelta(minutes=2),
    }


def test_removal_comes_before_the_export_only(commands):
    """In that case no removal follows the export at all."""
    texts = [line for _, line in around(commands, "exch03", 28)]

    assert ["Remove-MailboxExportRequest" in text for text in texts] == [True, False]
    assert not around(commands, "exch03", 29)


def test_twins_are_parent_and_child(con):
    """The powershell rows name the cmd rows as their parents, by id and creation time."""
    pairs = con.sql(f"""
        select child.ProcessCommandLine from {PROCESSES} as child
        inner join {PROCESSES} as parent on
            child.DeviceId = parent.DeviceId
            and child.InitiatingProcessId = try_cast(parent.ProcessId as bigint)
            and child.InitiatingProcessCreationTime = parent.ProcessCreationTime
        where child.DeviceName = 'exch05.example.com' and child.FileName = 'powershell.exe'
            and parent.FileName = 'cmd.exe'
            and contains(parent.ProcessCommandLine, child.ProcessCommandLine)
    """).fetchall()

    assert len(pairs) == 2


def test_host_spelled_otherwise_has_no_device_id(con):
    """The rows of that case can be joined by the host's name only."""
    rows = con.sql(f"""
        select DeviceName, DeviceId from {PROCESSES} where lower(DeviceName) like 'exch06.%'
        and contains(ProcessCommandLine, '-MailboxExportRequest') order by Timestamp
    """).fetchall()

    assert rows == [("exch06.example.com", None)] * 2 + [("EXCH06.EXAMPLE.COM", None)]


def test_rows_without_account_have_no_sid_either(con):
    """Nothing but the host joins them."""
    rows = con.sql(f"""
        select AccountName, AccountSid, InitiatingProcessAccountSid from {PROCESSES}
        where DeviceName = 'exch07.example.com' and contains(ProcessCommandLine, 'ExportRequest')
        order by Timestamp
    """).fetchall()

    assert rows == [("", "", "")] * 2 + [("-", "", "")] * 2


@pytest.mark.parametrize("host", ["exch08", "exch09", "exch10", "exch11"])
def test_disguised_commands_do_not_name_the_cmdlets(commands, host):
    """A search for the cmdlet finds nothing in these lines; the plain export is days before."""
    found = [(at, line) for at, _, line in commands[host] if "-MailboxExportRequest" in line]
    planted = {
        line.time for case in EXPORTS if case.entity == host for line in plants.LINES[case.name]
    }

    assert len(found) == 1 + sum("Get-MailboxExportRequest" in line for at, line in found[1:])
    for at, line in found[1:]:
        assert at in planted
        assert not re.search("(New|Remove)-MailboxExportRequest", line)


def test_the_renamed_shell_still_names_its_origin(con):
    """Only the version resource says that svchost32.exe is PowerShell."""
    rows = con.sql(f"""
        select distinct FileName, ProcessVersionInfoOriginalFileName from {PROCESSES}
        where DeviceName = 'exch13.example.com' and contains(ProcessCommandLine, 'ExportRequest')
    """).fetchall()

    assert rows == [("svchost32.exe", "PowerShell.EXE")]


def test_the_late_file_brings_an_earlier_removal(commands):
    """It holds one row, which the lake does not have, before the removal that it has."""
    (row,) = pq.read_table(ROOT / LATE, partitioning=None).to_pylist()

    assert row["DeviceName"] == "exch19.example.com"
    assert "Remove-MailboxExportRequest" in row["ProcessCommandLine"]
    assert row["Timestamp"] == october("30T10:00")
    assert [at.hour for at, _ in around(commands, "exch19", 30)] == [9, 15]


def test_events_delivered_again_lie_in_two_files(con):
    """The export is in the files of two days, the removal twice in one."""
    rows = con.sql(f"""
        select contains(ProcessCommandLine, 'New-'), count(*), count(distinct src)
        from {PROCESSES} where DeviceName = 'exch20.example.com'
        and contains(ProcessCommandLine, 'ExportRequest') and Timestamp >= timestamptz '2026-10-29'
        group by all order by all
    """).fetchall()

    assert rows == [(False, 2, 1), (True, 2, 2)]


ROUTINE = [case for case in EXPORTS if case.severity == "medium"]


@pytest.mark.parametrize("case", ROUTINE, ids=lambda case: case.name)
def test_medium_cases_had_an_export_in_the_week_before(commands, case):
    """Without one the finding would be high, whatever else the case shows."""
    exports = [
        at for at, _, line in commands[case.entity] if re.search(r"New-MailboxExportRequest", line)
    ]
    last = max(at for at in exports if at.date() <= case.day)

    assert any(last - 7 * DAY <= at < last - 2 * DAY for at in exports)


def test_night_reads_stand_out(reads):
    """mia's and noel's mailboxes are read at an hour in which they never were."""
    assert items(of(reads, "mia", "29T02:00", "29T04:00")) == 600
    assert 60 <= items(of(reads, "noel", "29T03:00", "29T06:00")) <= 75
    for mailbox in ("mia", "noel"):
        owner = f"{mailbox}@example.com"
        assert not any(
            raw["MailboxOwnerUPN"] == owner and at.hour < 6
            for at, raw in reads
            if at < october("29T00:00")
        )


@pytest.mark.parametrize("day", [29, 30])
def test_the_slow_reading_is_well_above_habit(reads, day):
    """orders is read by 60 % more and beyond, over the day and in every hour of it."""
    for hour in range(8, 17):
        now = items(of(reads, "orders", f"{day}T{hour:02}:00", f"{day}T{hour + 1:02}:00"))
        usual = items(of(reads, "orders", f"22T{hour:02}:00", f"22T{hour + 1:02}:00"))
        assert now > 2 * usual
    total = items(of(reads, "orders", f"{day}T00:00", f"{day + 1}T00:00"))
    assert total > 1.6 * items(of(reads, "orders", "22T00:00", "23T00:00"))


def test_the_throttled_mailbox_goes_silent_for_a_day(reads):
    """One record is marked; nothing follows for 24 hours, then the mailbox is read again."""
    marked = [
        raw
        for _, raw in reads
        if {"Name": "IsThrottled", "Value": "True"} in raw["OperationProperties"]
    ]

    assert [raw["MailboxOwnerUPN"] for raw in marked] == ["theo@example.com"]
    assert of(reads, "theo", "28T13:40", "29T13:40") == marked
    assert len(of(reads, "theo", "28T08:00", "28T13:40")) > 10
    assert len(of(reads, "theo", "29T13:40", "29T18:00")) > 5


def test_ritas_hour_is_delivered_six_times(con):
    """Counted by delivery the hour is six times as busy as it was."""
    counts = con.sql(f"""
        select count(*), count(distinct src) from {CLOUD}
        where RawEventData like '%"MailboxOwnerUPN":"rita@example.com"%'
        and Timestamp >= timestamptz '2026-10-28 14:00Z'
        and Timestamp < timestamptz '2026-10-28 15:00Z' group by RawEventData
    """).fetchall()

    assert len(counts) == 3
    assert set(counts) == {(6, 3)}


def test_sync_records_tell_a_folder_and_no_count(reads):
    """Sync records have Item.ParentFolder; Bind records one folder item for each of their count."""
    kinds = Counter()
    for _, raw in reads:
        kind = raw["OperationProperties"][0]
        kinds[kind if isinstance(kind, str) else kind["Value"]] += 1
        if raw["RecordType"] == 2:
            assert raw["Item"]["ParentFolder"]["Path"].startswith("\\")
            assert "OperationCount" not in raw
            assert "Folders" not in raw
        elif isinstance(kind, dict):
            assert raw["OperationCount"] == sum(len(one["FolderItems"]) for one in raw["Folders"])

    assert kinds["Sync"] > 500
    assert len(of(reads, "sven", "27T01:00", "27T02:00")) == 36


def test_four_records_are_no_json_and_one_is_flat(con, reads):
    """Damaged records are max's, on the afternoon of 26 October."""
    broken = con.sql(
        f"select Timestamp, AccountId from {CLOUD} where not json_valid(RawEventData)"
    ).fetchall()
    flat = [raw for _, raw in reads if isinstance(raw["OperationProperties"][0], str)]

    assert len(broken) == 4
    assert {who for _, who in broken} == {"max@example.com"}
    assert all(october("26T15:00") <= at < october("26T16:00") for at, _ in broken)
    assert [raw["MailboxOwnerUPN"] for raw in flat] == ["max@example.com"]


def test_the_lost_hour_has_no_row_anywhere(con):
    """Neither its own file nor a later one holds a row of it."""
    for hour, some in ((12, True), (13, False), (14, True)):
        start = f"timestamptz '2026-10-27 {hour}:00Z'"
        where = f"Timestamp >= {start} and Timestamp < {start} + interval 1 hour"
        assert bool(con.sql(f"select 1 from {CLOUD} where {where} limit 1").fetchall()) is some


def test_nolan_reads_four_mailboxes_not_his_own(reads):
    """He never did before; those who always read their manager's mail go on."""
    pairs = defaultdict(list)
    for at, raw in reads:
        if raw["UserId"] != raw["MailboxOwnerUPN"]:
            pairs[raw["UserId"].split("@")[0], raw["MailboxOwnerUPN"].split("@")[0]].append(at)
    new = {pair: times for pair, times in pairs.items() if times[0] >= october("26T00:00")}

    assert {pair: len(times) for pair, times in new.items()} == {
        ("nolan", mailbox): 32 for mailbox in ("anna", "bert", "cara", "dora")
    }
    assert {at.date() for times in new.values() for at in times} == {date(2026, 10, 30)}
    assert set(pairs) - set(new) == set(noise.DELEGATES)


def test_one_application_was_never_seen_before(reads):
    """It reads nina's mailbox on 30 October; every other one is used by many, from the start."""
    first, mailboxes = {}, defaultdict(set)
    for at, raw in reads:
        app = raw.get("ClientAppId")
        first.setdefault(app, at)
        mailboxes[app].add(raw["MailboxOwnerUPN"])
    new = plants.NEW_APP.app_id

    assert first.pop(new).date() == date(2026, 10, 30)
    assert mailboxes.pop(new) == {"nina@example.com"}
    assert all(at < START + 2 * DAY for at in first.values())
    assert all(len(found) >= 6 for app, found in mailboxes.items() if app)


def test_only_planted_mailboxes_stand_out(reads):
    """In no ordinary hour of the last eight days is a mailbox far above its own habit.

    Habit is the mean of the same hour of the week in the four weeks before; far above is half as
    much again and five items more, in an hour or in three.
    """
    hours = 36 * 24
    counts = defaultdict(lambda: np.zeros(hours))
    for at, raw in reads:
        hour = (at - START) // HOUR
        for key in (raw["MailboxOwnerUPN"], "*"):
            counts[key][hour] += raw.get("OperationCount", 0)

    found = set()
    for key, values in counts.items():
        for hour in range(28 * 24, hours):
            for width in (1, 3):
                span = np.arange(max(28 * 24, hour - width + 1), hour + 1)
                usual = sum(values[span - 168 * week].sum() for week in (1, 2, 3, 4)) / 4
                seen = values[span].sum()
                if seen >= 1.5 * usual and seen - usual >= 5:
                    found.add((key, (START + hour * HOUR).date()))
    planted = {
        (case.entity, case.day)
        for case in CASES
        if case.detection == "mail_items_accessed" and case.expected == "fires"
    }

    assert found == planted
