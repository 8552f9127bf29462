"""The commands. Nothing heavy is imported until one needs it, so that --help answers at once."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gundog import streams
from gundog.errors import ContentError, GundogError, InputError, Problem
from gundog.interval import parse_duration, parse_range, parse_time
from gundog.wording import count

if TYPE_CHECKING:
    from rich.console import Console

    from gundog.child import Child
    from gundog.content import Hunt
    from gundog.run import Outcome, Project, Request
    from gundog.settings import Settings
    from gundog.trying import Trials

_SEVERITIES = ("informational", "low", "medium", "high", "critical")
_INTERRUPTED = 130
_SENDING = ("notify", "heartbeat", "workers")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status.

    0 done; 1 done but something failed or had no data; 2 the input is wrong and nothing was done;
    3 another run holds the warehouse.
    """
    streams.prepare()
    status = _ended(sys.argv[1:] if argv is None else list(argv))
    if lost := streams.finish():
        _complain(f"standard output cannot be written ({lost}): give it a place that can")
        return status or 1
    return status


def _ended(argv: Sequence[str]) -> int:
    """The exit status of a command, all that went wrong said."""
    try:
        _check_words(argv)
        arguments = _parser().parse_args(argv)
        command: Callable[[argparse.Namespace], int] = arguments.run
        return command(arguments)
    except ContentError as error:
        _complain(error)
        _complain(f"{count(len(error.problems), 'problem')}; nothing was done")
        return error.exit_status
    except GundogError as error:
        _complain(error)
        return error.exit_status
    except OSError as error:
        if not (said := _refused(error)):
            raise
        _complain(said)
        return 1
    except KeyboardInterrupt:
        return _stopped()
    except RuntimeError as error:
        from gundog import warehouse

        if not warehouse.is_interrupt(error):
            raise
        return _stopped()


def _refused(error: OSError) -> str:
    """What a disk or the operating system refused, and what to do; empty for other errors."""
    where = error.filename or "a file"
    if isinstance(error, PermissionError):
        return (
            f"{where}: this account may not reach it ({error.strerror}): ask who runs gundog to"
            " let a group read there (docs/operations.md)"
        )
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{where}: cannot be written ({error.strerror}): free disk space and run again"
    return ""


def _check_words(argv: Sequence[str]) -> None:
    """Raises InputError for an argument that is not UTF-8: no table and no file could keep it."""
    for word in argv:
        if not word.isprintable() and any("\ud800" <= char <= "\udfff" for char in word):
            raise InputError(f"the argument {word} is not UTF-8: write it in UTF-8")


def _stopped() -> int:
    _complain("stopped; what was hunted is kept, run the same command again to go on")
    return _INTERRUPTED


def _complain(what: object) -> None:
    from gundog import text

    sys.stderr.write(text.for_terminal(str(what)) + "\n")


