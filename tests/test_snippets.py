"""The snippets of docs/exports.md and docs/tables.md do what their pages say, word for word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gundog.cli import main
from gundog.lake.path import LakePath
from gundog.targets import file_store, parquet, postgres
from gundog.targets.config import PublishTo
from tests import kit, postgres_server
from tests.test_finding_list import NOW, evidence, finding, published

DOCS = Path(__file__).parents[1] / "docs"
WHO = "exch16-admin"
NUMBERS = (1, 2, 30)


def snippets(page: str) -> list[str]:
    """The fenced blocks of a page that name no language."""
    text = (DOCS / page).read_text(encoding="utf-8").partition("<!-- Below this line")[0]
    blocks = re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for language, block in blocks if not language]


ALL = [*snippets("exports.md"), *snippets("tables.md")]
# What a shell runs, and what a folder holds.
SHELL = re.compile(r"gundog |duckdb -readonly|_manifest\.json")
PYTHON = [text for text in ALL if re.match(r"import ", text)]
DUCKDB = [text for text in ALL if text.startswith("set variable")]
POSTGRES = [text for text in ALL if re.match(r"select |grant ", text)]


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Published findings, two of the account that the snippets ask for."""
    rows = [
        finding(number, account_name=WHO if number < 30 else "ana", updated_at=NOW)
        for number in NUMBERS
    ]
    proof = [
        evidence(number, place, app_id=f"app-{number}") for number in NUMBERS for place in (0, 1)
    ]
    path = tmp_path_factory.mktemp("snippets") / ".gundog/findings.duckdb"
    path.parent.mkdir()
    return published(path, findings=rows, evidence=proof)


@pytest.fixture
def here(findings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project as the pages have it: exported into findings/, published to shared/gundog."""
    root = findings.parent.parent
    monkeypatch.chdir(root)
    if not (root / "findings").exists():
        kit.make_project(root)
        assert main.main(["export", "parquet", "-o", "findings/"]) == 0
        store = file_store.opened(LakePath("shared/gundog"), {})
        with duckdb.connect(str(findings), read_only=True) as con:
            con.execute("set timezone = 'UTC'")
            parquet.publish(con, store, "p", NOW)
    return root


def run(text: str) -> dict[str, Any]:
    """The names that a snippet in Python leaves."""
    names: dict[str, Any] = {}
    exec(compile(text, "snippet", "exec"), names)  # noqa: S102
    return names


def test_no_snippet_is_left_out() -> None:
    """Each is run by a test below, or is for a shell."""
    kinds = [*PYTHON, *DUCKDB, *POSTGRES]
    assert [text for text in ALL if text not in kinds and not SHELL.match(text)] == []
    assert (len(PYTHON), len(DUCKDB), len(POSTGRES)) == (3, 1, 3)


def test_duckdb_reads_the_files_that_the_manifest_names(here: Path) -> None:
    """All rows, each once."""
    [text] = DUCKDB
    con = duckdb.connect()

    rows = [con.execute(statement) for statement in text.split(";") if statement.strip()][-1]

    assert len(rows.fetchall()) == len(NUMBERS)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_the_files_of_the_manifest_are_one_frame(here: Path, library: str) -> None:
    """With either library, as the page says."""
    pytest.importorskip(library, reason=f"{library} is not installed: pip install {library}")
    [text] = [text for text in PYTHON if "manifest" in text]

    frame = run(text.replace("pandas", library))["findings"]

    assert frame.shape[0] == len(NUMBERS)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_the_events_of_one_account_are_the_same_in_each_library(
    here: Path, capsys: pytest.CaptureFixture[str], library: str
) -> None:
    """Those of two findings, in order of time."""
    pytest.importorskip(library, reason=f"{library} is not installed: pip install {library}")
    [text] = [text for text in PYTHON if "manifest" not in text and library in text]

    names = run(text)
    events = names["events"]
    rows = events.collect() if library == "polars" else events

    assert rows.shape[0] == 4
    assert "title" in capsys.readouterr().out
    if library == "pandas":
        assert set(rows["app_id"]) == {"app-1", "app-2"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL with an account for readers."""
    with postgres_server.running() as address:
        yield address


@pytest.mark.slow
def test_postgres_answers_and_grants(here: Path, findings: Path, server: str) -> None:
    """The questions as they are written, and a reader who may ask them afterwards."""
    from adbc_driver_postgresql import dbapi

    target = PublishTo(server, "db")
    with duckdb.connect(str(findings), read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        postgres.publish(con, target, "p")
    [grants] = [text for text in POSTGRES if text.startswith("grant")]
    first, second = (text for text in POSTGRES if text != grants)
    with dbapi.connect(server) as there, there.cursor() as cursor:
        for statement in ("create role analysts", *grants.split(";"), "set role analysts"):
            if statement.strip():
                cursor.execute(statement)
        cursor.execute(first.strip().removesuffix(";"))
        assert len(cursor.fetchall()) == len(NUMBERS)
        cursor.execute(second.strip().removesuffix(";"))
        assert sorted(row[3] for row in cursor.fetchall()) == ["app-1"] * 2 + ["app-2"] * 2
