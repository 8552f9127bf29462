-- Active Directory listed with AdFind, translated from KQL.
--
-- Grain:    one row per row of the query's result.
-- Interval: rows whose newest event lies in [start, end).
-- Reads:    kql_community_device_process_events
-- Params:   $start, $end   timestamptz; the interval [start, end)
-- Imported: adfind_discovery.yaml, KQL b9dfbc68e67b03e6, duckdb-kql 1.1.2

with "DeviceProcessEvents" as (
    select
        "Timestamp",
        "DeviceId",
        "DeviceName",
        "FileName",
        "ProcessVersionInfoOriginalFileName",
        "ProcessCommandLine",
        "AccountDomain",
        "AccountName",
        "InitiatingProcessFileName",
        concat_ws('/', event_id, epoch_us(event_time)) as gundog_events
    from kql_community_device_process_events
    where
        event_time >= $end - to_microseconds(86400000000)
        and event_time < $end
),

found as (
WITH "_s0" AS (SELECT * FROM DeviceProcessEvents),
     "_s1" AS (SELECT "Timestamp", DeviceId, DeviceName, FileName, ProcessVersionInfoOriginalFileName, ProcessCommandLine, AccountDomain, AccountName, InitiatingProcessFileName, ('0/' || gundog_events) AS gundog_events FROM _s0),
     "_s2" AS (SELECT * FROM _s1 WHERE (COALESCE(regexp_matches(ProcessCommandLine, '(?i)(?:^|[^\pL\pN])(?:trustdmp|computers_pwdnotreqd|dcmodes|adinfo)(?:$|[^\pL\pN])'), false) OR COALESCE((lower(FileName) = lower('adfind.exe')), false) OR COALESCE((lower(ProcessVersionInfoOriginalFileName) = lower('adfind.exe')), false) OR (COALESCE(ilike_escape(ProcessCommandLine, (('%' || "replace"("replace"("replace"('objectcategory=', '\', '\\'), '%', '\%'), '_', '\_')) || '%'), '\'), false) AND COALESCE(regexp_matches(ProcessCommandLine, '(?i)(?:\-f)(?:$|[^\pL\pN])'), false)))),
     "_s3" AS (SELECT "Timestamp" AS "Timestamp", DeviceId AS DeviceId, DeviceName AS DeviceName, AccountDomain AS AccountDomain, AccountName AS AccountName, FileName AS FileName, ProcessCommandLine AS ProcessCommandLine, InitiatingProcessFileName AS InitiatingProcessFileName, COALESCE((lower(FileName) != lower('adfind.exe')), true) AS Renamed, gundog_events AS gundog_events FROM _s2)
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
            order by "Timestamp", "DeviceId", "DeviceName", "AccountDomain", "AccountName", "FileName", "ProcessCommandLine", "InitiatingProcessFileName", "Renamed", gundog_events
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
    "ProcessCommandLine" as "ProcessCommandLine",
    "InitiatingProcessFileName" as "InitiatingProcessFileName",
    "Renamed" as "Renamed",
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
