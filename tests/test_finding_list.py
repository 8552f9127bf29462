"""Tests of cli.finding_list: what people read, and that text from events stays text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest
from rich.console import Console

from gundog.cli import finding_list
from gundog.core import safe_text
from gundog.core.errors import InputError
from gundog.findings import publish, reader
from gundog.warehouse import database
from tests import draws, engines
from tests.hostile import HOSTILE, unseen

NOW = datetime(2026, 3, 10, 4, tzinfo=UTC)
WEEK = timedelta(days=7)
DETECTION = UUID(int=77)
# A lone surrogate is not text that a database could hold.
STRINGS = {name: raw for name, raw in HOSTILE.items() if name != "lone surrogate"}
NUMBERS = {name: number for number, name in enumerate(STRINGS, start=1)}
corpus = pytest.mark.parametrize("name", draws.spread(STRINGS))


def finding(number: int, **values: Any) -> dict[str, Any]:
    """A row of findings that ended so many hours before NOW."""
    end = NOW - timedelta(hours=number)
    row = {
        "finding_id": UUID(int=number << 96), "detection_id": DETECTION, "detection_name": "Found",
        "kind": "match", "title": "a title", "reason": "because", "severity": "high",
        "tactics": ["Collection"], "techniques": ["T1114"], "tenant": "", "host_name": None,
        "account_name": None, "mailbox": None, "score": None, "observed": None, "expected": None,
        "start_time": end, "end_time": end, "interval_start": end, "interval_end": end,
        "details": "{}", "entities": "[]", "evidence_count": 0, "is_late": False,
        "run_id": UUID(int=9), "triage_status": "new",
    }  # fmt: skip
    return row | values


def evidence(number: int, ordinal: int = 0, **event: Any) -> dict[str, Any]:
    """A row of evidence."""
    return {
        "finding_id": UUID(int=number << 96), "ordinal": ordinal, "role": "open",
        "source_table": "Things", "event_time": NOW, "event_id": UUID(int=ordinal),
        "source_file": "lake/a.parquet", "event": json.dumps(event),
    }  # fmt: skip


def published(path: Path, **rows: list[dict[str, Any]]) -> Path:
    """A published file with rows in some tables."""
    detection = {
        "detection_id": DETECTION, "stem": "found", "name": "Found", "status": "stable",
        "detection_hash": "h", "triage": ["look", "ask"], "false_positives": ["a test"],
        "blind_spots": ["other clouds"], "refs": ["https://example.com/r"],
    }  # fmt: skip
    with engines.warehouse() as con:
        with database.transaction(con):
            for table, records in {"detections": [detection], **rows}.items():
                for _, alike in groupby(records, key=list):
                    database.insert(con, table, list(alike))
        publish.publish(con, path, now=NOW, late_arrival=WEEK)
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A published file whose every text from events is hostile."""
    found, proof = [], []
    for name, number in NUMBERS.items():
        raw = STRINGS[name]
        found.append(
            finding(
                number, title=raw, reason=raw, host_name=raw, account_name=raw, mailbox=raw,
                tenant=raw, ip_address=raw, app_id=raw, evidence_count=2,
                details=json.dumps({"line": raw, "steps": [raw], "deep": {"a": raw}}),
                entities=json.dumps([{"type": "Account", "Name": raw}]),
            )
        )  # fmt: skip
        proof.append(evidence(number, 0, command_line=raw))
        proof.append({**evidence(number, 1, who=raw, more=[raw]), "source_file": f"lake/{raw}"})
    path = tmp_path_factory.mktemp("hostile") / "findings.duckdb"
    with reader.published(published(path, findings=found, evidence=proof)) as con:
        yield con


def terminal(width: int = 120) -> Console:
    """A terminal without colours, so that every escape in its output came from text."""
    return Console(
        file=io.StringIO(), force_terminal=True, color_system=None, width=width, highlight=False,
        markup=False, emoji=False,
    )  # fmt: skip


