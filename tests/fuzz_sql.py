"""SQL of content folders, drawn by thousands, against an oracle that knows what each text touched.

`python -m tests.fuzz_sql [DRAWS]` is part of `make torture`. There are two layers, and each is
tried with the other switched off: what reading a text allows runs on connections that nothing
locks, and what nobody read runs on the connections that are locked. What a text touched is told by
the system (files opened or written, `tests.watch`), by DuckDB's own binder (tables looked up), by
the rows and the catalogue of the database afterwards, and by a second world in which everything
differs that a text may not see: an answer that differs as well has seen it.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure

from gundog.core.errors import GundogError
from gundog.core.times import Interval
from gundog.detections import content, source_ddl, stage_sql
from gundog.detections.hunt import Content, Hunt
from gundog.detections.staged import StagedTable
from gundog.lake.file_version import FileVersion
from gundog.staging import batch, reading
from gundog.testing import examples
from gundog.warehouse import locks, query, statement
from tests import fuzz_text, kit
from tests.watch import Watch

MARK = "tell-nobody"
TABLES = frozenset({"ev", "mail"})
_START = datetime(2026, 1, 5, tzinfo=UTC)
_VALUES = {"start": _START, "end": _START, "within": timedelta(days=1)}
_CONFIG = {"threads": 1, "memory_limit": "300MB", "temp_directory": ""}
_SLOW = ("INTERRUPT Error", "Out of Memory Error")


class EscapeError(AssertionError):
    """A text that touched what it may not touch."""


@dataclass
class World:
    """A folder of canaries, and whatever the judges have open."""

    folder: Path
    seen: Counter[str] = field(default_factory=Counter)
    close: list[Callable[[], None]] = field(default_factory=list)
    opened: dict[str, Any] = field(default_factory=dict)
    escaped: EscapeError | None = None

    @property
    def canaries(self) -> Path:
        return self.folder / "canaries"

    def local(self, text: str) -> str:
        return text.replace("@DIR@", str(self.canaries))

    def must_be_untouched(self, what: str, answer: object = "") -> None:
        """Raises EscapeError when a canary was touched or is in the answer."""
        touched = self.opened["watch"].touched()
        if touched or MARK in str(answer):
            self.restore()
            raise EscapeError(f"touched {sorted(touched)}, said {str(answer)[:200]}: {what}")

    def restore(self) -> None:
        """Makes the canaries again, for the next text."""
        for path in self.canaries.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        _write_canaries(self.canaries)
        self.opened["watch"].touched()


def _write_canaries(folder: Path) -> None:
    for name in ("secret.csv", "secret.tsv", "secret.CSV", "secret.sql"):
        (folder / name).write_text(f"secret\n{MARK}\n")
    (folder / "secret.json").write_text(f'{{"secret": "{MARK}"}}\n')
    with duckdb.connect() as con:
        con.execute(f"copy (select '{MARK}' as secret) to '{folder}/secret.parquet'")
        con.execute(f"copy (select '{MARK}' as secret) to '{folder}/secret.csv.gz'")


@contextmanager
def world() -> Iterator[World]:
    """A world whose folder of canaries is the working folder meanwhile."""
    statement.statements("select 1")  # the parser's own connection, before any layer is off
    with tempfile.TemporaryDirectory(prefix="gundog-fuzz-") as folder:
        made = World(Path(folder).resolve())
        made.canaries.mkdir()
        _write_canaries(made.canaries)
        made.opened["watch"] = Watch(made.canaries)
        made.close.append(made.opened["watch"].close)
        statement.see.cache_clear()
        try:
            with chdir(made.canaries), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield made
        finally:
            for close in reversed(made.close):
                close()


def unlocked() -> Any:
    """Switches the second layer off: connections stay as they were opened."""
    return mock.patch.object(locks, "lock")


@contextmanager
def unread() -> Iterator[None]:
    """Switches the first layer off: every text is taken for one that may run."""
    with (
        mock.patch.object(statement, "check_statement", return_value=[]),
        mock.patch.object(source_ddl, "read", lambda text, _: text),
    ):
        yield


# Hunts that reading allows, where nothing is locked


def read_hunt(made: World, sql: str) -> None:
    """A hunt that may run reads its tables and nothing else."""
    sql = made.local(sql)
    made.seen["drawn"] += 1
    with suppress(GundogError):
        statement.see(sql)
        made.seen["one SELECT"] += 1
    if statement.check_statement(sql, TABLES, "sql/x.sql"):
        made.must_be_untouched(sql)  # not by reading it, either
        return
    made.seen["allowed"] += 1
    for text in (sql, f"select * from ({stage_sql.strip(sql)})"):
        judge_hunt(made, text)


def judge_hunt(made: World, sql: str) -> None:
    """Runs a statement where nothing holds it back.

    Raises:
        EscapeError: when it touched more than the tables of TABLES.
    """
    _judge_tables(sql)
    _judge_rows(made, sql)


def _judge_tables(sql: str) -> None:
    """DuckDB's binder, which knows no parameters here, looks up the hunt's tables only."""
    try:
        # A name between two dollar signs begins a text and is not a parameter.
        looked_up = _BINDER.get_table_names(re.sub(r"\$\w+\b(?!\$)", "null", sql), qualified=True)
    except duckdb.Error:
        return
    if hidden := {name for name in looked_up if not _OURS.fullmatch(name)}:
        raise EscapeError(f"reads {sorted(hidden)}: {sql}")


_BINDER = duckdb.connect()
_OURS = re.compile(r"(ev|mail)( AS .*)?", re.DOTALL)


def _judge_rows(made: World, sql: str) -> None:
    """The same answer in two worlds that differ in all else, which both stay as they were."""
    if "databases" not in made.opened:
        made.opened["databases"] = [_database("here"), _database("there")]
        made.close += [con.close for con in made.opened["databases"]]
        made.opened["state"] = [_state(con) for con in made.opened["databases"]]
        made.opened["watch"].touched()
    answers = [_answer(con, sql) for con in made.opened["databases"]]
    after = [_state(con) for con in made.opened["databases"]]
    same = answers[0] == answers[1] or any(slow in one for slow in _SLOW for one in answers)
    if not same or after != made.opened["state"]:
        for con in made.opened.pop("databases"):
            con.close()
        raise EscapeError(f"answers {answers!r:.300}, or changed the database: {sql}")
    made.must_be_untouched(sql, answers)


def _database(other: str) -> duckdb.DuckDBPyConnection:
    """The tables that a hunt reads, among others that hold something else in each world."""
    con = duckdb.connect(config={**_CONFIG, "max_execution_time": 2_000 + len(other)})
    con.execute("set timezone = 'UTC'")
    con.execute("create schema staged; create schema private")
    con.execute(
        """create table staged.ev_1 as select i as id, 'e' || i as name, [i, i + 1] as items,
                  timestamptz '2026-01-05 00:00:00Z' + to_hours(i) as at_time,
                  '{"a": 1}' as body from range(5) r(i)"""
    )
    con.execute("create view ev as from staged.ev_1; create view mail as from staged.ev_1")
    for table in ("triage", "outbox", "kept", "settings", "private.people"):
        con.execute(f"create table {table} as select '{MARK}-{other}' as note, '{other}' as id")
    con.execute(f"create table only_{other} as select 1 as a; create sequence hidden")
    con.execute(f"set variable x = '{other}'")
    if other == "there":
        con.execute("insert into triage from triage; create schema more")
    return con


def _answer(con: duckdb.DuckDBPyConnection, sql: str) -> str:
    try:
        named = statement.parameters(sql) & _VALUES.keys()
        return str(con.execute(sql, {name: _VALUES[name] for name in named} or None).fetchall())
    except (duckdb.Error, GundogError, RuntimeError, ValueError) as error:
        return str(error)


_ALL = (
    "select count(*), sum(estimated_size) from duckdb_tables()",
    "select count(*), string_agg(sql) from duckdb_views() where not internal",
    "select lower('A'), current_setting('threads'), current_setting('search_path')",
    "select getvariable('x'), (select max(note) from triage), (select count(*) from triage)",
    "select path, readonly from duckdb_databases()",
    "select last_value from duckdb_sequences()",
)


def _state(con: duckdb.DuckDBPyConnection) -> str:
    return str([con.execute(sql).fetchall() for sql in _ALL])


# Hunts that nobody read, on a locked connection


def locked_hunt(made: World, sql: str) -> None:
    """A hunt that nobody read touches no file and no setting."""
    sql = made.local(sql)
    con = _sandbox(made)
    with suppress(duckdb.Error):  # what an earlier text began and did not end
        con.execute("rollback")
    before = _settings(con)
    answer = _answer(con, sql) if _single(sql) else _answers(con, sql)
    made.must_be_untouched(sql, answer)
    with suppress(duckdb.Error):
        con.execute("rollback")
    if _settings(con) != before:
        raise EscapeError(f"changed settings: {sql}")
    made.seen["locked"] += 1


def _single(sql: str) -> bool:
    try:
        return len(statement.statements(sql)) == 1
    except GundogError:
        return False


def _answers(con: duckdb.DuckDBPyConnection, sql: str) -> str:
    try:
        found = con.execute(sql)
        return str(found.fetchall()) if found else ""  # nothing where no statement is
    except (duckdb.Error, RuntimeError, ValueError) as error:
        return str(error)


def _settings(con: duckdb.DuckDBPyConnection) -> str:
    # Those that are left out belong to the connection, and name only what it sees first.
    asked = (
        "select name, value from system.main.duckdb_settings()"
        " where name not in ('search_path', 'schema')"
    )
    for _ in range(10):
        # The limit of an execution holds for this query too, and on a busy machine it may end it.
        with suppress(duckdb.InterruptException):
            return str(con.execute(asked).fetchall())
    raise RuntimeError("the settings could not be read in ten tries")


_TURNS = 40  # a sandbox serves so many, because what one leaves in its temporary schema stays


def _sandbox(made: World) -> duckdb.DuckDBPyConnection:
    path = made.folder / "warehouse.duckdb"
    if not path.exists():
        with duckdb.connect(str(path)) as con:
            con.execute("create table ev as select 1 as id; create view mail as from ev")
            con.execute("create table triage as select 'x' as note")
    turn, opened = made.opened.get("sandbox", (0, None))
    if opened is None or turn % _TURNS == 0:
        if opened:
            opened.__exit__(None, None, None)
        opened = query.sandbox(
            path, memory_limit=300_000_000, threads=1, temp_directory=made.folder, timeout_s=2
        )
        made.opened["con"] = opened.__enter__()
        if turn == 0:
            made.close.append(lambda: made.opened["sandbox"][1].__exit__(None, None, None))
    made.opened["sandbox"] = turn + 1, opened
    return made.opened["con"]


# Stages and sources, through the code that loads, makes and fills their tables


def read_stage(made: World, sql: str) -> None:
    """A stage that may be loaded reads its source, and makes its own table and view only."""
    sql = made.local(sql)
    made.seen["drawn"] += 1
    with suppress(GundogError):
        statement.see(sql)
        made.seen["one SELECT"] += 1
    if statement.check_statement(sql, {"Things"}, "sql/stage/evil.sql"):
        made.must_be_untouched(sql)
        return
    made.seen["allowed"] += 1
    _judge_loaded(made, {"sql/stage/evil.sql": sql})


def read_source(made: World, text: str) -> None:
    """A source that may be loaded makes its own table only."""
    text = made.local(text)
    made.seen["DDL drawn"] += 1
    with suppress(GundogError):
        source_ddl.read(text, "Evil")
        made.seen["allowed"] += 1
        _judge_loaded(made, {"sql/sources/Evil.sql": text})
    made.must_be_untouched(text)


def _judge_loaded(made: World, files: dict[str, str]) -> None:
    """Loads a pack and, when nothing is wrong with it, fills its tables; nothing is locked."""
    with unlocked():
        try:
            loaded = _loaded(made, files)
        except duckdb.Error as error:
            raise EscapeError(f"stops all content: {error}: {files}") from error
        made.must_be_untouched(str(files), loaded.problems)
        if loaded.problems:
            return
        made.seen["filled"] += 1
        hunt = loaded.hunts[0]
        mine = loaded.stages.get("evil", hunt.stages[0])
        hunt = Hunt(hunt.detection, hunt.sql, (mine,), hunt.hash)
        with examples.bench(loaded, hunt) as con:
            before = _catalogue(con)
            allowed = before | {(name, "main") for name in loaded.sources}
            said = _filled(con, loaded, hunt)
            made.must_be_untouched(str(files), said)
            after = _catalogue(con)
            if not before <= after <= allowed:
                raise EscapeError(f"made {after - allowed}, dropped {before - after}: {files}")
            if {"planted"} & {name for name, _ in before}:
                raise EscapeError(f"made the table planted: {files}")


def _filled(con: duckdb.DuckDBPyConnection, loaded: Content, hunt: Hunt) -> str:
    row = {**kit.event("2026-03-01T01:00", "open"), "Timestamp": "2026-03-01T01:00:00Z"}
    rows = {**dict.fromkeys(loaded.sources, ()), "Things": [row]}  # all sources are made
    try:
        examples.fill(con, loaded, hunt, rows, Interval(_START, _START + timedelta(days=1)))
        con.execute(f"select * from {hunt.stages[0].view}").fetchall()
    except (duckdb.Error, GundogError) as error:
        return str(error)
    return ""


def _catalogue(con: duckdb.DuckDBPyConnection) -> set[tuple[str, str]]:
    return set(
        con.execute(
            "select table_name, schema_name from duckdb_tables()"
            " union all select view_name, schema_name from duckdb_views() where not internal"
            " union all select database_name, path from duckdb_databases()"
        ).fetchall()
    )


def _loaded(made: World, files: dict[str, str]) -> Content:
    """The content of a small project with these files beside its own."""
    root = made.folder / "pack"
    if not root.exists():
        kit.make_project(root)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        return content.load([root], root=root)
    finally:
        for name in files:
            if name != "detections/pair.yaml":
                (root / name).unlink()


def locked_load(made: World, sql: str) -> None:
    """A stage that nobody read stays in while content is loaded."""
    _judge_unread(made, "sql/stage/evil.sql", made.local(sql))


def locked_source(made: World, text: str) -> None:
    """Source DDL that nobody read stays in while content is loaded."""
    _judge_unread(made, "sql/sources/Evil.sql", made.local(text))


def _judge_unread(made: World, name: str, text: str) -> None:
    with unread():
        try:
            said = str(_loaded(made, {name: text}).problems)
        except (GundogError, LookupError, ValueError) as error:  # what only reading keeps out
            said = str(error)
        made.must_be_untouched(text, said)
    made.seen["locked"] += 1


def locked_example(made: World, sql: str) -> None:
    """A stage that nobody read stays in while an example's events go through it."""
    sql = made.local(sql)
    loaded = _own(made)
    hunt = loaded.hunts[0]
    evil = StagedTable("evil", "evil.sql", sql, "Things", "0" * 16, hunt.stages[0].columns)
    with examples.bench(loaded, Hunt(hunt.detection, "", (evil,), "")) as con:
        hunt = Hunt(hunt.detection, "", (evil,), "")
        made.must_be_untouched(sql, _filled(con, loaded, hunt))
    made.seen["locked"] += 1


