"""The commands' arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    pass
from gundog.cli import (
    drill_command,
    export_command,
    finding_commands,
    import_command,
    project_commands,
    report_command,
    run_commands,
)

_SEVERITIES = ("informational", "low", "medium", "high", "critical")


class _Parser(argparse.ArgumentParser):
    """Quotes what it does not understand as text that a terminal only shows."""

    def error(self, message: str) -> NoReturn:
        from gundog.core import safe_text

        super().error(safe_text.for_terminal(message))


def parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gundog",
        description="Hunts a parquet event lake every night and keeps what it finds.",
        epilog="Times are ISO 8601 in UTC. X is a detection's id or file name. FINDING is the first"
        " characters of a finding id, as many as make it unique. Exit status: 0 done, 1 done but"
        " something failed or had no data, 2 wrong input and nothing done, 3 another run holds the"
        " warehouse.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    project = _Parser(add_help=False)
    project.add_argument(
        "--project",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the folder that holds gundog.yaml (default: here)",
    )

    def add(
        name: str, run: Callable[[argparse.Namespace], int], about: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about, parents=[project])
        command.set_defaults(run=run)
        return command

    _add_runs(add)
    _add_readers(add)
    _add_writers(add)
    _add_content(add)
    commands.choices["completion"].set_defaults(whole=parser)
    return parser


def _version() -> str:
    import gundog

    return f"gundog {gundog.__version__}"


_Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def _add_runs(add: _Add) -> None:
    hunt = add(
        "hunt",
        run_commands.hunt,
        "hunt the last complete interval, and what is missing, stale or failed before it; or hunt"
        " the range you give",
    )
    back = add(
        "backfill",
        run_commands.backfill,
        "hunt a range of past days, oldest first; run it again to resume",
    )
    for command, required in ((hunt, False), (back, True)):
        command.add_argument(
            "--from", dest="start", metavar="T", required=required, help="first day or time"
        )
        command.add_argument(
            "--to",
            dest="end",
            metavar="T",
            required=required,
            help="last day (included), or a time (excluded)",
        )
        command.add_argument(
            "--detection",
            action="append",
            default=[],
            metavar="X",
            help="only this detection; can be given more than once",
        )
        command.add_argument(
            "--notify",
            choices=("each", "digest", "none"),
            help="how to send findings (default: hunt as each channel is set, backfill none)",
        )
        command.add_argument(
            "--wait",
            default="0s",
            metavar="DURATION",
            help="how long to wait for another run to end, such as 10m (default: 0s)",
        )
    for command in (hunt, back):
        command.add_argument(
            "--trust-clock",
            action="store_true",
            help="trust this machine's clock, even if it is far from the last run and all events",
        )
    back.add_argument("--again", action="store_true", help="hunt again what is already done")
    back.add_argument("--plan", action="store_true", help="show what it would do, and do nothing")
    back.add_argument("--yes", action="store_true", help="allow a very large first staging")


def _add_readers(add: _Add) -> None:
    status = add(
        "status",
        finding_commands.status,
        "show OK or N PROBLEMS, then coverage, sources, files and unsent messages",
    )
    status.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    listing = add(
        "findings",
        finding_commands.findings,
        "list findings, newest first (default: the open ones)",
    )
    listing.add_argument(
        "--since", metavar="D", help="only findings that ended at or after this time"
    )
    listing.add_argument(
        "--severity", choices=_SEVERITIES, help="only findings of this severity or higher"
    )
    listing.add_argument("--tenant", metavar="X", help="only findings of this tenant")
    listing.add_argument(
        "--all",
        action="store_true",
        help="include findings that are suppressed, resolved or of unstable detections",
    )
    listing.add_argument("--json", action="store_true", help="print a JSON array")
    show = add(
        "show",
        finding_commands.show,
        "show one finding: its history, evidence, why it fired, and what to do",
    )
    show.add_argument("finding", metavar="FINDING")
    show.add_argument("--json", action="store_true", help="print one JSON object, for programs")
    _add_report(add)
    _add_export(add)
    sql = add("sql", finding_commands.run_sql, "query the published findings with SQL, read-only")
    sql.add_argument(
        "sql", nargs="?", metavar="SQL", help="one SELECT, or - to read standard input"
    )
    sql.add_argument("-f", "--file", type=Path, metavar="FILE", help="read the SQL from a file")
    sql.add_argument("--format", choices=("table", "csv", "json"), default="table")


def _add_report(add: _Add) -> None:
    report = add(
        "report",
        report_command.report,
        "write one HTML page: what is new, who comes first, and whether the night is complete",
    )
    report.add_argument(
        "--since",
        metavar="D",
        help="what is new is counted from here (default: the nightly run before the last)",
    )
    report.add_argument("--detection", metavar="X", help="only this detection")
    report.add_argument(
        "--entity",
        metavar="KIND:NAME",
        help="only this account, host, mailbox, app or address, such as account:x",
    )
    report.add_argument("--tenant", metavar="X", help="only this tenant")
    report.add_argument(
        "--month", metavar="YYYY-MM", help="a summary of this month, for a customer or a manager"
    )
    report.add_argument(
        "--out",
        "-o",
        metavar="FILE",
        help="where to write the page, a file or an address such as s3://bucket/report.html"
        " (default: report: of gundog.yaml, or a file beside the findings)",
    )


def _add_export(add: _Add) -> None:
    export = add(
        "export",
        export_command.export,
        "write findings for other tools: tables as files, OCSF events, or an ATT&CK Navigator"
        " layer",
    )
    export.add_argument("form", choices=export_command.FORMS)
    export.add_argument(
        "tables",
        nargs="*",
        metavar="TABLE",
        help="a published table or view, for csv, parquet and jsonl (default: all of them)",
    )
    export.add_argument("--since", metavar="D", help="leave out what is older than this time")
    export.add_argument(
        "--out",
        "-o",
        metavar="FILE",
        help="a file, a folder for several tables, or an address such as s3://bucket/findings.csv;"
        " ocsf is parquet if it ends in .parquet (default: standard output)",
    )


def _add_writers(add: _Add) -> None:
    triage = add(
        "triage",
        finding_commands.triage,
        "record the status or verdict of a finding, also while a run is at work",
    )
    triage.add_argument("finding", metavar="FINDING")
    triage.add_argument(
        "--status",
        metavar="S",
        help="new, in_progress, resolved or archived (a verdict alone resolves)",
    )
    triage.add_argument(
        "--verdict",
        metavar="V",
        help="true_positive, false_positive, benign, suspicious, test, duplicate,"
        " insufficient_data or disregard",
    )
    triage.add_argument("--note", metavar="TEXT", help="what the next person should know")
    exception = add(
        "except",
        finding_commands.add_exception,
        "hide known-good findings for a number of days, with a reason",
    )
    exception.add_argument("finding", metavar="FINDING")
    exception.add_argument(
        "--on",
        nargs="+",
        action="extend",
        required=True,
        metavar="COLUMN",
        help="hide findings that have the same values in these columns",
    )
    exception.add_argument(
        "--days", type=int, required=True, metavar="N", help="number of days from today"
    )
    exception.add_argument(
        "--reason", required=True, metavar="TEXT", help="why this is known to be good"
    )
    exception.add_argument(
        "--owner", metavar="WHO", help="who is responsible for the entry (default: your account)"
    )

    hole = add(
        "acknowledge",
        finding_commands.acknowledge,
        "mark missing data, a drift or rejected files as known, so that they are not a problem",
    )
    hole.add_argument(
        "source", metavar="SOURCE", help="a source table; for a drift, a staged table"
    )
    hole.add_argument("--from", dest="start", metavar="D", required=True, help="first day or time")
    hole.add_argument(
        "--to",
        dest="end",
        metavar="D",
        required=True,
        help="last day (included), or a time (excluded)",
    )
    hole.add_argument(
        "--reason", required=True, metavar="TEXT", help="why this is known and accepted"
    )
    hole.add_argument(
        "--kind",
        choices=("hole", "drift", "file"),
        default="hole",
        help="hole: no files or events (default); drift: records changed; file: rejected files",
    )
    hole.add_argument("--tenant", metavar="T", help="only for this tenant (default: all tenants)")
    hole.add_argument(
        "--owner", metavar="WHO", help="who is responsible for the entry (default: your account)"
    )

    notify = add(
        "notify", finding_commands.notify, "send a test message to every channel of gundog.yaml"
    )
    notify.add_argument("--test", action="store_true", required=True, help="send the test message")
    notify.add_argument("--channel", action="append", metavar="NAME", help="only this channel")


def _add_drill(add: _Add) -> None:
    drill = add(
        "drill",
        drill_command.drill,
        "lay attacks of several sizes over copies of your own nights, and show what is found;"
        " nothing is stored or sent",
    )
    drill.add_argument(
        "--detection",
        action="append",
        default=[],
        metavar="X",
        help="only this detection; can be given more than once",
    )
    drill.add_argument(
        "--nights",
        type=int,
        default=2,
        metavar="N",
        help="how many of the hunted nights of the last 28 days to attack (default: 2)",
    )
    drill.add_argument(
        "--wait",
        default="0s",
        metavar="DURATION",
        help="how long to wait for another run to end, such as 10m (default: 0s)",
    )


def _add_content(add: _Add) -> None:
    check = add(
        "check",
        project_commands.check,
        "check gundog.yaml, detections and SQL, and list all problems at once",
    )
    check.add_argument(
        "--lake",
        action="store_true",
        help="also list each source of the lake and open its newest file",
    )
    check.add_argument(
        "--schema",
        nargs="?",
        const="",
        metavar="DIR",
        help="only print JSON Schemas of the YAML files, for editors; with DIR write them there",
    )
    check.add_argument(
        "--where",
        metavar="NAME",
        help="only print the path of a detection, staged table, source table or SQL file",
    )
    test = add("test", project_commands.test_examples, "run the examples inside the detections")
    test.add_argument("detections", nargs="*", metavar="X", help="only these detections")
    test.add_argument(
        "--mutate",
        action="store_true",
        help="also change the examples that fire in many ways, and check what is found",
    )
    _add_drill(add)
    purge = add(
        "purge", finding_commands.purge, "remove all stored data about a mailbox or an account"
    )
    whom = purge.add_mutually_exclusive_group(required=True)
    whom.add_argument("--mailbox", metavar="X", help="address of the mailbox")
    whom.add_argument("--account", metavar="X", help="name, domain\\name, address or SID")
    purge.add_argument(
        "--wait",
        default="0s",
        metavar="DURATION",
        help="how long to wait for another run to end, such as 10m (default: 0s)",
    )
    new = add(
        "new",
        project_commands.new_detection,
        "create a new detection, its SQL and two examples that pass",
    )
    new.add_argument("kind", choices=("match", "series"))
    new.add_argument("name", metavar="NAME", help="lower case with underscores, such as pst_copied")
    _add_import(add)
    init = add(
        "init",
        project_commands.init_project,
        "create a project folder that uses the shipped content",
    )
    init.add_argument("directory", type=Path, metavar="DIR")
    init.add_argument(
        "--prefect",
        action="store_true",
        help="add flows/ and prefect.yaml for a Prefect server, also to an existing project",
    )
    completion = add(
        "completion",
        project_commands.completion,
        "print a script with which a shell completes commands and options",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"))
    samples = add(
        "samples", project_commands.samples, "write parquet_samples/ again, byte for byte the same"
    )
    samples.add_argument(
        "--out", type=Path, metavar="DIR", help="the folder to write (default: parquet_samples)"
    )


def _add_import(add: _Add) -> None:
    imports = add(
        "import",
        import_command.import_queries,
        "make detections of KQL queries: Sentinel's YAML, .kql files, Markdown",
    )
    imports.add_argument("files", nargs="*", type=Path, metavar="FILE", help="files with queries")
    imports.add_argument(
        "--group",
        default="",
        metavar="NAME",
        help="what new staged tables are named after (default: the first detection)",
    )
    imports.add_argument(
        "--regroup",
        action="store_true",
        help="without FILE: let all imported detections share one staged table for each source",
    )
    imports.add_argument(
        "--id",
        choices=("keep", "new"),
        default="keep",
        help="keep the query's id (default), or make a new one",
    )
    imports.add_argument(
        "--update",
        action="store_true",
        help="replace the query and SQL of a detection that is there, and keep what people wrote",
    )
    imports.add_argument(
        "--plan", action="store_true", help="show what it would write, and write nothing"
    )
