"""What is published, sent on to the targets of `publishTo:` after each run and each purge."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from gundog.core.errors import GundogError, StoreError
from gundog.core.waiting import Went, unseen
from gundog.project.project import Project
from gundog.run import parts, target_faults
from gundog.run.context import Context
from gundog.run.outcome import Outcome
from gundog.targets import publishing
from gundog.targets.config import PublishTo

# As `target_faults.HEAD` has it.
NAME = "publishTo"


def after_publish(context: Context, outcome: Outcome) -> frozenset[str]:
    """Brings every target up to date; one that cannot be is a trouble of the run.

    Returns:
        The names of those that failed.
    """
    failed = set[str]()
    for target in context.project.settings.publish_to:
        if failure := publish(context, target):
            failed.add(target.name)
            day = f"{context.stamp.at:%Y-%m-%d}"
            outcome.trouble(f"publishTo:{target.name}:{day}", NAME, failure)
    return frozenset(failed)


def after_messages(context: Context, failed: frozenset[str], outcome: Outcome) -> bool:
    """Sends on what sending messages changed, to the targets that did not fail before.

    Returns:
        True when one of them failed now, which is a problem of the run.
    """
    targets = context.project.settings.publish_to
    tried = [target for target in targets if target.name not in failed]
    failures = [failure for target in tried if (failure := publish(context, target))]
    outcome.problems += [f"{target_faults.HEAD}{failure}" for failure in failures]
    return bool(failures)


def publish(context: Context, target: PublishTo) -> str:
    """Brings a target up to date as a part of the run; why that failed, or nothing."""
    work = partial(_failure, context.project, target, context.stamp.at, context.went)
    return context.run_part(parts.target_part(target.name), work, str)


def after_purge(project: Project, now: datetime) -> None:
    """Takes what was purged out of every target.

    Raises:
        StoreError: when one of them may still hold it, after all others were done.
    """
    targets = project.settings.publish_to
    failures = list(filter(None, (_failure(project, target, now) for target in targets)))
    if failures:
        raise StoreError(
            f"everything is purged but publishTo: {'; '.join(failures)}: then run the same purge"
            " again"
        )


def _failure(project: Project, target: PublishTo, now: datetime, went: Went = unseen) -> str:
    """Brings a target up to date; why that failed, or nothing."""
    try:
        publishing.publish(target, project.settings.findings, project.environ, now, went)
    except GundogError as error:
        text = str(error)
        return text if target.name in text else f"{target.name}: {text}"
    except Exception as error:  # whatever is wrong there, the night's results are stored here
        kind = type(error).__name__
        return f"{target.name}: cannot be published to ({kind}: {error}): please report this"
    return ""
