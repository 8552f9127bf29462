"""`gundog check --lake`: what it tells of a lake, of one that is wrong, and how soon."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any, ClassVar

import moto.settings
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gundog.cli import main
from gundog.cli.lake_suggestions import suggest
from gundog.core.errors import StoreError
from gundog.lake import file_version, latest, listing, object_store
from gundog.lake.path import LakePath
from tests import draws, kit
from tests.faults import Server, start_s3
from tests.test_listing import paths_on_disk, put, templates

BUCKETS = itertools.count()
AT = datetime(2026, 3, 9, 23, 30, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")
# Who waits at a terminal is told after so many; a run has more patience.
HASTY_TRIES = 2
PATH = "lake/date=%Y-%m-%d/*.parquet"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return kit.make_project(tmp_path)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Server:
    """The S3 server, which the environment reaches; nothing asks the machine's own network."""
    server = start_s3()
    for name, value in {**server.environ, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    server.requests.clear()
    return server


def things(**columns: Any) -> pa.Table:
    """One row of Things with other columns; a column given as None is left out."""
    row = {"Timestamp": [AT], "Id": [1], "Kind": ["open"], "Who": ["a"], "N": [1]} | columns
    return pa.table({name: values for name, values in row.items() if values is not None})


def write(root: Path, table: pa.Table, day: str = "2026-03-09", name: str = "a") -> Path:
    path = root / "lake" / f"date={day}" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def use(root: Path, entry: str) -> None:
    """Makes this YAML the lake entry of Things."""
    kit.write_text(root / "gundog.yaml", kit.CONFIG.replace(f"{{Things: {PATH}}}", entry))


def checked(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Exit status and lines about the lake."""
    status = main.main(["check", "--lake", "--project", str(root)])
    out, err = capsys.readouterr()
    lines = out.splitlines()

    assert err == ""
    assert lines[0].startswith("OK: ")
    return status, lines[1:]


def test_good_source_is_two_facts_and_a_size(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files and megabytes, newest file, newest event; nothing else when nothing is odd."""
    write(root, things(Timestamp=[AT - timedelta(days=1)]), "2026-03-08")
    write(root, things())

    status, lines = checked(root, capsys)

    assert (status, lines) == (0, [
        "Things: 2 files, 0.0 MB",
        "  newest file: lake/date=2026-03-09/a.parquet",
        "  newest event: 2026-03-09 23:30 UTC",
    ])  # fmt: skip


def test_columns_are_told_the_used_ones_first_and_not_too_many(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lacking, cast and unknown columns; ten of a kind, and how many more."""
    sql = kit.SOURCE.replace("Kind VARCHAR", "Aside VARCHAR, Kind VARCHAR")
    kit.write_text(root / "sql/sources/Things.sql", sql)
    odd = {f"Zz{number:02}": [number] for number in range(12)}
    write(root, things(Kind=None, N=["1"], **odd))

    status, lines = checked(root, capsys)

    assert status == 0
    assert lines[3:] == [
        "  lacks (read as null): Kind, Aside",
        "  of these hunts use: Kind",
        "  other type (cast): N (VARCHAR)",
        "  not known to the source (not read): "
        + ", ".join(f"Zz{number:02}" for number in range(10))
        + " and 2 more",
    ]


def test_columns_that_differ_in_case_are_told_by_their_own_names(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exact one is read; without one the file cannot be used, and both are named."""
    write(root, things(KIND=["x"], kind=["y"]))
    exact = checked(root, capsys)
    write(root, things(Kind=None, KIND=["x"], kind=["y"]))
    doubled = checked(root, capsys)

    assert exact[0] == 0
    assert exact[1][3:] == ["  not known to the source (not read): KIND, kind"]
    assert doubled[0] == 1
    assert doubled[1][1] == (
        "  lake/date=2026-03-09/a.parquet: the file has 2 columns for Kind of Things:"
        " KIND and kind: have the file written with one of them"
    )


def test_name_that_is_not_utf8_is_told(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The footer of the newest file, damaged."""
    path = write(root, things(Extra=["x"]))
    pq.write_table(things(Extra=["x"]), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"Extra", b"E\xfftra"))

    status, lines = checked(root, capsys)

    assert status == 1
    assert "column name E\\xfftra is not UTF-8" in lines[1]


NAMES = [
    ("Timestamp", "TimeGenerated", TIME),
    ("Timestamp", "EventTime", pa.string()),
    ("Timestamp", "_TimeReceived", TIME),
    ("Timestamp", "time", pa.timestamp("ns")),
    ("Timestamp", "properties.Timestamp", TIME),
    ("ProcessCommandLine", "process_command_line", pa.string()),
    ("ProcessCommandLine", "ProcessCommandLine_s", pa.string()),
    ("ProcessCommandLine", "ProcesCommandLine", pa.string()),
    ("InitiatingProcessSHA1", "initiating-process sha1", pa.string()),
    ("RawEventData", "AuditData", pa.string()),
]


@pytest.mark.parametrize(("missing", "held", "kind"), NAMES)
def test_likely_name_is_suggested(missing: str, held: str, kind: Any) -> None:
    """Well-known names, the same name spelt by another habit, and a slip of the pen."""
    assert suggest([missing], {held: kind, "Unlike": pa.string()}) == {missing: held}


@pytest.mark.parametrize(
    ("missing", "held", "kind"),
    [
        ("Timestamp", "TimeGenerated", pa.int64()),
        ("InitiatingProcessSHA1", "InitiatingProcessSHA256", pa.string()),
        ("AccountUpn", "AccountSid", pa.string()),
        ("ReportId", "Unlike", pa.string()),
    ],
)
def test_unlikely_name_is_not_suggested(missing: str, held: str, kind: Any) -> None:
    """No number is a time, SHA1 is not a SHA256, and what only begins alike is something else."""
    assert suggest([missing], {held: kind}) == {}


def test_column_is_suggested_once_and_the_best_name_wins() -> None:
    """The same name goes before a well-known one, and that before a near one."""
    held = {"time": TIME, "timestamp_": TIME, "TimeGenerated": TIME, "process_idd": pa.int64()}
    found = suggest(["ProcessId", "ProcessIds", "Timestamp"], held)

    assert found == {"ProcessId": "process_idd", "Timestamp": "timestamp_"}
    assert suggest(["Timestamp"], {"Timestampp": TIME, "EventTime": TIME}) == {
        "Timestamp": "EventTime"
    }


@pytest.mark.parametrize(
    "entry",
    draws.spread(
        [
            f"{{Things: {{path: {PATH}, partitionBy: event, columns: {{Id: Number}}}}}}",
            f"{{Things: {PATH}}}",
            f"{{Things: [elsewhere/*.parquet, {PATH}]}}",
        ]
    ),
)
def test_suggested_yaml_makes_the_lake_fit(
    root: Path, capsys: pytest.CaptureFixture[str], entry: str
) -> None:
    """What it prints, put under `lake:` as it is, leaves nothing lacking and keeps the rest."""
    use(root, entry)
    number = "Number" if "Number" in entry else "Id"
    renamed = {"Timestamp": "time", "Kind": "kind_s", "Id": number}
    write(root, things().rename_columns(renamed | {"Who": "Who", "N": "N"}))
    status, lines = checked(root, capsys)
    told = lines.index(
        "  it may have them under other names; if so, write under lake: in gundog.yaml"
    )
    until = lines.index("  no row has a usable Timestamp")
    use(root, "\n" + "\n".join(lines[told + 1 : until]))

    assert status == 1
    assert checked(root, capsys) == (0, [
        "Things: 1 file, 0.0 MB",
        "  newest file: lake/date=2026-03-09/a.parquet",
        "  newest event: 2026-03-09 23:30 UTC",
    ])  # fmt: skip
    text = (root / "gundog.yaml").read_text()
    assert ("partitionBy: event" in text) == ("partitionBy" in entry)
    assert ("elsewhere" in text) == ("elsewhere" in entry)


def test_file_without_any_time_says_what_to_write(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no column looks like the time, the key to write is named; a number is not a time."""
    write(root, things(Timestamp=[5]))

    status, lines = checked(root, capsys)

    assert status == 1
    assert lines[2:] == [
        "  other type (cast): Timestamp (BIGINT)",
        "  no row has a usable Timestamp: name its column under lake, columns: {Timestamp: …}",
    ]


def test_alias_that_fits_nothing_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt key or column under `columns:` is told, not passed over."""
    use(root, f"{{Things: {{path: {PATH}, columns: {{Whoo: Who, Who: Whom}}}}}}")
    write(root, things())

    status, lines = checked(root, capsys)

    assert status == 0
    assert "  columns: Whoo: is not a column of Things" in lines
    assert "  columns: Who: the file has no column Whom" in lines


def test_newest_files_without_rows_are_passed_over(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exporter's empty file says nothing of the columns: the newest with rows does."""
    write(root, things(), "2026-03-08")
    write(root, things().slice(0, 0))

    status, lines = checked(root, capsys)

    assert status == 0
    assert lines[1:3] == [
        "  has no rows: lake/date=2026-03-09/a.parquet",
        "  newest file: lake/date=2026-03-08/a.parquet",
    ]

    write(root, things().slice(0, 0), "2026-03-08")
    assert checked(root, capsys)[1][-1].startswith("  its columns are not known yet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 500])
def test_newest_file_that_is_no_parquet_is_named(
    root: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    """Exit 1 and one line with the file as people know it."""
    write(root, things()).write_bytes(content)

    status, lines = checked(root, capsys)

    assert status == 1
    assert len(lines) == 2
    assert lines[1].startswith("  lake/date=2026-03-09/a.parquet: ")
    assert "/tmp" not in lines[1]  # noqa: S108 - no place of ours is shown


ENVELOPE = "JSON lines in the envelope of Defender's Streaming API (exporter: streaming-api)"
BROKEN = "1 line is not a JSON object, the first is line 3 (blank lines not counted)"


def test_json_lines_say_what_they_were_taken_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is not read of them, and the names of keys like those of columns."""
    use(root, "{Things: {path: lake/date=%Y-%m-%d/*.json, partitionBy: event}}")
    row = '"properties": {"when": "2026-03-09T23:30:00Z", "Id": 1, "event_time": "2026-03-09"}'
    kit.write_text(
        root / "lake/date=2026-03-09/PT1H.json",
        f'{{"category": "AdvancedHunting-Things", {row}}}\n'
        f'{{"category": "AdvancedHunting-Others", {row}}}\nbroken\n{{"categ',
    )

    code, lines = checked(root, capsys)

    assert code == 1
    assert lines[1:] == [
        "  newest file: lake/date=2026-03-09/PT1H.json",
        f"  read as: {ENVELOPE}",
        "  holds rows of other tables, not read here: 1",
        f"  not read: {BROKEN}; the last line is cut off after 7 bytes and waits for the rest",
        "  lacks (read as null): Timestamp, Kind, Who, N",
        "  not known to the source (not read): event_time, when",
        "  it may have them under other names; if so, write under lake: in gundog.yaml",
        "  Things:",
        "    path: lake/date=%Y-%m-%d/*.json",
        "    partitionBy: event",
        "    columns:",
        "      Timestamp: event_time",
        "  no row has a usable Timestamp",
    ]


def test_json_that_says_its_exporter_keeps_it_in_the_suggestion(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is to be pasted says all that was said before."""
    use(root, "{Things: {path: lake/date=%Y-%m-%d/*.txt, format: json, exporter: plain}}")
    kit.write_text(root / "lake/date=2026-03-09/a.txt", '{"ts": "2026-03-09T01:00:00Z"}\n')

    _, lines = checked(root, capsys)

    assert "    format: json" in lines
    assert "    exporter: plain" in lines
    assert "      Timestamp: ts" in lines


@pytest.mark.parametrize(
    ("value", "said", "kind"),
    [
        ("09/03/2026 23:30:00", "'%d/%m/%Y %H:%M:%S'", "json"),
        ("30.03.2026, 23:30:00.1234567", "'%d.%m.%Y, %H:%M:%S.%f'", "parquet"),
        (1_773_000_000_000, "epoch-milliseconds", "json"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("09/03/2026 23:30:00", "'%d/%m/%Y %H:%M:%S'", "parquet"),
                ("30.03.2026, 23:30:00.1234567", "'%d.%m.%Y, %H:%M:%S.%f'", "json"),
                (1_773_000_000_000, "epoch-milliseconds", "parquet"),
            )
        ),
    ],
)
def test_odd_times_are_suggested_and_what_is_suggested_works(
    root: Path, capsys: pytest.CaptureFixture[str], kind: str, value: Any, said: str
) -> None:
    """With the names of an exporter, as YAML to paste, in parquet and JSON."""
    row = {"TimeGenerated [UTC]": value, "Kind_s": "a", "Who_s": "b", "Id": 1, "N": 1}
    path = f"lake/date=%Y-%m-%d/*.{kind}"
    use(root, f"{{Things: {path}}}")
    if kind == "json":
        kit.write_text(root / "lake/date=2026-03-09/a.json", json.dumps(row))
    else:
        write(root, pa.Table.from_pylist([row]))

    status, lines = checked(root, capsys)

    assert status == 1
    start = next(place for place, line in enumerate(lines) if line.startswith("  it may have"))
    until = next(
        (place for place, line in enumerate(lines) if line.startswith("  the times seen")),
        lines.index("  no row has a usable Timestamp"),
    )
    use(root, "\n" + "\n".join(lines[start + 1 : until]))
    assert "    exporter: log-analytics" in lines
    if isinstance(value, str):  # numbers of this exporter are known to be milliseconds
        assert f"    timeFormat: {said.strip(chr(39))}" in [line.replace("'", "") for line in lines]
    is_open = value == "09/03/2026 23:30:00"
    assert any("'%m/%d/%Y %H:%M:%S': choose" in line for line in lines) == is_open
    status, lines = checked(root, capsys)
    assert status == 0
    assert not [line for line in lines if "lacks" in line]


def test_times_alone_can_be_odd(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Then only their format is suggested; numbers may be under another name as well."""
    rows = things().set_column(0, "Timestamp", pa.array([1_773_000_000] * len(things())))
    write(root, rows)
    _, lines = checked(root, capsys)

    assert (
        "  its times are written in another way; if so, write under lake: in gundog.yaml" in lines
    )
    assert "    timeFormat: epoch-seconds" in lines
    assert not [line for line in lines if "columns:" in line]

    write(root, rows.rename_columns(["EventTime", *rows.column_names[1:]]))
    _, lines = checked(root, capsys)
    assert lines[-4:] == [
        "    timeFormat: epoch-seconds", "    columns:", "      Timestamp: EventTime",
        "  no row has a usable Timestamp",
    ]  # fmt: skip


def test_source_without_a_path_is_no_problem(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who has one source need not have the other."""
    kit.write_text(root / "sql/sources/Others.sql", kit.SOURCE.replace("Things", "Others"))
    write(root, things())

    status, lines = checked(root, capsys)

    assert status == 0
    assert lines[0] == "Others: no path in gundog.yaml; hunts on it cannot run"


def test_sources_without_a_path_are_one_line(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Dozens ship, and a lake has a few of them; one that a hunt reads comes first."""
    for name in ("Apples", "Bears", "Cats", "Dogs"):
        kit.write_text(root / f"sql/sources/{name}.sql", kit.SOURCE.replace("Things", name))
    write(root, things())
    use(root, f"{{Dogs: {PATH}}}")

    _, lines = checked(root, capsys)

    assert lines[0] == (
        "Things, Apples, Bears and 1 more: no path in gundog.yaml; hunts on them cannot run"
    )


# On a store


def fill(s3: Server, root: Path, template: str, *keys: str, newest: str = "") -> str:
    """A bucket of these keys, of which only `newest` is a parquet file."""
    bucket = f"check{next(BUCKETS)}"
    s3.bucket(bucket, *keys)
    if newest:
        sink = io.BytesIO()
        pq.write_table(things(), sink)
        s3.client.put_object(Bucket=bucket, Key=newest, Body=sink.getvalue())
    use(root, f"{{Things: 's3://{bucket}/{template}'}}")
    s3.requests.clear()
    return bucket


def test_old_years_of_a_store_are_not_listed(
    root: Path, s3: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest hour of every tenant is found from above; what is older costs no request."""
    monkeypatch.setattr(latest, "ENOUGH_FILES", 1)
    keys = [
        f"c/tenantId={tenant}/y={year}/m={month:02}/d=01/h=05/m=00/x.parquet"
        for tenant in "abc" for year in (2024, 2025) for month in range(1, 13)
    ]  # fmt: skip
    newest = "c/tenantId=b/y=2026/m=03/d=09/h=23/m=00/x.parquet"
    template = "c/tenantId=*/y=%Y/m=%m/d=%d/h=%H/m=00/*.parquet"
    bucket = fill(s3, root, template, *keys, newest=newest)

    status, lines = checked(root, capsys)

    assert (status, lines[:2]) == (0, [
        "Things: the newest file, 0.0 MB",
        f"  newest file: s3://{bucket}/{newest}",
    ])  # fmt: skip
    assert not [one for one in s3.requests if "y%3D2024" in one]
    assert len(s3.requests) < 30


def test_partition_without_files_is_looked_past(
    root: Path, s3: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A marker, another kind of file or a date that is none does not hide the newest file."""
    monkeypatch.setattr(latest, "ENOUGH_FILES", 1)
    others = ("2026-03-10/", "2026-03-11/_SUCCESS", "2026-03-12/x.csv", "2026-99-99/x.parquet")
    bucket = fill(
        s3, root, "c/%Y-%m-%d/*.parquet", *(f"c/{one}" for one in others),
        "c/2026-03-01/x.parquet", newest="c/2026-03-09/x.parquet",
    )  # fmt: skip

    status, lines = checked(root, capsys)

    assert status == 0
    assert lines[1] == f"  newest file: s3://{bucket}/c/2026-03-09/x.parquet"


def test_path_that_matches_nothing_gives_up_soon_and_shows_what_is_there(
    root: Path, s3: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong ending is told after some folders, not after years of them."""
    monkeypatch.setattr(latest, "ENOUGH_FOLDERS", 5)
    keys = [f"c/2026-01-{day:02}/x.parquet" for day in range(1, 29)]
    bucket = fill(s3, root, "c/%Y-%m-%d/*.parq", *keys)

    status, lines = checked(root, capsys)

    assert status == 1
    start = f"lake.Things: s3://{bucket}/c/%Y-%m-%d/*.parq: s3://{bucket}/c/2026-01-28"
    assert lines == [f"{start} holds x.parquet, nothing like *.parq"]
    assert len(s3.requests) < 20


def test_bucket_that_is_not_there_is_one_line(
    root: Path, s3: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bucket's name with a slip says which path to correct."""
    use(root, "{Things: 's3://no-such-bucket/c/%Y-%m-%d/*.parquet'}")

    status, lines = checked(root, capsys)

    assert status == 1
    start = "lake.Things: s3://no-such-bucket/c/%Y-%m-%d/*.parquet: s3://no-such-bucket"
    assert lines == [f"{start} does not exist: correct the path in gundog.yaml"]


def test_credentials_that_the_store_does_not_know_are_one_line(
    root: Path, s3: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that checks keys refuses: which source, which folder, and what to do."""
    bucket = fill(s3, root, "%Y-%m-%d/*", newest="2026-03-09/x.parquet")
    monkeypatch.setattr(moto.settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)

    status, lines = checked(root, capsys)

    assert status == 1
    assert len(lines) == 1
    assert lines[0].startswith(f"lake.Things: s3://{bucket}/: cannot be listed: ")
    assert lines[0].endswith(
        ": check the credentials in the environment, or set anonymous: true for a public bucket"
    )


class _Answer(BaseHTTPRequestHandler):
    status: int
    body: bytes
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body if self.command == "GET" else b"")

    do_HEAD = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        """Keeps the test's output clean."""


@pytest.fixture
def answering() -> Iterator[Any]:
    """Makes servers on loopback that answer one thing to everything."""
    servers = []
    _Answer.asked.clear()

    def start(status: int, code: str, message: str) -> str:
        body = (
            f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        )
        handler = type("Handler", (_Answer,), {"status": status, "body": body.encode()})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "message", "todo"),
    draws.spread([
        (301, "PermanentRedirect", "Use the right endpoint", "set region: in gundog.yaml"),
        (
            400,
            "AuthorizationHeaderMalformed",
            "the region 'us-east-1' is wrong; expecting 'eu-west-1'",
            "set region: in gundog.yaml",
        ),
        (
            400,
            "ExpiredToken",
            "The provided token has expired",
            "the credentials have expired: renew them in the environment",
        ),
        (403, "SignatureDoesNotMatch", "It does not match", "check the credentials in the"),
        (403, "AccessDenied", "Access Denied", "check the credentials in the environment"),
        (403, "RequestTimeTooSkewed", "Too far apart", "set this machine's clock"),
        (409, "OperationAborted", "Conflict", "Conflict"),
        (503, "SlowDown", "Slow down", "the store is busy or failing: try again later"),
    ], every=3),
)  # fmt: skip
def test_each_refusal_says_what_to_do_after_two_tries(
    root: Path, s3: Server, capsys: pytest.CaptureFixture[str], answering: Any,
    status: int, code: str, message: str, todo: str,
) -> None:  # fmt: skip
    """What S3 answers to a wrong region, key, token or clock becomes one line with its cure."""
    url = answering(status, code, message)
    use(root, f"{{Things: {{path: 's3://b/%Y-%m-%d/*', endpoint: '{url}'}}}}")

    exit_status, lines = checked(root, capsys)

    assert 1 <= len(_Answer.asked) <= HASTY_TRIES
    assert exit_status == 1
    assert len(lines) == 1
    assert lines[0].startswith("lake.Things: s3://b/: cannot be listed: ")
    assert f": {todo}" in lines[0]
    assert "check --lake" not in lines[0]


@pytest.mark.parametrize(
    ("endpoint", "todo"),
    draws.spread([
        ("http://127.0.0.1:9", "check endpoint: and the network"),
        ("https://{host}", "begin the endpoint with http:// where the store has no TLS"),
        ("{host}", "begin the endpoint with http:// where the store has no TLS"),
    ]),
)  # fmt: skip
def test_wrong_endpoint_is_one_line_after_two_tries(
    root: Path, s3: Server, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, endpoint: str, todo: str,
) -> None:  # fmt: skip
    """Nobody there, or no TLS: told at once, not after a minute of tries."""
    url = endpoint.format(host=s3.url.removeprefix("http://"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    use(root, "{Things: 's3://b/%Y-%m-%d/*'}")
    tries = list[int]()
    retrying = listing.fs.AwsStandardS3RetryStrategy

    def told(max_attempts: int) -> Any:
        tries.append(max_attempts)
        return retrying(max_attempts=max_attempts)

    monkeypatch.setattr(listing.fs, "AwsStandardS3RetryStrategy", told)
    object_store._s3.cache_clear()

    status, lines = checked(root, capsys)

    assert set(tries) == {HASTY_TRIES}
    assert status == 1
    assert len(lines) == 1
    assert lines[0].endswith(f": {todo}")


def test_every_source_is_told_though_the_first_cannot_be_listed(
    root: Path, s3: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """One store that refuses hides nothing of another source."""
    others = kit.SOURCE.replace("Things", "Others")
    kit.write_text(root / "sql/sources/Others.sql", others)
    use(root, f"{{Others: 's3://b/%Y/*', Things: {PATH}}}".replace(
        "'s3://b/%Y/*'", "{path: 's3://b/%Y/*', endpoint: 'http://127.0.0.1:9'}"))  # fmt: skip
    write(root, things())

    status, lines = checked(root, capsys)

    assert status == 1
    assert [line.split(" ")[0] for line in lines[:2]] == ["lake.Others:", "Things:"]


def test_azure_key_that_is_no_key_is_an_error_of_ours() -> None:
    """Azure's own client would end the process over it."""
    path = LakePath("abfss://c@acc.dfs.core.windows.net/%Y/*", endpoint="http://127.0.0.1:9")

    with pytest.raises(StoreError, match=r"not Base64 text: correct the credentials in the env"):
        latest.newest_files("Things", [path], Path(), {"AZURE_STORAGE_KEY": "no base64!"})


@pytest.mark.parametrize(
    ("template", "older", "newer"),
    [
        ("h=%H/%Y-%m-%d/*", "h=23/2026-01-01/a", "h=05/2026-03-01/a"),
        ("%m/%Y/*", "12/2024/a", "03/2026/a"),
        ("%d.%m.%Y/*", "31.12.2024/a", "01.03.2026/a"),
        ("%y/%j/*", "24/366/a", "26/001/a"),
        ("*/%Y-%m-%d.x", "b/2026-02-28.x", "a/2026-03-01.x"),
    ],
)
def test_order_of_the_fields_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, older: str, newer: str
) -> None:
    """An hour or month before the year says nothing of what is newest."""
    monkeypatch.setattr(latest, "_DISK_FACTOR", 1)
    monkeypatch.setattr(latest, "ENOUGH_FILES", 1)
    put(tmp_path, older, newer)
    found, _ = latest.newest_files("Things", [LakePath(template)], tmp_path, {})

    assert found[0].path == newer


def age(file: file_version.FileVersion) -> tuple[float, int, str]:
    return (file.covers.end.timestamp() if file.covers else 0.0, file.mtime_ns, file.path)


@given(data=st.data())
@draws.law(150)
def test_newest_files_equal_the_end_of_a_whole_listing(data: st.DataObject) -> None:
    """For any layout: all files without a limit; with one, the same newest one first."""
    template = data.draw(templates())
    files = data.draw(st.lists(paths_on_disk(template), max_size=8, unique=True))
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        root = Path(folder)
        for name in files:
            above = (root / name).parents
            if not (root / name).is_dir() and not any(one.is_file() for one in above):
                put(root, name)
        paths = [LakePath(template)]
        whole = sorted(listing.list_files("Things", paths, None, root, {}), key=age, reverse=True)

        assert latest.newest_files("Things", paths, root, {}) == (whole, True)

        patch.setattr(latest, "_DISK_FACTOR", 1)
        patch.setattr(latest, "ENOUGH_FILES", 1)
        some, is_all = latest.newest_files("Things", paths, root, {})

        assert some == whole[: len(some)]
        assert bool(some) == bool(whole)
        assert not is_all or some == whole