def shown(console: Console) -> str:
    """What was printed."""
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def row_of(con: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    """The finding that holds a string of the corpus."""
    return reader.find(con, str(UUID(int=NUMBERS[name] << 96)))


def visible(raw: str) -> str:
    """The start of what is left of a text when breaks and blanks are set aside."""
    return "".join(safe_text.for_terminal(raw).split())[:30]


# Text from events.


@corpus
def test_list_shows_text_and_obeys_none(hostile: duckdb.DuckDBPyConnection, name: str) -> None:
    """Every title in the table, with its story, on one terminal."""
    row = row_of(hostile, name)
    console = terminal()

    finding_list.findings_table(console, [row], {str(row["finding_id"]): STRINGS[name]})

    out = shown(console)
    assert unseen(out) == []
    assert visible(STRINGS[name]) in "".join(out.split())


@corpus
def test_story_shows_text_and_obeys_none(hostile: duckdb.DuckDBPyConnection, name: str) -> None:
    """Title, reason, entities, details, events and file names."""
    console = terminal()

    finding_list.show(console, hostile, row_of(hostile, name), WEEK)

    out = shown(console)
    assert unseen(out) == []
    assert visible(STRINGS[name]) in "".join(out.split())


@corpus
def test_json_holds_text_as_it_was(hostile: duckdb.DuckDBPyConnection, name: str) -> None:
    """Printable ASCII outside, the raw text inside."""
    out = io.StringIO()

    finding_list.as_json([row_of(hostile, name)], out)

    written = out.getvalue()
    assert written.isascii()
    assert unseen(written) == []
    [row] = json.loads(written)
    assert row["account_name"] == row["title"] == STRINGS[name]
    assert row["details"]["line"] == row["entities"][0]["Name"] == STRINGS[name]


@pytest.mark.parametrize("form", ["table", "csv", "json"])
@corpus
def test_rows_of_a_question_show_text_and_obey_none(name: str, form: str) -> None:
    """As a value, in a list, and as the name of a column."""
    raw = STRINGS[name]
    rows = pa.table({"a": [raw], "b": [[raw]], raw or "empty": ["x"]})
    console, out = terminal(), io.StringIO()

    finding_list.write_rows(rows, form, out, console)

    written = out.getvalue() + shown(console)
    assert unseen(written) == []
    if form == "json":
        [row] = json.loads(written)
        assert (row["a"], row["b"]) == (raw, [raw])
    elif form == "csv":
        head, row = csv.reader(io.StringIO(written))
        assert row[0] == safe_text.for_csv(raw)
        for cell in (*head, *row):
            assert cell.lstrip()[:1] not in ("=", "+", "-", "@")
    else:
        console = terminal()
        finding_list.write_rows(rows.select(["a"]), form, out, console)
        assert visible(raw) in "".join(shown(console).split())


# Findings.


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """A published file with a few findings of different kinds."""
    hours = [{"hour": "2026-03-09T02:00:00Z", "observed": 600.0, "expected": 1.5, "upper": 40.0,
              "score": 9.25, "window_h": 3}]  # fmt: skip
    found = [
        finding(1, severity="low", account_name="ana", details='{"gap": "1h", "none": null}'),
        finding(2, kind="series", severity="medium", mailbox="m@example.com", score=9.25,
                observed=600.0, expected=1.5, is_late=True, evidence_count=25,
                details=json.dumps({"series_key": "/m@example.com", "hours": hours})),
        finding(3, severity="critical", suppressed_by="an exception"),
        finding(300, title="old", interval_end=NOW - 2 * WEEK),
        finding(5, score=3.25, details='{"hours": 12}', detection_id=UUID(int=3)),
    ]  # fmt: skip
    proof = [evidence(2, n, who="m", empty="", none=None, tenant="t") for n in range(25)]
    changes = [
        {"finding_id": UUID(int=2 << 96), "change": "new", "changed_at": NOW - WEEK},
        {
            "finding_id": UUID(int=2 << 96),
            "change": "changed",
            "reason": "observed",
            "changed_at": NOW,
        },
    ]
    path = tmp_path_factory.mktemp("findings") / "findings.duckdb"
    published(path, findings=found, evidence=proof, finding_changes=changes)
    with reader.published(path) as con:
        yield con


def number(row: dict[str, Any]) -> int:
    """Which of the findings a row is."""
    return int(row["finding_id"].int >> 96)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, [1, 2, 300]),
        ({"everything": True}, [1, 2, 3, 5, 300]),
        ({"severity": "medium"}, [2, 300]),
        ({"severity": "critical", "everything": True}, [3]),
        ({"since": NOW - timedelta(hours=2)}, [1, 2]),
        ({"since": NOW - timedelta(hours=1)}, [1]),
        ({"run_id": str(UUID(int=9))}, [1, 2, 300]),
        ({"run_id": str(UUID(int=8))}, []),
    ],
)
def test_findings_are_selected_newest_first(
    con: duckdb.DuckDBPyConnection, options: dict[str, Any], wanted: list[int]
) -> None:
    """The open ones, or all; by severity and above, by time, by run."""
    assert [number(row) for row in reader.select_findings(con, **options)] == wanted


