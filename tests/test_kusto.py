"""The two Sentinel hunts: row for row what Kusto returns, by oracles of dicts and loops."""

from __future__ import annotations

import json
import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from gundog.cli import main
from gundog.core.times import Interval, parse_range, parse_time
from gundog.detections import content
from gundog.detections.detection import Example
from gundog.run import run
from gundog.testing import examples
from tests import benches, draws, kit
from tests.test_kql import plain_anomalies

ROOT = Path(__file__).parents[1]
EXPORTS = "host_exporting_mailbox_and_removing_export"
MAIL = "mail_items_accessed_time_series"
PROCESSES, CLOUD = "DeviceProcessEvents", "CloudAppEvents"
US, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime(2020, 12, 16, tzinfo=UTC)
INTERVAL = Interval(NOW - DAY, NOW)

Row = dict[str, Any]


def hunted(stem: str, table: str, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The details of every finding, in the shape they are stored in."""
    loaded = kit.shipped()
    example = Example("", INTERVAL, {table: tuple(rows)}, ())
    hunt = loaded.hunt(stem)
    hits = examples.run(loaded, hunt, example, benches.of(loaded, hunt))
    return [json.loads(json.dumps(hit.row["details"], default=_moment)) for hit in hits]


def _moment(value: datetime) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"


def as_rows(details: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Rows as text, columns in their order: what is compared, as a multiset."""
    return Counter(json.dumps(one) for one in details)


# Exports


def plain_exports(rows: Sequence[Row], start: datetime, end: datetime) -> list[Row]:
    """What Kusto returns for the hunt over the rows of [start, end), by loops."""

    def side(cmdlet: str) -> list[tuple[str, str, str, str]]:
        keys = []
        for row in rows:
            shell = (row["FileName"] or "").lower()
            command = row["ProcessCommandLine"] or ""
            if not start <= row["Timestamp"] < end or shell not in ("powershell.exe", "cmd.exe"):
                continue
            if cmdlet.lower() in command.lower():
                hour = _moment(row["Timestamp"].replace(minute=0, second=0, microsecond=0))
                keys.append((row["DeviceName"] or "", hour, row["AccountName"] or "", command))
        return list(dict.fromkeys(keys))

    found = []
    for device, hour, account, exporting in side("New-MailboxExportRequest"):
        for other, other_hour, other_account, removing in side("Remove-MailboxExportRequest"):
            if (device, hour, account) == (other, other_hour, other_account):
                commands = json.dumps([exporting, removing], separators=(",", ":"))
                found.append(
                    {"timekey": hour, "DeviceName": device, "AccountName": account,
                     "commands": commands, "HostCustomEntity": device,
                     "AccountCustomEntity": account}
                )  # fmt: skip
    return [dict(row) for row in dict.fromkeys(tuple(one.items()) for one in found)]


COMMANDS = [
    "New-MailboxExportRequest a", "new-mailboxEXPORTrequest b", "Remove-MailboxExportRequest a",
    'x "REMOVE-MAILBOXEXPORTREQUEST" \\\\srv\\c$',
    "New-MailboxExportRequest;Remove-MailboxExportRequest",
    "Get-Help xNew-MailboxExportRequests", "Remove-MailboxExportReques", "dir", "",
]  # fmt: skip
process = st.fixed_dictionaries(
    {
        "Timestamp": st.sampled_from(
            [INTERVAL.start + offset for offset in
             (-US, -HOUR, 0 * US, US, HOUR - US, HOUR, HOUR + US, 90 * timedelta(minutes=1),
              23 * HOUR, DAY - US, DAY, DAY + HOUR)]
        ),
        "DeviceName": st.sampled_from(["exch01.example.com", "EXCH01.example.com", "", None]),
        "AccountName": st.sampled_from(["ana", "Ana", "", None]),
        "FileName": st.sampled_from(["powershell.exe", "CMD.EXE", "cmd.exe", "pwsh.exe", None]),
        "ProcessCommandLine": st.sampled_from([*COMMANDS, None]),
    }
)  # fmt: skip


@given(rows=st.lists(process, max_size=25), again=st.lists(st.integers(0, 24), max_size=4))
@draws.law(20, quick=10)
def test_exports_are_those_of_plain_loops(rows: list[Row], again: list[int]) -> None:
    """Any rows around any edge, with re-delivered ones among them, give Kusto's rows."""
    numbered = [{**row, "ReportId": number} for number, row in enumerate(rows)]
    delivered = numbered + [numbered[place] for place in again if place < len(rows)]

    expected = plain_exports(rows, INTERVAL.start, INTERVAL.end)
    assert as_rows(expected) == as_rows(hunted(EXPORTS, PROCESSES, delivered))


# Mail


COLUMNS = [name for name, _ in kit.shipped().sources[CLOUD].columns]
DYNAMIC = {"ActivityObjects", "IPTags", "UserAgentTags", "RawEventData", "AdditionalFields",
           "LastSeenForUser", "UncommonForUser", "SessionData"}  # fmt: skip
OTHER = {"ApplicationId", "AppInstanceId", "IsAdminOperation", "IsAnonymousProxy",
         "IsExternalUser", "IsImpersonated", "Timestamp"}  # fmt: skip


def has_exchange(text: str) -> bool:
    """Kusto's has, by cutting a text into words."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in text.lower()).split()
    return "exchange" in words


def counts_in(row: Row) -> bool:
    """The filters that both halves of the hunt share."""
    try:
        event = json.loads(row["RawEventData"] or "null")
    except ValueError:
        event = None
    return (
        (row["ActionType"] or "").lower() == "mailitemsaccessed"
        and has_exchange(row["Application"] or "")
        and isinstance(event, dict)
        and event.get("ResultStatus") == "Succeeded"
    )


def ticks(row: Row) -> int:
    """Ticks of 100 ns since 1970."""
    moment = row["Timestamp"] - datetime(1970, 1, 1, tzinfo=UTC)
    return (moment // US) * 10 + int(row["tick"])


def plain_mail(rows: Sequence[Row], now: datetime) -> tuple[list[Row], bool]:
    """What Kusto returns at `now`, and whether a score is too near the threshold to tell."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    start, end = midnight - 14 * DAY, midnight - DAY
    mine = [row for row in rows if counts_in(row)]
    between = [row for row in mine if start <= row["Timestamp"] <= end]
    total = Counter((row["Timestamp"] - start) // HOUR for row in between)
    hours = (end - start) // HOUR
    if not between:
        return [], False
    series = [float(total[hour]) for hour in range(hours)]
    flags, scores, baseline = plain_anomalies(series, 1.5, -1, "linefit", 0, "ctukey")
    close = any(abs(abs(score) - 1.5) < 1e-6 for score in scores)
    found = []
    for hour in range(hours):
        at = start + hour * HOUR
        if flags[hour] <= 0 or not at > now - 2 * DAY:
            continue
        left = {"Timestamp": _moment(at), "Total": series[hour],
                "baseline": math.trunc(round(baseline[hour], 9)), "anomalies": 1.0,
                "score": scores[hour]}  # fmt: skip
        for row in mine:
            if row["Timestamp"] > now - 2 * DAY and ticks(row) == (at.timestamp() * 10**7):
                found.append({**left, **right_columns(row)})
    return found, close


def right_columns(row: Row) -> Row:
    """A record as the right side of the join has it: the clash renamed, RawEventData moved."""
    kept = {"Timestamp1": _moment(row["Timestamp"])}
    for name in COLUMNS:
        if name not in ("Timestamp", "RawEventData"):
            value = row.get(name)
            kept[name] = value if value is not None or name in DYNAMIC | OTHER else ""
    return {**kept, "RawEventData": row["RawEventData"]}


def mail_lake(seed: int, load: str, spikes: Sequence[int], tenant: str | None) -> list[Row]:
    """Records of sixteen days: a load of some shape, hours far above it, odd records among them."""
    rng = random.Random(seed)  # noqa: S311 - made-up events
    first = NOW - 15 * DAY
    rows = []
    for hour in range(15 * 24):
        clock, weekend = hour % 24, (hour // 24) % 7 in (4, 5)
        usual = {
            "flat": 2, "noise": rng.randint(0, 4), "sparse": int(rng.random() < 0.04),
            "daily": rng.randint(1, 2) + (6 if 8 <= clock < 18 and not weekend else 0),
            "rising": hour // 90 + rng.randint(0, 1), "none": 0,
        }[load]  # fmt: skip
        number = usual + (rng.randint(8, 30) if hour in spikes else 0)
        for _ in range(number):
            exact = rng.random() < (0.2 if hour in spikes else 0.03)
            offset = timedelta() if exact else US * rng.randrange(1, 3_600_000_000)
            rows.append(record(rng, first + hour * HOUR + offset, tenant))
    return rows


def record(rng: random.Random, at: datetime, tenant: str | None) -> Row:
    """One record, now and then one that does not count or lies a few ticks beside the hour."""
    odd = rng.random()
    status = rng.choice(["succeeded", "PartiallySucceeded", 5]) if odd < 0.05 else "Succeeded"
    raw = json.dumps(
        {"ResultStatus": status, "Id": str(UUID(int=rng.getrandbits(128))), "Nr": rng.randrange(5),
         "MailboxOwnerUPN": "ana@example.com"}
    )  # fmt: skip
    return {
        "Timestamp": at,
        "tick": rng.choice([0, 0, 0, 1, 9]),
        "ActionType": rng.choice(["MailItemsAccessed"] * 9 + ["mailitemsaccessed", "Send", None]),
        "Application": rng.choice(
            ["Microsoft Exchange Online"] * 9 + ["exchange", "a_EXCHANGE.b", "ExchangeOnline", None]
        ),
        "AccountId": rng.choice(["ana", "bob", "", None]),
        "IsAdminOperation": rng.choice([True, False, None]),
        "IPTags": rng.choice([None, '["vpn"]']),
        "TenantId": tenant,
        "RawEventData": rng.choice([raw] * 30 + ["{", "[1]", "", None]),
    }


def as_event(row: Row) -> Row:
    """A record as an example has it: the time as text with seven digits, as Kusto exports it."""
    text = f"{row['Timestamp']:%Y-%m-%dT%H:%M:%S.%f}{row['tick']}Z"
    return {**{k: v for k, v in row.items() if k != "tick"}, "Timestamp": text}


def assert_same_mail(expected: Iterable[Row], found: Iterable[Row]) -> None:
    """Equal multisets of rows; scores, which two ways of summing give, to nine digits."""

    def split(rows: Iterable[Row]) -> list[tuple[str, float]]:
        return sorted((json.dumps({**one, "score": 0}), one["score"]) for one in rows)

    left, right = split(expected), split(found)
    assert [text for text, _ in left] == [text for text, _ in right]
    for (_, wanted), (_, score) in zip(left, right, strict=True):
        assert math.isclose(wanted, score, rel_tol=1e-6, abs_tol=1e-8)


loads = st.sampled_from(["flat", "noise", "sparse", "daily", "rising", "none"])
# Hours since the first: the day before yesterday is 312 to 335.
spike_hours = st.lists(st.sampled_from([0, 200, 311, 312, 313, 320, 321, 334, 335, 336, 350]),
                       max_size=6, unique=True)  # fmt: skip


@example(seed=6, load="daily", spikes=[320, 321, 200], again=True)
@given(seed=st.integers(0, 10**6), load=loads, spikes=spike_hours, again=st.booleans())
@draws.law(8, quick=1)
def test_mail_is_that_of_plain_loops(seed: int, load: str, spikes: list[int], again: bool) -> None:
    """Any load, any hours above it, records beside the hour by a tick: Kusto's rows."""
    one = mail_lake(seed, load, spikes, "")
    other = mail_lake(seed + 1, load, spikes[:2], "t2") if seed % 3 == 0 else []
    wanted = [plain_mail(rows, NOW) for rows in (one, other)]
    if any(close for _, close in wanted):
        return
    events = [as_event(row) for row in one + other]
    random.Random(seed).shuffle(events)  # noqa: S311 - made-up events

    found = hunted(MAIL, CLOUD, events + (events[::3] if again else []))
    assert_same_mail([row for rows, _ in wanted for row in rows], found)


# Lakes of files


LAKE = """\
content: [builtin]
lake:
  CloudAppEvents: lake/CloudAppEvents/date=%Y-%m-%d/*.parquet
  DeviceProcessEvents: lake/DeviceProcessEvents/date=%Y-%m-%d/*.parquet
warehouse: .gundog/warehouse.duckdb
findings: .gundog/findings.duckdb
memoryLimit: 2GB
"""
LATER = NOW + 4 * HOUR


def times(rows: Sequence[Row], kind: str) -> pa.Array:
    """The records' times as one of the types that exporters write."""
    ns = [ticks(row) * 100 for row in rows]
    if kind == "text":
        return pa.array([as_event(row)["Timestamp"] for row in rows])
    if kind == "us":  # without room for ticks
        return pa.array([one // 1000 for one in ns], pa.timestamp("us", tz="UTC"))
    return pa.array(ns, pa.timestamp("ns", tz="UTC" if kind == "ns in UTC" else None))


def write(root: Path, table: str, rows: Sequence[Row], kind: str, name: str = "a") -> None:
    """One file a day of the rows' time."""
    for day in sorted({row["Timestamp"].date() for row in rows}):
        mine = [row for row in rows if row["Timestamp"].date() == day]
        names = [key for key in mine[0] if key not in ("Timestamp", "tick")]
        columns = {key: pa.array([row[key] for row in mine]) for key in names}
        path = root / "lake" / table / f"date={day}" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"Timestamp": times(mine, kind), **columns}), path)


def hunt(root: Path, stem: str, first: str, now: datetime = LATER, last: str = "") -> run.Outcome:
    """Hunts days as the command line would; nothing may go wrong."""
    project = run.load_project(root, {})
    request = run.Request("hunt", parse_range(first, last or first), (stem,))
    outcome = run.run(project, request, now, uuid4())
    assert outcome.problems == []
    return outcome


def stored(root: Path) -> list[Row]:
    """The details of all published findings."""
    rows = kit.table(root, "select details::varchar from findings order by finding_id")
    return [json.loads(row[0]) for row in rows]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of the shipped content over an empty lake."""
    kit.write_text(tmp_path / "gundog.yaml", LAKE)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    ["ns", "ns in UTC", "text", "us"],
)
def test_mail_in_files_is_that_of_plain_loops(root: Path, kind: str) -> None:
    """However files write times, ticks decide what lies on the hour, and files may repeat rows.

    Details have the columns of the query in their order: left of the join, then all of its right, a
    clash with 1, and extended columns last.
    """
    rows = mail_lake(len(kind), "daily", [312, 315, 320, 330, 335], None)
    if kind == "us":
        rows = [{**row, "tick": 0} for row in rows]
    write(root, CLOUD, rows, kind)
    write(root, CLOUD, rows[::2], "text", "again")
    expected, _ = plain_mail(rows, NOW)
    hunt(root, MAIL, "2020-12-15")

    assert expected
    assert_same_mail(expected, stored(root))
    right = [name for name in COLUMNS if name not in ("Timestamp", "RawEventData")]
    left = ["Timestamp", "Total", "baseline", "anomalies", "score", "Timestamp1"]
    assert {(*left, *right, "RawEventData")} == {tuple(row) for row in stored(root)}


@pytest.mark.slow
def test_exports_in_files_are_those_of_plain_loops(root: Path) -> None:
    """Nights and the days together give the rows of each day."""
    rng = random.Random(7)  # noqa: S311 - made-up events
    rows = [
        {"Timestamp": NOW - 2 * DAY + rng.randrange(48 * 60) * timedelta(minutes=1), "tick": 3,
         "DeviceName": rng.choice(["exch01", "EXCH01", None]), "AccountName": "ana",
         "FileName": rng.choice(["cmd.exe", "powershell.exe"]), "ReportId": number,
         "ProcessCommandLine": rng.choice(COMMANDS)}
        for number in range(800)
    ]  # fmt: skip
    write(root, PROCESSES, rows, "ns")
    hunt(root, EXPORTS, "2020-12-14", last="2020-12-15")
    days = [(NOW - 2 * DAY, NOW - DAY), (NOW - DAY, NOW)]
    expected = as_rows(row for day in days for row in plain_exports(rows, *day))

    assert expected
    assert expected == as_rows(stored(root))


def burst(at: datetime, nr: int = 0, count: int = 60) -> list[Row]:
    """Records a minute apart from an hour on, the first exactly on it."""
    said = {"ResultStatus": "Succeeded", "MailboxOwnerUPN": "ana@example.com"}
    raw = [json.dumps({**said, "Id": f"{at}-{nr}-{i}"}) for i in range(count)]
    return [
        {"Timestamp": at + i * timedelta(minutes=1), "tick": 0, "ActionType": "MailItemsAccessed",
         "Application": "Exchange", "RawEventData": raw[i]}
        for i in range(count)
    ]  # fmt: skip


def quiet(days: int = 15) -> list[Row]:
    """Two or three records an hour, none exactly on it."""
    rows = burst(NOW - days * DAY, 1, days * 24 * 60)[::25]
    return [{**row, "tick": 1} for row in rows]


def changes(root: Path) -> list[str]:
    return [
        row[0] for row in kit.table(root, "select change from finding_changes order by changed_at")
    ]


@pytest.fixture(scope="module")
def hunted_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a burst after quiet days, and the night that has found it."""
    root = tmp_path_factory.mktemp("hunted")
    kit.write_text(root / "gundog.yaml", LAKE)
    write(root, CLOUD, quiet() + burst(NOW - 2 * DAY + 9 * HOUR), "text")
    hunt(root, MAIL, "2020-12-15")
    return root


@pytest.fixture
def hunted_root(hunted_once: Path, tmp_path: Path) -> Path:
    """A copy of that project."""
    return kit.copy_project(hunted_once, tmp_path)


@pytest.mark.slow
def test_a_late_file_counts_while_provisional_and_one_of_the_alert_day_always(
    hunted_root: Path,
) -> None:
    """Another baseline is another row, hence another finding; a final interval keeps its own.

    A late file of the alert day is hunted also then: the join reads that day.
    """
    root = hunted_root
    before = stored(root)
    write(root, CLOUD, burst(NOW - 9 * DAY), "ns", "late")
    hunt(root, MAIL, "2020-12-15")
    after = stored(root)
    write(root, CLOUD, burst(NOW - 8 * DAY), "ns", "late")
    hunt(root, MAIL, "2020-12-15", NOW + 20 * DAY)
    final, told = stored(root), sorted(changes(root))
    write(root, CLOUD, burst(NOW - 2 * DAY + 15 * HOUR, 2), "ns", "late")
    hunt(root, MAIL, "2020-12-15", NOW + 20 * DAY)
    hours = sorted(row["Timestamp"] for row in stored(root))

    assert len(before) == len(after) == 1
    assert before[0]["score"] != after[0]["score"]
    assert told == ["new", "new", "withdrawn"]
    assert after == final
    assert hours == ["2020-12-14T09:00:00Z", "2020-12-14T15:00:00Z"]


def test_a_night_counts_one_day_of_records(hunted_root: Path) -> None:
    """The hours of earlier days are kept, whatever the series reaches back to."""
    import duckdb

    root = hunted_root
    write(root, CLOUD, burst(NOW, 1), "text")
    hunt(root, MAIL, "2020-12-16", LATER + DAY)
    with duckdb.connect(str(root / ".gundog/warehouse.duckdb"), read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        counted = con.execute(
            """select interval_start from series_spans
               where seq = (select max(seq) from series_spans)"""
        ).fetchall()

    assert counted == [(NOW,)]


def test_hunting_again_changes_nothing(hunted_root: Path) -> None:
    """Ids are those of the interval, the row and its place among equal ones."""
    root = hunted_root
    before = kit.table(root, "select finding_id, details::varchar from findings")
    again = run.Request("backfill", parse_range("2020-12-15", "2020-12-15"), (MAIL,), again=True)
    outcome = run.run(run.load_project(root, {}), again, LATER, uuid4())

    assert (outcome.changes.new, outcome.changes.unchanged) == (0, 1)
    assert before == kit.table(root, "select finding_id, details::varchar from findings")


def test_missing_hours_are_said(root: Path) -> None:
    """Kusto takes an hour without data for a quiet one; the ledger says how many there are."""
    write(root, CLOUD, quiet(10), "text")
    outcome = hunt(root, MAIL, "2020-12-15")

    assert outcome.notes == [
        f"{MAIL} {INTERVAL}: 96 of 312 hours have no data; Kusto counts them as 0"
    ]


# Mutants


# A rule of a hunt made wrong, and the example that notices.
MUTANTS = [
    (EXPORTS, "kql/host_exporting_mailbox_and_removing_export.sql", old, new, killer)
    for old, new, killer in [
        ("date_trunc('hour'", "date_trunc('day'",
         "an export and its removal in one hour"),
        ("coalesce(account_name_raw, '')", "account_name_raw",
         "host and account are compared to the letter, and nothing equals nothing"),
        ("coalesce(account_name_raw, '')", "lower(coalesce(account_name_raw, ''))",
         "an export and its removal in one hour"),
        ("coalesce(device_name, '')", "lower(coalesce(device_name, ''))",
         "an export and its removal in one hour"),
        ("contains(lower(command_line), 'new-", "contains(command_line, 'new-",
         "an export and its removal in one hour"),
        ("'new-mailboxexportrequest'", "'new-mailboxexportrequest '",
         "an hour begins with its first microsecond and ends before the next"),
        ("lower(file_name) in ('powershell.exe', 'cmd.exe')", "true",
         "any text that holds the name, in two shells only"),
        ("lower(file_name) in", "file_name in",
         "an export and its removal in one hour"),
        ("event_time >= $start", "event_time >= $start - interval 1 hour",
         "what lies before the interval or at its end is not seen"),
        ("event_time < $end", "event_time <= $end",
         "what lies before the interval or at its end is not seen"),
        ("and removed.is_removal", "and removed.is_removal and not removed.is_export",
         "one command line that holds both pairs with itself"),
        ("exported.is_export", "exported.is_export and exported.first_time <= removed.first_time",
         "a removal before the export fires"),
        ("[exported.command_line, removed.", "[removed.command_line, exported.",
         "an export and its removal in one hour"),
    ]
] + [
    (MAIL, "kql/mail_items_accessed_hours.sql", old, new, killer)
    for old, new, killer in [
        ("and result_status = 'Succeeded'", "",
         "records on it in other shapes, one from an address with a port"),
        ("date_trunc('hour', event_time)", "date_trunc('hour', event_time + interval 1 hour)",
         "an hour far above the rest, and two records exactly on it"),
        ("    tenant,\n    count", "    '' as tenant,\n    count",
         "another tenant's load is another series, and the only record of one is an anomaly"),
    ]
] + [
    (MAIL, "kql/mail_items_accessed_time_series.sql", old, new, killer)
    for old, new, killer in [
        ("anomalies > 0", "anomalies <> 0",
         "an hour far below the rest gives nothing"),
        ("> $end - interval 2 days", ">= $end - interval 2 days",
         "the first hour of a day is never looked at, the second and the last are"),
        ("> $end - interval 2 days", "> $end - interval 3 days",
         "the first hour of a day is never looked at, the second and the last are"),
        ("> $end - interval 2 days", "> $end - interval 1 day",
         "an hour far above the rest, and two records exactly on it"),
        ("cast(trunc(alerts.baseline) as bigint)", "cast(ceil(alerts.baseline) as bigint)",
         "an hour far above the rest, and two records exactly on it"),
        ("alerts.tenant = records.tenant and", "",
         "another tenant's load is another series, and the only record of one is an anomaly"),
        ("(?::\\d*)?", "",
         "records on it in other shapes, one from an address with a port"),
        ("'\\1\\2'", "'\\2'",
         "records on it in other shapes, one from an address with a port"),
    ]
] + [
    (MAIL, "stage/mail_on_the_hour.sql", old, new, killer)
    for old, new, killer in [
        ("timestamp_ns % 3600000000000 = 0", "Timestamp = date_trunc('hour', Timestamp)",
         "a record one tick later does not lie on it"),
        ("normalise_record(RawEventData, 'Id ResultStatus')", "RawEventData",
         "records on it in other shapes, one from an address with a port"),
        ("(delivered[1] is null or delivered[2] is null)", "delivered[1] is null",
         "records on it in other shapes, one from an address with a port"),
        ("field[2] = 'Succeeded'", "lower(field[2]) = 'succeeded'",
         "other words for success, for the application and for the action do not count"),
        ("field[2] = 'Succeeded'", "contains(field[2], 'Succeeded')",
         "other words for success, for the application and for the action do not count"),
        ("([^0-9a-z]|$)'", "'",
         "other words for success, for the application and for the action do not count"),
        ("'(?i)(^|", "'(^|",
         "an hour far above the rest, and two records exactly on it"),
        ("= 'mailitemsaccessed'", "like 'mailitemsaccessed%'",
         "other words for success, for the application and for the action do not count"),
        ("lower(ActionType) = 'mailitemsaccessed'", "ActionType = 'MailItemsAccessed'",
         "an hour far above the rest, and two records exactly on it"),
    ]
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("stem", "file", "old", "new", "killer"), MUTANTS)
def test_an_example_notices(stem: str, file: str, old: str, new: str, killer: str) -> None:
    """Each rule of the hunts has an example that fails without it."""
    text = (ROOT / "sql" / file).read_text()
    assert old in text
    wrong = text.replace(old, new)
    loaded = kit.shipped()
    one = loaded.hunt(stem)
    if file.startswith("stage/"):
        stages = [replace(s, sql=wrong) if s.path.endswith(file) else s for s in one.stages]
        one = replace(one, stages=tuple(stages))
    else:
        one = replace(one, **{"join" if file.endswith("series.sql") else "sql": wrong})

    [example] = [example for example in one.detection.examples if example.name == killer]
    assert examples.check(loaded, one, example, benches.of(loaded, one)) != []


# The page


PAGE = (ROOT / "docs/from-kql.md").read_text()


def blocks(option: str) -> list[tuple[str, str]]:
    """The value of an option of the page's blocks, and their text."""
    return re.findall(rf"^```\w+ {option}=(\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


CLAIMS = [
    pytest.param(kind, claim, side, id=f"{claim['name']}: {side}")
    for kind, claim in ((kind, yaml.safe_load(text)) for kind, text in blocks("claim"))
    for side in ("sentinel", "ours")
]
USUAL = {name: yaml.safe_load(text) for name, text in blocks("usual")}
STEMS = {
    ("export", "sentinel"): EXPORTS, ("export", "ours"): "mailbox_export_removed",
    ("mail", "sentinel"): MAIL, ("mail", "ours"): "mail_items_accessed",
}  # fmt: skip


@pytest.mark.parametrize(("kind", "claim", "side"), draws.spread(CLAIMS, every=5))
def test_the_page_is_right(kind: str, claim: dict[str, Any], side: str) -> None:
    """What the page says that a Sentinel hunt and ours find is what they find."""
    promised = claim[side] if kind == "mail" else {**claim, "findings": claim[side]}
    start, end = (parse_time(one) for one in promised["interval"])
    events = {
        table: (*USUAL.get(kind, {}).get(table, ()), *rows)
        for table, rows in claim["events"].items()
    }
    loaded = kit.shipped()
    one = loaded.hunt(STEMS[kind, side])
    example = Example("", Interval(start, end), events, tuple(promised["findings"]))
    hits = [
        hit
        for hit in examples.run(loaded, one, example, benches.of(loaded, one))
        if hit.row.get("mailbox") != "*"
    ]

    assert examples.compare(one, example, hits) == []


@pytest.mark.slow
def test_the_page_makes_two_detections_that_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its files, written as they stand, pass their examples and every mutation of them."""
    for name, text in blocks("file"):
        kit.write_text(tmp_path / name, text)
    mine = ["account_created_deleted", "script_starts"]

    assert main.main(["check", "--project", str(tmp_path)]) == 0
    assert main.main(["test", *mine, "--mutate", "--project", str(tmp_path)]) == 0
    assert re.search(r"4 examples, 0 failed\n\d\d mutations, 0 failed", capsys.readouterr().out)


# What a YAML of method kql must say


COUNT = kit.COUNT_YAML.replace(
    "method: forecast, threshold: 4}", "method: kql, threshold: 4, join: join.sql}"
).replace("sql: count.sql\n", "sql: count.sql\nidentity: [who, start_time]\n")
JOIN = """\
select hour as start_time, hour as end_time, who,
    []::struct(role varchar, source_table varchar, event_id uuid)[] as evidence
from (select unnest($flagged, recursive := true))
where hour >= $start
order by all
"""


def problems(root: Path, yaml_text: str, join: str = JOIN) -> str:
    kit.make_project(root, series=True)
    title = 'title: "{who}"\n'
    kit.write_text(
        root / "detections/count.yaml", re.sub("title: .*\n", title, yaml_text) + kit.HEAD
    )
    kit.write_text(root / "sql/join.sql", join)
    return "\n".join(str(one) for one in content.load([root]).problems)


def test_a_series_of_method_kql_is_read(tmp_path: Path) -> None:
    """With a join and an identity nothing is wrong."""
    assert problems(tmp_path, COUNT) == ""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (", join: join.sql", "", "series.join: is missing: write a text"),
        ("join.sql", "jion.sql", "series.join: sql/jion.sql does not exist"),
        ("threshold: 4", "alertBudget: 1", "series.alertBudget: is for method forecast: remove it"),
        ("kql", "forecast", "series.join: is for method kql: remove it, or change the method"),
        ("identity: [who, start_time]\n", "", "identity: is missing: name the columns that make"),
        ("identity: [who,", "identity: [whom,", "sql/join.sql: whom: is not returned"),
        ("kind: series\n", "kind: series\nfrequency: 6h\n", "frequency: of method kql must be"),
        ("threshold: 4", "threshold: 4, trend: line", "series.trend: unknown value"),
        ("sql: count.sql\n", "sql: count.sql\nparams: {x: 1}\n", "params.x: is not used by"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_method_kql_is_named(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    """Each mistake in the YAML by its key."""
    assert old in COUNT
    assert told in problems(tmp_path, COUNT.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("$flagged", "[{'hour': $start, 'who': ''}]", "sql/join.sql: $flagged: is not used"),
        ("$start", "$least", "params.least: is missing, but sql/join.sql uses $least"),
        (" as evidence", " as proof", "sql/join.sql: evidence: is not returned"),
        (", who,", ", whom,", 'Referenced column "whom" not found'),
    ],
)
def test_what_is_wrong_with_a_join_is_named(tmp_path: Path, old: str, new: str, told: str) -> None:
    """Each mistake in the SELECT by its file."""
    assert told in problems(tmp_path, COUNT, JOIN.replace(old, new))


def test_ticks_do_not_move_an_event_into_the_next_hour(root: Path) -> None:
    """A time in ns is cut to us, never rounded up."""
    base = {"tick": 9, "DeviceName": "exch01", "AccountName": "ana", "FileName": "cmd.exe"}
    last = INTERVAL.start + 11 * HOUR - US
    rows = [
        {**base, "Timestamp": last, "ProcessCommandLine": "New-MailboxExportRequest"},
        {**base, "Timestamp": last + US, "ProcessCommandLine": "Remove-MailboxExportRequest"},
        {**base, "Timestamp": last - US, "ProcessCommandLine": "remove-MailboxExportRequest"},
    ]
    write(root, PROCESSES, rows, "ns")
    hunt(root, EXPORTS, "2020-12-15")

    assert [row["commands"] for row in stored(root)] == [
        '["New-MailboxExportRequest","remove-MailboxExportRequest"]'
    ]
