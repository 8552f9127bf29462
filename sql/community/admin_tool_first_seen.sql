-- Administration tool that is new on a host, translated from KQL.
--
-- Grain:    one row per row of the query's result.
-- Interval: rows whose newest event lies in [start, end).
-- Reads:    kql_community_device_process_events
-- Params:   $start, $end   timestamptz; the interval [start, end)
-- Imported: admin_tool_first_seen.yaml, KQL 3d6139be821aa4a3, duckdb-kql 1.1.2

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
        event_time >= $end - to_microseconds(1296000000000)
        and event_time < $end
),

found as (
WITH "_l0_known" AS (WITH _s0 AS (SELECT * FROM DeviceProcessEvents), _s1 AS (SELECT "Timestamp", DeviceName, FileName, ProcessCommandLine, AccountName, ('0/' || gundog_events) AS gundog_events FROM _s0), _s2 AS (SELECT * FROM _s1 WHERE (COALESCE(list_contains(list_transform(CAST(CAST('["nltest.exe","dsquery.exe","dsget.exe","csvde.exe","ldifde.exe","ntdsutil.exe","vssadmin.exe","wbadmin.exe","bcdedit.exe","psexec.exe","psexec64.exe","procdump.exe","procdump64.exe","rclone.exe","nbtscan.exe","adfind.exe"]' AS "JSON") AS VARCHAR[]), (lambda v: lower(v))), lower(CAST(FileName AS VARCHAR))), false) AND ("Timestamp" >= (cast($end at time zone 'UTC' as timestamp) - CAST('15d' AS INTERVAL))) AND ("Timestamp" < (cast($end at time zone 'UTC' as timestamp) - CAST('1d' AS INTERVAL))))), _s3 AS (SELECT lower(COALESCE(CAST(DeviceName AS VARCHAR), '')) AS Device, lower(COALESCE(CAST(FileName AS VARCHAR), '')) AS Tool, string_agg(DISTINCT gundog_events, ' ' ORDER BY gundog_events) AS gundog_events FROM _s2 GROUP BY lower(COALESCE(CAST(DeviceName AS VARCHAR), '')), lower(COALESCE(CAST(FileName AS VARCHAR), ''))) SELECT * FROM _s3),
     "_s0" AS (SELECT * FROM DeviceProcessEvents),
     "_s1" AS (SELECT "Timestamp", DeviceName, FileName, ProcessCommandLine, AccountName, ('1/' || gundog_events) AS gundog_events FROM _s0),
     "_s2" AS (SELECT * FROM _s1 WHERE (COALESCE(list_contains(list_transform(CAST(CAST('["nltest.exe","dsquery.exe","dsget.exe","csvde.exe","ldifde.exe","ntdsutil.exe","vssadmin.exe","wbadmin.exe","bcdedit.exe","psexec.exe","psexec64.exe","procdump.exe","procdump64.exe","rclone.exe","nbtscan.exe","adfind.exe"]' AS "JSON") AS VARCHAR[]), (lambda v: lower(v))), lower(CAST(FileName AS VARCHAR))), false) AND ("Timestamp" >= (cast($end at time zone 'UTC' as timestamp) - CAST('1d' AS INTERVAL))))),
     "_s3" AS (SELECT "Timestamp", DeviceName, FileName, ProcessCommandLine, AccountName, gundog_events, lower(COALESCE(CAST(DeviceName AS VARCHAR), '')) AS gundog_events_key_0, lower(COALESCE(CAST(FileName AS VARCHAR), '')) AS gundog_events_key_1 FROM _s2),
     "_s4" AS (SELECT gundog_events_key_0 AS Device, gundog_events_key_1 AS Tool, count_star() AS Starts, to_json(list_sort(COALESCE(list_distinct(flatten(list(list_value(to_json(lower(COALESCE(CAST(AccountName AS VARCHAR), ''))))) FILTER (WHERE (lower(COALESCE(CAST(AccountName AS VARCHAR), '')) IS NOT NULL)))), list_value()))) AS Accounts, to_json(list_sort(COALESCE(list_distinct(flatten(list(list_value(to_json(ProcessCommandLine))) FILTER (WHERE (ProcessCommandLine IS NOT NULL)))), list_value()))) AS CommandLines, string_agg(DISTINCT gundog_events, ' ' ORDER BY gundog_events) AS gundog_events FROM _s3 GROUP BY gundog_events_key_0, gundog_events_key_1),
     "_s5" AS (SELECT _l.* FROM (_s4 AS _l ANTI JOIN (SELECT * FROM _l0_known) AS _r ON (((_l.Device IS NOT DISTINCT FROM _r.Device) AND (_l.Tool IS NOT DISTINCT FROM _r.Tool))))),
     "_s6" AS (SELECT Device AS DeviceName, Tool AS Tool, Starts AS Starts, Accounts AS Accounts, CommandLines AS CommandLines, gundog_events AS gundog_events FROM _s5)
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
        md5(cast(row($start, "Tool") as varchar)) as finding_key,
        md5(cast(row('', "Tool") as varchar)) as group_key,
        row_number() over (
            partition by md5(cast(row($start, "Tool") as varchar))
            order by "DeviceName", "Tool", "Starts", "Accounts", "CommandLines", gundog_events
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
    "Tool" as "Tool",
    "Starts" as "Starts",
    "Accounts" as "Accounts",
    "CommandLines" as "CommandLines",
    nullif(lower(split_part("DeviceName", '.', 1)), '') as host_name,
    nullif(lower(regexp_extract("DeviceName", '^[^.]*[.](.+)$', 1)), '') as dns_domain,
    start_time,
    end_time,
    list_transform(list_sort(list_distinct(gundog_marks)), lambda mark: struct_pack(
        role := ['known', 'event'][cast(split_part(mark, '/', 1) as integer) + 1],
        source_table := ['DeviceProcessEvents', 'DeviceProcessEvents'][cast(split_part(mark, '/', 1) as integer) + 1],
        event_id := cast(split_part(mark, '/', 2) as uuid)
    )) as evidence
from keyed
where end_time >= $start
order by start_time, finding_key, ordinal
