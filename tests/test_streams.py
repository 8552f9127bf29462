"""Tests of printing: a reader that goes away, a full device, an encoding without the letters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gundog.cli import main, printing
from tests import draws, kit
from tests.kit import hunt

BASH = shutil.which("bash") or "bash"
RANGE = ("2026-03-08", "2026-03-09")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hunted project with one problem: a broken line of triage.jsonl."""
    root = kit.make_project(tmp_path_factory.mktemp("streams"))
    kit.fill_days(root, "2026-03-01", 9)
    rows = [kit.event("2026-03-08T10:00", "open", "caf\u00e9", 1)]
    kit.write_file(
        root, "2026-03-08", [*rows, kit.event("2026-03-08T11:00", "close", "caf\u00e9", 2)]
    )
    assert hunt(root, RANGE).exit_status == 0
    kit.write_text(root / ".gundog/triage.jsonl", "nonsense\n")
    return root


def run(root: Path, command: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A shell's pipeline; `gundog` in it is this gundog, its status is what `$?` was."""
    call = f'"{sys.executable}" -m gundog "$@" --project .; echo "status $?" >&2'
    script = f"gundog() {{ {call}; }}\n{command}"
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return subprocess.run(
        [BASH, "-c", script],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        env={**kept, **environ},
    )


@pytest.mark.parametrize("unbuffered", draws.spread(["", "1"]))
@pytest.mark.parametrize(
    ("command", "status"),
    draws.spread(
        [
            ("gundog status | head -1", 1),
            ("gundog --help | true", 0),
            ("gundog findings --all | head -0", 0),
            ("gundog sql 'select range from range(20000)' --format csv | head -1", 0),
            ("gundog sql 'select range from range(20000)' | head -1", 0),
            ("gundog status >&-", 1),
            ("gundog show '' 2>&1 >/dev/null | true", 2),
        ],
        every=3,
    ),
)
def test_reader_that_goes_away_changes_no_status(
    root: Path, command: str, status: int, unbuffered: str
) -> None:
    """`gundog status | head -1` is how scripts ask; the problem must not become an OK."""
    done = run(root, command, PYTHONUNBUFFERED=unbuffered)

    if "2>&1" not in command:
        assert f"status {status}" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert "Broken" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_device_that_is_full_is_said(root: Path) -> None:
    """A list that nobody got is not a success."""
    done = run(root, "gundog findings --all > /dev/full")

    assert "standard output cannot be written" in done.stderr
    assert "status 1" in done.stderr
    assert "Traceback" not in done.stderr


def test_letters_that_an_encoding_lacks_are_shown_as_escapes(root: Path) -> None:
    """Names of people come in every script; a terminal knows some."""
    done = run(root, "gundog findings --all", PYTHONIOENCODING="ascii")

    assert "caf\\xe9 opened" in done.stdout
    assert "status 0" in done.stderr


def test_what_is_piped_is_not_wrapped(root: Path) -> None:
    """A program that reads lines gets one finding a line."""
    long = "x" * 300
    done = run(root, f"gundog sql \"select '{long} {long}' as a, '{long}' as b\"")

    assert any(f"{long} {long}  {long}" in line for line in done.stdout.splitlines())


@pytest.mark.parametrize("columns", ["", "x", "0", "-5", "1.5", "\u00b2", "9" * 5000])
def test_columns_that_say_no_width_say_nothing(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty COLUMNS is common under cron; it ended every command in a traceback."""
    monkeypatch.setenv("COLUMNS", columns)

    assert printing.console().width == 100_000


def test_columns_that_say_a_width_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who wants lines of 80 says so."""
    monkeypatch.setenv("COLUMNS", "80")

    assert printing.console().width == 80


@pytest.mark.parametrize(
    "arguments",
    [
        ("triage", "x", "--note", "caf\udce9"),
        ("except", "x", "--on", "title", "--days", "1", "--reason", "caf\udce9"),
        ("acknowledge", "caf\udce9"),
        ("show", "\udce9"),
        ("sql", "select '\udce9'"),
        ("findings", "--since", "\udce9"),
        ("hunt", "--detection", "\udce9"),
        ("purge", "--account", "\udce9"),
        ("status", "--project", "\udce9"),
        ("caf\udce9",),
        ("--caf\udce9",),
    ],
)
def test_argument_that_is_not_utf_8_is_refused_before_anything_is_written(
    root: Path, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """One note in latin-1 made every later command and night fail."""
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}

    assert main.main([*arguments, "--project", str(root)]) == 2

    assert "is not UTF-8: write it in UTF-8" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
