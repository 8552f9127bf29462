"""Tables of runs, files, hours and series: what was read and hunted."""

from __future__ import annotations

from gundog.warehouse import schema

RUNS = schema.table(
    "runs",
    "One row per run: what it had to do and how it ended.",
    """
    run_id UUID: the run
    command VARCHAR: hunt or backfill
    origin VARCHAR: nightly or backfill; findings carry it too
    version VARCHAR: gundog's version
    started_at TIMESTAMPTZ: when the run began
    finished_at TIMESTAMPTZ: when it ended; null while it runs or if it was killed
    range_start TIMESTAMPTZ: start of the range it was asked for
    range_end TIMESTAMPTZ: end of the range it was asked for, exclusive
    asked_range BOOLEAN: false for a run without dates (a night); null for runs of older versions
    exit_status INTEGER: 0 done, 1 done but something failed or had no data
    summary JSON: counts of files, intervals and findings
    problems VARCHAR[]: what failed or had no data, one sentence each
    clock_doubt VARCHAR: why its clock was not trusted; null if it was
    clock_proven BOOLEAN: events or a proven run were near its clock
    """,
    private=("clock_proven",),
)


SOURCE_FILES = schema.table(
    "source_files",
    "One row per lake file, with its state.",
    """
    file_id BIGINT: identifies the file; a hash of its source table and path
    source_table VARCHAR: the source table it holds rows of
    path VARCHAR: the path in its store
    size_bytes BIGINT: size when it was read
    mtime_ns BIGINT: time of its last change in ns since 1970, from the store
    covers_start TIMESTAMPTZ: start of the time that its path covers; null if the path has no time
    covers_end TIMESTAMPTZ: end of the time that its path covers
    state VARCHAR: staged or rejected; in the warehouse also expired (rows removed)
    rows BIGINT: rows in the file
    rejected_rows BIGINT: rows that could not be used: no time, or malformed JSON
    min_time TIMESTAMPTZ: time of its earliest row
    max_time TIMESTAMPTZ: time of its latest row
    missing_columns VARCHAR[]: columns of the source table that it lacks; read as null
    cast_columns VARCHAR[]: columns that have another type in it, as name (type)
    error VARCHAR: why it was rejected; of a staged file of JSON lines, which lines were not read
    created_at TIMESTAMPTZ: when this version of it was read
    seen_seq BIGINT: the staging step that read it
    """,
    private=("seen_seq",),
)


SOURCES = schema.table(
    "sources",
    "How new each source is, at the last run.",
    """
    source_table VARCHAR: the source table
    newest_event TIMESTAMPTZ: its newest event that was not ahead of the run's clock
    rows_ahead BIGINT: rows whose time lay ahead of it: a sender's clock or time zone is wrong
    ahead_until TIMESTAMPTZ: the latest of them; null if there are none
    """,
)


FILE_STAGES = schema.table(
    "file_stages",
    "Which file was read into which staged table, by which stage SQL.",
    """
    file_id BIGINT: the file
    stage VARCHAR: the staged table
    stage_hash VARCHAR: hash of the stage SQL that read it
    rows BIGINT: good rows it brought
    rejected_rows BIGINT: rows set aside with a reason
    """,
    published=False,
)


READ_ENDS = schema.table(
    "read_ends",
    "How far files of JSON lines that may grow were read, and what their lines were until there.",
    """
    file_id BIGINT: the file
    size_bytes BIGINT: size of the version that was read
    mtime_ns BIGINT: time of its last change in ns since 1970
    read_end BIGINT: where the reading ended, in bytes
    digest VARCHAR: of the last 64 KiB before that
    said VARCHAR: what gundog.yaml said of its columns and exporter
    exporter VARCHAR: who wrote its lines
    names VARCHAR[]: the keys of its rows
    lines BIGINT: lines, blank ones not counted
    broken BIGINT: lines that are not a JSON object
    first_broken BIGINT: the place of the first of those, from 1; 0 if there are none
    too_long BIGINT: lines that were left out
    waiting BIGINT: bytes of a last line without an end
    timeless BIGINT: rows without a usable time
    """,
    published=False,
)


OLDER_READS = schema.table(
    "older_reads",
    "Staged tables with rows of an older version of a file: they read it again when they are due.",
    """
    file_id BIGINT: the file
    stage VARCHAR: the staged table
    """,
    published=False,
)


REJECTED_READS = schema.table(
    "rejected_reads",
    "What gundog.yaml said of rejected files: when it says something else, they are read again.",
    """
    file_id BIGINT: the file
    reading VARCHAR: its format, exporter, time format and columns
    """,
    published=False,
)


SOURCE_HOURS = schema.table(
    "source_hours",
    "Rows per source file, tenant and hour: shows whether an hour was quiet or is missing.",
    """
    source_table VARCHAR: the source table
    file_id BIGINT: the file
    hour TIMESTAMPTZ: start of the hour
    rows BIGINT: rows whose time lies in it
    tenant VARCHAR: whose rows they are; null for a file that an older version read
    """,
    published=False,
)


