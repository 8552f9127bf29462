"""The page of `gundog report`, made by the command and at the end of every run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import partial

from gundog.core.errors import GundogError, StoreError
from gundog.findings import reader, triage
from gundog.health import watch
from gundog.health.watch import Fault
from gundog.project.project import Project
from gundog.report import page, scope, target, writing
from gundog.report.asked import Asked
from gundog.report.night import Night
from gundog.run import parts, status
from gundog.run.context import Context
from gundog.run.outcome import Outcome
from gundog.run.status_model import Status


def made(project: Project, asked: Asked, now: datetime, more: Iterable[Fault] = ()) -> str:
    """The page as HTML, from what is published; nothing is changed by it.

    Args:
        project: its settings, and what its files say.
        asked: what the page is about.
        now: the moment of the page, in UTC.
        more: faults that are in no file yet.

    Raises:
        InputError: when nothing is published yet, an older gundog published it, or what is asked
            for is not there.
        StoreError: when what is published cannot be read.
    """
    findings = project.settings.findings
    unread = [Fault(watch.TRIAGE, said) for said in triage.read(triage.beside(findings))[1]]
    with reader.published(findings) as con:
        scope.check_version(con, findings.name)
        state = status.read(con, status.known(project), now, [*more, *unread])
        return page.html(page.gather(con, asked, _night(state)))


def write(project: Project, now: datetime, more: Iterable[Fault] = ()) -> None:
    """Writes the page to where `report:` says; does nothing where it says nothing.

    Raises:
        GundogError: as `made`, or when it cannot be written.
    """
    wanted = project.settings.report
    if wanted:
        html = made(project, Asked(evidence=wanted.evidence), now, more)
        writing.write(wanted.place, html, project.environ)


def after_run(context: Context, outcome: Outcome) -> bool:
    """Writes the page as a part of the run; a page that fails is a problem of the run.

    Returns:
        False when it failed.
    """
    if not context.project.settings.report:
        return True
    work = partial(_failure, context.project, context.stamp.at)
    failure = context.run_part(parts.REPORT, work, str)
    if failure:
        outcome.problems.append(f"report: {failure}")
    return not failure


class Attachment:
    """The page for mails, made when the first of them is sent."""

    def __init__(self, project: Project, now: datetime) -> None:
        self.problems: list[str] = []
        self._project, self._now = project, now
        self._made: bytes | None = None

    def html(self) -> bytes:
        """The page as a file; empty, with a problem noted, if it cannot be made."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def _make(self) -> bytes:
        wanted = self._project.settings.report
        try:
            asked = Asked(evidence=wanted.evidence if wanted else True)
            return made(self._project, asked, self._now).encode()
        except GundogError as error:
            reason = str(error)
        except Exception as error:  # the message itself must go, whatever is wrong with a page
            reason = f"cannot be made ({type(error).__name__}: {error}): please report this"
        self.problems.append(f"report: sent without it: {reason}")
        return b""


def after_failure(project: Project, now: datetime, reason: str) -> None:
    """Writes the page of a run that published nothing: it shows the last one's, and says why.

    A page that fails too says nothing more than the run itself does.
    """
    if project.settings.report and project.settings.findings.exists():
        _failure(project, now, [Fault(watch.RUN, f"the newest run failed: {reason}")])


def after_purge(project: Project, now: datetime) -> None:
    """Takes what was purged off the page, and removes pages that lie beside the findings.

    Raises:
        StoreError: when the page cannot be written.
    """
    for path in project.settings.findings.parent.glob("report*.html"):
        if target.BESIDE.fullmatch(path.name):
            path.unlink(missing_ok=True)
    if failure := _failure(project, now):
        raise StoreError(f"everything is purged but the report: {failure}: then run gundog report")


def _failure(project: Project, now: datetime, more: Iterable[Fault] = ()) -> str:
    """Writes the page; why that failed, or nothing."""
    try:
        write(project, now, more)
    except GundogError as error:
        return str(error)
    except Exception as error:  # whatever is wrong with a page, the night's results are stored
        return f"cannot be made ({type(error).__name__}: {error}): please report this"
    return ""


def _night(state: Status) -> Night:
    return Night(
        now=state.now,
        nightly=state.nightly,
        troubles=state.troubles,
        notes=state.notes,
        sources=state.sources,
        expiring=state.exceptions,
        acknowledged=tuple(
            (entry.tenant, entry.shown) for entry, covers in state.acknowledged if covers
        ),
        idle={coverage.detection: coverage.idle for coverage in state.coverage if coverage.idle},
    )
