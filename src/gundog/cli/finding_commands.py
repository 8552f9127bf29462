"""Commands that read findings and write what people say of them."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gundog.core.errors import GundogError, InputError, LockError
from gundog.core.times import parse_range, parse_time
from gundog.core.wording import count

if TYPE_CHECKING:
    import pyarrow as pa

    from gundog.findings.around import Around, Whom
    from gundog.project.settings import Settings

from gundog.cli import common, run_commands, waiting


def status(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from gundog.cli import status_page
    from gundog.findings import reader, triage
    from gundog.health import watch
    from gundog.run import status
    from gundog.warehouse import opening

    project, now = common.load(arguments), datetime.now(UTC)
    about, findings = status.known(project), project.settings.findings
    if findings.exists():
        unread = triage.read(triage.beside(findings))[1]
        more = [watch.Fault(watch.TRIAGE, str(line)) for line in unread]
        with reader.published(findings) as con:
            shown = status.read(con, about, now, more)
        shown = replace(shown, notes=(*shown.notes, *opening.left(findings)))
    else:
        shown = status.never(about, now)
    if arguments.json:
        status_page.as_json(shown, sys.stdout)
    else:
        status_page.show(common.console(), shown)
    return 1 if shown.troubles else 0


def acknowledge(arguments: argparse.Namespace) -> int:
    from gundog.cli import acknowledge_command

    acknowledge_command.run(
        common.console(),
        common.load(arguments),
        arguments.source,
        parse_range(arguments.start, arguments.end),
        acknowledge_command.Said(
            arguments.kind, arguments.tenant, arguments.reason, arguments.owner
        ),
        datetime.now(UTC),
    )
    return 0


def findings(arguments: argparse.Namespace) -> int:
    from gundog.cli import finding_list
    from gundog.findings import reader

    since = parse_time(arguments.since) if arguments.since else None
    with reader.published(common.settings(arguments).findings) as con:
        rows = reader.select_findings(
            con,
            since=since,
            severity=arguments.severity,
            everything=arguments.all,
            tenant=arguments.tenant,
        )
    if arguments.json:
        finding_list.as_json(rows, sys.stdout)
    elif rows:
        finding_list.findings_table(common.console(), rows)
    else:
        sys.stdout.write("no findings\n")
    return 0


def show(arguments: argparse.Namespace) -> int:
    from gundog.cli import finding_json, finding_list
    from gundog.findings import around, reader

    settings = common.settings(arguments)
    with reader.published(settings.findings) as con:
        row = reader.find(con, arguments.finding)
        surroundings = _around(settings, around.whom(con, row))
        if arguments.json:
            finding_json.write(con, row, surroundings, sys.stdout)
            return 0
        finding_list.show(common.console(), con, row, settings.late_arrival, surroundings)
    return 0


def _around(settings: Settings, who: Whom) -> Around | str | None:
    """What is staged around a finding; no run is waited for."""
    from gundog.findings import around
    from gundog.warehouse import staged_query

    if not settings.warehouse.exists():
        return None  # findings that were brought here from another machine

    def ask(sql: str) -> list[dict[str, Any]]:
        rows = staged_query.ask(
            settings.warehouse,
            sql,
            memory_limit=settings.memory_limit,
            threads=settings.threads,
            wait=timedelta(0),
        )
        return list(rows.to_pylist())

    try:
        return around.look(ask, who)
    except LockError:
        return "a run is writing the staged tables: show it again when the run has ended"
    except GundogError as error:
        return f"the staged tables cannot be read: {error}"


def triage(arguments: argparse.Namespace) -> int:
    from gundog.cli import finding_list
    from gundog.findings import reader, triage

    findings = common.settings(arguments).findings
    with reader.published(findings) as con:
        row = reader.find(con, arguments.finding)
    said = triage.Said(arguments.status, arguments.verdict, arguments.note)
    before = row["triage_status"], row["verdict"]
    finding_id, path = str(row["finding_id"]), triage.beside(findings)
    entry = triage.append(path, finding_id, said, before, datetime.now(UTC))
    decided = entry.status + (f", {entry.verdict}" if entry.verdict else "")
    common.console().print(finding_list.hanging(f"{finding_id[:8]} is {decided}: {row['title']}"))
    return 0


def add_exception(arguments: argparse.Namespace) -> int:
    from gundog.cli import except_command

    if arguments.days < 1:
        raise InputError(f"--days {arguments.days}: give a number of days above 0")
    if not arguments.reason.strip():
        raise InputError("--reason is empty: write why this is harmless")
    except_command.run(
        common.console(),
        common.settings(arguments),
        arguments.finding,
        arguments.on,
        arguments.days,
        arguments.reason.strip(),
        arguments.owner,
        datetime.now(UTC),
    )
    return 0


def notify(arguments: argparse.Namespace) -> int:
    from gundog.cli import finding_list
    from gundog.core.fields import unknown
    from gundog.notify import sending
    from gundog.project import settings as settings_module
    from gundog.project.project import load_settings

    settings = load_settings(arguments.project, os.environ, ())
    channels = settings.notify
    names = [channel.name for channel in channels]
    if not names:
        raise InputError("gundog.yaml has no channels: add notify: to it")
    for name in arguments.channel or ():
        if name not in names:
            raise InputError(f"--channel {name}: {unknown(name, names, 'channel')}")
    asked = [at for at, name in enumerate(names) if name in (arguments.channel or names)]
    settings_module.require(settings, [f"notify.{at}" for at in asked])
    failed = False
    for channel in channels:
        if channel.name not in (arguments.channel or names):
            continue
        error = sending.send_test(channel, datetime.now(UTC))
        failed = failed or error is not None
        common.console().print(finding_list.hanging(f"{channel.name}: {error or 'OK'}"))
    return 1 if failed else 0


def run_sql(arguments: argparse.Namespace) -> int:
    from functools import partial

    from gundog.cli import finding_list
    from gundog.findings import reader, triage
    from gundog.warehouse import query

    if bool(arguments.sql) == bool(arguments.file):
        raise InputError("give one SQL statement, - for standard input, or -f FILE")
    if arguments.file and not arguments.file.is_file():
        raise InputError(f"{arguments.file}: does not exist: give a file that holds one SELECT")
    findings = common.settings(arguments).findings
    sql = _sql_text(arguments)
    if arguments.staged:
        rows = _staged_rows(arguments, sql)
        finding_list.write_rows(rows, arguments.format, sys.stdout, common.console())
        return 0
    with reader.published(findings):
        pass
    said, _ = triage.read(triage.beside(findings))
    rows = query.user_query(findings, sql, prepare=partial(triage.overlay, entries=said))
    finding_list.write_rows(rows, arguments.format, sys.stdout, common.console())
    return 0


def _staged_rows(arguments: argparse.Namespace, sql: str) -> pa.Table:
    """What the SQL gives of the staged tables, as soon as no run writes them."""
    from gundog.cli import run_commands
    from gundog.warehouse import staged_query

    options = common.settings(arguments)
    if not options.warehouse.exists():
        raise InputError("nothing was hunted yet: run gundog hunt first")
    return staged_query.ask(
        options.warehouse,
        sql,
        memory_limit=options.memory_limit,
        threads=options.threads,
        wait=run_commands.waiting_time(arguments.wait),
    )


def _sql_text(arguments: argparse.Namespace) -> str:
    """The SQL that was given as an argument, in a file or on standard input."""
    where = arguments.file or ("standard input" if arguments.sql == "-" else "")
    try:
        if arguments.file:
            data: bytes = arguments.file.read_bytes()
        elif where:
            data = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else b""
        else:
            return str(arguments.sql)
        return data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is not UTF-8: save it as UTF-8") from error


def purge(arguments: argparse.Namespace) -> int:
    from gundog.findings.purging import Whom
    from gundog.run import run

    whom = Whom(arguments.mailbox, arguments.account)
    if not whom.name:
        raise InputError("the name is empty: give a mailbox or an account")
    project = common.load(arguments, "report", "publishTo")
    wait = run_commands.waiting_time(arguments.wait)
    with waiting.bar(arguments, "removing") as went:
        done = run.purge(project, whom, wait, datetime.now(UTC), went)
    sys.stdout.write(
        f"removed {count(done.staged, 'staged row')}, {count(done.findings, 'finding')},"
        f" {count(done.evidence, 'row of other evidence')}, {count(done.series, 'hour of series')};"
        " new files of the lake bring new rows\n"
    )
    return 0