STAGE_HOURS = schema.table(
    "stage_hours",
    "Staged rows per file and hour: what an interval's hunt reads.",
    """
    stage VARCHAR: the staged table
    file_id BIGINT: the file
    hour TIMESTAMPTZ: start of the hour
    rows BIGINT: staged rows in it
    min_time TIMESTAMPTZ: earliest of them
    max_time TIMESTAMPTZ: latest of them
    """,
    published=False,
)


STAGE_CHANGES = schema.table(
    "stage_changes",
    "The newest staging step that added or removed rows of a staged table, per hour.",
    """
    stage VARCHAR: the staged or source table
    hour TIMESTAMPTZ: start of the hour
    min_time TIMESTAMPTZ: earliest row ever added or removed in it
    max_time TIMESTAMPTZ: latest row ever added or removed in it
    seq BIGINT: the staging step
    """,
    published=False,
)


RUN_INTERVALS = schema.table(
    "run_intervals",
    "The ledger: one row per detection, hash and interval that was hunted.",
    """
    detection_id UUID: the detection
    detection_hash VARCHAR: hash of everything in it that can change rows
    interval_start TIMESTAMPTZ: start of the interval
    interval_end TIMESTAMPTZ: end of the interval, exclusive
    state VARCHAR: done, failed or no_data; published as provisional or final when done
    fingerprint VARCHAR: hash of the files whose rows the hunt could read
    findings BIGINT: findings of the interval
    note VARCHAR: what a reader should know, such as learning until a date
    seconds DOUBLE: time the hunt took
    error VARCHAR: why it failed or had no data
    run_id UUID: the run that hunted it last
    updated_at TIMESTAMPTZ: when it was hunted last
    seq BIGINT: the staging step whose rows its last good hunt saw; null before the first one
    basis VARCHAR: hash of the counts that its scores followed from; null when it has none
    """,
    private=("seq", "basis"),
)


LOOKED_AT = schema.table(
    "looked_at",
    "What the silence of each detection rests on, by tenant: its newest interval that was hunted.",
    """
    detection_id UUID: the detection
    tenant VARCHAR: the tenant; empty if there is none
    interval_start TIMESTAMPTZ: start of the interval
    interval_end TIMESTAMPTZ: its end, exclusive
    rows BIGINT: staged rows of the days in it
    mailboxes BIGINT: mailboxes with records in it, of a series those with a history
    scored BIGINT: those of them that could have been found
    learning BIGINT: those that could not, because too little of the past is staged
    throttled BIGINT: series of which hours were not recorded
    silent BIGINT: known mailboxes without a record for 30 days although others have them
    """,
)


CANARIES = schema.table(
    "canaries",
    "What became of each canary of gundog.yaml, by the time in which it had to come.",
    """
    name VARCHAR: the canary
    detection_id UUID: the detection that must find it
    span_start TIMESTAMPTZ: start of the time in which a finding had to come
    span_end TIMESTAMPTZ: its end, exclusive
    came BOOLEAN: a finding came
    tenant VARCHAR: of that finding; empty if there is none, null if no finding came
    happened_at TIMESTAMPTZ: when the planted behaviour of that finding ended
    found_at TIMESTAMPTZ: when the finding was stored first
    delay_s DOUBLE: seconds from one to the other
    lost VARCHAR: the stage at which it was lost; null if it came
    run_id UUID: the run that looked last
    judged_at TIMESTAMPTZ: when it looked
    """,
)


SERIES_COUNTS = schema.table(
    "series_counts",
    "Hourly counts of each series, only hours that have any; baselines are made from them.",
    """
    detection_id UUID: the detection
    detection_hash VARCHAR: hash of the detection
    series_key VARCHAR: tenant/mailbox
    hour TIMESTAMPTZ: start of the hour
    observed DOUBLE: the measure
    throttled BOOLEAN: recording was cut off in this hour
    new DOUBLE[]: how much of it was of something new, by series.newness; null where unknown
    """,
    published=False,
)


SERIES_SPANS = schema.table(
    "series_spans",
    "Which intervals of a series have been counted, and at which staging step.",
    """
    detection_id UUID: the detection
    detection_hash VARCHAR: hash of the detection
    interval_start TIMESTAMPTZ: start
    interval_end TIMESTAMPTZ: end
    seq BIGINT: the staging step whose rows were counted
    digest VARCHAR: the same while its counts are the same
    """,
    published=False,
)


SERIES_POINTS = schema.table(
    "series_points",
    "Every scored hour of every series: observed against expected.",
    """
    detection_id UUID: the detection
    series_key VARCHAR: tenant/mailbox; tenant/* is the tenant's own series
    hour TIMESTAMPTZ: start of the hour
    observed DOUBLE: the count; null if nothing was observed
    expected DOUBLE: what was expected from history
    upper DOUBLE: the count from which this hour alone would be flagged
    score DOUBLE: how far above expected
    flagged BOOLEAN: part of a finding
    data_state VARCHAR: observed, no_data, outage or throttled
    interval_start TIMESTAMPTZ: the interval that scored it
    interval_end TIMESTAMPTZ: its end
    """,
)
