"""Content that hangs or ends its reader: named, and everything else loads."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gundog.cli import main
from gundog.core.child import Child
from gundog.core.errors import ContentError
from gundog.detections import content
from gundog.detections.content_folder import Watch
from gundog.detections.hunt import Content
from gundog.project import loading
from gundog.run import run
from tests import draws, kept_content, kit
from tests.test_child import alive

# Computed while it is bound, to put it into a message: hours, in little memory.
SLOW = "list_aggregate([1], repeat('x', 30000000))"


@pytest.fixture(autouse=True)
def content_is_read() -> Iterator[None]:
    """As outside of the tests: what another test has read is not taken from memory."""
    kept_content.read_again()
    yield
    kept_content.keep()


@pytest.fixture
def helper() -> Iterator[Child]:
    with Child() as made:
        yield made


def make(root: Path) -> Path:
    """A project with a detection that loads and one whose SQL cannot be bound in a lifetime."""
    kit.make_project(root)
    gap = "c.event_time - o.event_time as gap"
    sql = kit.PAIR.replace(gap, f"{gap},\n        {SLOW} as n")
    kit.write_text(root / "sql/boom.sql", sql)
    yaml = kit.PAIR_YAML.replace("1111", "3333").replace("pair.sql", "boom.sql")
    kit.write_text(root / "detections/boom.yaml", yaml + kit.HEAD)
    return root


def test_sql_that_takes_for_ever_to_bind_is_named_and_the_rest_loads(
    tmp_path: Path, helper: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that read it is gone, and the next one knows what to leave out."""
    kit.make_project(tmp_path)
    run.load_project(tmp_path, {}, helper=helper)  # so that only binding takes long
    first, call, asked = helper.pid, Child.call, list[float]()

    def hasty(self: Child, work: Callable[..., Any], *arguments: Any, **limits: Any) -> Any:
        if work is loading._read:
            asked.append(limits["seconds"])
            if len(asked) == 1:
                limits |= {"seconds": 0.3, "patience": 100}
        return call(self, work, *arguments, **limits)

    monkeypatch.setattr(Child, "call", hasty)
    make(tmp_path)

    loaded = run.load_project(tmp_path, {}, helper=helper).content

    assert asked == [10, 8]
    assert [hunt.detection.stem for hunt in loaded.hunts] == ["pair"]
    (problem,) = loaded.problems
    assert str(problem).startswith("detections/boom.yaml: takes too long to load")
    assert first
    assert not alive(first)


def test_commands_that_read_findings_bind_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a detections folder holds, findings can be read and triaged."""
    kit.make_project(tmp_path)
    day = "2026-03-09"
    rows = [
        kit.event(f"{day}T10:00", "open", number=1),
        kit.event(f"{day}T11:00", "close", number=2),
    ]
    kit.write_file(tmp_path, day, rows)
    kit.hunt(tmp_path, (day, day))
    ((key,),) = kit.table(tmp_path, "select finding_id::varchar from findings")

    def refuse(*_: object) -> Content:
        raise AssertionError

    make(tmp_path)
    monkeypatch.setattr(loading, "load", refuse)
    for words in (
        ["findings"],
        ["show", key],
        ["sql", "select 1"],
        ["triage", key, "--note", "seen"],
        ["except", key, "--on", "account_name", "--days", "9999", "--reason", "known"],
    ):
        assert main.main([*words, "--project", str(tmp_path)]) == 0, words
    capsys.readouterr()


def stop(number: int, where: Path, overrides: object, root: Path, skip: dict[str, str]) -> Content:
    """Reads content, and dies at one file unless that is left out."""
    from gundog.core import child

    def at(path: str) -> None:
        child.at(path)
        if path.endswith("pair.yaml"):
            os.kill(os.getpid(), number)

    return content.load([root], None, root, Watch(skip, at))


def die_at_once(*_: object) -> Content:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize("number", draws.spread([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT]))
def test_file_that_ends_the_process_is_named(
    tmp_path: Path, helper: Child, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """However it does it."""
    from functools import partial

    monkeypatch.setattr(loading, "_read", partial(stop, int(number)))
    kit.make_project(tmp_path)

    loaded = loading.load(helper, (tmp_path,), {}, tmp_path, 1_000_000_000)

    assert list(loaded.stages) == ["happenings"]
    (problem,) = loaded.problems
    assert str(problem).startswith("detections/pair.yaml: cannot be read: its process was ended by")


def test_reading_that_ends_at_no_file_is_a_sentence(
    tmp_path: Path, helper: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not tried for ever."""
    monkeypatch.setattr(loading, "_read", die_at_once)

    with pytest.raises(ContentError, match="cannot be read: its process was ended by signal 9"):
        loading.load(helper, (tmp_path,), {}, tmp_path, 1_000_000_000)


def test_too_many_columns_are_a_problem(tmp_path: Path) -> None:
    """Of a hunt as of a stage."""
    kit.make_project(tmp_path)
    many = ", ".join(f"{n} as c{n}" for n in range(1001))
    kit.write_text(
        tmp_path / "sql/stage/happenings.sql", kit.STAGE.replace("N as n", f"N as n, {many}")
    )

    problems = content.load([tmp_path], None, tmp_path).problems

    said = "sql/stage/happenings.sql: returns 1,010 columns: name those that are needed"
    assert any(said in str(problem) for problem in problems)