def locked_stage(made: World, sql: str) -> None:
    """A stage that nobody read touches no file but those of its batch."""
    sql = made.local(sql)
    loaded = _own(made)
    path = kit.write_file(made.folder, "2026-03-01", [kit.event("2026-03-01T01:00", "open")])
    old = loaded.hunts[0].stages[0]
    evil = StagedTable("evil", "evil.sql", sql, "Things", old.hash, old.columns)
    file = FileVersion("Things", str(path), path.stat().st_size, "1", _START, None, "")
    spool = made.folder / "spool"
    spool.mkdir(exist_ok=True)
    limits = batch.Limits(300_000_000, 1, spool)
    try:
        read = reading.read_batch(
            [(batch.Task(file, 1, (evil,)), path)], loaded.sources["Things"], {}, limits
        )
        said = str([rows.open().read_all().to_pylist() for rows in read.rows.values()])
    except (*reading.FAILURES, KeyError, TypeError, AttributeError) as error:
        said = str(error)
    made.must_be_untouched(sql, said)
    made.seen["locked"] += 1


def _own(made: World) -> Content:
    if "content" not in made.opened:
        made.opened["content"] = _loaded(made, {})
    return made.opened["content"]


def names(made: World, name: str) -> None:
    """The SQL file that a detection names lies below the folder sql/ of its pack."""
    name = made.local(name)
    shutil.copy(made.canaries / "secret.sql", made.folder / "secret.sql")
    made.opened["watch"].touched()
    yaml = (kit.PAIR_YAML + kit.HEAD).replace("sql: pair.sql", f"sql: {_quoted(name)}")
    loaded = _loaded(made, {"detections/pair.yaml": yaml})
    made.must_be_untouched(
        name, [one for one in loaded.problems if "is not a file" not in str(one)]
    )
    made.seen["named"] += 1


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace("\0", "\\0") + '"'


