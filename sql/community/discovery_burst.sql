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
WITH _s0 AS (SELECT * FROM "DeviceProcessEvents"),
     _s1 AS (SELECT "Timestamp", "DeviceName", "FileName", "ProcessCommandLine", "AccountName", '0/' || "gundog_events" AS "gundog_events" FROM _s0),
     _s2 AS (SELECT * FROM _s1 WHERE CASE WHEN typeof("FileName") = 'JSON' THEN coalesce((lower(coalesce("FileName" ->> '$', '')) IN (lower('whoami.exe'), lower('ipconfig.exe'), lower('net.exe'), lower('net1.exe'), lower('nltest.exe'), lower('systeminfo.exe'), lower('tasklist.exe'), lower('quser.exe'), lower('query.exe'), lower('netstat.exe'), lower('arp.exe'), lower('route.exe'), lower('nslookup.exe'), lower('dsquery.exe'), lower('hostname.exe'), lower('gpresult.exe'), lower('klist.exe'), lower('cmdkey.exe'))), FALSE) ELSE coalesce((lower("FileName") IN (lower('whoami.exe'), lower('ipconfig.exe'), lower('net.exe'), lower('net1.exe'), lower('nltest.exe'), lower('systeminfo.exe'), lower('tasklist.exe'), lower('quser.exe'), lower('query.exe'), lower('netstat.exe'), lower('arp.exe'), lower('route.exe'), lower('nslookup.exe'), lower('dsquery.exe'), lower('hostname.exe'), lower('gpresult.exe'), lower('klist.exe'), lower('cmdkey.exe'))), FALSE) END),
     _s3 AS (SELECT "Timestamp", "DeviceName", "FileName", "ProcessCommandLine", "AccountName", "gundog_events", lower(coalesce(CASE typeof("DeviceName") WHEN 'JSON' THEN "DeviceName" ->> '$' WHEN 'BOOLEAN' THEN CASE CAST("DeviceName" AS VARCHAR) WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' END WHEN 'TIMESTAMP' THEN (strftime(CAST("DeviceName" AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z') WHEN 'INTERVAL' THEN list_transform([epoch_us(CAST("DeviceName" AS INTERVAL))], lambda _us: CASE WHEN _us < 0 THEN '-' ELSE '' END || CASE WHEN abs(_us) >= 86400000000 THEN CAST(abs(_us) // 86400000000 AS VARCHAR) || '.' ELSE '' END || lpad(CAST(abs(_us) // 3600000000 % 24 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 60000000 % 60 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 1000000 % 60 AS VARCHAR), 2, '0') || CASE WHEN abs(_us) % 1000000 <> 0 THEN '.' || lpad(CAST(abs(_us) % 1000000 AS VARCHAR), 6, '0') || '0' ELSE '' END)[1] WHEN 'DOUBLE' THEN CASE CAST("DeviceName" AS VARCHAR) WHEN 'nan' THEN 'NaN' WHEN '-nan' THEN 'NaN' ELSE CAST("DeviceName" AS VARCHAR) END ELSE CAST("DeviceName" AS VARCHAR) END, '')) AS "gundog_events_key_0", lower(coalesce(CASE typeof("AccountName") WHEN 'JSON' THEN "AccountName" ->> '$' WHEN 'BOOLEAN' THEN CASE CAST("AccountName" AS VARCHAR) WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' END WHEN 'TIMESTAMP' THEN (strftime(CAST("AccountName" AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z') WHEN 'INTERVAL' THEN list_transform([epoch_us(CAST("AccountName" AS INTERVAL))], lambda _us: CASE WHEN _us < 0 THEN '-' ELSE '' END || CASE WHEN abs(_us) >= 86400000000 THEN CAST(abs(_us) // 86400000000 AS VARCHAR) || '.' ELSE '' END || lpad(CAST(abs(_us) // 3600000000 % 24 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 60000000 % 60 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 1000000 % 60 AS VARCHAR), 2, '0') || CASE WHEN abs(_us) % 1000000 <> 0 THEN '.' || lpad(CAST(abs(_us) % 1000000 AS VARCHAR), 6, '0') || '0' ELSE '' END)[1] WHEN 'DOUBLE' THEN CASE CAST("AccountName" AS VARCHAR) WHEN 'nan' THEN 'NaN' WHEN '-nan' THEN 'NaN' ELSE CAST("AccountName" AS VARCHAR) END ELSE CAST("AccountName" AS VARCHAR) END, '')) AS "gundog_events_key_1", to_timestamp(floor(epoch("Timestamp") / epoch(INTERVAL '30m')) * epoch(INTERVAL '30m')) AT TIME ZONE 'UTC' AS "gundog_events_key_2" FROM _s2),
     _s4 AS (SELECT "gundog_events_key_0" AS "DeviceName", "gundog_events_key_1" AS "AccountName", "gundog_events_key_2" AS "HalfHour", count(DISTINCT lower(coalesce(CASE typeof("FileName") WHEN 'JSON' THEN "FileName" ->> '$' WHEN 'BOOLEAN' THEN CASE CAST("FileName" AS VARCHAR) WHEN 'true' THEN 'True' WHEN 'false' THEN 'False' END WHEN 'TIMESTAMP' THEN (strftime(CAST("FileName" AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%f') || '0Z') WHEN 'INTERVAL' THEN list_transform([epoch_us(CAST("FileName" AS INTERVAL))], lambda _us: CASE WHEN _us < 0 THEN '-' ELSE '' END || CASE WHEN abs(_us) >= 86400000000 THEN CAST(abs(_us) // 86400000000 AS VARCHAR) || '.' ELSE '' END || lpad(CAST(abs(_us) // 3600000000 % 24 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 60000000 % 60 AS VARCHAR), 2, '0') || ':' || lpad(CAST(abs(_us) // 1000000 % 60 AS VARCHAR), 2, '0') || CASE WHEN abs(_us) % 1000000 <> 0 THEN '.' || lpad(CAST(abs(_us) % 1000000 AS VARCHAR), 6, '0') || '0' ELSE '' END)[1] WHEN 'DOUBLE' THEN CASE CAST("FileName" AS VARCHAR) WHEN 'nan' THEN 'NaN' WHEN '-nan' THEN 'NaN' ELSE CAST("FileName" AS VARCHAR) END ELSE CAST("FileName" AS VARCHAR) END, ''))) AS "Programs", to_json(list_sort(coalesce(list_distinct(flatten(list(CASE WHEN typeof("ProcessCommandLine") = 'JSON' AND json_type(TRY_CAST("ProcessCommandLine" AS JSON)) = 'ARRAY' THEN CAST(to_json("ProcessCommandLine") AS JSON[]) ELSE [to_json("ProcessCommandLine")] END) FILTER (WHERE "ProcessCommandLine" IS NOT NULL))), []))) AS "Commands", string_agg(DISTINCT "gundog_events", ' ' ORDER BY "gundog_events") AS "gundog_events" FROM _s3 GROUP BY "gundog_events_key_0", "gundog_events_key_1", "gundog_events_key_2"),
     _s5 AS (SELECT * FROM _s4 WHERE try("Programs" >= CAST(5 AS BIGINT)))
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
