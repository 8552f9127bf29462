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
WITH _s0 AS (SELECT * FROM "DeviceProcessEvents"),
     _s1 AS (SELECT "Timestamp", "DeviceName", "FileName", "ProcessVersionInfoOriginalFileName", "ProcessCommandLine", "AccountName", '0/' || "gundog_events" AS "gundog_events" FROM _s0),
     _s2 AS (SELECT * FROM _s1 WHERE (CASE WHEN typeof("FileName") = 'JSON' THEN coalesce((lower(coalesce("FileName" ->> '$', '')) IN (lower('psexec.exe'), lower('psexec64.exe'))), FALSE) ELSE coalesce((lower("FileName") IN (lower('psexec.exe'), lower('psexec64.exe'))), FALSE) END OR CASE WHEN typeof("ProcessVersionInfoOriginalFileName") = 'JSON' THEN coalesce((lower(coalesce("ProcessVersionInfoOriginalFileName" ->> '$', '')) = lower('psexec.c')), FALSE) ELSE coalesce((lower("ProcessVersionInfoOriginalFileName") = lower('psexec.c')), FALSE) END)),
     _s3 AS (SELECT "Timestamp", "DeviceName", "FileName", "ProcessVersionInfoOriginalFileName", "ProcessCommandLine", "AccountName", "gundog_events", lower(regexp_extract("ProcessCommandLine", '\\\\([^\s\\]+)', CAST(CAST(1 AS BIGINT) AS INTEGER))) AS "Named" FROM _s2),
     _s4 AS (SELECT "Timestamp", "DeviceName", "FileName", "ProcessVersionInfoOriginalFileName", "ProcessCommandLine", "AccountName", "gundog_events", "Named", str_split(coalesce(CASE typeof("Named") WHEN 'JSON' THEN "Named" ->> '$' WHEN 'BOOLEAN' THEN CASE CAST("Named" AS VARCHAR) WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' END WHEN 'TIMESTAMP' THEN (strftime(CAST("Named" AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z') WHEN 'INTERVAL' THEN list_transform([epoch_us(CAST("Named" AS INTERVAL))], lambda _us: CASE WHEN _us < 0 THEN '-' ELSE '' END || CASE WHEN abs(_us) >= 86400000000 THEN CAST(abs(_us) // 86400000000 AS VARCHAR) || '.' ELSE '' END || lpad(CAST(abs(_us) // 3600000000 % 24 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 60000000 % 60 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 1000000 % 60 AS VARCHAR), 2, '0') || CASE WHEN abs(_us) % 1000000 <> 0 THEN '.' || lpad(CAST(abs(_us) % 1000000 AS VARCHAR), 6, '0') || '0' ELSE '' END)[1] WHEN 'DOUBLE' THEN CASE CAST("Named" AS VARCHAR) WHEN 'nan' THEN 'NaN' WHEN '-nan' THEN 'NaN' ELSE CAST("Named" AS VARCHAR) END ELSE CAST("Named" AS VARCHAR) END, ''), ',') AS "Target" FROM _s3),
     _s5 AS (SELECT "Timestamp", "DeviceName", "FileName", "ProcessVersionInfoOriginalFileName", "ProcessCommandLine", "AccountName", "gundog_events", "Named", coalesce(UNNEST(CAST(CASE json_type("Target") WHEN 'ARRAY' THEN json_extract("Target", '$[*]') WHEN 'OBJECT' THEN list_transform(json_keys("Target"), lambda k: json_object(k, json_extract("Target", '$."' || k || '"'))) ELSE json_array("Target") END AS JSON[])) ->> '$', '') AS "Target" FROM _s4),
     _s6 AS (SELECT * FROM _s5 WHERE (coalesce(CASE typeof("Target") WHEN 'JSON' THEN "Target" ->> '$' WHEN 'BOOLEAN' THEN CASE CAST("Target" AS VARCHAR) WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' END WHEN 'TIMESTAMP' THEN (strftime(CAST("Target" AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z') WHEN 'INTERVAL' THEN list_transform([epoch_us(CAST("Target" AS INTERVAL))], lambda _us: CASE WHEN _us < 0 THEN '-' ELSE '' END || CASE WHEN abs(_us) >= 86400000000 THEN CAST(abs(_us) // 86400000000 AS VARCHAR) || '.' ELSE '' END || lpad(CAST(abs(_us) // 3600000000 % 24 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 60000000 % 60 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 1000000 % 60 AS VARCHAR), 2, '0') || CASE WHEN abs(_us) % 1000000 <> 0 THEN '.' || lpad(CAST(abs(_us) % 1000000 AS VARCHAR), 6, '0') || '0' ELSE '' END)[1] WHEN 'DOUBLE' THEN CASE CAST("Target" AS VARCHAR) WHEN 'nan' THEN 'NaN' WHEN '-nan' THEN 'NaN' ELSE CAST("Target" AS VARCHAR) END ELSE CAST("Target" AS VARCHAR) END, '') IS NOT NULL AND CAST(coalesce(CASE typeof("Target") WHEN 'JSON' THEN "Target" ->> '$' WHEN 'BOOLEAN' THEN CASE CAST("Target" AS VARCHAR) WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' END WHEN 'TIMESTAMP' THEN (strftime(CAST("Target" AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z') WHEN 'INTERVAL' THEN list_transform([epoch_us(CAST("Target" AS INTERVAL))], lambda _us: CASE WHEN _us < 0 THEN '-' ELSE '' END || CASE WHEN abs(_us) >= 86400000000 THEN CAST(abs(_us) // 86400000000 AS VARCHAR) || '.' ELSE '' END || lpad(CAST(abs(_us) // 3600000000 % 24 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 60000000 % 60 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 1000000 % 60 AS VARCHAR), 2, '0') || CASE WHEN abs(_us) % 1000000 <> 0 THEN '.' || lpad(CAST(abs(_us) % 1000000 AS VARCHAR), 6, '0') || '0' ELSE '' END)[1] WHEN 'DOUBLE' THEN CASE CAST("Target" AS VARCHAR) WHEN 'nan' THEN 'NaN' WHEN '-nan' THEN 'NaN' ELSE CAST("Target" AS VARCHAR) END ELSE CAST("Target" AS VARCHAR) END, '') AS VARCHAR) <> '')),
     _s7 AS (SELECT "Timestamp", "DeviceName", "FileName", "ProcessVersionInfoOriginalFileName", "ProcessCommandLine", "AccountName", "gundog_events", "Named", "Target", lower(coalesce(CASE typeof("DeviceName") WHEN 'JSON' THEN "DeviceName" ->> '$' WHEN 'BOOLEAN' THEN CASE CAST("DeviceName" AS VARCHAR) WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' END WHEN 'TIMESTAMP' THEN (strftime(CAST("DeviceName" AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z') WHEN 'INTERVAL' THEN list_transform([epoch_us(CAST("DeviceName" AS INTERVAL))], lambda _us: CASE WHEN _us < 0 THEN '-' ELSE '' END || CASE WHEN abs(_us) >= 86400000000 THEN CAST(abs(_us) // 86400000000 AS VARCHAR) || '.' ELSE '' END || lpad(CAST(abs(_us) // 3600000000 % 24 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 60000000 % 60 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 1000000 % 60 AS VARCHAR), 2, '0') || CASE WHEN abs(_us) % 1000000 <> 0 THEN '.' || lpad(CAST(abs(_us) % 1000000 AS VARCHAR), 6, '0') || '0' ELSE '' END)[1] WHEN 'DOUBLE' THEN CASE CAST("DeviceName" AS VARCHAR) WHEN 'nan' THEN 'NaN' WHEN '-nan' THEN 'NaN' ELSE CAST("DeviceName" AS VARCHAR) END ELSE CAST("DeviceName" AS VARCHAR) END, '')) AS "gundog_events_key_0", lower(coalesce(CASE typeof("AccountName") WHEN 'JSON' THEN "AccountName" ->> '$' WHEN 'BOOLEAN' THEN CASE CAST("AccountName" AS VARCHAR) WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' END WHEN 'TIMESTAMP' THEN (strftime(CAST("AccountName" AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z') WHEN 'INTERVAL' THEN list_transform([epoch_us(CAST("AccountName" AS INTERVAL))], lambda _us: CASE WHEN _us < 0 THEN '-' ELSE '' END || CASE WHEN abs(_us) >= 86400000000 THEN CAST(abs(_us) // 86400000000 AS VARCHAR) || '.' ELSE '' END || lpad(CAST(abs(_us) // 3600000000 % 24 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 60000000 % 60 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 1000000 % 60 AS VARCHAR), 2, '0') || CASE WHEN abs(_us) % 1000000 <> 0 THEN '.' || lpad(CAST(abs(_us) % 1000000 AS VARCHAR), 6, '0') || '0' ELSE '' END)[1] WHEN 'DOUBLE' THEN CASE CAST("AccountName" AS VARCHAR) WHEN 'nan' THEN 'NaN' WHEN '-nan' THEN 'NaN' ELSE CAST("AccountName" AS VARCHAR) END ELSE CAST("AccountName" AS VARCHAR) END, '')) AS "gundog_events_key_1" FROM _s6),
     _s8 AS (SELECT "gundog_events_key_0" AS "DeviceName", "gundog_events_key_1" AS "AccountName", count(DISTINCT "Target") AS "TargetCount", to_json(list_sort(coalesce(list_distinct(flatten(list(CASE WHEN typeof("Target") = 'JSON' AND json_type(TRY_CAST("Target" AS JSON)) = 'ARRAY' THEN CAST(to_json("Target") AS JSON[]) ELSE [to_json("Target")] END) FILTER (WHERE "Target" IS NOT NULL))), []))) AS "Targets", to_json(list_sort(coalesce(list_distinct(flatten(list(CASE WHEN typeof("ProcessCommandLine") = 'JSON' AND json_type(TRY_CAST("ProcessCommandLine" AS JSON)) = 'ARRAY' THEN CAST(to_json("ProcessCommandLine") AS JSON[]) ELSE [to_json("ProcessCommandLine")] END) FILTER (WHERE "ProcessCommandLine" IS NOT NULL))), []))) AS "CommandLines", string_agg(DISTINCT "gundog_events", ' ' ORDER BY "gundog_events") AS "gundog_events" FROM _s7 GROUP BY "gundog_events_key_0", "gundog_events_key_1"),
     _s9 AS (SELECT * FROM _s8 WHERE try("TargetCount" >= CAST(4 AS BIGINT)))
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
