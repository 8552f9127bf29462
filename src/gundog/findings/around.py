"""What else is staged around a finding: where its session, network or application was used too,
and what its account changed in the days before and after."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb

from gundog.core.errors import InputError
from gundog.warehouse import database, quoting

DAYS = 7
# So many changes are read, and so many other mailboxes are named.
MOST = 40
NAMED = 3
# Kinds of contexts that lead from one mailbox to others, as people read them.
KINDS = {"session_id": "session", "network": "network", "app_id": "application"}
_VALUES = 5

Ask = Callable[[str], Sequence[Mapping[str, Any]]]
"""Asks the staged tables: the rows of a SELECT. Raises InputError where a table is not there."""


@dataclass(frozen=True)
class Used:
    """A session, network or application of the finding, used elsewhere in those days.

    Attributes:
        kind: of `KINDS`.
        value: the session, network or application id.
        place: one of several networks of the session for the same mailbox, else empty.
        mailboxes: how many other mailboxes; 0 where `place` is told.
        names: the first few of these, by name.
        first_time: when it was seen there first, of all that is known.
        last_time: and last.
    """

    kind: str
    value: str
    place: str
    mailboxes: int
    names: tuple[str, ...]
    first_time: datetime
    last_time: datetime


@dataclass(frozen=True)
class Change:
    """A change that the account made, or that was made to its mailbox or application."""

    event_time: datetime
    actor: str
    activity: str
    about: str
    ip_address: str
    country: str


@dataclass(frozen=True)
class Around:
    """What is staged around a finding, oldest first; `more` changes are not among them."""

    used: tuple[Used, ...] = ()
    changes: tuple[Change, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Whom:
    """Whose doings are looked for, in which days.

    Attributes:
        tenant: of the finding; empty where there is one.
        mailbox: of the finding, or empty.
        accounts: full names of who may have acted.
        app_id: of the finding, or empty.
        start: a week before its first event.
        end: a week after its last one.
        values: of its contexts, by kind.
    """

    tenant: str
    mailbox: str
    accounts: tuple[str, ...]
    app_id: str
    start: datetime
    end: datetime
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)


def whom(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> Whom:
    """Whom a finding is about.

    Args:
        con: findings.duckdb, of this version or an older one.
        row: of `findings`.
    """
    details = json.loads(row["details"] or "{}")
    names = [row["mailbox"], details.get("actor"), details.get("grantee")]
    accounts = [name.lower() for name in names if isinstance(name, str) and "@" in name]
    margin = timedelta(days=DAYS)
    return Whom(
        tenant=row["tenant"] or "",
        mailbox=row["mailbox"] or "",
        accounts=tuple(dict.fromkeys(accounts)),
        app_id=(row["app_id"] or "").lower(),
        start=row["start_time"] - margin,
        end=row["end_time"] + margin,
        values=_values(con, row),
    )


def _values(con: duckdb.DuckDBPyConnection, row: Mapping[str, Any]) -> dict[str, list[str]]:
    """The most used contexts of the finding, by kind: those that were new to its mailbox.

    A session counts in any case, for one that was stolen is its owner's too.
    """
    tables = con.execute(
        "select count(*) from duckdb_tables() where table_name = 'finding_contexts'"
    ).fetchall()
    if not tables[0][0]:
        return {}
    rows = database.rows(
        con,
        """select kind, value from finding_contexts where finding_id = ?
           and list_contains(?, kind)
           and (first_for_mailbox is null or kind = 'session_id')
           qualify row_number() over (partition by kind order by records desc, value) <= ?
           order by kind, records desc, value""",
        [row["finding_id"], list(KINDS), _VALUES],
    )
    values = dict[str, list[str]]()
    for context in rows:
        values.setdefault(context["kind"], []).append(context["value"])
    return values


def look(ask: Ask, who: Whom) -> Around:
    """What is staged around a finding; nothing of tables that are not staged.

    Raises:
        LockError: when a run is writing the warehouse.
        QueryError: when the question needs too much memory.
    """
    used = [*_other_places(ask, who), *_other_mailboxes(ask, who)]
    changes = _changes(ask, who)
    more = changes[0]["changes"] - len(changes) if changes else 0
    return Around(tuple(used), tuple(map(_change, changes)), more)


def _rows(ask: Ask, sql: str) -> Sequence[Mapping[str, Any]]:
    try:
        return ask(sql)
    except InputError:  # nothing of the kind is staged in this lake
        return ()


def _other_places(ask: Ask, who: Whom) -> Iterable[Used]:
    """Networks of those of the finding's sessions that were used in several of them."""
    if not (who.mailbox and who.values.get("session_id")):
        return
    for row in _rows(
        ask,
        f"""with records as (
                select coalesce(nullif(session_id, ''), aad_session_id) as value,
                       network, concat_ws(', ', network, isp, country) as place, event_time
                from mail_access
                where {_in_days(who)} and mailbox = {quoting.text(who.mailbox)}
            )
            select value, place, min(event_time) as first_time, max(event_time) as last_time
            from records where value in (
                select value from records where value in ({_texts(who.values["session_id"])})
                group by value having count(distinct network) > 1
            )
            group by all order by value, first_time, place limit {MOST}""",
    ):
        yield Used(
            "session_id", row["value"], row["place"], 0, (), row["first_time"], row["last_time"]
        )


