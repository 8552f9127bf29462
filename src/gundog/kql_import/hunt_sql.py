"""The SELECT of an imported hunt around what the translator made: times, evidence, identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gundog.core.times import MICROSECOND
from gundog.detections.staged import STAGE_COLUMNS
from gundog.kql_import import source_columns
from gundog.kql_import.source_columns import KqlTable
from gundog.kql_import.weaving import MARK
from gundog.warehouse import quoting, tables

_NOW = "cast($end at time zone 'UTC' as timestamp)"
_OWN = frozenset(
    {"evidence", "finding_key", "group_key", "ordinal", MARK, "gundog_marks", "gundog_times"}
    | {*STAGE_COLUMNS}
)
_RESERVED = _OWN | {column.name for column in tables.FINDINGS.columns}
_HOSTS = ("DeviceName", "Computer", "HostName", "HostCustomEntity")
_ACCOUNTS = (
    "AccountUpn", "AccountName", "UserPrincipalName", "InitiatingProcessAccountUpn",
    "InitiatingProcessAccountName", "AccountCustomEntity", "Account", "User", "UserId",
)  # fmt: skip
_SIDS = ("AccountSid", "InitiatingProcessAccountSid")
_MAILBOXES = ("MailboxOwnerUPN", "RecipientEmailAddress")
_ADDRESSES = ("IPAddress", "RemoteIP", "IPCustomEntity", "SenderIPv4", "LocalIP", "IpAddress")
_APPS = ("OAuthAppId", "AppId", "ApplicationId")


@dataclass(frozen=True)
class Shape:
    """What the SELECT of a hunt is made of.

    Args:
        translated: the translator's SELECT.
        tables: the source tables as the query sees them, with the columns that are staged.
        places: (role, source table) by the number in a mark.
        types: the columns of the translated SELECT, the mark among them.
        order: columns that come first.
        keys: the columns by which the last summarize groups; None for rows of events.
        reach: how far before `$end` the query reads.
        cut: True to keep only rows whose newest event lies in the interval.
    """

    translated: str
    tables: Sequence[KqlTable]
    places: Sequence[tuple[str, str]]
    types: Mapping[str, str]
    order: Sequence[str]
    keys: Sequence[str] | None
    reach: timedelta
    cut: bool


def select(shape: Shape, stages: Mapping[str, str], header: str) -> str:
    """The SELECT of a match detection over staged tables, each by its source table."""
    steps = [
        *(_source(shape.reach, table, stages[table.name]) for table in shape.tables),
        f"found as (\n{shape.translated.replace('CAST($kqlnow AS TIMESTAMP)', _NOW)}\n)",
        _told(),
    ]
    rows = ",\n    ".join(
        [
            "finding_key",
            "ordinal",
            *(["group_key"] if shape.keys is not None else []),
            *columns(shape.types, shape.order).values(),
            *(f"{made} as {name}" for name, made in entities(shape.types).items()),
            "start_time",
            "end_time",
            f"{_evidence(shape.places)} as evidence",
        ]
    )
    return "\n".join(
        [
            header,
            "with " + ",\n\n".join([*steps, _keyed(shape)]),
            "",
            f"select\n    {rows}\nfrom keyed",
            *(
                ["where end_time >= $start"]
                if shape.cut
                else ["where $start < end_time or end_time < $end"]
            ),
            "order by start_time, finding_key, ordinal",
            "",
        ]
    )


def _source(reach: timedelta, table: KqlTable, stage: str) -> str:
    """The source table as the query names it: its staged rows within reach."""
    names = ",\n        ".join(source_columns.read_back(table))
    micros = reach // MICROSECOND
    return "\n".join(
        [
            f"{quoting.name(table.name)} as (",
            "    select",
            f"        {names},",
            f"        concat_ws('/', event_id, epoch_us(event_time)) as {MARK}",
            f"    from {stage}",
            "    where",
            f"        event_time >= $end - to_microseconds({micros})",
            "        and event_time < $end",
            ")",
        ]
    )


def _told() -> str:
    return f"""\
