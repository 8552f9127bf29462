-- Program with a Windows name in another folder, translated from KQL.
--
-- Grain:    one row per row of the query's result.
-- Interval: rows whose newest event lies in [start, end).
-- Reads:    kql_community_device_process_events
-- Params:   $start, $end   timestamptz; the interval [start, end)
-- Imported: system_name_elsewhere.yaml, KQL 192bb377db105fe3, duckdb-kql 1.1.2

with "DeviceProcessEvents" as (
    select
        "Timestamp",
        "DeviceId",
        "DeviceName",
        "FileName",
        "FolderPath",
        "SHA256",
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
     "_s1" AS (SELECT "Timestamp", DeviceId, DeviceName, FileName, FolderPath, SHA256, ProcessCommandLine, AccountDomain, AccountName, InitiatingProcessFileName, InitiatingProcessCommandLine, ('0/' || gundog_events) AS gundog_events FROM _s0),
     "_s2" AS (SELECT * FROM _s1 WHERE COALESCE((lower(FileName) IN (lower('svchost.exe'), lower('lsass.exe'), lower('services.exe'), lower('csrss.exe'), lower('smss.exe'), lower('wininit.exe'), lower('winlogon.exe'), lower('spoolsv.exe'), lower('taskhostw.exe'), lower('dllhost.exe'), lower('conhost.exe'))), false)),
     "_s3" AS (SELECT * FROM _s2 WHERE ((COALESCE(CAST(FolderPath AS VARCHAR), '') IS NOT NULL) AND (CAST(COALESCE(CAST(FolderPath AS VARCHAR), '') AS VARCHAR) != '') AND (NOT CAST(COALESCE(regexp_matches(lower(COALESCE(CAST(FolderPath AS VARCHAR), '')), '^([a-z]:|\\device\\harddiskvolume\d+)\\windows\\(system32|syswow64|winsxs)(\\|$)'), false) AS BOOLEAN)))),
     "_s4" AS (SELECT "Timestamp" AS "Timestamp", DeviceId AS DeviceId, DeviceName AS DeviceName, AccountDomain AS AccountDomain, AccountName AS AccountName, FileName AS FileName, FolderPath AS FolderPath, SHA256 AS SHA256, ProcessCommandLine AS ProcessCommandLine, InitiatingProcessFileName AS InitiatingProcessFileName, InitiatingProcessCommandLine AS InitiatingProcessCommandLine, gundog_events AS gundog_events FROM _s3)
SELECT * FROM _s4
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
            order by "Timestamp", "DeviceId", "DeviceName", "AccountDomain", "AccountName", "FileName", "FolderPath", "SHA256", "ProcessCommandLine", "InitiatingProcessFileName", "InitiatingProcessCommandLine", gundog_events
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
    "FileName" as "FileName",
    "FolderPath" as "FolderPath",
    "SHA256" as "SHA256",
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
