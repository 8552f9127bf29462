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
WITH "_s0" AS (SELECT * FROM DeviceProcessEvents),
     "_s1" AS (SELECT "Timestamp", DeviceId, DeviceName, FileName, ProcessCommandLine, AccountDomain, AccountName, InitiatingProcessFileName, InitiatingProcessCommandLine, ('0/' || gundog_events) AS gundog_events FROM _s0),
     "_s2" AS (SELECT * FROM _s1 WHERE COALESCE(regexp_matches(ProcessCommandLine, '(?i)(?:^|[^\pL\pN])(?:shadows|shadowcopy|shadowstorage|Win32_ShadowCopy|recoveryenabled|wbadmin|wbadmin\.exe)(?:$|[^\pL\pN])'), false)),
     "_s3" AS (SELECT "Timestamp", DeviceId, DeviceName, FileName, ProcessCommandLine, AccountDomain, AccountName, InitiatingProcessFileName, InitiatingProcessCommandLine, gundog_events, lower(COALESCE(CAST(ProcessCommandLine AS VARCHAR), '')) AS Line FROM _s2),
     "_s4" AS (SELECT "Timestamp", DeviceId, DeviceName, FileName, ProcessCommandLine, AccountDomain, AccountName, InitiatingProcessFileName, InitiatingProcessCommandLine, gundog_events, Line, CASE  WHEN (COALESCE(regexp_matches(Line, '\bdelete\s+shadows\b'), false)) THEN ('shadow copies deleted with vssadmin') WHEN (COALESCE(regexp_matches(Line, '\bresize\s+shadowstorage\b'), false)) THEN ('room for shadow copies reduced') WHEN ((COALESCE(regexp_matches(Line, '(?i)(?:^|[^\pL\pN])(?:shadowcopy|win32_shadowcopy)(?:$|[^\pL\pN])'), false) AND COALESCE(regexp_matches(Line, '(?i)(?:^|[^\pL\pN])(?:delete|remove\-wmiobject|remove\-ciminstance)(?:$|[^\pL\pN])'), false))) THEN ('shadow copies deleted with WMI') WHEN (COALESCE(regexp_matches(Line, '\brecoveryenabled\W+(no|off|false|0)\b'), false)) THEN ('repair at the next start switched off') WHEN (COALESCE(regexp_matches(Line, '\bwbadmin(\.exe)?\W+delete\s+(catalog|backup|systemstatebackup)\b'), false)) THEN ('backup deleted') ELSE '' END AS Act FROM _s3),
     "_s5" AS (SELECT * FROM _s4 WHERE ((COALESCE(CAST(Act AS VARCHAR), '') IS NOT NULL) AND (CAST(COALESCE(CAST(Act AS VARCHAR), '') AS VARCHAR) != ''))),
     "_s6" AS (SELECT "Timestamp" AS "Timestamp", DeviceId AS DeviceId, DeviceName AS DeviceName, AccountDomain AS AccountDomain, AccountName AS AccountName, Act AS Act, FileName AS FileName, ProcessCommandLine AS ProcessCommandLine, InitiatingProcessFileName AS InitiatingProcessFileName, InitiatingProcessCommandLine AS InitiatingProcessCommandLine, gundog_events AS gundog_events FROM _s5)
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
