"""The page of `gundog report`, made by the command and at the end of every run."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from gundog.findings import reader, triage
from gundog.health import watch
from gundog.health.watch import Fault
from gundog.project.project import Project
from gundog.report import page, scope, writing
from gundog.report.asked import Asked
from gundog.report.night import Night
from gundog.run import status
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
    target = project.settings.report
    if target:
        html = made(project, Asked(evidence=target.evidence), now, more)
        writing.write(target.place, html, project.environ)


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