JUDGES: dict[str, tuple[Callable[[World, str], None], st.SearchStrategy[str], float]] = {
    "read_hunt": (read_hunt, fuzz_text.hunts(), 0.4),
    "locked_hunt": (locked_hunt, fuzz_text.hunts(), 0.1),
    "read_stage": (read_stage, fuzz_text.stages(), 0.15),
    "locked_stage": (locked_stage, fuzz_text.stages(), 0.05),
    "locked_example": (locked_example, fuzz_text.stages(), 0.02),
    "read_source": (read_source, fuzz_text.sources(), 0.15),
    "locked_source": (locked_source, fuzz_text.sources(), 0.05),
    "locked_load": (locked_load, fuzz_text.stages(), 0.05),
    "names": (names, fuzz_text.sql_names(), 0.03),
}


def fuzz(judge: str, draws: int, *, again: bool = False, shrink: bool = True) -> Counter[str]:
    """Draws texts for one judge; returns what was seen.

    Args:
        judge: its name in JUDGES.
        draws: how many texts.
        again: whether to draw the same ones each time.
        shrink: whether to look for the shortest escape.

    Raises:
        EscapeError: with the text that touched what it may not touch.
    """
    judged, texts, _ = JUDGES[judge]
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    with world() as made:

        @settings(
            max_examples=draws, phases=phases, database=None, deadline=None, derandomize=again,
            suppress_health_check=list(HealthCheck), print_blob=False, report_multiple_bugs=False,
        )  # fmt: skip
        @given(texts)
        def run(text: str) -> None:
            try:
                judged(made, text)
            except EscapeError as escape:
                made.escaped = escape
                raise

        try:
            run()
        except FlakyFailure as error:  # what got out once may have left its mark
            raise made.escaped or error from error
        return made.seen


def main(draws: int) -> None:
    """Goes through all judges and writes what each saw."""
    total = Counter[str]()
    for judge, (*_, share) in JUDGES.items():
        seen = fuzz(judge, round(draws * share))
        total += seen
        _tell(judge, seen)
    _tell("all", total)
    assert total["one SELECT"] > total["drawn"] / 3


def _tell(who: str, seen: Counter[str]) -> None:
    words = ", ".join(f"{many:,} {what}" for what, many in seen.items())
    sys.stdout.write(f"{who:15} {words}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
