"""gundog drill: attacks of stated size over your own nights, and what each hunt would find."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gundog.cli import common, run_commands, waiting
from gundog.core.errors import InputError
from gundog.core.wording import count

if TYPE_CHECKING:
    from rich.console import Console

    from gundog.core.child import Child
    from gundog.detections.hunt import Hunt
    from gundog.project.project import Project
    from gundog.testing.drill import Drilled, Score

_LATE = "took longer than allowed for one attack ({limit}): raise huntLimit in gundog.yaml"


def drill(arguments: argparse.Namespace) -> int:
    """Prints what each hunt finds of the attacks; 1 when a hunt failed or none could be drilled."""
    from gundog.core.child import Child
    from gundog.warehouse import database

    if arguments.nights < 1:
        raise InputError("--nights: must be 1 or more: give the number of nights to drill")
    project = common.load(arguments)
    named = [project.content.hunt(name) for name in arguments.detection]
    hunts = named or [hunt for hunt in project.content.hunts if hunt.detection.runs]
    if not project.settings.warehouse.exists():
        raise InputError("nothing was hunted yet: run gundog hunt first")
    wait = run_commands.waiting_time(arguments.wait)
    drilled = failed = 0
    left_out: dict[str, list[str]] = {}
    with Child() as helper, database.lock(project.settings.warehouse, wait, datetime.now(UTC)):
        for hunt in waiting.each(hunts, arguments, "attacking", "hunt"):
            result = _tried(helper, project, hunt, arguments.nights)
            if result is None:
                failed += 1
            elif result.left_out:
                left_out.setdefault(result.left_out, []).append(hunt.detection.stem)
            else:
                drilled += 1
                _show(common.console(), hunt, result)
    for reason, stems in left_out.items():
        common.console().print(f"\nnot drilled, {reason}: {', '.join(stems)}", markup=False)
    if not drilled and not failed:
        common.complain("no hunt could be drilled: see why above")
    return 1 if failed or not drilled else 0


def _tried(helper: Child, project: Project, hunt: Hunt, nights: int) -> Drilled | None:
    """What came of one hunt; None when it failed, which is said."""
    from gundog.core.child import EndedError, LateError
    from gundog.core.times import format_duration
    from gundog.testing import drill

    settings = project.settings
    place = drill.Place(settings.warehouse, settings.memory_limit, settings.threads)
    try:
        result: Drilled = helper.call(
            drill.attempt, place, project.content, hunt, nights,
            memory=place.memory, seconds=settings.hunt_limit.total_seconds(),
        )  # fmt: skip
    except LateError:
        said = _LATE.format(limit=format_duration(settings.hunt_limit))
    except EndedError as error:
        said = str(error)
    else:
        if not result.error:
            return result
        said = result.error
    common.complain(f"{hunt.detection.stem}: {said}")
    return None


def _show(console: Console, hunt: Hunt, drilled: Drilled) -> None:
    from gundog.cli.printing import heading

    heading(console, hunt.detection.stem)
    nights = ", ".join(f"{night:%Y-%m-%d}" for night in drilled.nights)
    console.print(f"  {count(len(drilled.nights), 'night')}: {nights}")
    tenants = sorted({score.tenant for score in drilled.scores})
    for tenant in tenants:
        if len(tenants) > 1:
            from gundog.hunting import tenancy

            console.print(f"  {tenancy.named(tenant)}", markup=False)
        _table(console, [score for score in drilled.scores if score.tenant == tenant])
    for line in _trust(hunt, drilled):
        console.print(f"  {line}", markup=False)


def _table(console: Console, scores: Sequence[Score]) -> None:
    """A line for each kind of attack: the share that is found, by its size."""
    from rich.table import Table

    sizes = sorted({score.size for score in scores})
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("  attack")
    for size in sizes if len(sizes) > 1 else ():
        table.add_column(count(size, "item"), justify="right")
    table.add_column("found")
    by_kind: dict[tuple[str, str], dict[int, Score]] = {}
    for score in scores:
        by_kind.setdefault((score.context, score.time), {})[score.size] = score
    for (context, time), by_size in by_kind.items():
        shares = [_share(by_size[size]) for size in sizes] if len(sizes) > 1 else []
        table.add_row(f"  {context}, by {time}", *shares, found(by_size))
    console.print(table)


def found(by_size: Mapping[int, Score]) -> str:
    """From how many items on an attack is found, in words.

    Args:
        by_size: the scores of one kind of attack.
    """
    named = "mailboxes" if len(by_size) > 1 else "hosts"
    for size, score in sorted(by_size.items()):
        if score.found:
            since = f"from {count(size, 'item')} " if len(by_size) > 1 else ""
            return f"{since}in {_share(score)} of {score.attacked} {named}"
    return f"never, in {max(score.attacked for score in by_size.values())} {named}"


def _share(score: Score) -> str:
    return f"{score.found / score.attacked:.0%}"


def _trust(hunt: Hunt, drilled: Drilled) -> Iterable[str]:
    """False findings that are promised, and what people said of those of the last 28 days."""
    series = hunt.detection.series
    if not series:
        yield "false findings promised: no number, because it is a match"
    elif series.alert_budget is not None:
        yield f"false findings promised: {series.alert_budget:g} a night and tenant at most"
    if drilled.note:
        yield f"of the newest night the hunt itself says: {drilled.note}"
    for said in drilled.verdicts:
        whose = f"{said.tenant}: " if said.tenant else ""
        yield (
            f"{whose}{count(said.findings, 'finding')} in 28 days, {said.judged} with a verdict,"
            f" {said.false} of them false or benign"
        )
