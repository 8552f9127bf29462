-- Conditional access policy changed or deleted, translated from KQL.
--
-- Grain:    one row per row of the query's result.
-- Interval: rows whose newest event lies in [start, end).
-- Reads:    kql_community_cloud_app_events
-- Params:   $start, $end   timestamptz; the interval [start, end)
-- Imported: conditional_access_changed.yaml, KQL ebfde74e4afbea29, duckdb-kql 1.1.2

with "CloudAppEvents" as (
    select
        "Timestamp",
        "ActionType",
        "IPAddress",
        "ReportId",
        "RawEventData",
        concat_ws('/', event_id, epoch_us(event_time)) as gundog_events
    from kql_community_cloud_app_events
    where
        event_time >= $end - to_microseconds(86400000000)
        and event_time < $end
),

found as (
WITH "_s0" AS (SELECT * FROM CloudAppEvents),
     "_s1" AS (SELECT "Timestamp", ActionType, IPAddress, ReportId, RawEventData, ('0/' || gundog_events) AS gundog_events FROM _s0),
     "_s2" AS (SELECT * FROM _s1 WHERE COALESCE((lower(ActionType) IN (lower('Update conditional access policy.'), lower('Delete conditional access policy.'))), false)),
     "_s3" AS (SELECT "Timestamp", ActionType, IPAddress, ReportId, RawEventData, gundog_events, json_extract(RawEventData, '$.Target') AS "Target" FROM _s2),
     "_s4" AS (SELECT "Timestamp", ActionType, IPAddress, ReportId, RawEventData, gundog_events, unnest(CAST(CASE  WHEN ((json_type("Target") = 'ARRAY')) THEN (json_extract("Target", '$[*]')) WHEN ((json_type("Target") = 'OBJECT')) THEN (list_transform(json_keys("Target"), (lambda k: json_object(k, json_extract("Target", (('$."' || k) || '"')))))) ELSE json_array("Target") END AS "JSON"[])) AS "Target" FROM _s3),
     "_s5" AS (SELECT * FROM _s4 WHERE COALESCE((list_transform(list_value(json_extract("Target", '$.Type')), (lambda _v: CASE  WHEN (((typeof(_v) IN ('DOUBLE', 'FLOAT')) OR (typeof(_v) ~~ 'DECIMAL%'))) THEN (CASE  WHEN ((isnan(CAST(_v AS DOUBLE)) OR isinf(CAST(_v AS DOUBLE)))) THEN (NULL) WHEN ((CAST(_v AS DOUBLE) >= 2147483648.0)) THEN (CAST(2147483647 AS INTEGER)) WHEN ((CAST(_v AS DOUBLE) <= -2147483648.0)) THEN (CAST(-2147483648 AS INTEGER)) ELSE CAST(trunc(CAST(_v AS DOUBLE)) AS INTEGER) END) WHEN ((typeof(_v) = 'VARCHAR')) THEN (CASE  WHEN (regexp_matches(CAST(_v AS VARCHAR), '^\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*$')) THEN (TRY_CAST("trim"(CAST(_v AS VARCHAR)) AS INTEGER)) ELSE NULL END) WHEN ((typeof(_v) = 'JSON')) THEN (CASE  WHEN ((json_type(TRY_CAST(_v AS "JSON")) = 'BIGINT')) THEN (list_transform(list_value((((TRY_CAST(TRY_CAST(_v AS "JSON") AS BIGINT) % 4294967296) + 4294967296) % 4294967296)), (lambda _w: CAST(CASE  WHEN ((_w >= 2147483648)) THEN ((_w - 4294967296)) ELSE _w END AS INTEGER)))[1]) WHEN ((json_type(TRY_CAST(_v AS "JSON")) = 'UBIGINT')) THEN (list_transform(list_value((((TRY_CAST(TRY_CAST(_v AS "JSON") AS BIGINT) % 4294967296) + 4294967296) % 4294967296)), (lambda _w: CAST(CASE  WHEN ((_w >= 2147483648)) THEN ((_w - 4294967296)) ELSE _w END AS INTEGER)))[1]) WHEN ((json_type(TRY_CAST(_v AS "JSON")) = 'DOUBLE')) THEN (CASE  WHEN ((isnan(CAST(TRY_CAST(_v AS "JSON") AS DOUBLE)) OR isinf(CAST(TRY_CAST(_v AS "JSON") AS DOUBLE)))) THEN (NULL) WHEN ((CAST(TRY_CAST(_v AS "JSON") AS DOUBLE) >= 2147483648.0)) THEN (CAST(2147483647 AS INTEGER)) WHEN ((CAST(TRY_CAST(_v AS "JSON") AS DOUBLE) <= -2147483648.0)) THEN (CAST(-2147483648 AS INTEGER)) ELSE CAST(trunc(CAST(TRY_CAST(_v AS "JSON") AS DOUBLE)) AS INTEGER) END) WHEN ((json_type(TRY_CAST(_v AS "JSON")) = 'BOOLEAN')) THEN (CAST(CAST(TRY_CAST(_v AS "JSON") AS BOOLEAN) AS INTEGER)) WHEN ((json_type(TRY_CAST(_v AS "JSON")) = 'VARCHAR')) THEN (CASE  WHEN (regexp_matches((TRY_CAST(_v AS "JSON") ->> '$'), '^\s*[+-]?([0-9]+|0[xX][0-9a-fA-F]+)\s*$')) THEN (TRY_CAST("trim"((TRY_CAST(_v AS "JSON") ->> '$')) AS INTEGER)) ELSE NULL END) ELSE NULL END) WHEN ((typeof(_v) = 'INTERVAL')) THEN (list_transform(list_value(((((epoch_us(CAST(_v AS INTERVAL)) * 10) % 4294967296) + 4294967296) % 4294967296)), (lambda _w: CAST(CASE  WHEN ((_w >= 2147483648)) THEN ((_w - 4294967296)) ELSE _w END AS INTEGER)))[1]) WHEN ((typeof(_v) = 'TIMESTAMP')) THEN (list_transform(list_value((((((epoch_us(CAST(_v AS TIMESTAMP)) * 10) + 621355968000000000) % 4294967296) + 4294967296) % 4294967296)), (lambda _w: CAST(CASE  WHEN ((_w >= 2147483648)) THEN ((_w - 4294967296)) ELSE _w END AS INTEGER)))[1]) WHEN ((typeof(_v) = 'BOOLEAN')) THEN (CAST(CAST(_v AS BOOLEAN) AS INTEGER)) WHEN ((typeof(_v) ~~ '%INT%')) THEN (list_transform(list_value((((TRY_CAST(_v AS BIGINT) % 4294967296) + 4294967296) % 4294967296)), (lambda _w: CAST(CASE  WHEN ((_w >= 2147483648)) THEN ((_w - 4294967296)) ELSE _w END AS INTEGER)))[1]) ELSE NULL END))[1] = CAST(1 AS BIGINT)), false)),
     "_s6" AS (SELECT "Timestamp" AS "Timestamp", ActionType AS ActionType, COALESCE((json_extract("Target", '$.ID') ->> '$'), '') AS "Policy", COALESCE((json_extract(RawEventData, '$.UserId') ->> '$'), '') AS AccountUpn, IPAddress AS IPAddress, COALESCE((json_extract(RawEventData, '$.ModifiedProperties') ->> '$'), '') AS Changes, ReportId AS ReportId, gundog_events AS gundog_events FROM _s5)
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
            order by "Timestamp", "ActionType", "Policy", "AccountUpn", "IPAddress", "Changes", "ReportId", gundog_events
        ) as ordinal,
        make_timestamptz(list_min(gundog_times)) as start_time,
        make_timestamptz(list_max(gundog_times)) as end_time
    from marked
)

select
    finding_key,
    ordinal,
    "Timestamp" at time zone 'UTC' as "Timestamp",
    "ActionType" as "ActionType",
    "Policy" as "Policy",
    "AccountUpn" as "AccountUpn",
    "IPAddress" as "IPAddress",
    "Changes" as "Changes",
    "ReportId" as "ReportId",
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
