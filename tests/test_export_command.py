"""Tests of `gundog export` and `gundog show --json`: every table, whole, and harmless."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from gundog.cli import main
from gundog.export import files, tables
from gundog.findings import reader
from gundog.warehouse import tables as warehouse_tables
from tests import draws, kit
from tests.faults import start_s3
from tests.hostile import unseen
from tests.test_finding_list import DETECTION, NOW, STRINGS, evidence, finding, published

Call = Callable[..., tuple[int, str, str]]
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose findings, of one hour each, hold every hostile string."""
    made = kit.make_project(tmp_path_factory.mktemp("export"))
    found, proof = [], []
    for number, raw in enumerate(STRINGS.values(), start=1):
        more = {"title": raw, "reason": raw, "account_name": raw, "mailbox": raw, "host_name": raw}
        found.append(
            finding(
                number, **more, details=json.dumps({"line": raw}), created_at=NOW, updated_at=NOW
            )
        )
        proof.append(evidence(number, command_line=raw, host_name=raw))
    changes = [
        {
            "finding_id": row["finding_id"], "detection_id": DETECTION, "change": "new",
            "changed_at": row["end_time"],
        }
        for row in found
    ]  # fmt: skip
    published(
        made / ".gundog/findings.duckdb", findings=found, evidence=proof, finding_changes=changes
    )
    return made


