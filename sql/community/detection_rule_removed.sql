-- Custom detection deleted or switched, translated from KQL.
--
-- Grain:    one row per row of the query's result.
-- Interval: rows whose newest event lies in [start, end).
-- Reads:    kql_community_cloud_app_events
-- Params:   $start, $end   timestamptz; the interval [start, end)
-- Imported: detection_rule_removed.yaml, KQL 4ba3365443dda657, duckdb-kql 1.1.2

with "CloudAppEvents" as (
    select
        "Timestamp",
        "ActionType",
        "IPAddress",
        "ReportId",
        "RawEventData",
        concat_ws('/', event_id, epoch_us(event_time)) as gundog_events
    from kql_community_cloud_app_events
    where
        event_time >= $end - to_microseconds(86400000000)
        and event_time < $end
),

found as (
WITH "_s0" AS (SELECT * FROM CloudAppEvents),
     "_s1" AS (SELECT "Timestamp", ActionType, IPAddress, ReportId, RawEventData, ('0/' || gundog_events) AS gundog_events FROM _s0),
     "_s2" AS (SELECT * FROM _s1 WHERE COALESCE((lower(ActionType) IN (lower('DeleteCustomDetection'), lower('ChangeCustomDetectionRuleStatus'))), false)),
     "_s3" AS (SELECT "Timestamp" AS "Timestamp", ActionType AS ActionType, COALESCE((json_extract(RawEventData, '$.RuleName') ->> '$'), '') AS "Rule", COALESCE((json_extract(RawEventData, '$.UserId') ->> '$'), '') AS AccountUpn, IPAddress AS IPAddress, COALESCE((RawEventData ->> '$'), '') AS Record, ReportId AS ReportId, gundog_events AS gundog_events FROM _s2)
SELECT * FROM _s3
),

marked as (
    select
        *,
        regexp_extract_all(gundog_events, '[^ ]+') as gundog_marks,
        list_transform(
            regexp_extract_all(gundog_events, '[^ ]+'),
            lambda mark: cast(split_part(mark, '/', 3) as bigint)
        ) as gundog_times
    from found
    -- A row that no event led to, such as a count of nothing, is left out.
    where gundog_events <> ''
),

keyed as (
    select
        *,
        md5(gundog_events) as finding_key,
        row_number() over (
            partition by md5(gundog_events)
            order by "Timestamp", "ActionType", "Rule", "AccountUpn", "IPAddress", "Record", "ReportId", gundog_events
        ) as ordinal,
        make_timestamptz(list_min(gundog_times)) as start_time,
        make_timestamptz(list_max(gundog_times)) as end_time
    from marked
)

select
    finding_key,
    ordinal,
    "Timestamp" at time zone 'UTC' as "Timestamp",
    "ActionType" as "ActionType",
    "Rule" as "Rule",
    "AccountUpn" as "AccountUpn",
    "IPAddress" as "IPAddress",
    "Record" as "Record",
    "ReportId" as "ReportId",
    nullif(lower("AccountUpn"), '') as account_name,
    nullif("IPAddress", '') as ip_address,
    start_time,
    end_time,
    list_transform(list_sort(list_distinct(gundog_marks)), lambda mark: struct_pack(
        role := ['event'][cast(split_part(mark, '/', 1) as integer) + 1],
        source_table := ['CloudAppEvents'][cast(split_part(mark, '/', 1) as integer) + 1],
        event_id := cast(split_part(mark, '/', 2) as uuid)
    )) as evidence
from keyed
where end_time >= $start
order by start_time, finding_key, ordinal