def _other_mailboxes(ask: Ask, who: Whom) -> Iterable[Used]:
    """Other mailboxes that were read in those days with the same session, and so on."""
    pairs = [
        f"({quoting.text(kind)}, {quoting.text(value)})"
        for kind, values in who.values.items()
        for value in values
    ]
    if not pairs:
        return
    rows = _rows(
        ask,
        f"""select kind, value, count(distinct entity) as mailboxes,
                   list_sort(list_distinct(list(entity)))[1:{NAMED}] as names,
                   min(first_time) as first_time, max(last_time) as last_time
            from mail_access_contexts
            where coalesce(tenant, '') = {quoting.text(who.tenant)}
            and (kind, value) in ({", ".join(pairs)})
            and entity <> {quoting.text(who.mailbox)}
            and last_time >= {_timestamp(who.start)} and first_time < {_timestamp(who.end)}
            group by all order by kind, value""",
    )
    order = list(KINDS)
    for row in sorted(rows, key=lambda row: order.index(row["kind"])):
        names = tuple(row["names"])
        yield Used(
            row["kind"], row["value"], "", row["mailboxes"], names,
            row["first_time"], row["last_time"],
        )  # fmt: skip


def _changes(ask: Ask, who: Whom) -> Sequence[Mapping[str, Any]]:
    conditions = []
    if who.accounts:
        local = [name.partition("@")[0] for name in who.accounts]
        conditions.append(f"actor in ({_texts(who.accounts)})")
        conditions.append(f"mailbox in ({_texts((*who.accounts, *local))})")
        conditions.append(f"grantee in ({_texts((*who.accounts, *local))})")
    if who.app_id:
        conditions.append(f"app_id = {quoting.text(who.app_id)}")
    if not conditions:
        return ()
    return _rows(
        ask,
        f"""select event_time, actor, activity, mailbox, grantee, rights, app_id, app_name,
                   permissions, properties, query, ip_address, country,
                   count(*) over () as changes
            from mail_changes
            where {_in_days(who)} and is_success and ({" or ".join(conditions)})
            order by event_time, event_id limit {MOST}""",
    )


# What of a change says most, in this order; the rest is in `gundog sql --staged`.
_TOLD = (
    "name", "forwardto", "redirectto", "forwardasattachmentto", "forwardingsmtpaddress",
    "subjectorbodycontainswords", "deletemessage", "movetofolder", "auditbypassenabled",
    "auditenabled", "exchangelocation", "searchname", "filepath",
)  # fmt: skip


def _change(row: Mapping[str, Any]) -> Change:
    properties = dict(row["properties"] or ())
    parts = [
        row["mailbox"],
        row["grantee"] and f"to {row['grantee']}",
        row["rights"],
        row["app_name"],
        row["app_id"],
        " ".join(row["permissions"] or ()),
        row["query"],
        *(f"{name} {properties[name]}" for name in _TOLD if properties.get(name)),
    ]
    about = ", ".join(dict.fromkeys(part for part in parts if part))
    return Change(
        row["event_time"], row["actor"] or "", row["activity"], about,
        row["ip_address"] or "", row["country"] or "",
    )  # fmt: skip


def _in_days(who: Whom) -> str:
    return (
        f"coalesce(tenant, '') = {quoting.text(who.tenant)}"
        f" and event_time >= {_timestamp(who.start)} and event_time < {_timestamp(who.end)}"
    )


def _timestamp(moment: datetime) -> str:
    return f"timestamptz {quoting.text(moment.isoformat())}"


def _texts(values: Iterable[str]) -> str:
    return ", ".join(map(quoting.text, values))
