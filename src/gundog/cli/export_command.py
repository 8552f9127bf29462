"""gundog export: published tables, OCSF events and a Navigator layer, for other tools."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from gundog.cli import common, waiting
from gundog.core.errors import InputError
from gundog.core.times import parse_time
from gundog.core.waiting import Went, unseen
from gundog.core.wording import count

if TYPE_CHECKING:
    import duckdb

FORMS = ("csv", "parquet", "jsonl", "ocsf", "navigator")


def export(arguments: argparse.Namespace) -> int:
    """Writes what is asked for to --out, or to standard output; says where it is."""
    since = parse_time(arguments.since) if arguments.since else None
    if arguments.form in ("ocsf", "navigator") and arguments.tables:
        raise InputError(f"export {arguments.form} takes no table: leave out {arguments.tables[0]}")
    made = {"ocsf": _ocsf, "navigator": _navigator}.get(arguments.form, _tables)(arguments, since)
    if arguments.out:
        sys.stdout.write(f"{made} written to {arguments.out}\n")
    return 0


def _tables(arguments: argparse.Namespace, since: datetime | None) -> str:
    from gundog.export import delivery, tables
    from gundog.findings import reader

    names, form, out = tables.chosen(arguments.tables), arguments.form, arguments.out
    is_one = len(set(arguments.tables)) == 1
    if not out and (form == "parquet" or not is_one):
        raise InputError(
            "--out is missing: name a file for one table, or a folder for several or all of them"
        )
    with reader.published(common.settings(arguments).findings) as con, _bar(arguments) as went:
        wrote = _teller(went, sum(tables.count(con, name, since) for name in names))
        for name in names:
            place = out if is_one else delivery.inside(out, f"{name}.{form}")
            with _file(place) as path:
                _write(con, name, form, since, path, wrote)
    return names[0] if is_one else count(len(names), "table")


def _bar(arguments: argparse.Namespace) -> AbstractContextManager[Went]:
    """A bar while rows are written, unless the terminal shows them themselves."""
    if not arguments.out and sys.stdout.isatty():
        return nullcontext(unseen)
    return waiting.bar(arguments, "writing")


def _teller(went: Went, total: int) -> Callable[[int], None]:
    """Adds up the rows that are written, and tells the bar."""
    done = 0

    def wrote(rows: int) -> None:
        nonlocal done
        done += rows
        went(done, max(total, done), "row")

    return wrote


def _write(
    con: duckdb.DuckDBPyConnection,
    name: str,
    form: str,
    since: datetime | None,
    path: Path | None,
    wrote: Callable[[int], None],
) -> None:
    """Writes one table into a file, or as text to standard output."""
    from gundog.export import files, tables

    held = tables.json_columns(con, name)
    query = tables.rows(con, name, since)
    if form == "parquet" and path:
        with path.open("wb") as binary:
            files.write_parquet(query, binary, wrote)
        return
    with _text(path) as text:
        if form == "csv":
            files.write_csv(query, text, wrote)
        else:
            files.write_jsonl(query, text, held, wrote)


def _ocsf(arguments: argparse.Namespace, since: datetime | None) -> str:
    from gundog.export import ocsf, ocsf_columns, tables
    from gundog.findings import reader

    with reader.published(common.settings(arguments).findings) as con, _bar(arguments) as went:
        total = tables.count(con, "findings", since)
        events = waiting.counted(ocsf.events(con, since), total, went, "event")
        with _file(arguments.out) as path:
            if path and arguments.out.endswith(".parquet"):
                with path.open("wb") as binary:
                    number = ocsf_columns.write(events, binary)
            else:
                with _text(path) as text:
                    number = sum(bool(text.write(line)) for line in ocsf_columns.lines(events))
    return count(number, "event")


def _navigator(arguments: argparse.Namespace, since: datetime | None) -> str:
    from gundog.export import attack_ids, navigator
    from gundog.findings import reader

    project = common.load(arguments)
    detections = [hunt.detection for hunt in project.content.hunts]
    with reader.published(project.settings.findings) as con:
        finds = navigator.finds(con, since)
    layer = navigator.layer(detections, finds, since)
    names = [entry["techniqueID"] for entry in layer["techniques"]]
    for remark in attack_ids.remarks(names):
        common.complain(remark)
    with _file(arguments.out) as path, _text(path) as text:
        text.write(json.dumps(layer, ensure_ascii=True, indent=1) + "\n")
    return f"a layer of {count(len(names), 'technique')}"


@contextmanager
def _file(place: str | None) -> Iterator[Path | None]:
    """A file that comes to a place when it is complete; None for standard output."""
    from gundog.export import delivery

    if not place:
        yield None
        return
    with delivery.file(place, os.environ) as path:
        yield path


@contextmanager
def _text(path: Path | None) -> Iterator[IO[str]]:
    """A file opened for text; standard output, which stays open, when there is none."""
    if path is None:
        yield sys.stdout
        return
    with path.open("w", encoding="utf-8", newline="") as text:
        yield text
