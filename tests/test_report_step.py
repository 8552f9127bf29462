"""Tests of the page that every run writes, whatever became of the run."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from gundog.cli import main
from gundog.core.errors import InputError, StoreError
from gundog.run import stage_step
from tests import kit
from tests.kit import NOW, hunt
from tests.sinks import http_sink
from tests.test_report_command import project, shown, two_days

__all__ = ["project"]


@pytest.fixture(scope="module")
def reported_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after a night that found something and wrote its page."""
    root = tmp_path_factory.mktemp("reported")
    two_days(root)
    kit.write_text(root / "gundog.yaml", kit.CONFIG + "report: r.html\n")
    hunt(root)
    assert "a opened and closed" in shown(root / "r.html")
    return root


@pytest.fixture
def reported(reported_once: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return kit.copy_project(reported_once, tmp_path)


def test_every_run_writes_the_page_where_report_says(project: Path) -> None:
    """With what it found, and with no word where `report:` is not there."""
    kit.write_text(project / "gundog.yaml", kit.CONFIG + "report: www/r.html\n")

    outcome = hunt(project)

    assert outcome.problems == []
    assert "1 new finding: 1 medium." in shown(project / "www/r.html")


def test_a_night_without_findings_and_one_without_data_have_a_page(reported: Path) -> None:
    """The second says that it saw nothing."""
    outcome = hunt(reported, now=NOW + timedelta(days=2))

    assert outcome.exit_status == 1
    text = shown(reported / "r.html")
    assert "Nothing new" in text
    assert "No: " in text
    assert "no file" in text


def test_a_run_that_ends_in_an_error_says_so_on_the_page(reported: Path) -> None:
    """What was found before stays on it."""
    (reported / ".gundog/warehouse.duckdb").write_bytes(b"not a database" * 2000)

    with pytest.raises(StoreError, match="warehouse"):
        hunt(reported, now=NOW + timedelta(days=1))

    text = shown(reported / "r.html")
    assert "the newest run failed: " in text
    assert "a opened and closed after 1h" in text


def test_a_page_that_cannot_be_written_is_a_problem_and_loses_nothing(project: Path) -> None:
    """Exit status 1, in the run's own row too; findings are published."""
    kit.write_text(project / "gundog.yaml", kit.CONFIG + "report: gundog.yaml/r.html\n")

    outcome = hunt(project)

    assert outcome.exit_status == 1
    assert [problem for problem in outcome.problems if problem.startswith("report: ")]
    assert kit.table(project, "select count(*) from findings") == [(1,)]
    [(status, problems)] = kit.table(project, "select exit_status, problems from runs")
    assert status == 1
    assert problems == outcome.problems


def test_purge_takes_the_purged_off_the_page(reported: Path) -> None:
    """Before it reports that it is done."""

    status = main.main(["purge", "--account", "a", "--project", str(reported)])

    assert status == 0
    assert "a opened and closed" not in shown(reported / "r.html")


def test_retention_takes_the_forgotten_off_the_page(reported: Path) -> None:
    """In the run that forgets it."""
    kit.write_text(
        reported / "gundog.yaml", kit.CONFIG + "report: r.html\nretention: {findings: 30d}\n"
    )

    hunt(reported, now=NOW + timedelta(days=40), trust_clock=True)

    assert kit.table(reported, "select count(*) from findings") == [(0,)]
    assert "a opened and closed" not in shown(reported / "r.html")


def test_the_page_is_there_before_a_message_that_links_to_it(project: Path) -> None:
    """Whoever takes the message at once finds what it is about."""
    page = project / "r.html"
    seen: list[str] = []

    def answer() -> int:
        seen.append(page.read_text(encoding="utf-8") if page.exists() else "")
        return 200

    with http_sink() as sink:
        sink.script = [answer] * 9
        kit.write_text(
            project / "gundog.yaml",
            f"{kit.CONFIG}report: {{path: r.html, url: 'https://soc.example/r.html'}}\n"
            f"notify: [{{name: soc, url: '{sink.url()}', report: true}}]\n",
        )
        hunt(project)
        texts = [str(request.body) for request in sink.requests]

    assert seen
    [(finding_id,)] = kit.table(project, "select finding_id::varchar from findings")
    assert any(f"https://soc.example/r.html#finding-{finding_id}" in text for text in texts)
    assert all(f'id="finding-{finding_id}"' in html for html in seen)


def test_a_run_that_was_asked_wrongly_leaves_the_page_as_it_was(
    reported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backfill that needs a yes did nothing, and no night failed."""
    before = (reported / "r.html").read_bytes()
    monkeypatch.setattr(stage_step, "LARGE_BYTES", 0)
    kit.fill_days(reported, "2026-02-01", 2)

    with pytest.raises(InputError, match="--yes"):
        hunt(reported, ("2026-02-01", "2026-02-02"), command="backfill")

    assert (reported / "r.html").read_bytes() == before
