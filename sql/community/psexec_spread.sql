-- PsExec started against many hosts, translated from KQL.
--
-- Grain:    one row per row of the query's result.
-- Interval: rows whose newest event lies in [start, end).
-- Reads:    kql_community_device_process_events
-- Params:   $start, $end   timestamptz; the interval [start, end)
-- Imported: psexec_spread.yaml, KQL cbe18294a1240ce8, duckdb-kql 1.1.2

with "DeviceProcessEvents" as (
    select
        "Timestamp",
        "DeviceName",
        "FileName",
        "ProcessVersionInfoOriginalFileName",
        "ProcessCommandLine",
        "AccountName",
        concat_ws('/', event_id, epoch_us(event_time)) as gundog_events
    from kql_community_device_process_events
    where
        event_time >= $end - to_microseconds(86400000000)
        and event_time < $end
),

found as (
WITH "_s0" AS (SELECT * FROM DeviceProcessEvents),
     "_s1" AS (SELECT "Timestamp", DeviceName, FileName, ProcessVersionInfoOriginalFileName, ProcessCommandLine, AccountName, ('0/' || gundog_events) AS gundog_events FROM _s0),
     "_s2" AS (SELECT * FROM _s1 WHERE (COALESCE((lower(FileName) IN (lower('psexec.exe'), lower('psexec64.exe'))), false) OR COALESCE((lower(ProcessVersionInfoOriginalFileName) = lower('psexec.c')), false))),
     "_s3" AS (SELECT "Timestamp", DeviceName, FileName, ProcessVersionInfoOriginalFileName, ProcessCommandLine, AccountName, gundog_events, lower(regexp_extract(ProcessCommandLine, '\\\\([^\s\\]+)', CAST(CAST(1 AS BIGINT) AS INTEGER))) AS Named FROM _s2),
     "_s4" AS (SELECT "Timestamp", DeviceName, FileName, ProcessVersionInfoOriginalFileName, ProcessCommandLine, AccountName, gundog_events, Named, str_split(COALESCE(CAST(Named AS VARCHAR), ''), ',') AS "Target" FROM _s3),
     "_s5" AS (SELECT "Timestamp", DeviceName, FileName, ProcessVersionInfoOriginalFileName, ProcessCommandLine, AccountName, gundog_events, Named, COALESCE((unnest(CAST(CASE  WHEN ((json_type("Target") = 'ARRAY')) THEN (json_extract("Target", '$[*]')) WHEN ((json_type("Target") = 'OBJECT')) THEN (list_transform(json_keys("Target"), (lambda k: json_object(k, json_extract("Target", (('$."' || k) || '"')))))) ELSE json_array("Target") END AS "JSON"[])) ->> '$'), '') AS "Target" FROM _s4),
     "_s6" AS (SELECT * FROM _s5 WHERE ((COALESCE(CAST("Target" AS VARCHAR), '') IS NOT NULL) AND (CAST(COALESCE(CAST("Target" AS VARCHAR), '') AS VARCHAR) != ''))),
     "_s7" AS (SELECT "Timestamp", DeviceName, FileName, ProcessVersionInfoOriginalFileName, ProcessCommandLine, AccountName, gundog_events, Named, "Target", lower(COALESCE(CAST(DeviceName AS VARCHAR), '')) AS gundog_events_key_0, lower(COALESCE(CAST(AccountName AS VARCHAR), '')) AS gundog_events_key_1 FROM _s6),
     "_s8" AS (SELECT gundog_events_key_0 AS DeviceName, gundog_events_key_1 AS AccountName, count(DISTINCT "Target") AS TargetCount, to_json(list_sort(COALESCE(list_distinct(flatten(list(list_value(to_json("Target"))) FILTER (WHERE ("Target" IS NOT NULL)))), list_value()))) AS Targets, to_json(list_sort(COALESCE(list_distinct(flatten(list(list_value(to_json(ProcessCommandLine))) FILTER (WHERE (ProcessCommandLine IS NOT NULL)))), list_value()))) AS CommandLines, string_agg(DISTINCT gundog_events, ' ' ORDER BY gundog_events) AS gundog_events FROM _s7 GROUP BY gundog_events_key_0, gundog_events_key_1),
     "_s9" AS (SELECT * FROM _s8 WHERE TRY((TargetCount >= CAST(4 AS BIGINT))))
SELECT * FROM _s9
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
        md5(cast(row($start, "DeviceName", "AccountName") as varchar)) as finding_key,
        md5(cast(row('', "DeviceName", "AccountName") as varchar)) as group_key,
        row_number() over (
            partition by md5(cast(row($start, "DeviceName", "AccountName") as varchar))
            order by "DeviceName", "AccountName", "TargetCount", "Targets", "CommandLines", gundog_events
        ) as ordinal,
        make_timestamptz(list_min(gundog_times)) as start_time,
        make_timestamptz(list_max(gundog_times)) as end_time
    from marked
)

select
    finding_key,
    ordinal,
    group_key,
    "DeviceName" as "DeviceName",
    "AccountName" as "AccountName",
    "TargetCount" as "TargetCount",
    "Targets" as "Targets",
    "CommandLines" as "CommandLines",
    nullif(lower(split_part("DeviceName", '.', 1)), '') as host_name,
    nullif(lower(regexp_extract("DeviceName", '^[^.]*[.](.+)$', 1)), '') as dns_domain,
    nullif(lower("AccountName"), '') as account_name,
    start_time,
    end_time,
    list_transform(list_sort(list_distinct(gundog_marks)), lambda mark: struct_pack(
        role := ['event'][cast(split_part(mark, '/', 1) as integer) + 1],
        source_table := ['DeviceProcessEvents'][cast(split_part(mark, '/', 1) as integer) + 1],
        event_id := cast(split_part(mark, '/', 2) as uuid)
    )) as evidence
from keyed
where end_time >= $start
order by start_time, finding_key, ordinal