@pytest.fixture
def call(root: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command in the project; its exit status, output and complaints."""

    def run(*words: str) -> tuple[int, str, str]:
        status = main.main([*words, "--project", str(root)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def rows(root: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(root / ".gundog/findings.duckdb"), read_only=True) as con:
        return con.execute(sql).fetchall()


def test_every_published_table_and_view_says_what_since_means() -> None:
    """A table that comes must say it too."""
    assert set(tables.SINCE) == set(tables.NAMES)
    assert {table.name for table in warehouse_tables.TABLES if table.published} < set(tables.NAMES)


@pytest.mark.parametrize("form", draws.spread(reversed(files.FORMATS), 3))
def test_a_folder_gets_each_table_with_all_its_rows(
    root: Path, call: Call, tmp_path: Path, form: str
) -> None:
    """One file each, for their group; each format has as many rows as the table."""
    status, out, err = call("export", form, "--out", str(tmp_path / "out"))

    assert (status, err) == (0, "")
    assert out == f"{len(tables.NAMES)} tables written to {tmp_path / 'out'}\n"
    for name in tables.NAMES:
        path = tmp_path / f"out/{name}.{form}"
        [(expected,)] = rows(root, f"select count(*) from {name}")
        assert number_of_rows(path, form) == expected, name
        assert path.stat().st_mode & 0o777 == 0o640
    assert len(list((tmp_path / "out").iterdir())) == len(tables.NAMES)


def number_of_rows(path: Path, form: str) -> int:
    if form == "parquet":
        return int(pq.read_table(path).num_rows)
    text = path.read_text(encoding="utf-8")
    if form == "jsonl":
        return len([json.loads(line) for line in text.splitlines()])
    return len(list(csv.reader(io.StringIO(text)))) - 1


def test_parquet_holds_every_value_and_types_that_all_read(
    root: Path, call: Call, tmp_path: Path
) -> None:
    """Raw text as it came, ids and JSON as text, times with their zone."""
    call("export", "parquet", "findings", "-o", str(tmp_path / "f.parquet"))

    table = pq.read_table(tmp_path / "f.parquet")
    assert set(table["account_name"].to_pylist()) == set(STRINGS.values())
    assert {str(table.schema.field(name).type) for name in ("finding_id", "details")} == {"string"}
    assert str(table.schema.field("end_time").type) == "timestamp[us, tz=UTC]"
    assert table.column_names == [
        column.name for column in warehouse_tables.FINDINGS.published_columns
    ]


def test_text_forms_act_on_nothing(root: Path, call: Call) -> None:
    """JSON lines are ASCII with JSON inside, CSV has no formula."""
    _, lines, _ = call("export", "jsonl", "findings")
    _, text, _ = call("export", "csv", "findings")

    assert lines.isascii()
    parsed = [json.loads(line) for line in lines.splitlines()]
    assert {row["details"]["line"] for row in parsed} == set(STRINGS.values())
    assert unseen(text.replace("\r\n", "\n")) == []
    for row in csv.reader(io.StringIO(text)):
        assert not [cell for cell in row if cell.lstrip()[:1] in tuple("=+@")]


@pytest.mark.parametrize(("form", "name"), [("jsonl", "findings"), ("jsonl", "evidence")])
def test_since_leaves_out_what_ended_before(root: Path, call: Call, form: str, name: str) -> None:
    """As `gundog findings --since` does; evidence follows its finding."""
    since = NOW - 3 * HOUR
    _, out, _ = call("export", form, name, "--since", f"{since:%Y-%m-%dT%H:%M}")

    ids = {json.loads(line)["finding_id"] for line in out.splitlines()}
    expected = rows(root, f"select finding_id::varchar from findings where end_time >= '{since}'")
    assert ids == {row[0] for row in expected}
    assert len(ids) == 3


def test_since_reaches_every_table(root: Path, call: Call, tmp_path: Path) -> None:
    """Long after all of it, only tables without a time of their own have rows."""
    call("export", "jsonl", "--since", "2030-01-01", "--out", str(tmp_path))

    held = {name for name in tables.NAMES if (tmp_path / f"{name}.jsonl").read_text()}
    assert held == {"detections", "risk_by_entity"}


def test_a_bucket_takes_a_file_and_a_folder(
    root: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the store's own client; three tables say as much as all."""
    monkeypatch.setattr(tables, "NAMES", ("findings", "evidence", "detections"))
    server = start_s3()
    server.bucket("exports")
    for name, value in server.environ.items():
        monkeypatch.setenv(name, value)

    one = call("export", "parquet", "findings", "-o", "s3://exports/a/f.parquet")
    all_of_them = call("export", "csv", "-o", "s3://exports/b")
    failed = call("export", "csv", "findings", "-o", "s3://nobody/f.csv")

    assert (one[0], all_of_them[0], failed[0]) == (0, 0, 2)
    keys = [item["Key"] for item in server.client.list_objects_v2(Bucket="exports")["Contents"]]
    assert sorted(keys) == sorted(["a/f.parquet", *(f"b/{name}.csv" for name in tables.NAMES)])
    assert "s3://nobody/f.csv: cannot be written" in failed[2]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["csv"], "--out is missing"),
        (["parquet", "findings"], "--out is missing"),
        (["csv", "finding"], "did you mean findings"),
        (["csv", "findings", "--since", "soon"], "is not a time"),
        (["csv", "findings", "-o", "ftp://x/y"], "unknown scheme"),
        (["csv", "findings", "-o", "s3://bucket"], "names no file"),
        (["csv", "findings", "-o", "FOLDER"], "is a folder"),
        (["csv", "findings", "-o", "FILE/x.csv"], "a file lies where a folder must be"),
        (["ocsf", "findings"], "takes no table"),
        (["navigator", "findings"], "takes no table"),
    ],
)
def test_wrong_input_is_one_sentence_and_writes_nothing(
    root: Path, call: Call, tmp_path: Path, words: list[str], problem: str
) -> None:
    """Exit status 2, and no file is left half written."""
    kit.write_text(tmp_path / "file", "x")
    places = {"FOLDER": str(tmp_path), "FILE/x.csv": str(tmp_path / "file/x.csv")}

    status, out, err = call("export", *(places.get(word, word) for word in words))

    assert (status, out) == (2, "")
    assert problem in err
    assert len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_fails_half_way_leaves_the_old_file(
    root: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing beside it."""
    target = kit.write_text(tmp_path / "f.csv", "old")

    def fail(query: object, out: io.StringIO, wrote: object) -> None:
        out.write("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(files, "write_csv", fail)
    status, *_ = call("export", "csv", "findings", "-o", str(target))

    assert status == 130
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["f.csv"]


def test_without_findings_the_command_that_makes_them_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2."""
    made = kit.make_project(tmp_path)

    for form in ("csv", "ocsf", "navigator"):
        words = ["export", form, *(["findings"] if form == "csv" else [])]
        assert main.main([*words, "--project", str(made)]) == 2
        assert "gundog hunt" in capsys.readouterr().err


def test_a_file_of_an_older_gundog_is_named(tmp_path: Path, capsys: Any) -> None:
    """A view that it lacks is not exported as if it were empty."""
    made = kit.make_project(tmp_path)
    path = published(made / ".gundog/findings.duckdb", findings=[finding(1)])
    with duckdb.connect(str(path)) as con:
        con.execute("drop view risk_by_entity")

    assert main.main(["export", "csv", "risk_by_entity", "--project", str(made)]) == 2
    assert "an older gundog" in capsys.readouterr().err


def test_show_json_is_one_object_with_all_that_belongs_to_the_finding(
    root: Path, call: Call
) -> None:
    """Its keys are part of the contract; raw text comes back as it was."""
    with reader.published(root / ".gundog/findings.duckdb") as con:
        row = reader.select_findings(con, everything=True)[0]

    status, out, _ = call("show", str(row["finding_id"]), "--json")

    assert status == 0
    assert out.isascii()
    whole = json.loads(out)
    assert list(whole) == [
        "finding", "detection", "evidence", "contexts", "changes", "triage", "around",
    ]  # fmt: skip
    assert whole["around"] is None  # nothing was staged here
    assert whole["finding"]["title"] == row["title"]
    assert whole["finding"]["details"] == {"line": row["title"]}
    assert whole["detection"]["triage"] == ["look", "ask"]
    assert [event["event"]["command_line"] for event in whole["evidence"]] == [row["title"]]
    assert [change["change"] for change in whole["changes"]] == ["new"]
    assert whole["finding"].keys().isdisjoint({"row", "evidence_digest", "words_digest"})
