-- Shadow copies or recovery removed, translated from KQL.
--
-- Grain:    one row per row of the query's result.
-- Interval: rows whose newest event lies in [start, end).
-- Reads:    kql_community_device_process_events
-- Params:   $start, $end   timestamptz; the interval [start, end)
-- Imported: shadow_copies_deleted.yaml, KQL cdd66c9633df62b4, duckdb-kql 1.1.2

with "DeviceProcessEvents" as (
    select
        "Timestamp",
        "DeviceId",
        "DeviceName",
        "FileName",
        "ProcessCommandLine",
        "AccountDomain",
        "AccountName",
        "InitiatingProcessFileName",
        "InitiatingProcessCommandLine",
        concat_ws('/', event_id, epoch_us(event_time)) as gundog_events
    from kql_community_device_process_events
    where
        event_time >= $end - to_microseconds(86400000000)
        and event_time < $end
),

found as (
WITH _s0 AS (SELECT * FROM "DeviceProcessEvents"),
     _s1 AS (SELECT "Timestamp", "DeviceId", "DeviceName", "FileName", "ProcessCommandLine", "AccountDomain", "AccountName", "InitiatingProcessFileName", "InitiatingProcessCommandLine", '0/' || "gundog_events" AS "gundog_events" FROM _s0),
     _s2 AS (SELECT * FROM _s1 WHERE CASE WHEN typeof("ProcessCommandLine") = 'JSON' THEN coalesce((regexp_matches(coalesce("ProcessCommandLine" ->> '$', ''), '(?i)(?:^|[^\pL\pN])' || regexp_escape('shadows') || '(?:$|[^\pL\pN])') OR regexp_matches(coalesce("ProcessCommandLine" ->> '$', ''), '(?i)(?:^|[^\pL\pN])' || regexp_escape('shadowcopy') || '(?:$|[^\pL\pN])') OR regexp_matches(coalesce("ProcessCommandLine" ->> '$', ''), '(?i)(?:^|[^\pL\pN])' || regexp_escape('shadowstorage') || '(?:$|[^\pL\pN])') OR regexp_matches(coalesce("ProcessCommandLine" ->> '$', ''), '(?i)(?:^|[^\pL\pN])' || regexp_escape('Win32_ShadowCopy') || '(?:$|[^\pL\pN])') OR regexp_matches(coalesce("ProcessCommandLine" ->> '$', ''), '(?i)(?:^|[^\pL\pN])' || regexp_escape('recoveryenabled') || '(?:$|[^\pL\pN])') OR regexp_matches(coalesce("ProcessCommandLine" ->> '$', ''), '(?i)(?:^|[^\pL\pN])' || regexp_escape('wbadmin') || '(?:$|[^\pL\pN])') OR regexp_matches(coalesce("ProcessCommandLine" ->> '$', ''), '(?i)(?:^|[^\pL\pN])' || regexp_escape('wbadmin.exe') || '(?:$|[^\pL\pN])')), FALSE) ELSE coalesce((regexp_matches("ProcessCommandLine", '(?i)(?:^|[^\pL\pN])' || regexp_escape('shadows') || '(?:$|[^\pL\pN])') OR regexp_matches("ProcessCommandLine", '(?i)(?:^|[^\pL\pN])' || regexp_escape('shadowcopy') || '(?:$|[^\pL\pN])') OR regexp_matches("ProcessCommandLine", '(?i)(?:^|[^\pL\pN])' || regexp_escape('shadowstorage') || '(?:$|[^\pL\pN])') OR regexp_matches("ProcessCommandLine", '(?i)(?:^|[^\pL\pN])' || regexp_escape('Win32_ShadowCopy') || '(?:$|[^\pL\pN])') OR regexp_matches("ProcessCommandLine", '(?i)(?:^|[^\pL\pN])' || regexp_escape('recoveryenabled') || '(?:$|[^\pL\pN])') OR regexp_matches("ProcessCommandLine", '(?i)(?:^|[^\pL\pN])' || regexp_escape('wbadmin') || '(?:$|[^\pL\pN])') OR regexp_matches("ProcessCommandLine", '(?i)(?:^|[^\pL\pN])' || regexp_escape('wbadmin.exe') || '(?:$|[^\pL\pN])')), FALSE) END),
     _s3 AS (SELECT "Timestamp", "DeviceId", "DeviceName", "FileName", "ProcessCommandLine", "AccountDomain", "AccountName", "InitiatingProcessFileName", "InitiatingProcessCommandLine", "gundog_events", lower(coalesce(CASE typeof("ProcessCommandLine") WHEN 'JSON' THEN "ProcessCommandLine" ->> '$' WHEN 'BOOLEAN' THEN CASE CAST("ProcessCommandLine" AS VARCHAR) WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' END WHEN 'TIMESTAMP' THEN (strftime(CAST("ProcessCommandLine" AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z') WHEN 'INTERVAL' THEN list_transform([epoch_us(CAST("ProcessCommandLine" AS INTERVAL))], lambda _us: CASE WHEN _us < 0 THEN '-' ELSE '' END || CASE WHEN abs(_us) >= 86400000000 THEN CAST(abs(_us) // 86400000000 AS VARCHAR) || '.' ELSE '' END || lpad(CAST(abs(_us) // 3600000000 % 24 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 60000000 % 60 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 1000000 % 60 AS VARCHAR), 2, '0') || CASE WHEN abs(_us) % 1000000 <> 0 THEN '.' || lpad(CAST(abs(_us) % 1000000 AS VARCHAR), 6, '0') || '0' ELSE '' END)[1] WHEN 'DOUBLE' THEN CASE CAST("ProcessCommandLine" AS VARCHAR) WHEN 'nan' THEN 'NaN' WHEN '-nan' THEN 'NaN' ELSE CAST("ProcessCommandLine" AS VARCHAR) END ELSE CAST("ProcessCommandLine" AS VARCHAR) END, '')) AS "Line" FROM _s2),
     _s4 AS (SELECT "Timestamp", "DeviceId", "DeviceName", "FileName", "ProcessCommandLine", "AccountDomain", "AccountName", "InitiatingProcessFileName", "InitiatingProcessCommandLine", "gundog_events", "Line", CASE WHEN CASE WHEN typeof("Line") = 'JSON' THEN coalesce(regexp_matches(coalesce("Line" ->> '$', ''), '\bdelete\s+shadows\b'), FALSE) ELSE coalesce(regexp_matches("Line", '\bdelete\s+shadows\b'), FALSE) END THEN 'shadow copies deleted with vssadmin' WHEN CASE WHEN typeof("Line") = 'JSON' THEN coalesce(regexp_matches(coalesce("Line" ->> '$', ''), '\bresize\s+shadowstorage\b'), FALSE) ELSE coalesce(regexp_matches("Line", '\bresize\s+shadowstorage\b'), FALSE) END THEN 'room for shadow copies reduced' WHEN (CASE WHEN typeof("Line") = 'JSON' THEN coalesce((regexp_matches(coalesce("Line" ->> '$', ''), '(?i)(?:^|[^\pL\pN])' || regexp_escape('shadowcopy') || '(?:$|[^\pL\pN])') OR regexp_matches(coalesce("Line" ->> '$', ''), '(?i)(?:^|[^\pL\pN])' || regexp_escape('win32_shadowcopy') || '(?:$|[^\pL\pN])')), FALSE) ELSE coalesce((regexp_matches("Line", '(?i)(?:^|[^\pL\pN])' || regexp_escape('shadowcopy') || '(?:$|[^\pL\pN])') OR regexp_matches("Line", '(?i)(?:^|[^\pL\pN])' || regexp_escape('win32_shadowcopy') || '(?:$|[^\pL\pN])')), FALSE) END AND CASE WHEN typeof("Line") = 'JSON' THEN coalesce((regexp_matches(coalesce("Line" ->> '$', ''), '(?i)(?:^|[^\pL\pN])' || regexp_escape('delete') || '(?:$|[^\pL\pN])') OR regexp_matches(coalesce("Line" ->> '$', ''), '(?i)(?:^|[^\pL\pN])' || regexp_escape('remove-wmiobject') || '(?:$|[^\pL\pN])') OR regexp_matches(coalesce("Line" ->> '$', ''), '(?i)(?:^|[^\pL\pN])' || regexp_escape('remove-ciminstance') || '(?:$|[^\pL\pN])')), FALSE) ELSE coalesce((regexp_matches("Line", '(?i)(?:^|[^\pL\pN])' || regexp_escape('delete') || '(?:$|[^\pL\pN])') OR regexp_matches("Line", '(?i)(?:^|[^\pL\pN])' || regexp_escape('remove-wmiobject') || '(?:$|[^\pL\pN])') OR regexp_matches("Line", '(?i)(?:^|[^\pL\pN])' || regexp_escape('remove-ciminstance') || '(?:$|[^\pL\pN])')), FALSE) END) THEN 'shadow copies deleted with WMI' WHEN CASE WHEN typeof("Line") = 'JSON' THEN coalesce(regexp_matches(coalesce("Line" ->> '$', ''), '\brecoveryenabled\W+(no|off|false|0)\b'), FALSE) ELSE coalesce(regexp_matches("Line", '\brecoveryenabled\W+(no|off|false|0)\b'), FALSE) END THEN 'repair at the next start switched off' WHEN CASE WHEN typeof("Line") = 'JSON' THEN coalesce(regexp_matches(coalesce("Line" ->> '$', ''), '\bwbadmin(\.exe)?\W+delete\s+(catalog|backup|systemstatebackup)\b'), FALSE) ELSE coalesce(regexp_matches("Line", '\bwbadmin(\.exe)?\W+delete\s+(catalog|backup|systemstatebackup)\b'), FALSE) END THEN 'backup deleted' ELSE '' END AS "Act" FROM _s3),
     _s5 AS (SELECT * FROM _s4 WHERE (coalesce(CASE typeof("Act") WHEN 'JSON' THEN "Act" ->> '$' WHEN 'BOOLEAN' THEN CASE CAST("Act" AS VARCHAR) WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' END WHEN 'TIMESTAMP' THEN (strftime(CAST("Act" AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z') WHEN 'INTERVAL' THEN list_transform([epoch_us(CAST("Act" AS INTERVAL))], lambda _us: CASE WHEN _us < 0 THEN '-' ELSE '' END || CASE WHEN abs(_us) >= 86400000000 THEN CAST(abs(_us) // 86400000000 AS VARCHAR) || '.' ELSE '' END || lpad(CAST(abs(_us) // 3600000000 % 24 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 60000000 % 60 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 1000000 % 60 AS VARCHAR), 2, '0') || CASE WHEN abs(_us) % 1000000 <> 0 THEN '.' || lpad(CAST(abs(_us) % 1000000 AS VARCHAR), 6, '0') || '0' ELSE '' END)[1] WHEN 'DOUBLE' THEN CASE CAST("Act" AS VARCHAR) WHEN 'nan' THEN 'NaN' WHEN '-nan' THEN 'NaN' ELSE CAST("Act" AS VARCHAR) END ELSE CAST("Act" AS VARCHAR) END, '') IS NOT NULL AND CAST(coalesce(CASE typeof("Act") WHEN 'JSON' THEN "Act" ->> '$' WHEN 'BOOLEAN' THEN CASE CAST("Act" AS VARCHAR) WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' END WHEN 'TIMESTAMP' THEN (strftime(CAST("Act" AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z') WHEN 'INTERVAL' THEN list_transform([epoch_us(CAST("Act" AS INTERVAL))], lambda _us: CASE WHEN _us < 0 THEN '-' ELSE '' END || CASE WHEN abs(_us) >= 86400000000 THEN CAST(abs(_us) // 86400000000 AS VARCHAR) || '.' ELSE '' END || lpad(CAST(abs(_us) // 3600000000 % 24 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 60000000 % 60 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 1000000 % 60 AS VARCHAR), 2, '0') || CASE WHEN abs(_us) % 1000000 <> 0 THEN '.' || lpad(CAST(abs(_us) % 1000000 AS VARCHAR), 6, '0') || '0' ELSE '' END)[1] WHEN 'DOUBLE' THEN CASE CAST("Act" AS VARCHAR) WHEN 'nan' THEN 'NaN' WHEN '-nan' THEN 'NaN' ELSE CAST("Act" AS VARCHAR) END ELSE CAST("Act" AS VARCHAR) END, '') AS VARCHAR) <> '')),
     _s6 AS (SELECT "Timestamp" AS "Timestamp", "DeviceId" AS "DeviceId", "DeviceName" AS "DeviceName", "AccountDomain" AS "AccountDomain", "AccountName" AS "AccountName", "Act" AS "Act", "FileName" AS "FileName", "ProcessCommandLine" AS "ProcessCommandLine", "InitiatingProcessFileName" AS "InitiatingProcessFileName", "InitiatingProcessCommandLine" AS "InitiatingProcessCommandLine", "gundog_events" AS "gundog_events" FROM _s5)
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
        md5(gundog_events) as finding_key,
        row_number() over (
            partition by md5(gundog_events)
            order by "Timestamp", "DeviceId", "DeviceName", "AccountDomain", "AccountName", "Act", "FileName", "ProcessCommandLine", "InitiatingProcessFileName", "InitiatingProcessCommandLine", gundog_events
        ) as ordinal,
        make_timestamptz(list_min(gundog_times)) as start_time,
        make_timestamptz(list_max(gundog_times)) as end_time
    from marked
)

select
    finding_key,
    ordinal,
    "Timestamp" at time zone 'UTC' as "Timestamp",
    "DeviceId" as "DeviceId",
    "DeviceName" as "DeviceName",
    "AccountDomain" as "AccountDomain",
    "AccountName" as "AccountName",
    "Act" as "Act",
    "FileName" as "FileName",
    "ProcessCommandLine" as "ProcessCommandLine",
    "InitiatingProcessFileName" as "InitiatingProcessFileName",
    "InitiatingProcessCommandLine" as "InitiatingProcessCommandLine",
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