def test_list_has_id_time_severity_and_title(con: duckdb.DuckDBPyConnection) -> None:
    """The first eight letters of an id are enough to ask for more."""
    console = terminal()

    finding_list.findings_table(
        console, reader.select_findings(con), {str(UUID(int=1 << 96)): "a story"}
    )

    lines = [line.rstrip() for line in shown(console).splitlines()]
    assert lines[0].split() == ["id", "when", "(UTC)", "severity", "what"]
    assert lines[1] == "00000001  2026-03-10 03:00  low       a title"
    assert lines[2].strip() == "a story"
    assert lines[3].startswith("00000002  2026-03-10 02:00  medium")


def test_long_title_is_cut_in_the_list(con: duckdb.DuckDBPyConnection) -> None:
    """A command line of a megabyte does not push the others away."""
    console = terminal(80)

    finding_list.findings_table(console, [finding(1, title="x" * 10**6)])

    assert len(shown(console)) < 600
    assert "…" in shown(console)


def test_finding_is_found_by_any_unique_prefix(con: duckdb.DuckDBPyConnection) -> None:
    """In any case of letters; none or several say what to do."""
    assert number(reader.find(con, "00000002")) == 2
    assert number(reader.find(con, "0000012C")) == 300
    with pytest.raises(
        InputError, match="'f': no finding has this id: see `gundog findings --all`"
    ):
        reader.find(con, "f")
    with pytest.raises(
        InputError, match=r"'0000000' is ambiguous, 4 ids .* \(00000001.*\): give more characters"
    ):
        reader.find(con, "0000000")
    with pytest.raises(InputError, match="no finding has this id"):
        reader.find(con, "%")


def test_story_of_a_series_has_its_hours_and_its_evidence(con: duckdb.DuckDBPyConnection) -> None:
    """Why, against what, which hours, which events, what to do, and whether it may change."""
    console = terminal()

    finding_list.show(console, con, reader.find(con, "00000002"), WEEK)

    out = shown(console)
    for part in (
        "MEDIUM  a title",
        "because.",
        "Found (found)",
        "score       9.2",
        "600; 1.5 expected",
        "2026-03-09 02:00       600       1.5            40    9.2   3 h",
        "Evidence (25 events)",
        "… and 5 more: gundog sql",
        "who m",
        "some of its evidence arrived after",
        "What to do\n  - look\n  - ask",
        "Known harmless causes\n  - a test",
        "What this hunt cannot see\n  - other clouds",
        "Read more\n  - https://example.com/r",
        "2026-03-10 04:00 changed: observed",
        "may still change until 2026-03-17 02:00",
        "provisional",
    ):
        assert part in out, part
    assert "tenant t" not in out
    assert "empty" not in out


def test_final_finding_promises_no_change(con: duckdb.DuckDBPyConnection) -> None:
    """Once late files no longer count, the story ends."""
    console = terminal()

    finding_list.show(console, con, reader.find(con, "0000012c"), WEEK)

    assert "final" in shown(console)
    assert "may still change" not in shown(console)


