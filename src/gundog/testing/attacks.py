"""Attacks that are laid over your own nights: reads of mail, and pairs of export and removal.

A read is a copy of the mailbox's own newest record before the night, so that an attack from the
usual context cannot be told from the owner; other contexts change what an intruder would.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import duckdb

from gundog.core.times import DAY, Interval
from gundog.detections.hunt import Content, Hunt
from gundog.detections.staged import StagedTable
from gundog.testing import overlay, pairs
from gundog.warehouse import quoting, schema

MAIL = "mail_access"
SIZES = (5, 20, 100)
# So many mailboxes of a tenant are attacked in a night, each by somebody else.
VICTIMS = 40
_HISTORY = 28 * DAY
_STEP = timedelta(seconds=20)

_PLACE = {
    "ip_address": "concat('198.18.', number, '.77')",
    "network": "concat('198.18.', number, '.0/24')",
    # An export without these columns has none in an attack either.
    "isp": "case when base.isp is not null then concat('Drill Provider ', number) end",
    "country": "case when base.country is not null then 'ZZ' end",
}
_APP = {
    "app_id": "concat('drill-app-', number)",
    "record_app_id": "concat('drill-app-', number)",
    "actor": "concat('drill-app-', number)",
    "client_family": "'rest'",
    "access_mode": "'app_only'",
    "session_id": "cast(null as varchar)",
    "aad_session_id": "cast(null as varchar)",
}
_ACCOUNT = {
    "actor": "concat('drill-account-', number)",
    "logon_type": "'delegate'",
    "logon_sid": "concat('S-drill-', number)",
}
# What an intruder changes of the mailbox's own record, by the context's name.
CONTEXTS: Mapping[str, Mapping[str, str]] = {
    "usual place and session": {},
    "stolen session, new place": _PLACE,
    "new application, new place": {**_PLACE, **_APP},
    "another account, usual place": _ACCOUNT,
}
TIMES = ("day", "night")
_PAIR_HOURS = {"day": 10, "night": 2}


@dataclass(frozen=True)
class Attack:
    """One kind of attack: on which staged table, from which context, when, and how large.

    `size` is in items for reads of mail; a pair has none. `columns` are those that the context
    changes: a hunt that reads none of them finds the same whatever the context is.
    """

    stage: str
    context: str
    time: str
    size: int = 1
    columns: frozenset[str] = frozenset()


def of(hunt: Hunt) -> list[Attack]:
    """The attacks that say something about a hunt, by the staged tables that it reads."""
    names = {stage.name: stage for stage in hunt.stages}
    attacks = list[Attack]()
    # A match on Exchange's own mark finds what Exchange does, whatever somebody reads.
    is_marked = hunt.detection.kind == "match" and "is_throttled" in hunt.sql
    if MAIL in names and _fits(names[MAIL]) and not is_marked:
        contexts = {
            name: changed
            for name, changed in CONTEXTS.items()
            if not changed or hunt.learned or any(column in hunt.sql for column in changed)
        }
        attacks += [
            Attack(MAIL, "any" if len(contexts) == 1 else name, time, size, frozenset(changed))
            for name, changed in contexts.items()
            for time in TIMES
            for size in SIZES
        ]
    attacks += [
        Attack(stage, context, time)
        for stage, contexts in pairs.CONTEXTS.items()
        if stage in names
        for context in contexts
        for time in TIMES
    ]
    return attacks


def _fits(stage: StagedTable) -> bool:
    """False for somebody else's table of the same name, of other columns."""
    changed = {column for columns in CONTEXTS.values() for column in columns}
    named = {name for name, _ in stage.columns}
    return changed | {"mailbox", "access_type", "items", "is_throttled", "session_id"} <= named


@dataclass(frozen=True)
class Victim:
    """Who is attacked: a mailbox, or for pairs a host, of a tenant; the events of the attack."""

    tenant: str
    name: str
    events: frozenset[str]


def lay(
    con: duckdb.DuckDBPyConnection, loaded: Content, hunt: Hunt, attack: Attack, night: Interval
) -> list[Victim]:
    """Puts an attack on each victim over a night, in place of what was laid before.

    Args:
        con: from `overlay.opened`.
        loaded: the content that stages commands.
        hunt: what will be hunted.
        attack: the attack.
        night: the interval that it happens in.
    """
    for stage in hunt.stages:
        con.execute(f"delete from {overlay.attacks_table(stage)}")
    stage = next(stage for stage in hunt.stages if stage.name == attack.stage)
    if attack.stage == MAIL:
        _lay_reads(con, stage, attack, night)
        overlay.learn(con, stage)
        return _victims(con, stage, "mailbox")
    pairs.lay(con, loaded, hunt, stage, attack.context, night, _PAIR_HOURS[attack.time])
    overlay.learn(con, stage)
    return _victims(con, stage, "host_name")


def _victims(con: duckdb.DuckDBPyConnection, stage: StagedTable, column: str) -> list[Victim]:
    rows = con.execute(
        f"""select coalesce(tenant, ''), {column}, list(event_id::varchar)
            from {overlay.attacks_table(stage)} group by all order by all"""
    ).fetchall()
    return [Victim(tenant, name, frozenset(events)) for tenant, name, events in rows]


def _lay_reads(
    con: duckdb.DuckDBPyConnection, stage: StagedTable, attack: Attack, night: Interval
) -> None:
    """Copies of the newest record of each victim, at an hour that is its tenant's own."""
    changed = {
        "file_id": f"{overlay.FILE_ID}::bigint",
        "event_id": "md5(concat_ws('/', 'drill', base.tenant, base.mailbox, step))::uuid",
        "event_time": "hours.start_time + step * $step",
        "access_type": "'Bind'",
        "items": "1::bigint",
        "is_throttled": "false",
        **CONTEXTS.get(attack.context, {}),
    }
    columns = [name for name, _ in stage.columns]
    values = ", ".join(
        f"{changed.get(name, f'base.{quoting.name(name)}')} as {quoting.name(name)}"
        for name in columns
    )
    con.execute(
        f"""insert into {overlay.attacks_table(stage)} by name
            with recent as (
                from {stage.table}
                where event_time >= $start - $history and event_time < $start
                and reject_reason is null and not {schema.IS_COPY} and mailbox <> ''
            ),
            newest as (
                from recent qualify row_number() over (
                    partition by tenant, mailbox order by event_time desc, event_id) = 1
            ),
            base as (
                select *, row_number() over (
                    partition by tenant order by md5(mailbox), mailbox) as number
                from newest qualify number <= {VICTIMS}
            ),
            hours as (
                select coalesce(tenant, '') as tenant,
                       $start + interval 1 hour * arg_max(
                           hour, ($sign * records, -hour)) as start_time
                from ({_ALL_HOURS}) group by all
            )
            select {values}, false as {schema.IS_COPY}
            from base inner join hours on hours.tenant = coalesce(base.tenant, '')
            cross join range($size) as s(step)""",
        {
            "start": night.start,
            "history": _HISTORY,
            "step": _STEP,
            "size": attack.size,
            "sign": 1 if attack.time == "day" else -1,
        },
    )


# Every hour of the day, also those in which a tenant never read anything.
_ALL_HOURS = """
    select t.tenant, r.hour, count(recent.event_time) as records
    from (select distinct coalesce(tenant, '') as tenant from recent) as t
    cross join range(24) as r(hour)
    left join recent
        on coalesce(recent.tenant, '') = t.tenant
        and date_part('hour', recent.event_time) = r.hour
    group by all"""
