"""`gundog acknowledge`: an entry added to acknowledged.yaml, and what it covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from rich.console import Console
from rich.text import Text

from gundog.cli import finding_list
from gundog.core.errors import ContentError, InputError
from gundog.core.times import DAY, Interval, ceil, format_time
from gundog.core.wording import count
from gundog.findings import reader, triage
from gundog.health import acknowledged
from gundog.health.acknowledged import Entry
from gundog.project import schemas
from gundog.project.project import Project
from gundog.run import status


@dataclass(frozen=True)
class Said:
    """What somebody says of it: its kind, whose it is, why, and who they are."""

    kind: str
    tenant: str | None
    reason: str
    owner: str | None


def run(
    console: Console, project: Project, source: str, span: Interval, said: Said, now: datetime
) -> None:
    """Adds the entry and prints the lines, and how much of what is wrong today it covers.

    Raises:
        InputError: when an argument is wrong, what it is about has not happened yet, or an entry
            says so already.
        ContentError: when the source is not known, or acknowledged.yaml has problems.
        StoreError: when the file cannot be written.
    """
    if not said.reason.strip():
        raise InputError("--reason is empty: write why this is known and accepted")
    if said.tenant is not None and not said.tenant.strip():
        raise InputError("--tenant is empty: leave it out to mean every tenant")
    if span.end > ceil(now, DAY):
        raise InputError(
            f"--to: {format_time(span.end)} is in the future: only past times can be acknowledged"
        )
    tenant = said.tenant.strip() if said.tenant else None
    owner = said.owner.strip() if said.owner else triage.actor()
    entry = Entry(said.kind, source, span, said.reason.strip(), owner, tenant)
    content = project.content
    problems = acknowledged.check_names([entry], content.sources, content.stages)
    if problems and not content.problems:
        raise ContentError(problems)
    findings = project.settings.findings
    root = project.settings.root
    added = acknowledged.append(
        root,
        entry,
        findings.with_name("acknowledged.lock"),
        schemas.first_line(root, "acknowledged"),
    )
    console.print(Text(f"{acknowledged.FILE}:", style="bold"))
    for line in added.splitlines():
        console.print(Text("+ ", style="green").append_text(finding_list.safe(line)))
    if findings.exists():
        console.print(Text(_covers(project, entry, now)))


def _covers(project: Project, entry: Entry, now: datetime) -> str:
    about = status.known(project)
    with reader.published(project.settings.findings) as con:
        before = status.read(con, about, now)
        after = status.read(con, status.acknowledging(about, entry), now)
    covered = dict(after.acknowledged)[entry]
    kinds = {acknowledged.REJECTED: "rejected file", acknowledged.DRIFT: "day"}
    noun = kinds.get(entry.kind, "interval")
    if not covered:
        return "It matches no problem that gundog status reports today: check source, kind and days"
    return (
        f"It covers {count(covered, noun)}; gundog status reported"
        f" {count(len(before.troubles), 'problem')} and now reports {len(after.troubles)}"
    )
