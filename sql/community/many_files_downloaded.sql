-- Very many files downloaded from SharePoint or OneDrive, translated from KQL.
--
-- Grain:    one row per row of the query's result.
-- Interval: rows whose newest event lies in [start, end).
-- Reads:    kql_community_cloud_app_events
-- Params:   $start, $end   timestamptz; the interval [start, end)
-- Imported: many_files_downloaded.yaml, KQL 8aed5efd32c8c763, duckdb-kql 1.1.2

with "CloudAppEvents" as (
    select
        "Timestamp",
        "ActionType",
        "Application",
        "IPAddress",
        "RawEventData",
        concat_ws('/', event_id, epoch_us(event_time)) as gundog_events
    from kql_community_cloud_app_events
    where
        event_time >= $end - to_microseconds(86400000000)
        and event_time < $end
),

found as (
WITH "_s0" AS (SELECT * FROM CloudAppEvents),
     "_s1" AS (SELECT "Timestamp", ActionType, Application, IPAddress, RawEventData, ('0/' || gundog_events) AS gundog_events FROM _s0),
     "_s2" AS (SELECT * FROM _s1 WHERE COALESCE((lower(ActionType) = lower('FileDownloaded')), false)),
     "_s3" AS (SELECT * FROM _s2 WHERE COALESCE((lower(Application) IN (lower('Microsoft SharePoint Online'), lower('Microsoft OneDrive for Business'))), false)),
     "_s4" AS (SELECT "Timestamp", ActionType, Application, IPAddress, RawEventData, gundog_events, lower(COALESCE((json_extract(RawEventData, '$.UserId') ->> '$'), '')) AS AccountUpn FROM _s3),
     "_s5" AS (SELECT AccountUpn AS AccountUpn, IPAddress AS IPAddress, count_star() AS Downloads, to_json(list_sort(COALESCE(list_distinct(flatten(list(list_value(to_json(COALESCE((json_extract(RawEventData, '$.SiteUrl') ->> '$'), '')))) FILTER (WHERE (COALESCE((json_extract(RawEventData, '$.SiteUrl') ->> '$'), '') IS NOT NULL)))), list_value()))) AS Sites, string_agg(DISTINCT gundog_events, ' ' ORDER BY gundog_events) AS gundog_events FROM _s4 GROUP BY AccountUpn, IPAddress),
     "_s6" AS (SELECT * FROM _s5 WHERE TRY((Downloads >= CAST(300 AS BIGINT))))
SELECT * FROM _s6
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
        md5(cast(row($start, "AccountUpn", "IPAddress") as varchar)) as finding_key,
        md5(cast(row('', "AccountUpn", "IPAddress") as varchar)) as group_key,
        row_number() over (
            partition by md5(cast(row($start, "AccountUpn", "IPAddress") as varchar))
            order by "AccountUpn", "IPAddress", "Downloads", "Sites", gundog_events
        ) as ordinal,
        make_timestamptz(list_min(gundog_times)) as start_time,
        make_timestamptz(list_max(gundog_times)) as end_time
    from marked
)

select
    finding_key,
    ordinal,
    group_key,
    "AccountUpn" as "AccountUpn",
    "IPAddress" as "IPAddress",
    "Downloads" as "Downloads",
    "Sites" as "Sites",
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
