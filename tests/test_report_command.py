"""Tests of `gundog report` and of the page that every run writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from gundog.cli import main
from tests import kit
from tests.kit import event, fill_days, hunt, make_project, write_file
from tests.report_kit import Parsed

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command in a project; its exit status, output and complaints."""

    def run(root: Path, *words: str) -> tuple[int, str, str]:
        status = main.main([*words, "--project", str(root)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two days with one pair."""
    return two_days(tmp_path)


def two_days(root: Path) -> Path:
    """Makes a folder a project of two days with one pair."""
    make_project(root)
    fill_days(root, "2026-03-08", 2)
    pair = [event("2026-03-09T01:00", "open"), event("2026-03-09T02:00", "close", number=1)]
    write_file(root, "2026-03-09", pair)
    return root


@pytest.fixture(scope="module")
def hunted_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after one night."""
    root = two_days(tmp_path_factory.mktemp("hunted"))
    hunt(root)
    return root


@pytest.fixture
def hunted(hunted_once: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return kit.copy_project(hunted_once, tmp_path)


def shown(path: Path) -> str:
    return Parsed(path.read_text(encoding="utf-8")).text


def test_the_page_lies_beside_the_findings_unless_told_otherwise(hunted: Path, call: Call) -> None:
    """And the command says where."""
    status, out, _ = call(hunted, "report")

    assert status == 0
    assert out.endswith(".gundog/report.html\n")
    text = shown(hunted / ".gundog/report.html")
    assert "a opened and closed after 1h" in text
    assert "Opened and closed (pair)" in text


def test_a_page_on_a_part_does_not_take_the_place_of_the_whole(hunted: Path, call: Call) -> None:
    """Without --out it has a name of its own."""
    _, month, _ = call(hunted, "report", "--month", "2026-03")
    _, part, _ = call(hunted, "report", "--entity", "account:A")

    assert month.endswith(".gundog/report-2026-03.html\n")
    assert part.endswith(".gundog/report-part.html\n")
    assert not (hunted / ".gundog/report.html").exists()
    assert "a opened and closed after 1h" in shown(hunted / ".gundog/report-part.html")


def test_gundog_yaml_says_where_and_out_says_more(hunted: Path, call: Call) -> None:
    """--out wins; what the run leaves out, the command leaves out too."""
    kit.write_text(
        hunted / "gundog.yaml", kit.CONFIG + "report: {path: www/r.html, evidence: false}\n"
    )
    call(hunted, "report")
    call(hunted, "report", "-o", str(hunted / "other.html"))

    assert "Evidence" not in shown(hunted / "www/r.html")
    assert shown(hunted / "other.html")


WRONG = (
    ("--detection pear", "did you mean pair"),
    ("--entity ana", "write a kind and a name, as account:x"),
    ("--entity acount:ana", "did you mean account"),
    ("--month 2026-13", "is not a month"),
    ("--month March", "is not a month"),
    ("--since yesterday", "is not a time"),
    ("--since 2026-03-01 --month 2026-03", "do not go together"),
    ("--tenant contoso", "no finding here has a tenant"),
    ("--out lake", "is a folder"),
)


def test_wrong_input_is_one_sentence_and_writes_nothing(
    hunted: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 2."""
    monkeypatch.chdir(hunted)

    for words, problem in WRONG:
        status, out, err = call(hunted, "report", *words.split())

        assert (status, out) == (2, ""), words
        assert problem in err, words
        assert len(err.splitlines()) == 1, words
        assert not list((hunted / ".gundog").glob("report*")), words


def test_without_findings_there_is_no_page(project: Path, call: Call) -> None:
    """Exit status 2, and the command that makes them."""
    status, _, err = call(project, "report")

    assert status == 2
    assert "gundog hunt" in err


def test_a_file_of_an_older_gundog_is_named(hunted: Path, call: Call) -> None:
    """With what writes it again; no traceback of a column that is not there."""
    with duckdb.connect(str(hunted / ".gundog/findings.duckdb")) as con:
        con.execute("alter table runs drop column clock_doubt")

    status, _, err = call(hunted, "report")

    assert status == 2
    assert "runs has no clock_doubt" in err
    assert "run `gundog hunt`" in err


def test_what_is_said_of_a_finding_is_on_the_page_at_once(hunted: Path, call: Call) -> None:
    """A verdict closes it, without a run between."""
    call(hunted, "findings", "--json")
    [row] = kit.table(hunted, "select finding_id::varchar from findings")
    call(hunted, "triage", row[0], "--verdict", "false_positive")

    call(hunted, "report")

    text = shown(hunted / ".gundog/report.html")
    assert "No open finding." in text
    assert "1 false positive" in text


def test_the_page_knows_no_more_than_status(hunted: Path, call: Call) -> None:
    """Its problems are those of `gundog status`, word for word."""
    _, out, _ = call(hunted, "status", "--json")
    problems = [problem["text"] for problem in json.loads(out)["problems"]]
    call(hunted, "report")

    text = shown(hunted / ".gundog/report.html")
    assert problems
    assert [problem for problem in problems if problem not in text] == []
