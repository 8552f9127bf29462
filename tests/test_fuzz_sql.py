"""Drawn SQL gets out of neither layer, and would be seen to if a mend of them were undone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gundog.detections import content, source_ddl
from gundog.staging import reading
from gundog.testing import examples
from gundog.warehouse import query, quoting, statement
from tests import fuzz_sql, fuzz_text
from tests.escapes import ESCAPES, OUTWARD
from tests.fuzz_sql import JUDGES, EscapeError, World, fuzz, world
from tests.watch import CAN_WATCH, Watch

# Draws in all, and at least how many of each judge; `make torture` has 20,000 in all.
SOME = [pytest.param((60, 10), id="60"), pytest.param((200, 30), id="200", marks=pytest.mark.slow)]


@pytest.mark.parametrize("some", SOME)
@pytest.mark.parametrize("judge", JUDGES)
def test_nothing_that_is_drawn_gets_out(judge: str, some: tuple[int, int]) -> None:
    """Each layer alone keeps every text in, and enough of them are honest enough to try it."""
    seen = fuzz(judge, max(some[1], round(some[0] * JUDGES[judge][2])), again=True)

    if judge in ("read_hunt", "read_stage"):
        assert seen["one SELECT"] > seen["drawn"] / 3
        assert seen["allowed"] > seen["drawn"] / 10
    elif judge == "read_source":
        assert seen["allowed"] > seen["DDL drawn"] / 20
    if judge == "read_stage":
        assert seen["filled"] > seen["drawn"] / 20


@pytest.mark.parametrize(
    "judge",
    [
        "read_stage",
        "read_source",
        pytest.param("locked_stage", marks=pytest.mark.slow),
        pytest.param("locked_example", marks=pytest.mark.slow),
        pytest.param("locked_source", marks=pytest.mark.slow),
        pytest.param("locked_load", marks=pytest.mark.slow),
    ],
)
def test_no_known_way_out_leads_out_of_stages_and_sources(judge: str) -> None:
    """The escapes that hunts are tried with are tried as stage SQL and source DDL, layer by layer.

    The locks know no tables, so of them only what leaves the database is asked.
    """
    judged, *_ = JUDGES[judge]
    with world() as made:
        for _, sql in OUTWARD if judge.startswith("locked") else ESCAPES:
            judged(made, fuzz_text.local(sql))

        assert made.seen["allowed"] == 0


Undo = Callable[[pytest.MonkeyPatch], None]


def _joined_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    def joined(path: statement.Path) -> statement.Path:
        return (quoting.folded(".".join(path)),)

    monkeypatch.setattr(statement, "_folded", joined)


def _pythons_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quoting, "folded", str.lower)


def _names_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quoting, "name", lambda text: f'"{text}"')


def _ddl_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_ddl, "read", lambda text, _: text)


def _any_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quoting, "is_word", lambda _: True)


def _no_lock(module: object) -> Undo:
    class Locks:
        """What one module sees in place of gundog.warehouse.locks; all others keep theirs."""

        @staticmethod
        def lock(con: object, paths: object = ()) -> None:
            """Locks nothing."""

    return lambda monkeypatch: monkeypatch.setattr(module, "locks", Locks)


def _everything_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "check_statement", lambda *_: [])


def _files_taken_for_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "_table_problems", lambda *_: iter(()))


def _every_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "_function_problems", lambda *_: iter(()))


# What is undone, how, and which judge must see the escape within so many draws.
UNDONE: dict[str, tuple[Undo, str, int]] = {
    "a path of several parts names a CTE": (_joined_paths, "read_hunt", 400),
    "a path of several parts names a CTE in a stage": (_joined_paths, "read_stage", 400),
    "names are compared as Python does": (_pythons_lower_case, "read_hunt", 400),
    "names stand in quotes without doubling": (_names_as_they_are, "read_stage", 400),
    "source DDL runs as it is": (_ddl_as_it_is, "read_source", 400),
    "names of files are not looked at": (_any_name, "names", 400),
    "loading sources is not locked": (_no_lock(content), "locked_source", 400),
    "loading stages is not locked": (_no_lock(content), "locked_load", 400),
    "reading for stages is not locked": (_no_lock(reading), "locked_stage", 400),
    "examples are not locked": (_no_lock(examples), "locked_example", 400),
    "hunting is not locked": (_no_lock(query), "locked_hunt", 400),
    "SQL is not read": (_everything_allowed, "read_hunt", 400),
    "tables are not looked at": (_files_taken_for_tables, "read_hunt", 400),
    "functions are not looked at": (_every_function, "read_hunt", 400),
}


# The escapes that come after a few draws; each layer has one.
QUICK = (
    "a path of several parts names a CTE in a stage",
    "names stand in quotes without doubling",
    "reading for stages is not locked",
    "examples are not locked",
    "loading stages is not locked",
    "SQL is not read",
)


@pytest.mark.parametrize(
    "what",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in UNDONE],
)
def test_an_escape_is_found_when_a_mend_is_undone(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one mend undone the run finds the way out, so it would find one that is not known."""
    undo, judge, draws = UNDONE[what]
    undo(monkeypatch)

    with pytest.raises(EscapeError):
        fuzz(judge, draws, again=True, shrink=False)


def test_the_watch_sees_what_is_opened_and_written(tmp_path: Path) -> None:
    """The oracle itself: reading, listing and writing are each seen, and only since last asked."""
    (tmp_path / "a.csv").write_text("x")
    watch = Watch(tmp_path)
    if not CAN_WATCH:
        pytest.skip("only Linux tells what was opened")

    assert watch.touched() == set()
    (tmp_path / "a.csv").read_text()
    assert watch.touched() == {"a.csv"}
    (tmp_path / "b.csv").write_text("y")
    assert watch.touched() == {"b.csv"}
    list(tmp_path.iterdir())
    assert watch.touched() == {"."}
    watch.close()


@pytest.mark.parametrize(
    "sql",
    [
        "select * from 'secret.csv'",
        "select count(*) from triage",
        "select * from duckdb_settings()",
        "select getvariable('x')",
        "select random()",
        "select now()",
        "copy (select 1) to 'written.csv'",
        "insert into triage values ('a', 'b')",
        "select 1 from ev where 1 = 0 and exists (from triage)",
    ],
)
def test_the_oracle_tells_what_a_statement_touched(
    sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files, hidden tables, settings, variables, chance, clock and writes are each seen."""
    monkeypatch.setattr(statement, "check_statement", lambda *_: [])
    with world() as made, pytest.raises(EscapeError):
        fuzz_sql.judge_hunt(made, sql)


def test_an_honest_hunt_touches_nothing_hidden() -> None:
    """The oracle is not an alarm that always rings."""
    with world() as made:
        fuzz_sql.judge_hunt(made, "select max(id), $start from ev join mail using (id)")
        fuzz_sql.judge_hunt(made, "with triage as (select 1) from triage")
        assert isinstance(made, World)
