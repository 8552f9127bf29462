"""Arguments of the commands about findings."""

from __future__ import annotations

from pathlib import Path

from gundog.cli import export_command, finding_commands, report_command
from gundog.cli.adding import Add
from gundog.core.severity import SEVERITIES


def add_readers(add: Add) -> None:
    """Commands that only read: `status`, `findings`, `show`, `report`, `export`, `sql`."""
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
        "--severity", choices=SEVERITIES, help="only findings of this severity or higher"
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
    sql.add_argument(
        "--staged",
        action="store_true",
        help="query the staged tables, such as mail_access, in place of the findings; waits for"
        " a run to let go of them, and never makes a run wait",
    )
    sql.add_argument(
        "--wait",
        default="10m",
        metavar="DURATION",
        help="with --staged: how long to wait for a run (default: 10m)",
    )


def _add_report(add: Add) -> None:
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


def _add_export(add: Add) -> None:
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


def add_writers(add: Add) -> None:
    """Commands that write: `triage`, `except`, `acknowledge`, `notify`."""
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
