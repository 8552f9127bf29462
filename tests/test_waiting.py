"""Tests of cli.waiting: a bar where a person waits at a terminal, and nothing anywhere else."""

from __future__ import annotations

import argparse
import os
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gundog.cli import main, waiting
from gundog.project.project import load_project
from gundog.run import run
from tests import kit

Seen = Callable[[], str]


@contextmanager
def terminal(patch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """A real terminal as standard error; gives what was written to it so far."""
    own, others = os.openpty()
    settings = termios.tcgetattr(others)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(others, termios.TCSANOW, settings)
    os.set_blocking(own, False)
    patch.setenv("TERM", "xterm")
    text = ""

    def seen() -> str:
        nonlocal text
        while True:
            try:
                text += os.read(own, 65536).decode()
            except BlockingIOError:
                return text

    with os.fdopen(others, "w") as stream:
        patch.setattr(sys, "stderr", stream)
        yield seen
        patch.undo()
    os.close(own)


@pytest.fixture(scope="module")
def hunted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one finding."""
    tmp_path = kit.make_project(tmp_path_factory.mktemp("waiting"))
    rows = [kit.event("2026-03-09T01:00", "open"), kit.event("2026-03-09T02:00", "close", number=1)]
    kit.write_file(tmp_path, "2026-03-09", rows)
    kit.hunt(tmp_path)
    return tmp_path


QUIET, LOUD = argparse.Namespace(quiet=True), argparse.Namespace(quiet=False)


def until_shown(seen: Seen, words: str) -> bool:
    """Waits for the bar's own thread, a minute at most."""
    ends = time.monotonic() + 60
    while words not in seen() and time.monotonic() < ends:
        time.sleep(0.01)
    return words in seen()


def test_a_bar_comes_when_the_wait_lasts_counts_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With an estimate; the cursor is back when it ends."""
    with terminal(monkeypatch) as seen:
        monkeypatch.setattr(waiting, "PATIENCE_S", 0.0)
        with waiting.bar(LOUD, "reading") as went:
            went(2, 5, "source")
            assert until_shown(seen, "2/5")
            assert "reading" in seen()
            assert "sources" in seen()
        text = seen()
        assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_short_wait_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves no thread."""
    import threading

    before = threading.active_count()
    with terminal(monkeypatch) as seen:
        assert list(waiting.each([1, 2], LOUD, "reading", "source")) == [1, 2]
        assert seen() == ""
    assert threading.active_count() <= before + 1


def test_quiet_and_pipes_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes."""
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.0)
    assert not waiting.is_shown(False)
    with waiting.bar(LOUD, "reading") as went:
        assert went is waiting.waiting.unseen
    with terminal(monkeypatch) as seen:
        monkeypatch.setattr(waiting, "PATIENCE_S", 0.0)
        with waiting.bar(QUIET, "reading") as went:
            assert went is waiting.waiting.unseen
            went(1, 2, "source")
        assert seen() == ""


@pytest.mark.parametrize(
    ("words", "unit"),
    [
        (["export", "csv", "findings"], "rows"),
        (["export", "ocsf"], "events"),
        (["report"], "writing the report"),
        (["check", "--lake"], "sources"),
        (["test", "pair"], "detections"),
        (["drill"], "hunts"),
        (["purge", "--account", "nobody"], "steps"),
    ],
)
def test_each_long_command_has_one_and_prints_the_same(
    hunted: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    unit: str,
) -> None:
    """What goes to standard output is the same with a bar and without."""
    command = [*words, "--project", str(hunted)]
    status = main.main(command)
    plain = capsys.readouterr().out
    told: list[str] = []
    real = waiting.updater

    def shown(progress: object, task: object) -> waiting.Went:
        went = real(progress, task)  # type: ignore[arg-type]

        def both(done: int, total: int, unit: str = "day", /) -> None:
            told.append(f"{unit}s")
            went(done, total, unit)

        return both

    with terminal(monkeypatch) as seen:
        monkeypatch.setattr(waiting, "PATIENCE_S", 0.0)
        monkeypatch.setattr(waiting, "updater", shown)
        assert main.main(command) == status
        assert unit in told or until_shown(seen, unit)
        assert main.main([*command, "--quiet"]) == status

    assert capsys.readouterr().out == plain * 2


def test_a_run_tells_how_far_publishing_is(hunted: Path, tmp_path: Path) -> None:
    """In files, up to all of them."""
    hunted = kit.copy_project(hunted, tmp_path / "copy")
    config = f"{kit.CONFIG}publishTo: shared\n"
    kit.write_text(hunted / "gundog.yaml", config)
    told: list[tuple[int, int]] = []

    def went(done: int, total: int, unit: str = "day", /) -> None:
        if unit == "file":
            told.append((done, total))

    from uuid import uuid4

    run.run(load_project(hunted, {}), run.Request("hunt"), kit.NOW, uuid4(), went=went)

    assert told
    assert all(0 < done <= total for done, total in told)
    assert told[-1][0] == told[-1][1]
