"""What changed: new, changed, withdrawn and returned findings, and what is hidden by what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import duckdb

from gundog.core import safe_text
from gundog.report.findings import anchor
from gundog.report.model import Change, Changes
from gundog.report.night import Night
from gundog.report.scope import Scope, condition, rows

ORDER = ("new", "changed", "withdrawn", "returned")
_SHOWN = 60
_WORDS = 300


def of(
    con: duckdb.DuckDBPyConnection, scope: Scope, night: Night, listed: frozenset[str]
) -> Changes:
    """What changed since the moment that the report counts from.

    Args:
        con: findings.duckdb, with the table `chosen`.
        scope: what the report is about.
        night: with what to say of exceptions.
        listed: ids of findings that the page lists, to link to.
    """
    told = _changes(con, scope)
    counts = Counter(row["change"] for row in told)
    # What is new stands among the findings already.
    some = [row for row in told if row["change"] != "new"]
    return Changes(
        counts=tuple((change, counts[change]) for change in ORDER),
        some=tuple(_change(row, listed) for row in some[:_SHOWN]),
        left_out=max(len(some) - _SHOWN, 0),
        hidden=_hidden(con),
        expiring=night.expiring,
    )


def _changes(con: duckdb.DuckDBPyConnection, scope: Scope) -> list[dict[str, Any]]:
    """Changes of the scope, the newest first; a withdrawn finding is as it was."""
    where, values = condition(scope)
    columns = ("title", "severity", "tenant", "account_name", "host_name", "mailbox", "app_id",
               "ip_address")  # fmt: skip
    said = ", ".join(f"coalesce(f.{name}, c.before ->> '$.{name}') as {name}" for name in columns)
    month = scope.asked.month
    return list(
        rows(
            con,
            f"""with told as (
                    select c.finding_id, c.detection_id, c."change", c.reason, c.changed_at, {said},
                           coalesce(f.end_time, (c.before ->> '$.end_time')::timestamptz) as ended
                    from finding_changes as c left join findings as f using (finding_id)
                    where $since is null or c.changed_at > $since
                )

                select * from told where {where}
                and ($from is null or (ended >= $from and ended < $to))
                order by changed_at desc, finding_id""",
            {
                **values, "since": scope.since,
                "from": month.start if month else None, "to": month.end if month else None,
            },
        )
    )  # fmt: skip


def _change(row: Mapping[str, Any], listed: frozenset[str]) -> Change:
    key = str(row["finding_id"])
    return Change(
        change=row["change"],
        at=row["changed_at"],
        severity=row["severity"] or "",
        title=safe_text.cut(row["title"] or key, _WORDS),
        reason=safe_text.cut(row["reason"] or "", _WORDS),
        anchor=anchor(key) if key in listed else "",
    )


def _hidden(con: duckdb.DuckDBPyConnection) -> tuple[tuple[str, int], ...]:
    """What hides findings of the scope, and how many: exceptions by name, the rest by kind."""
    hiding = rows(
        con,
        """select case when starts_with(suppressed_by, 'exception') then suppressed_by
                       when starts_with(suppressed_by, 'finding') then
                           'suppression: the same entity had a finding shortly before'
                       when suppressed_by = 'alertBudget' then
                           'alertBudget: a series had more findings in a night than are sent'
                       else suppressed_by end as why,
                  count(*) as n
           from findings
           where suppressed_by is not null and finding_id in (from chosen)
           group by all order by n desc, why""",
    )
    return tuple((row["why"], row["n"]) for row in hiding)
