"""The common core of the two hunts in each engine's own words, two forms each.

pairs: rows of shells (by lower-cased file name) whose command line names a cmdlet; each export with
the first removal at or after it, at most 24 h later, by the same account on the same host.
hours: items and records per mailbox and hour, out of the JSON of RawEventData.

Each function gives an Arrow table: (host, account, exported, removed) or (hour, mailbox, items,
records). Engines are imported where they are used: they are extras.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa

THREADS = 2
SOURCES = {"pairs": "DeviceProcessEvents", "hours": "CloudAppEvents"}
SHELLS = (
    "cmd.exe", "powershell.exe", "pwsh.exe", "powershell_ise.exe",
    "cmd", "powershell", "pwsh", "powershell_ise",
)  # fmt: skip
EXPORT, REMOVAL = "new-mailboxexportrequest", "remove-mailboxexportrequest"
_IN_SHELLS = "(" + ", ".join(f"'{name}'" for name in SHELLS) + ")"
_JOIN = """
select e.host, e.account, e.t as exported, min(r.t) as removed
from {exports} as e join {removals} as r on e.host = r.host and e.account = r.account
where {more} r.t >= e.t and r.t <= e.t + interval {day}
group by e.host, e.account, e.t
"""


def _glob(lake: Path, hunt: str) -> str:
    return f"{lake}/{SOURCES[hunt]}/date=2026-03-01/*/*.parquet"


def _files(lake: Path, hunt: str) -> list[str]:
    folder = lake / SOURCES[hunt] / "date=2026-03-01"
    return [str(path) for path in sorted(folder.rglob("*.parquet"))]


def _duckdb(sql: str) -> pa.Table:
    con = duckdb.connect(config={"threads": THREADS})
    con.execute("set timezone = 'UTC'")
    try:
        return con.sql(sql).to_arrow_table()
    finally:
        con.close()


def duckdb_pairs(lake: Path, form: str) -> pa.Table:
    """One scan into a small table, joined with itself; `ilike` or contains(lower())."""
    has = {
        "contains": lambda what: f"contains(lower(ProcessCommandLine), '{what}')",
        "ilike": lambda what: f"ProcessCommandLine ilike '%{what}%'",
    }[form]
    join = _JOIN.format(
        exports="named", removals="named", more="e.exports and r.removes and", day="'24 hours'"
    )
    return _duckdb(f"""
        with named as materialized (
            select lower(split_part(DeviceName, '.', 1)) as host, lower(AccountName) as account,
                   "Timestamp" as t, {has(EXPORT)} as exports, {has(REMOVAL)} as removes
            from read_parquet('{_glob(lake, "pairs")}')
            where lower(FileName) in {_IN_SHELLS} and ({has(EXPORT)} or {has(REMOVAL)}))
        {join}""")


def duckdb_hours(lake: Path, form: str) -> pa.Table:
    """Both fields in one parse of the JSON, or one parse each."""
    one = "json_extract_string(RawEventData, ['$.MailboxOwnerUPN', '$.OperationCount']) as field"
    two = ("[json_extract_string(RawEventData, '$.MailboxOwnerUPN'),"
           " json_extract_string(RawEventData, '$.OperationCount')] as field")  # fmt: skip
    return _duckdb(f"""
        select date_trunc('hour', t) as hour, lower(field[1]) as mailbox,
               sum(field[2]::bigint)::bigint as items, count(*) as records
        from (select "Timestamp" as t, {one if form == "list" else two}
              from read_parquet('{_glob(lake, "hours")}')
              where lower(ActionType) = 'mailitemsaccessed'
              and contains(lower(Application), 'exchange'))
        group by all""")


def polars_pairs(lake: Path, form: str) -> pa.Table:
    """A lazy scan run by the streaming engine, then a small join; text lower-cased or regex."""
    import polars as pl

    command = pl.col("ProcessCommandLine")

    def has(what: str) -> pl.Expr:
        if form == "regex":
            return command.str.contains(f"(?i){what}")
        return command.str.to_lowercase().str.contains(what, literal=True)

    named = (
        pl.scan_parquet(_files(lake, "pairs"))
        .filter(pl.col("FileName").str.to_lowercase().is_in(SHELLS), has(EXPORT) | has(REMOVAL))
        .select(
            pl.col("DeviceName").str.split(".").list.first().str.to_lowercase().alias("host"),
            pl.col("AccountName").str.to_lowercase().alias("account"),
            pl.col("Timestamp").alias("t"),
            has(EXPORT).alias("exports"),
            has(REMOVAL).alias("removes"),
        )
        .collect(engine="streaming")
    )
    gap = pl.col("t_removal") - pl.col("t")
    return (
        named.filter("exports")
        .join(named.filter("removes"), on=["host", "account"], suffix="_removal")
        .filter(gap >= pl.duration(), gap <= pl.duration(hours=24))
        .group_by("host", "account", pl.col("t").alias("exported"))
        .agg(pl.col("t_removal").min().alias("removed"))
        .to_arrow()
    )


def polars_hours(lake: Path, form: str) -> pa.Table:
    """A lazy scan run by the streaming engine; a JSON path each, or decoded into a struct."""
    import polars as pl

    raw = pl.col("RawEventData")
    if form == "path":
        mailbox = raw.str.json_path_match("$.MailboxOwnerUPN")
        items = raw.str.json_path_match("$.OperationCount").cast(pl.Int64)
    else:
        kind = pl.Struct({"MailboxOwnerUPN": pl.String, "OperationCount": pl.Int64})
        decoded = raw.str.json_decode(kind)
        mailbox = decoded.struct.field("MailboxOwnerUPN")
        items = decoded.struct.field("OperationCount")
    return (
        pl.scan_parquet(_files(lake, "hours"))
        .filter(
            pl.col("ActionType").str.to_lowercase() == "mailitemsaccessed",
            pl.col("Application").str.to_lowercase().str.contains("exchange", literal=True),
        )
        .select(
            pl.col("Timestamp").dt.truncate("1h").alias("hour"),
            mailbox.str.to_lowercase().alias("mailbox"),
            items.alias("items"),
        )
        .group_by("hour", "mailbox")
        .agg(pl.col("items").sum(), pl.len().alias("records"))
        .collect(engine="streaming")
        .to_arrow()
    )


def _chdb(sql: str) -> pa.Table:
    import chdb

    settings = f"settings max_threads = {THREADS}, use_hive_partitioning = 0"
    found: pa.Table = chdb.query(f"{sql} {settings}", "ArrowTable")
    return found


def chdb_pairs(lake: Path, form: str) -> pa.Table:
    """Rows that name a cmdlet, joined with themselves: ASOF, or by range."""
    named = f"""
        select lower(splitByChar('.', assumeNotNull(DeviceName))[1]) as host,
               lower(assumeNotNull(AccountName)) as account, assumeNotNull(Timestamp) as t,
               positionCaseInsensitive(ProcessCommandLine, '{EXPORT}') > 0 as exports,
               positionCaseInsensitive(ProcessCommandLine, '{REMOVAL}') > 0 as removes
        from file('{_glob(lake, "pairs")}', Parquet)
        where lower(FileName) in {_IN_SHELLS}
        and multiSearchAnyCaseInsensitive(
            assumeNotNull(ProcessCommandLine), ['{EXPORT}', '{REMOVAL}'])"""
    sides = f"with exports_of as ({named} and exports), removals_of as ({named} and removes)"
    if form == "asof":
        return _chdb(f"""{sides}
            select e.host as host, e.account as account, e.t as exported, r.t as removed
            from exports_of as e asof join removals_of as r
            on e.host = r.host and e.account = r.account and e.t <= r.t
            where r.t <= e.t + interval 24 hour""")
    join = _JOIN.format(exports="exports_of", removals="removals_of", more="", day="24 hour")
    return _chdb(f"{sides} {join}")


def chdb_hours(lake: Path, form: str) -> pa.Table:
    """Both fields into a tuple in one parse of the JSON, or one parse each."""
    raw = "assumeNotNull(RawEventData)"
    if form == "tuple":
        kind = "Tuple(MailboxOwnerUPN String, OperationCount Int64)"
        fields = f"JSONExtract({raw}, '{kind}') as f, f.1 as owner, f.2 as number"
    else:
        fields = (f"JSONExtractString({raw}, 'MailboxOwnerUPN') as owner,"
                  f" JSONExtractInt({raw}, 'OperationCount') as number")  # fmt: skip
    return _chdb(f"""
        select hour, mailbox, sum(number) as items, count() as records
        from (select toStartOfHour(assumeNotNull(Timestamp)) as hour, {fields},
                     lower(owner) as mailbox
              from file('{_glob(lake, "hours")}', Parquet)
              where lower(ActionType) = 'mailitemsaccessed'
              and position(lower(Application), 'exchange') > 0)
        group by hour, mailbox""")


def _datafusion(lake: Path, hunt: str, sql: str, pushdown: bool) -> pa.Table:
    from datafusion import SessionConfig, SessionContext

    config = SessionConfig().with_target_partitions(THREADS)
    config = config.set("datafusion.execution.parquet.pushdown_filters", str(pushdown).lower())
    context = SessionContext(config)
    context.register_parquet("events", f"{lake}/{SOURCES[hunt]}/date=2026-03-01/")
    return context.sql(sql).to_arrow_table()


def datafusion_pairs(lake: Path, form: str) -> pa.Table:
    """Two scans joined by range, with and without filters handed to the parquet reader."""
    named = f"""
        select lower(split_part("DeviceName", '.', 1)) as host, lower("AccountName") as account,
               "Timestamp" as t
        from events
        where lower("FileName") in {_IN_SHELLS} and "ProcessCommandLine" ilike '%{{}}%'"""
    exports, removals = f"({named.format(EXPORT)})", f"({named.format(REMOVAL)})"
    join = _JOIN.format(exports=exports, removals=removals, more="", day="'24 hours'")
    return _datafusion(lake, "pairs", join, form == "pushdown")


def datafusion_hours(lake: Path, form: str) -> pa.Table:
    """It has no JSON functions: the fields are cut out of the text, or matched by a pattern."""
    if form == "cut":
        owner = """split_part(split_part("RawEventData", '"MailboxOwnerUPN":"', 2), '"', 1)"""
        number = """split_part(split_part("RawEventData", '"OperationCount":', 2), ',', 1)"""
    else:
        owner = """(regexp_match("RawEventData", '"MailboxOwnerUPN":"([^"]*)"'))[1]"""
        number = """(regexp_match("RawEventData", '"OperationCount":([0-9]+)'))[1]"""
    sql = f"""
        select date_trunc('hour', "Timestamp") as hour, lower({owner}) as mailbox,
               sum(cast({number} as bigint)) as items, count(*) as records
        from events
        where lower("ActionType") = 'mailitemsaccessed'
        and position('exchange' in lower("Application")) > 0
        group by 1, 2"""
    return _datafusion(lake, "hours", sql, pushdown=False)


def start(engine: str) -> None:
    """Imports an engine and lets it answer once, so that its start is not measured."""
    __import__(engine)
    if engine == "chdb":
        _chdb("select 1")


# Per engine and hunt, what does it and its two forms.
ENGINES: dict[str, dict[str, tuple[Callable[[Path, str], pa.Table], tuple[str, str]]]] = {
    "duckdb": {
        "pairs": (duckdb_pairs, ("contains", "ilike")),
        "hours": (duckdb_hours, ("list", "each")),
    },
    "polars": {
        "pairs": (polars_pairs, ("lower", "regex")),
        "hours": (polars_hours, ("path", "struct")),
    },
    "chdb": {
        "pairs": (chdb_pairs, ("asof", "range")),
        "hours": (chdb_hours, ("tuple", "each")),
    },
    "datafusion": {
        "pairs": (datafusion_pairs, ("pushdown", "plain")),
        "hours": (datafusion_hours, ("cut", "regex")),
    },
}
