"""Views of the published findings, for people who type SQL."""

from __future__ import annotations

from pathlib import Path

from gundog.warehouse import database, quoting, tables

# What a finding `f` adds to the risk of whom it names, and the verdicts that add nothing.
RISK = """coalesce(f.risk_score, case f.severity
                   when 'critical' then 100 when 'high' then 75 when 'medium' then 50
                   when 'low' then 25 else 10 end)"""
HARMLESS = "'false_positive', 'benign', 'test', 'duplicate', 'disregard'"
VIEWS = {
    "open_findings": (
        "Findings that wait for a person: new or in progress, not hidden, of stable detections.",
        """select f.* from findings as f
           inner join detections as d using (detection_id)
           where f.triage_status in ('new', 'in_progress') and f.suppressed_by is null
           and d.status = 'stable'
           order by f.start_time desc, f.finding_id""",
    ),
    "findings_by_day": (
        "How many findings each detection had on each day.",
        """select date_trunc('day', end_time) as day, detection_name, severity,
                  count(*) as findings
           from findings group by all order by day desc, detection_name""",
    ),
    "risk_by_entity": (
        ("Risk per host, account and mailbox, summed over the 7 and 30 days before the end of the"
        " newest interval hunted: findings of stable detections, open or not, that are not hidden"
        " and that nobody called harmless. Without a riskScore the severity gives one."),
        f"""with latest as (
               select coalesce(
                   (select max(interval_end) from run_intervals
                    where state in ('provisional', 'final')),
                   (select max(interval_end) from findings)
               ) as newest
           ),

           counted as (
               select f.*, {RISK} as risk
               from findings as f inner join detections as d using (detection_id)
               where d.status = 'stable' and f.suppressed_by is null
               and coalesce(f.verdict, '') not in
                   ({HARMLESS})
           ),

           named as (
               select tenant, unnest([
                   {{'kind': 'host', 'name': host_name}},
                   {{'kind': 'account', 'name': account_name}},
                   {{'kind': 'mailbox', 'name': mailbox}}
               ], recursive := true), finding_id, end_time, risk
               from counted
           )

           select kind, name, tenant,
                  coalesce(sum(risk) filter (end_time > newest - interval 7 day), 0) as risk_7d,
                  sum(risk) as risk_30d,
                  list(finding_id order by end_time desc, finding_id) as findings
           from named, latest
           where name is not null and name not in ('', '*')
           and end_time > newest - interval 30 day and end_time <= newest
           group by kind, name, tenant order by risk_30d desc, kind, name, tenant""",
    ),
}  # fmt: skip


# What the columns of views are.
SAID_OF = {column.name: column.comment for column in tables.FINDINGS.columns} | {
    "day": "the day, in UTC",
    "findings": "how many findings, or which, newest first",
    "kind": "what it is: match or series, or host, account or mailbox",
    "name": "the host, account or mailbox",
    "risk_7d": "sum of risk scores over the 7 days before the newest interval hunted",
    "risk_30d": "sum of risk scores over the 30 days before the newest interval hunted",
}


def create_views(path: Path) -> None:
    """Adds the views from inside, so that they name this file's own tables."""
    con = database.connect(path)
    try:
        with database.transaction(con):
            for name, (comment, sql) in VIEWS.items():
                con.execute(f"create view {name} as {sql}")
                con.execute(f"comment on view {name} is {quoting.text(comment)}")
                for column, *_ in con.execute(f"describe {name}").fetchall():
                    said = quoting.text(SAID_OF.get(column, ""))
                    con.execute(f"comment on column {name}.{quoting.name(column)} is {said}")
        con.execute("checkpoint")
    finally:
        con.close()
