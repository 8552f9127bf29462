"""What tests want another process to do beside them: what `tests.forks.Fork` starts."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import resource
import shutil
import sys
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb

from gundog.cli.main import main
from gundog.findings import publish as published
from gundog.findings import triage
from gundog.findings.triage import Said
from gundog.notify import sending
from gundog.notify.channel import Channel
from gundog.staging import read_ends, reading
from gundog.warehouse import database, tables, upgrading
from tests import lab
from tests.deaths import die


def hold(connection: Connection, warehouse: Path) -> None:
    """Holds the lock of a warehouse until the test lets go of the connection."""
    with database.lock(warehouse, timedelta(), datetime.now(UTC)):
        _wait(connection)


def hold_open(connection: Connection, warehouse: Path) -> None:
    """The same with the warehouse open, as a run has it."""
    with (
        database.lock(warehouse, timedelta(), datetime.now(UTC)),
        database.writable(warehouse, memory_limit=10**9, threads=1),
    ):
        _wait(connection)


def keep_open(connection: Connection, path: Path) -> None:
    """Another program that has a database open for writing."""
    with database.connect(path):
        _wait(connection)


def _wait(connection: Connection) -> None:
    connection.send("held")
    with contextlib.suppress(EOFError):
        connection.recv()


def say(connection: Connection, path: Path, finding_id: str, times: int) -> None:
    """Writes so many entries of triage, and tells the number of each that is written."""
    for number in range(times):
        said = Said("new", note=str(number))
        triage.append(path, finding_id, said, ("new", None), datetime.now(UTC))
        connection.send(number)


def gundog(_: Connection, *words: str) -> None:
    """Ends the process as a command with these words ends."""
    sys.exit(main(words))


def gundog_in(connection: Connection, here: Path, *words: str) -> None:
    """The same, typed in a folder."""
    os.chdir(here)
    gundog(connection, *words)


def command(connection: Connection, arguments: tuple[str, ...], size: int) -> None:
    """A command that may write files of so many bytes at most, as on a disk that is full.

    Tells what it wrote to standard error; the exit status is the command's.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        status = main([*arguments])
    connection.send(said.getvalue())
    sys.exit(status)


def send(_: Connection, warehouse: Path, url: str, at: datetime) -> None:
    """Sends what waits for the channel `soc`."""
    with database.connect(warehouse) as con:
        sending.send(con, [Channel("soc", url)], at, lambda _: None)


def stage_json(_: Connection, root: Path, stages: dict[str, str], moment: str) -> None:
    """Stages JSON files into a lab, and dies while it reads, while it stores, or afterwards."""
    made = lab.Lab(root, stages)
    made.path = lab.LakePath("lake/date=%Y-%m-%d/*.json")
    if moment == "storing":
        read_ends.store = die
    made.stage(reader=die if moment == "reading" else reading.read)
    die()


def publish(_: Connection, target: Path) -> None:
    """Publishes an empty warehouse, and dies before the new file takes the place of the old one."""
    con = database.connect()
    for table in tables.TABLES:
        con.execute(next(tables.create(table)))
    published._rename = die
    published.publish(con, target, now=datetime.now(UTC), late_arrival=timedelta())


class _Killer:
    """A connection whose process ends before one of the statements that change something."""

    def __init__(self, con: duckdb.DuckDBPyConnection, turns: int) -> None:
        self.con, self.turns = con, turns

    def execute(self, sql: str, *arguments: Any) -> duckdb.DuckDBPyConnection:
        self.turns -= sql.startswith(("alter", "create", "insert", "delete", "commit"))
        if self.turns < 0:
            die()
        return self.con.execute(sql, *arguments)


def upgrade(connection: Connection, old: Path) -> None:
    """Upgrades copies of a warehouse, each killed one statement later, until one is done.

    Tells how many were killed; they lie beside the old one as `killed-0.duckdb` and so on. This
    process opens no database, so that it may be forked.
    """
    for turn in itertools.count():
        path = old.with_name(f"killed-{turn}.duckdb")
        shutil.copy(old, path)
        child = os.fork()
        if not child:
            con: Any = _Killer(database.connect(path), turn)
            with database.transaction(con):
                upgrading.make_tables(con, path)
            os._exit(0)
        if not os.waitpid(child, 0)[1]:
            connection.send(turn)
            return


def leave_log(_: Connection, published: Path) -> None:
    """Changes a published file as another program might, and ends before it has taken it over."""
    con = database.connect(published)
    con.execute("delete from findings")
    os._exit(9)
