"""What every reader of findings.duckdb builds upon: its tables and their columns."""

from __future__ import annotations

from gundog.warehouse import tables

# Other people's queries and programs name them. A column that comes is added here; one that goes or
# is called otherwise breaks them, and CHANGELOG says so.
PUBLISHED = {
    "runs": """
        run_id command origin version started_at finished_at range_start range_end asked_range
        exit_status summary problems clock_doubt
    """,
    "source_files": """
        file_id source_table path size_bytes mtime_ns covers_start covers_end state rows
        rejected_rows min_time max_time missing_columns cast_columns error created_at
    """,
    "sources": """
        source_table newest_event rows_ahead ahead_until
    """,
    "drifts": """
        kind source_table stage key tenant since until is_over noticed bad seen usual run_id
    """,
    "run_intervals": """
        detection_id detection_hash interval_start interval_end state fingerprint findings
        note seconds error run_id updated_at
    """,
    "looked_at": """
        detection_id tenant interval_start interval_end rows mailboxes scored learning throttled
        silent
    """,
    "canaries": """
        name detection_id span_start span_end came tenant happened_at found_at delay_s lost run_id
        judged_at
    """,
    "series_points": """
        detection_id series_key hour observed expected upper score flagged data_state
        interval_start interval_end
    """,
    "findings": """
        finding_id detection_id detection_name detection_hash kind title reason severity
        risk_score tactics techniques tenant host_name dns_domain account_name account_sid
        mailbox app_id ip_address entities start_time end_time interval_start interval_end
        interval_state score observed expected details evidence_count suppressed_by
        suppressed_count is_late origin triage_status verdict run_id created_at updated_at
    """,
    "evidence": """
        finding_id ordinal role source_table event_time event_id source_file event
    """,
    "finding_contexts": """
        finding_id kind value records items first_for_mailbox first_for_tenant
    """,
    "finding_changes": """
        finding_id detection_id run_id change reason before changed_at
    """,
    "triage": """
        finding_id said_at actor host status status_id verdict verdict_id note
    """,
    "exceptions": """
        exception_id detection match from_time expires reason owner hidden newest_hidden
        unknown_columns
    """,
    "detections": """
        detection_id stem name detection_hash kind status severity description triage
        false_positives blind_spots refs sql params frequency lookback
    """,
    "notifications": """
        notification_id channel kind key finding_ids severities withdrawn_ids severity body
        run_id created_at attempts first_attempt_at next_attempt_at last_error sent_at dead_at
    """,
}


def test_published_tables_keep_their_columns() -> None:
    """In this order, for `select *` and exports follow it."""
    found = {
        table.name: [column.name for column in table.published_columns]
        for table in tables.TABLES
        if table.published
    }

    assert found == {name: text.split() for name, text in PUBLISHED.items()}


def test_every_column_has_a_type_and_a_sentence() -> None:
    """They travel into both files and into docs/tables.md."""
    for table in tables.TABLES:
        assert table.comment.endswith("."), table.name
        names = [column.name for column in table.columns]
        assert len(set(names)) == len(names), table.name
        assert set(table.private) <= set(names), table.name
        for column in table.columns:
            assert column.type.isupper() or column.type.endswith("[]"), (table.name, column.name)
            assert column.comment, (table.name, column.name)
