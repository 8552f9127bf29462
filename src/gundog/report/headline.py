"""The first sentence: what is new, how bad, and whether the night is complete."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import duckdb

from gundog.core import safe_text
from gundog.core.severity import SEVERITIES
from gundog.core.wording import count
from gundog.report import findings
from gundog.report.model import Cell, Month, Problem, Trust
from gundog.report.night import ASIDE, Night
from gundog.report.scope import Scope, rows

_WORDS = 150


def sentence(con: duckdb.DuckDBPyConnection, scope: Scope, month: Month | None) -> str:
    """What is new and how bad, in severity sentence.

    Args:
        con: findings.duckdb, with the table `chosen`.
        scope: what the report is about.
        month: the month's numbers, when it is a month's report.
    """
    if month:
        nights = f"{month.hunted} of {count(month.nights, 'night')} hunted without a gap"
        return f"{month.name}: {count(month.findings, 'finding')}, {nights}."
    counts = _new(con, scope)
    total = sum(counts.values())
    when = f" {scope.since_what}" if scope.since else ""
    if not total:
        return f"Nothing new{when}." if scope.since else "No finding."
    worst_first = [severity for severity in reversed(SEVERITIES) if counts[severity]]
    split = ", ".join(f"{counts[severity]} {severity}" for severity in worst_first)
    return f"{count(total, 'new finding')}{when}: {split}."


def _new(con: duckdb.DuckDBPyConnection, scope: Scope) -> Counter[str]:
    """New findings by severity: not hidden, and of stable detections or of the one asked for."""
    stable = "true" if scope.asked.detection else "d.status = 'stable'"
    counted = rows(
        con,
        f"""select f.severity, count(*) as n from findings as f
            left join detections as d using (detection_id)
            where f.finding_id in (from chosen) and f.suppressed_by is null and {stable}
            and f.finding_id in ({findings.NEW})
            group by all""",
        {"since": scope.since},
    )
    return Counter({row["severity"]: row["n"] for row in counted})


def complete(trust: Trust, night: Night) -> tuple[str, str]:
    """Whether everything was looked at, and why not; the second is empty where all is well."""
    doubts = [problem for problem in trust.problems if problem.kind not in ASIDE]
    if doubts:
        return f"No: {count(len(doubts), 'problem')}.", _first(doubts)
    learning = [row.detection for row in trust.grid if _is_learning(row.cells)]
    said = f"Still learning: {', '.join(learning)}." if learning else ""
    if not night.nightly:
        days = [cell.day for row in trust.grid for cell in row.cells if cell.state != "none"]
        span = f" up to {max(days):%Y-%m-%d}" if days else ""
        return f"What was asked for{span} was hunted. No nightly run yet, so no night is due.", said
    return "Yes: every night was hunted, on data that looked as it should.", said


def of_month(month: Month) -> tuple[str, str]:
    """Whether every night of a month was hunted, and the first gap."""
    lacking = month.nights - month.hunted
    if not lacking:
        return f"Yes: {count(month.nights, 'night')}, all hunted without a gap.", ""
    verb = "has" if lacking == 1 else "have"
    return f"No: {lacking} of {count(month.nights, 'night')} {verb} a gap.", month.gaps[0]


def _is_learning(cells: Sequence[Cell]) -> bool:
    states = [cell.state for cell in cells if cell.state != "none"]
    return bool(states) and states[-1] == "learning"


def _first(problems: list[Problem]) -> str:
    more = len(problems) - 1
    return safe_text.cut(problems[0].text, _WORDS) + (f" (and {more} more below)" if more else "")