marked as (
    select
        *,
        regexp_extract_all({MARK}, '[^ ]+') as gundog_marks,
        list_transform(
            regexp_extract_all({MARK}, '[^ ]+'),
            lambda mark: cast(split_part(mark, '/', 3) as bigint)
        ) as gundog_times
    from found
    -- A row that no event led to, such as a count of nothing, is left out.
    where {MARK} <> ''
)"""


def _keyed(shape: Shape) -> str:
    every = ", ".join(quoting.name(name) for name in shape.types if name != MARK)
    if shape.keys is not None:
        parts = ", ".join(["$start", *map(quoting.name, shape.keys)])
        key = f"md5(cast(row({parts}) as varchar))"
        group = ", ".join(["''", *map(quoting.name, shape.keys)])
        grouped = f"\n        md5(cast(row({group}) as varchar)) as group_key,"
    else:
        key, grouped = f"md5({MARK})", ""
    return f"""\
keyed as (
    select
        *,
        {key} as finding_key,{grouped}
        row_number() over (
            partition by {key}
            order by {every}, {MARK}
        ) as ordinal,
        make_timestamptz(list_min(gundog_times)) as start_time,
        make_timestamptz(list_max(gundog_times)) as end_time
    from marked
)"""


def _evidence(places: Sequence[tuple[str, str]]) -> str:
    roles = ", ".join(quoting.text(role) for role, _ in places)
    sources = ", ".join(quoting.text(source) for _, source in places)
    return f"""\
list_transform(list_sort(list_distinct(gundog_marks)), lambda mark: struct_pack(
        role := [{roles}][cast(split_part(mark, '/', 1) as integer) + 1],
        source_table := [{sources}][cast(split_part(mark, '/', 1) as integer) + 1],
        event_id := cast(split_part(mark, '/', 2) as uuid)
    ))"""


def named(name: str) -> str:
    """The column of a finding that holds a column of the query.

    >>> named("DeviceName"), named("Severity"), named("a-b")
    ('DeviceName', 'kql_Severity', 'a_b')
    """
    plain = "".join(char if char.isalnum() or char == "_" else "_" for char in name) or "_"
    plain = plain[: quoting.LONGEST - 4]
    return f"kql_{plain}" if quoting.folded(plain) in _RESERVED else plain


def columns(types: Mapping[str, str], order: Sequence[str]) -> dict[str, str]:
    """The result's columns as SQL, by their name in the query: the ordered ones first."""
    first = [name for name in order if name in types]
    made: dict[str, str] = {}
    taken = {*map(quoting.folded, entities(types))}
    for name in (*first, *(name for name in types if name not in first)):
        if name == MARK:
            continue
        target = named(name)
        while quoting.folded(target) in taken:
            target = f"{target}_"
        taken.add(quoting.folded(target))
        made[name] = f"{_value(name, types[name])} as {quoting.name(target)}"
    return made


def _value(name: str, kind: str) -> str:
    quoted = quoting.name(name)
    if kind == "TIMESTAMP":
        return f"{quoted} at time zone 'UTC'"
    if kind in ("HUGEINT", "UHUGEINT"):
        return f"try_cast({quoted} as bigint)"
    if kind == "INTERVAL" or kind.endswith(("[]", ")")) or kind == '"NULL"':
        return f"cast({quoted} as varchar)"
    return quoted


def entities(types: Mapping[str, str]) -> dict[str, str]:
    """Columns of a finding that name who or what it is about, as SQL by name."""
    texts = [name for name, kind in types.items() if kind == "VARCHAR"]

    def first(names: Sequence[str]) -> str:
        return next((quoting.name(name) for name in names if name in texts), "")

    made = {}
    if host := first(_HOSTS):
        made["host_name"] = f"nullif(lower(split_part({host}, '.', 1)), '')"
        made["dns_domain"] = f"nullif(lower(regexp_extract({host}, '^[^.]*[.](.+)$', 1)), '')"
    for name, candidates in (
        ("account_name", _ACCOUNTS),
        ("account_sid", _SIDS),
        ("mailbox", _MAILBOXES),
        ("ip_address", _ADDRESSES),
        ("app_id", _APPS),
    ):
        if column := first(candidates):
            lowered = column if name in ("account_sid", "ip_address") else f"lower({column})"
            made[name] = f"nullif({lowered}, '')"
    return made
