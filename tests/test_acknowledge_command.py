"""Tests of `gundog acknowledge`: what it writes, what it says, what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gundog.cli import main
from gundog.core.times import parse_range
from gundog.health import acknowledged
from gundog.health.acknowledged import FILE
from gundog.project import scaffold, schemas
from tests import kit

HOLE = ("Things", "--from", "2026-02-25", "--to", "2026-02-28")


@pytest.fixture(scope="module")
def hunted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a hole of four days; not to be changed."""
    root = kit.make_project(tmp_path_factory.mktemp("hunted"))
    kit.fill_days(root, "2026-03-01", 9)
    kit.hunt(root, ("2026-02-25", "2026-03-02"))
    return root


@pytest.fixture
def root(hunted: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return kit.copy_project(hunted, tmp_path)


def gundog(root: Path, *arguments: str) -> int:
    return main.main([*arguments, "--project", str(root)])


def test_it_takes_a_hole_off_the_list(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The lines that were added, what they cover, and a status that is well at once."""
    assert gundog(root, "status") == 1
    assert "gundog acknowledge Things --from 2026-02-25 --to 2026-02-28" in capsys.readouterr().out

    assert gundog(root, "acknowledge", *HOLE, "--reason", " down ", "--owner", "kim") == 0

    out = capsys.readouterr().out
    assert "+ - source: Things" in out
    assert "covers 4 intervals; gundog status reported 1 problem and now reports 0" in out
    (entry,), problems = acknowledged.load(root)
    assert problems == ()
    assert (entry.kind, entry.reason, entry.owner, entry.tenant) == ("hole", "down", "kim", None)
    assert entry.span == parse_range("2026-02-25", "2026-02-28")
    assert gundog(root, "status") == 0
    assert gundog(root, "check") == 0


@pytest.mark.parametrize("has_schemas", [True, False])
def test_a_new_file_names_its_schema_where_there_is_one(tmp_path: Path, has_schemas: bool) -> None:
    """For editors; an older file stays as it is, comments and all."""
    kit.make_project(tmp_path)
    if has_schemas:
        scaffold.write_schemas(tmp_path / schemas.FOLDER)

    assert gundog(tmp_path, "acknowledge", *HOLE, "--reason", "x") == 0
    first = (tmp_path / FILE).read_text()
    named = "# yaml-language-server: $schema=schemas/acknowledged.json\n"
    assert first.startswith(f"{named}# Known problems" if has_schemas else "# Known problems")

    assert gundog(tmp_path, "acknowledge", *HOLE, "--kind", "drift", "--reason", "x") == 0
    assert (tmp_path / FILE).read_text().startswith(first)
    assert (tmp_path / FILE).read_text().count("yaml-language-server") == has_schemas


def test_what_covers_nothing_is_said(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong kind or day is written, and seen."""
    assert gundog(root, "acknowledge", *HOLE, "--kind", "drift", "--reason", "x") == 0

    assert "matches no problem that gundog status reports today" in capsys.readouterr().out


def test_it_works_before_the_first_run(tmp_path: Path) -> None:
    """What is known may be said early."""
    kit.make_project(tmp_path)

    assert gundog(tmp_path, "acknowledge", *HOLE, "--reason", "x") == 0
    assert len(acknowledged.load(tmp_path)[0]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*HOLE, "--reason", " "), "--reason is empty"),
        ((*HOLE, "--reason", "x", "--tenant", " "), "--tenant is empty"),
        (("Thing", *HOLE[1:], "--reason", "x"), "did you mean Things?"),
        (("happenings", *HOLE[1:], "--reason", "x"), "unknown source table"),
        (("Things", "--from", "2026-03-02", "--to", "2026-03-01", "--reason", "x"), "is an empty"),
        (("Things", "--from", "soon", "--to", "2026-03-01", "--reason", "x"), "is not a time"),
    ],
)
def test_what_is_wrong_exits_2_and_writes_nothing(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """One sentence each."""
    assert gundog(root, "acknowledge", *arguments) == 2

    assert message in capsys.readouterr().err
    assert not (root / FILE).exists()


def test_a_drift_may_be_of_a_staged_table(root: Path) -> None:
    """It is staged tables whose rows change their shape."""
    assert gundog(root, "acknowledge", "happenings", *HOLE[1:], "--kind", "drift", "--tenant", "a",
                  "--reason", "x") == 0  # fmt: skip


def test_what_has_not_happened_cannot_be_acknowledged(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hole that nobody has seen yet would be hidden by it."""
    today = datetime.now(UTC).date()
    days = ("Things", "--from", "2026-02-25", "--to")

    later = str(today + timedelta(days=2))
    assert gundog(root, "acknowledge", *days, later, "--reason", "x") == 2
    assert "only past times can be acknowledged" in capsys.readouterr().err
    assert gundog(root, "acknowledge", *days, str(today), "--reason", "x") == 0