def test_story_of_a_match_with_figures_of_its_own(con: duckdb.DuckDBPyConnection) -> None:
    """A score without an expectation, hours that are a number, a detection that is gone."""
    console = terminal()

    finding_list.show(console, con, reader.find(con, "00000005"), WEEK)

    out = shown(console)
    assert "score       3.2" in out
    assert " expected" not in out
    assert "hours: 12" in out
    assert "Found (?)" in out


def test_event_with_a_command_line_shows_it(tmp_path: Path) -> None:
    """The raw line, cut where it is too long to read."""
    line = "powershell -enc " + "A" * 5000
    path = published(
        tmp_path / "findings.duckdb",
        findings=[finding(1, evidence_count=1)],
        evidence=[evidence(1, command_line=line, who="a")],
    )
    console = terminal()

    with reader.published(path) as con:
        finding_list.show(console, con, reader.find(con, "0"), WEEK)

    assert "powershell -enc AAAA" in " ".join(shown(console).split())
    assert shown(console).count("A" * 10) < 120
    assert "who a" not in shown(console)


def test_reading_before_the_first_hunt_says_what_to_do(tmp_path: Path) -> None:
    """No file is not a traceback."""
    with (
        pytest.raises(InputError, match="does not exist yet: run `gundog hunt` first"),
        reader.published(tmp_path / "findings.duckdb"),
    ):
        pass


def test_published_file_is_only_read(con: duckdb.DuckDBPyConnection) -> None:
    """What reads findings cannot change them."""
    with pytest.raises(duckdb.Error, match="read-only"):
        con.execute("delete from main.detections")


# Rows.


def test_rows_are_shown_in_each_form() -> None:
    """Times in UTC, lists and structs as JSON, null as nothing, numbers as numbers."""
    rows = pa.table(
        {
            "at": pa.array([NOW], pa.timestamp("us", tz="UTC")),
            "n": [-1.5],
            "some": [["a", "b"]],
            "deep": [{"k": 1}],
            "none": pa.array([None], pa.string()),
        }
    )
    made = {}
    for form in ("csv", "json", "table"):
        out, console = io.StringIO(), terminal()
        finding_list.write_rows(rows, form, out, console)
        made[form] = out.getvalue() + shown(console)

    assert made["csv"] == (
        'at,n,some,deep,none\n2026-03-10T04:00:00Z,-1.5,"[""a"", ""b""]","{""k"": 1}",\n'
    )
    assert json.loads(made["json"]) == [
        {"at": "2026-03-10T04:00:00Z", "n": -1.5, "some": ["a", "b"], "deep": {"k": 1},
         "none": None}
    ]  # fmt: skip
    assert made["table"].splitlines()[-1] == "1 row"
    assert '["a", "b"]' in made["table"]


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_columns_of_one_name_are_all_shown(form: str) -> None:
    """`select a.id, b.id` loses neither."""
    rows = pa.table([pa.array([1]), pa.array([2]), pa.array([3])], ["id", "x", "id"])
    out, console = io.StringIO(), terminal()

    finding_list.write_rows(rows, form, out, console)

    written = out.getvalue() + shown(console)
    if form == "csv":
        assert written.splitlines()[1] == "1,2,3"
    assert all(figure in written for figure in "123")


def test_numbers_that_json_has_no_word_for_stay_readable() -> None:
    """Other programs read the output too."""
    out = io.StringIO()

    finding_list.write_rows(pa.table({"n": [float("nan"), float("inf")]}), "json", out, terminal())

    found = json.loads(out.getvalue(), parse_constant=pytest.fail)
    assert found == [{"n": "nan"}, {"n": "inf"}]


@pytest.mark.parametrize(
    ("moment", "wanted"),
    [
        (None, ""),
        (NOW, "2026-03-10 04:00"),
        (NOW.replace(second=5, microsecond=9), "2026-03-10 04:00:05"),
        (NOW.astimezone(tz=None), "2026-03-10 04:00"),
    ],
)
def test_short_times(moment: datetime | None, wanted: str) -> None:
    """To the minute, or to the second where that says more."""
    assert finding_list.short_time(moment) == wanted
