-- Many commands that look around, in half an hour, translated from KQL.
--
-- Grain:    one row per row of the query's result.
-- Interval: rows whose newest event lies in [start, end).
-- Reads:    kql_community_device_process_events
-- Params:   $start, $end   timestamptz; the interval [start, end)
-- Imported: discovery_burst.yaml, KQL 073ffd8123034693, duckdb-kql 1.1.2

with "DeviceProcessEvents" as (
    select
        "Timestamp",
        "DeviceName",
        "FileName",
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
     "_s1" AS (SELECT "Timestamp", DeviceName, FileName, ProcessCommandLine, AccountName, ('0/' || gundog_events) AS gundog_events FROM _s0),
     "_s2" AS (SELECT * FROM _s1 WHERE COALESCE((lower(FileName) IN (lower('whoami.exe'), lower('ipconfig.exe'), lower('net.exe'), lower('net1.exe'), lower('nltest.exe'), lower('systeminfo.exe'), lower('tasklist.exe'), lower('quser.exe'), lower('query.exe'), lower('netstat.exe'), lower('arp.exe'), lower('route.exe'), lower('nslookup.exe'), lower('dsquery.exe'), lower('hostname.exe'), lower('gpresult.exe'), lower('klist.exe'), lower('cmdkey.exe'))), false)),
     "_s3" AS (SELECT "Timestamp", DeviceName, FileName, ProcessCommandLine, AccountName, gundog_events, lower(COALESCE(CAST(DeviceName AS VARCHAR), '')) AS gundog_events_key_0, lower(COALESCE(CAST(AccountName AS VARCHAR), '')) AS gundog_events_key_1, timezone('UTC', to_timestamp((floor((epoch("Timestamp") / epoch(CAST('30m' AS INTERVAL)))) * epoch(CAST('30m' AS INTERVAL))))) AS gundog_events_key_2 FROM _s2),
     "_s4" AS (SELECT gundog_events_key_0 AS DeviceName, gundog_events_key_1 AS AccountName, gundog_events_key_2 AS HalfHour, count(DISTINCT lower(COALESCE(CAST(FileName AS VARCHAR), ''))) AS Programs, to_json(list_sort(COALESCE(list_distinct(flatten(list(list_value(to_json(ProcessCommandLine))) FILTER (WHERE (ProcessCommandLine IS NOT NULL)))), list_value()))) AS Commands, string_agg(DISTINCT gundog_events, ' ' ORDER BY gundog_events) AS gundog_events FROM _s3 GROUP BY gundog_events_key_0, gundog_events_key_1, gundog_events_key_2),
     "_s5" AS (SELECT * FROM _s4 WHERE TRY((Programs >= CAST(5 AS BIGINT))))
SELECT * FROM _s5
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
        md5(cast(row($start, "DeviceName", "AccountName", "HalfHour") as varchar)) as finding_key,
        md5(cast(row('', "DeviceName", "AccountName", "HalfHour") as varchar)) as group_key,
        row_number() over (
            partition by md5(cast(row($start, "DeviceName", "AccountName", "HalfHour") as varchar))
            order by "DeviceName", "AccountName", "HalfHour", "Programs", "Commands", gundog_events
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
    "HalfHour" at time zone 'UTC' as "HalfHour",
    "Programs" as "Programs",
    "Commands" as "Commands",
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
