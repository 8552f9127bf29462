"""Every table gundog keeps: columns, types, and the sentence that explains each to a reader.

The comments travel into both database files; docs/tables.md is made from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gundog.core.times import parse_time
from gundog.warehouse import quoting, run_tables, schema
from gundog.warehouse.schema import Column, Table

COUNTED_FILES = schema.table(
    "counted_files",
    "Which file's staged rows were counted by tenant and day, by which stage SQL and keys.",
    """
    stage VARCHAR: the staged table
    file_id BIGINT: the file; an older gundog did not count what it read
    stage_hash VARCHAR: hash of the stage SQL that made the rows
    keys VARCHAR: the Keys of the stage's header when they were counted
    """,
    published=False,
)

DAY_COUNTS = schema.table(
    "day_counts",
    "Staged rows per file, tenant and day: good ones, those set aside, and those without a key.",
    """
    stage VARCHAR: the staged table
    file_id BIGINT: the file
    tenant VARCHAR: the tenant; empty if there is none
    day TIMESTAMPTZ: start of the day; null for rows without a usable time
    code INTEGER: -1 for rows that were set aside, else a sum of 1, 2, 4 … for the keys they lack
    rows BIGINT: how many
    """,
    published=False,
)

CONTEXTS = schema.table(
    "contexts",
    "First and last time of each value of a context, per day, and of the days before in one row.",
    """
    stage VARCHAR: the staged table
    tenant VARCHAR: the tenant; empty if there is none
    entity VARCHAR: whose context it is, such as a mailbox
    kind VARCHAR: the column that holds it; * for the entity itself
    value VARCHAR: the value; * for the entity itself
    day TIMESTAMPTZ: start of the day; null for the days whose staged rows retention removed
    first_time TIMESTAMPTZ: its first row
    last_time TIMESTAMPTZ: its last row
    """,
    published=False,
)

CONTEXT_DAYS = schema.table(
    "context_days",
    "Which days of a staged table have their contexts, and from which staging step.",
    """
    stage VARCHAR: the staged table
    day TIMESTAMPTZ: start of the day
    seq BIGINT: the staging step whose rows were looked at
    kinds VARCHAR: the Contexts of the stage's header at that time
    """,
    published=False,
)

DRIFTS = schema.table(
    "drifts",
    "When a tenant's records could no longer be read, lost a key, or stopped coming.",
    """
    kind VARCHAR: rejected, lacking, gone (from a staged table) or silent (no row of the source)
    source_table VARCHAR: the source table
    stage VARCHAR: the staged table; empty for a tenant that fell silent
    key VARCHAR: the key that rows lack, as the stage's Keys have it; empty for other kinds
    tenant VARCHAR: the tenant; empty if there is none
    since TIMESTAMPTZ: start of its first day
    until TIMESTAMPTZ: end of the newest day that it was seen on
    is_over BOOLEAN: good data came again
    noticed TIMESTAMPTZ: start of the day whose rows were enough to notice it
    bad BIGINT: unusable rows on its days up to then; for missing rows, those that came
    seen BIGINT: all rows of the same days; for missing rows, how many were expected
    usual DOUBLE: the share of such rows in the four weeks before, or rows a day of what is missing
    message VARCHAR: key of the health message about it
    run_id UUID: the run that noticed it
    """,
    private=("message",),
)


FINDINGS = schema.table(
    "findings",
    "What is true now: one row per finding.",
    """
    finding_id UUID: the same for the same finding, however often it is hunted
    detection_id UUID: the detection that fired
    detection_name VARCHAR: its name
    detection_hash VARCHAR: hash of everything in the detection that can change rows
    kind VARCHAR: match or series
    title VARCHAR: one line for people
    reason VARCHAR: why it fired, in one sentence
    severity VARCHAR: informational, low, medium, high or critical
    risk_score INTEGER: 0 to 100
    tactics VARCHAR[]: ATT&CK tactics
    techniques VARCHAR[]: ATT&CK techniques
    tenant VARCHAR: the tenant; empty if there is only one
    host_name VARCHAR: first label, lower case
    dns_domain VARCHAR: the rest of the host's name
    account_name VARCHAR: lower case, without domain
    account_sid VARCHAR: security identifier
    mailbox VARCHAR: address of the mailbox, lower case
    app_id VARCHAR: client application
    ip_address VARCHAR: client address
    entities JSON: who and what it is about, by entity type
    start_time TIMESTAMPTZ: its first event
    end_time TIMESTAMPTZ: its last event
    interval_start TIMESTAMPTZ: start of the interval it belongs to
    interval_end TIMESTAMPTZ: end of the interval
    interval_state VARCHAR: provisional (late files may change it) or final
    score DOUBLE: distance above expected; null for a match
    observed DOUBLE: counted in the finding's hours; null for a match
    expected DOUBLE: expected in the finding's hours; null for a match
    details JSON: every other column the hunt returned
    evidence_count BIGINT: events that prove it
    suppressed_by VARCHAR: null if it is sent; otherwise exception ID …, finding ID or alertBudget
    suppressed_count BIGINT: findings that were not sent because of this one
    is_late BOOLEAN: some of its evidence arrived after the interval was first hunted
    origin VARCHAR: nightly or backfill
    triage_status VARCHAR: new, in_progress, resolved or archived
    verdict VARCHAR: the verdict of a person
    run_id UUID: the run that stored this version of it
    created_at TIMESTAMPTZ: when it was first stored
    updated_at TIMESTAMPTZ: when this version was stored
    row JSON: every column the hunt returned, for comparing and for writing prose again
    evidence_digest VARCHAR: hash of the evidence
    words_digest VARCHAR: hash of the detection's text that its title and prose come from
    """,
    private=("row", "evidence_digest", "words_digest"),
)

EVIDENCE = schema.table(
    "evidence",
    "The events that prove a finding, complete.",
    """
    finding_id UUID: the finding
    ordinal INTEGER: order within the finding
    role VARCHAR: what the event is to the finding
    source_table VARCHAR: the source table it comes from
    event_time TIMESTAMPTZ: when it happened
    event_id UUID: the event
    source_file VARCHAR: the file that holds it; the smallest path when several do
    event JSON: the staged row, raw command line included
    """,
)

FINDING_CONTEXTS = schema.table(
    "finding_contexts",
    "From where and with what the events of a finding were made, and whether it was seen before.",
    """
    finding_id UUID: the finding
    kind VARCHAR: network, isp, country, app_id, client_family, session_id, or columns together
    value VARCHAR: the value
    records BIGINT: how many of its evidence have it
    items BIGINT: how many items these read; 0 if the records have no number
    first_for_mailbox TIMESTAMPTZ: when the mailbox had it first; null if never before
    first_for_tenant TIMESTAMPTZ: when anyone of the tenant had it first; null if never before
    """,
)

FINDING_CHANGES = schema.table(
    "finding_changes",
    "What happened to findings, append only.",
    """
    finding_id UUID: the finding
    detection_id UUID: its detection
    run_id UUID: the run
    change VARCHAR: new, changed, withdrawn or returned
    reason VARCHAR: which columns changed, or why it was withdrawn
    before JSON: the row as it was
    changed_at TIMESTAMPTZ: when the run stored the change
    """,
)

TRIAGE = schema.table(
    "triage",
    "What people said about findings, newest last.",
    """
    finding_id UUID: the finding
    said_at TIMESTAMPTZ: when it was said
    actor VARCHAR: who, as the operating system knows the account
    host VARCHAR: on which machine
    status VARCHAR: the status from then on: new, in_progress, resolved or archived
    status_id INTEGER: OCSF's status_id: 1 new, 2 in progress, 4 resolved, 5 archived
    verdict VARCHAR: true_positive, false_positive, benign, suspicious and so on
    verdict_id INTEGER: OCSF's verdict_id, such as 1 false positive, 2 true positive, 5 benign
    note VARCHAR: free text
    """,
)

EXCEPTIONS = schema.table(
    "exceptions",
    "The entries of exceptions.yaml at the last run, each with what it hides.",
    """
    exception_id VARCHAR: its id in findings.suppressed_by
    detection VARCHAR: the detection it is about, * for every one
    match JSON: patterns by column
    from_time TIMESTAMPTZ: findings that start before are not hidden; null if there is no such limit
    expires TIMESTAMPTZ: findings that start then or later are not hidden
    reason VARCHAR: why this is known to be good
    owner VARCHAR: who is responsible for the entry
    hidden BIGINT: findings that it hides
    newest_hidden TIMESTAMPTZ: start of the newest of them
    unknown_columns VARCHAR[]: columns it names that no finding has; it can hide nothing
    """,
)

JUDGED = schema.table(
    "judged",
    "With which rules and rows the findings of a detection were last judged.",
    """
    detection_id UUID: the detection
    rules VARCHAR: exceptions, suppression and budget
    fingerprint VARCHAR: hash of its findings afterwards
    """,
    published=False,
)

DETECTIONS = schema.table(
    "detections",
    "The detections at the last run.",
    """
    detection_id UUID: the detection
    stem VARCHAR: its name on the command line
    name VARCHAR: its name
    detection_hash VARCHAR: hash of everything in it that can change rows
    kind VARCHAR: match or series
    status VARCHAR: experimental, test, stable or deprecated
    severity VARCHAR: its severity
    description VARCHAR: what it looks for
    triage VARCHAR[]: what to do about a finding, step by step
    false_positives VARCHAR[]: harmless causes
    blind_spots VARCHAR[]: what it cannot see
    refs VARCHAR[]: where to read more
    sql VARCHAR: the hunt
    params JSON: its parameters
    frequency VARCHAR: length of its intervals
    lookback VARCHAR: how far before an interval it reads
    """,
)

NOTIFICATIONS = Table(
    "notifications",
    "One row per message and channel: queued, sent or given up.",
    (
        Column(
            "notification_id",
            "UUID PRIMARY KEY",
            "UUIDv5 of channel and key; the Idempotency-Key of every try",
        ),
        Column("channel", "VARCHAR", "name of the channel in gundog.yaml"),
        Column("kind", "VARCHAR", "finding, digest or health"),
        Column("key", "VARCHAR", "what the message is about; queued once per channel"),
        Column("finding_ids", "UUID[]", "the findings it is about; empty for health"),
        Column("severities", "VARCHAR[]", "their severities when it was queued, in that order"),
        Column("withdrawn_ids", "UUID[]", "findings it says are withdrawn; only of digests"),
        Column("severity", "VARCHAR", "the highest of them; null when there are none"),
        Column("body", "JSON", "what is sent; text from events is neutralised in it"),
        Column("run_id", "UUID", "the run that queued it; null when sending did"),
        Column("created_at", "TIMESTAMPTZ", "when it was queued"),
        Column("attempts", "INTEGER", "tries so far, those included that the channel was down for"),
        Column("first_attempt_at", "TIMESTAMPTZ", "when it was tried first"),
        Column("next_attempt_at", "TIMESTAMPTZ", "not tried before; null when sent or given up"),
        Column("last_error", "VARCHAR", "why the last try failed, naming the host only"),
        Column("sent_at", "TIMESTAMPTZ", "when the channel took it"),
        Column("dead_at", "TIMESTAMPTZ", "when it was given up, after 20 tries or 3 days"),
    ),
)
NOTIFICATION_STARTS = Table(
    "notification_starts",
    "Since when a channel gets a detection's findings of a severity; older ones are history.",
    (
        Column("channel", "VARCHAR", "name of the channel"),
        Column("detection_id", "UUID", "the detection"),
        Column("severity", "VARCHAR", "the severity"),
        Column("since", "TIMESTAMPTZ", "findings stored before are not sent"),
    ),
    published=False,
)
NOTIFICATION_TENANTS = Table(
    "notification_tenants",
    "Since when a channel gets a tenant's findings; older ones are history.",
    (
        Column("channel", "VARCHAR", "name of the channel"),
        Column("tenant", "VARCHAR", "the tenant in lower case; * for every one"),
        Column("since", "TIMESTAMPTZ", "findings stored before are not sent"),
    ),
    published=False,
)

WAREHOUSE_LAYOUT = schema.table(
    "warehouse_layout",
    "Which layout of tables this file has, so that an older gundog refuses it.",
    """
    layout INTEGER: number of the layout; a file without one has layout 1
    """,
    published=False,
)

TABLES = (
    WAREHOUSE_LAYOUT,
    run_tables.RUNS,
    run_tables.SOURCE_FILES,
    run_tables.SOURCES,
    DRIFTS,
    run_tables.READ_ENDS,
    run_tables.OLDER_READS,
    run_tables.REJECTED_READS,
    run_tables.FILE_STAGES,
    COUNTED_FILES,
    run_tables.SOURCE_HOURS,
    run_tables.STAGE_HOURS,
    DAY_COUNTS,
    CONTEXTS,
    CONTEXT_DAYS,
    run_tables.STAGE_CHANGES,
    run_tables.RUN_INTERVALS,
    run_tables.LOOKED_AT,
    run_tables.CANARIES,
    run_tables.SERIES_COUNTS,
    run_tables.SERIES_SPANS,
    run_tables.SERIES_POINTS,
    FINDINGS,
    EVIDENCE,
    FINDING_CONTEXTS,
    FINDING_CHANGES,
    TRIAGE,
    EXCEPTIONS,
    JUDGED,
    DETECTIONS,
    NOTIFICATIONS,
    NOTIFICATION_STARTS,
    NOTIFICATION_TENANTS,
)


def create(table: Table, schema: str = "main", *, published: bool = False) -> Iterator[str]:
    """The statements that make a table where it is not, with its comments."""
    columns = table.published_columns if published else table.columns
    inner = ", ".join(f"{quoting.name(column.name)} {column.type}" for column in columns)
    yield f"create table if not exists {schema}.{table.name} ({inner})"
    yield from comments(table, schema, published=published)


def comments(table: Table, schema: str = "main", *, published: bool = False) -> Iterator[str]:
    """The statements that put a table's comments into a database."""
    columns = table.published_columns if published else table.columns
    yield f"comment on table {schema}.{table.name} is {quoting.text(table.comment)}"
    for column in columns:
        name = f"{schema}.{table.name}.{quoting.name(column.name)}"
        yield f"comment on column {name} is {quoting.text(column.comment)}"


def revived(table: Table, kept: str) -> dict[str, Any]:
    """A row of a table from the JSON it was kept in."""
    row: dict[str, Any] = json.loads(kept)
    times = [column.name for column in table.columns if column.type == "TIMESTAMPTZ"]
    return {**row, **{name: parse_time(row[name]) for name in times if row.get(name)}}