class _Parser(argparse.ArgumentParser):
    """Quotes what it does not understand as text that a terminal only shows."""

    def error(self, message: str) -> NoReturn:
        from gundog import text

        super().error(text.for_terminal(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gundog",
        description="Hunts a parquet event lake every night and keeps what it finds.",
        epilog="Times are ISO 8601 in UTC. X is a detection's id or file name, FINDING any unique"
        " beginning of an id. Exit status: 0 done, 1 done but something failed or had no data,"
        " 2 wrong input and nothing done, 3 another run holds the warehouse.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    project = _Parser(add_help=False)
    project.add_argument(
        "--project", type=Path, default=Path(), metavar="DIR",
        help="the folder that holds gundog.yaml (default: here)",
    )  # fmt: skip

    def add(
        name: str, run: Callable[[argparse.Namespace], int], about: str
    ) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=about, description=about, parents=[project])
        one.set_defaults(run=run)
        return one

    _add_runs(add)
    _add_readers(add)
    _add_writers(add)
    _add_content(add)
    return parser


def _version() -> str:
    import gundog

    return f"gundog {gundog.__version__}"


_Add = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def _add_runs(add: _Add) -> None:
    hunt = add(
        "hunt", _hunt,
        "hunt the last complete interval and what is missing, stale or failed before it,"
        " or the range you give",
    )  # fmt: skip
    back = add("backfill", _backfill, "hunt a range of past days, oldest first; resumes by itself")
    for one, required in ((hunt, False), (back, True)):
        one.add_argument(
            "--from", dest="start", metavar="T", required=required, help="first day or time"
        )
        one.add_argument(
            "--to", dest="end", metavar="T", required=required,
            help="last day (included), or a time (excluded)",
        )  # fmt: skip
        one.add_argument(
            "--detection", action="append", default=[], metavar="X",
            help="only this detection; may stand several times",
        )  # fmt: skip
        one.add_argument(
            "--notify", choices=("each", "digest", "none"),
            help="how to send findings (hunt: as each channel says; backfill: not at all)",
        )  # fmt: skip
        one.add_argument(
            "--wait", default="0s", metavar="DURATION",
            help="how long to wait for another run to end, such as 10m",
        )  # fmt: skip
    for one in (hunt, back):
        one.add_argument(
            "--trust-clock", action="store_true",
            help="the clock is right, however far it is from the last run and from all events",
        )  # fmt: skip
    back.add_argument("--again", action="store_true", help="also what is done already")
    back.add_argument("--plan", action="store_true", help="say what it would do, and do nothing")
    back.add_argument(
        "--yes", action="store_true", help="do not ask before a very large first staging"
    )


def _add_readers(add: _Add) -> None:
    state = add(
        "status", _status, "OK or N PROBLEMS, then coverage, sources, files, unsent messages"
    )
    state.add_argument("--json", action="store_true", help="as one JSON object, for programs")
    listing = add("findings", _findings, "list findings, newest first (default: the open ones)")
    listing.add_argument("--since", metavar="D", help="only what ended at or after this time")
    listing.add_argument("--severity", choices=_SEVERITIES, help="only this severity and above")
    listing.add_argument("--tenant", metavar="X", help="only this tenant's")
    listing.add_argument(
        "--all", action="store_true", help="also suppressed, resolved and unstable ones"
    )
    listing.add_argument("--json", action="store_true", help="as a JSON array")
    show = add("show", _show, "one finding: its story, evidence, why, and what to do")
    show.add_argument("finding", metavar="FINDING")
    sql = add("sql", _sql, "ask the published findings with SQL, read only")
    sql.add_argument("sql", nargs="?", metavar="SQL", help="one SELECT, or - for standard input")
    sql.add_argument("-f", "--file", type=Path, metavar="FILE", help="read the SQL from a file")
    sql.add_argument("--format", choices=("table", "csv", "json"), default="table")


def _add_writers(add: _Add) -> None:
    triage = add("triage", _triage, "say what became of a finding; works while a run goes on")
    triage.add_argument("finding", metavar="FINDING")
    triage.add_argument(
        "--status", metavar="S",
        help="new, in_progress, resolved or archived (a verdict alone resolves)",
    )  # fmt: skip
    triage.add_argument(
        "--verdict", metavar="V",
        help="true_positive, false_positive, benign, suspicious, test, duplicate,"
        " insufficient_data or disregard",
    )  # fmt: skip
    triage.add_argument("--note", metavar="TEXT", help="whatever the next person should know")
    known = add(
        "except", _except, "hide what is known to be harmless, for some days, and say why"
    )  # fmt: skip
    known.add_argument("finding", metavar="FINDING")
    known.add_argument(
        "--on", nargs="+", action="extend", required=True, metavar="COLUMN",
        help="hide what has the finding's values in these columns",
    )  # fmt: skip
    known.add_argument("--days", type=int, required=True, metavar="N", help="from today on")
    known.add_argument("--reason", required=True, metavar="TEXT", help="why it is harmless")
    known.add_argument("--owner", metavar="WHO", help="who says so (default: your account)")

    hole = add(
        "acknowledge", _acknowledge,
        "say that a hole, a drift or rejected files are known: no problem any more",
    )  # fmt: skip
    hole.add_argument("source", metavar="SOURCE", help="source table, for a drift a staged table")
    hole.add_argument("--from", dest="start", metavar="D", required=True, help="first day or time")
    hole.add_argument(
        "--to", dest="end", metavar="D", required=True,
        help="last day (included), or a time (excluded)",
    )  # fmt: skip
    hole.add_argument("--reason", required=True, metavar="TEXT", help="why it is as it is")
    hole.add_argument(
        "--kind", choices=("hole", "drift", "file"), default="hole",
        help="no files or events (default), records that changed, or rejected files",
    )  # fmt: skip
    hole.add_argument("--tenant", metavar="T", help="only this tenant's (default: everybody's)")
    hole.add_argument("--owner", metavar="WHO", help="who says so (default: your account)")

    notify = add("notify", _notify, "send a test message to every channel of gundog.yaml")
    notify.add_argument("--test", action="store_true", required=True, help="do it")
    notify.add_argument("--channel", action="append", metavar="NAME", help="only this channel")


def _add_content(add: _Add) -> None:
    check = add("check", _check, "check gundog.yaml, detections and SQL; all problems at once")
    check.add_argument(
        "--lake", action="store_true", help="also list and open the newest file of every source"
    )
    test = add("test", _test, "run the examples inside the detections")
    test.add_argument("detections", nargs="*", metavar="X", help="only these detections")
    test.add_argument(
        "--mutate", action="store_true",
        help="also move, cut, double and respell the examples that fire, and judge what comes",
    )  # fmt: skip
    purge = add("purge", _purge, "remove everything that is known of a mailbox or account")
    whom = purge.add_mutually_exclusive_group(required=True)
    whom.add_argument("--mailbox", metavar="X", help="address of the mailbox")
    whom.add_argument("--account", metavar="X", help="name, domain\\name, address or SID")
    purge.add_argument(
        "--wait", default="0s", metavar="DURATION",
        help="how long to wait for another run to end, such as 10m",
    )  # fmt: skip
    new = add("new", _new, "write a new detection, its SQL and two examples that pass")
    new.add_argument("kind", choices=("match", "series"))
    new.add_argument("name", metavar="NAME", help="lower case with underscores, such as pst_copied")
    init = add("init", _init, "make a project folder of your own that uses the shipped content")
    init.add_argument("directory", type=Path, metavar="DIR")
    samples = add("samples", _samples, "write parquet_samples/ again, the same to the byte")
    samples.add_argument("--out", type=Path, metavar="DIR", help="where (default: parquet_samples)")


def _console() -> Console:
    from gundog import report

    return report.console()


def _load(arguments: argparse.Namespace, *uses: str, helper: Child | None = None) -> Project:
    """The project, read in a process of its own that starts while this one imports.

    Of what may need a secret only the keys of gundog.yaml that are used.
    """
    from gundog.child import Child

    with nullcontext(helper) if helper else Child("gundog.content") as used:
        used.start()
        from gundog import project

        return project.load_project(arguments.project, os.environ, uses, used)


def _settings(arguments: argparse.Namespace) -> Settings:
    """What gundog.yaml says, for commands that need neither detections nor secrets."""
    from gundog import settings

    return settings.load(arguments.project, os.environ, ())


def _hunt(arguments: argparse.Namespace) -> int:
    if bool(arguments.start) != bool(arguments.end):
        raise InputError("--from and --to go together: give both, or neither for the last interval")
    return _run(arguments, "hunt", "nightly")


def _backfill(arguments: argparse.Namespace) -> int:
    return _run(arguments, "backfill", "backfill")


def _run(arguments: argparse.Namespace, command: str, origin: str) -> int:
    from gundog.child import Child

    within = parse_range(arguments.start, arguments.end) if arguments.start else None
    wait = _wait(arguments.wait)
    with Child("gundog.content") as helper:
        is_plan = getattr(arguments, "plan", False)
        project = _load(arguments, "lake", *(() if is_plan else _SENDING), helper=helper)
        from gundog import run

        request = run.Request(
            command=command,
            within=within,
            detections=tuple(arguments.detection),
            again=getattr(arguments, "again", False),
            wait=wait,
            origin=origin,
            yes=getattr(arguments, "yes", False),
            notify=arguments.notify or ("none" if command == "backfill" else None),
            trust_clock=arguments.trust_clock,
        )
        if is_plan:
            return _plan(project, request)
        return _watched(project, request, helper)


def _plan(project: Project, request: Request) -> int:
    from gundog import run

    for line in run.plan(project, request, datetime.now(UTC)):
        sys.stdout.write(line + "\n")
    return 0


def _watched(project: Project, request: Request, helper: Child) -> int:
    """Runs and shows how it goes; the exit status."""
    from uuid import uuid4

    from gundog import progress, run

    with progress.watching() as watch:
        outcome = run.run(
            project, request, datetime.now(UTC), uuid4(), watch.say,
            went=watch.went, stop=watch.stop, helper=helper,
        )  # fmt: skip
    _summary(project, outcome)
    return _INTERRUPTED if outcome.stopped else outcome.exit_status


def _wait(text: str) -> Any:
    from datetime import timedelta

    return timedelta() if text in ("0", "0s") else parse_duration(text)


def _summary(project: Project, outcome: Outcome) -> None:
    """What a run leaves on the screen: its findings, then one line that sums it up."""
    from gundog import report

    console = _console()
    with report.published(project.settings.findings) as con:
        rows = report.select_findings(con, run_id=str(outcome.run_id))
        if rows:
            report.findings_table(console, rows)
            console.print()
    changes = outcome.changes
    console.print(
        f"{count(outcome.hunted, 'interval')} hunted, {outcome.done} hunted before and unchanged;"
        f" findings: {changes.new} new, {changes.changed} changed, {changes.unchanged} unchanged,"
        f" {changes.withdrawn} withdrawn, {changes.returned} returned"
    )
    for note in outcome.notes:
        console.print(report.hanging(note))
    for problem in outcome.problems:
        console.print(report.hanging(f"PROBLEM  {problem}"))
    console.print(f"findings are in {_relative(project.settings.findings)}")


def _relative(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _status(arguments: argparse.Namespace) -> int:
    from dataclasses import replace

    from gundog import health, opening, report, state, state_page, triage

    project, now = _load(arguments), datetime.now(UTC)
    about, findings = state.known(project), project.settings.findings
    if findings.exists():
        unread = triage.read(triage.beside(findings))[1]
        more = [health.Fault(health.TRIAGE, str(one)) for one in unread]
        with report.published(findings) as con:
            found = state.read(con, about, now, more)
        found = replace(found, notes=(*found.notes, *opening.left(findings)))
    else:
        found = state.never(about, now)
    if arguments.json:
        state_page.as_json(found, sys.stdout)
    else:
        state_page.show(_console(), found)
    return 1 if found.troubles else 0


def _acknowledge(arguments: argparse.Namespace) -> int:
    from gundog import acknowledging

    acknowledging.run(
        _console(), _load(arguments), arguments.source,
        parse_range(arguments.start, arguments.end),
        acknowledging.Said(arguments.kind, arguments.tenant, arguments.reason, arguments.owner),
        datetime.now(UTC),
    )  # fmt: skip
    return 0


def _findings(arguments: argparse.Namespace) -> int:
    from gundog import report

    since = parse_time(arguments.since) if arguments.since else None
    with report.published(_settings(arguments).findings) as con:
        rows = report.select_findings(
            con,
            since=since,
            severity=arguments.severity,
            everything=arguments.all,
            tenant=arguments.tenant,
        )
    if arguments.json:
        report.as_json(rows, sys.stdout)
    elif rows:
        report.findings_table(_console(), rows)
    else:
        sys.stdout.write("no findings\n")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from gundog import report

    settings = _settings(arguments)
    with report.published(settings.findings) as con:
        row = report.find(con, arguments.finding)
        report.show(_console(), con, row, settings.late_arrival)
    return 0


def _triage(arguments: argparse.Namespace) -> int:
    from gundog import report, triage

    findings = _settings(arguments).findings
    with report.published(findings) as con:
        row = report.find(con, arguments.finding)
    said = triage.Said(arguments.status, arguments.verdict, arguments.note)
    before = row["triage_status"], row["verdict"]
    finding_id, path = str(row["finding_id"]), triage.beside(findings)
    entry = triage.append(path, finding_id, said, before, datetime.now(UTC))
    state = entry.status + (f", {entry.verdict}" if entry.verdict else "")
    _console().print(report.hanging(f"{finding_id[:8]} is {state}: {row['title']}"))
    return 0


def _except(arguments: argparse.Namespace) -> int:
    from gundog import excepting

    if arguments.days < 1:
        raise InputError(f"--days {arguments.days}: give a number of days above 0")
    if not arguments.reason.strip():
        raise InputError("--reason is empty: say why this is harmless")
    excepting.run(
        _console(), _settings(arguments), arguments.finding, arguments.on,
        arguments.days, arguments.reason.strip(), arguments.owner, datetime.now(UTC),
    )  # fmt: skip
    return 0


def _notify(arguments: argparse.Namespace) -> int:
    from gundog import report, sending
    from gundog import settings as settings_module
    from gundog.fields import unknown
    from gundog.project import load_settings

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
        _console().print(report.hanging(f"{channel.name}: {error or 'OK'}"))
    return 1 if failed else 0


def _sql(arguments: argparse.Namespace) -> int:
    from functools import partial

    from gundog import query, report, triage

    if bool(arguments.sql) == bool(arguments.file):
        raise InputError("give one SQL statement, - for standard input, or -f FILE")
    if arguments.file and not arguments.file.is_file():
        raise InputError(f"{arguments.file}: is not there: give a file that holds one SELECT")
    findings = _settings(arguments).findings
    sql = _sql_text(arguments)
    with report.published(findings):
        pass
    said, _ = triage.read(triage.beside(findings))
    rows = query.user_query(findings, sql, prepare=partial(triage.overlay, entries=said))
    report.write_rows(rows, arguments.format, sys.stdout, _console())
    return 0


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


def _check(arguments: argparse.Namespace) -> int:
    project = _load(arguments, "lake", *_SENDING)
    problems = [*project.content.problems, *project.problems, *_misspelt(project)]
    for problem in problems:
        _complain(problem)
    content = project.content
    counted = (
        f"{count(len(content.hunts), 'detection')}, {count(len(content.stages), 'staged table')}"
    )
    if problems:
        _complain(f"{count(len(problems), 'problem')}; fine: {counted}")
        return 2
    sys.stdout.write(f"OK: {counted}, {count(len(content.sources), 'source table')}\n")
    if arguments.lake:
        from gundog import lakecheck

        return lakecheck.check(project, _console())
    return 0


def _misspelt(project: Project) -> Iterator[Problem]:
    """The channels whose address is taken, and shows nothing there in the form that it gets."""
    from gundog import channels

    for place, channel in enumerate(project.settings.notify):
        if meant := channels.meant(channel.url):
            yield Problem("gundog.yaml", f"notify.{place}.url", meant)


def _test(arguments: argparse.Namespace) -> int:
    from gundog.child import Child

    with Child("gundog.content") as helper:
        project = _load(arguments, helper=helper)
        from gundog.trying import Trials

        for problem in project.content.problems:
            _complain(problem)
        named = [project.content.hunt(name) for name in arguments.detections]
        hunts, trials = named or project.content.hunts, Trials(helper, project)
        failed = _try_examples(trials, hunts)
        if arguments.mutate:
            failed += _mutate(trials, hunts)
    return 2 if failed or project.content.problems else 0


def _try_examples(trials: Trials, hunts: Sequence[Hunt]) -> int:
    """Runs every example; returns how many failed."""
    tried = failed = 0
    for hunt in hunts:
        for example in hunt.detection.examples:
            tried += 1
            found = trials.example(hunt, example)
            failed += bool(found)
            for line in found:
                _complain(f"{hunt.detection.stem}: {example.name}: {line}")
    sys.stdout.write(f"{count(tried, 'example')}, {failed} failed\n")
    return failed


def _mutate(trials: Trials, hunts: Sequence[Hunt]) -> int:
    """Judges the mutations of every firing example; returns how many failed."""
    tried = failed = 0
    for hunt in hunts:
        for example in hunt.detection.examples:
            for verdict in trials.mutations(hunt, example):
                tried += 1
                failed += bool(verdict.problem)
                if verdict.problem:
                    where = f"{hunt.detection.stem}: {example.name}: {verdict.name}"
                    _complain(f"{where}: {verdict.problem}")
    sys.stdout.write(f"{count(tried, 'mutation')}, {failed} failed\n")
    return failed


def _purge(arguments: argparse.Namespace) -> int:
    from gundog import run
    from gundog.purging import Whom

    whom = Whom(arguments.mailbox, arguments.account)
    if not whom.name:
        raise InputError("the name is empty: give a mailbox or an account")
    done = run.purge(_load(arguments), whom, _wait(arguments.wait), datetime.now(UTC))
    sys.stdout.write(
        f"removed {count(done.staged, 'staged row')}, {count(done.findings, 'finding')},"
        f" {count(done.evidence, 'row of other evidence')}, {count(done.series, 'hour of series')};"
        " new files of the lake bring new rows\n"
    )
    return 0


def _new(arguments: argparse.Namespace) -> int:
    from gundog import scaffold

    for path in scaffold.new(arguments.project, arguments.kind, arguments.name):
        sys.stdout.write(f"wrote {_relative(path)}\n")
    sys.stdout.write(f"try it: gundog test {arguments.name}\n")
    return 0


def _init(arguments: argparse.Namespace) -> int:
    from gundog import scaffold

    for path in scaffold.init(arguments.directory):
        sys.stdout.write(f"wrote {path}\n")
    sys.stdout.write(f"next: cd {arguments.directory}, set lake in gundog.yaml, gundog check\n")
    return 0


def _samples(arguments: argparse.Namespace) -> int:
    from gundog import samples

    out = arguments.out or arguments.project / "parquet_samples"
    samples.write(out)
    sys.stdout.write(f"wrote {out}\n")
    return 0
