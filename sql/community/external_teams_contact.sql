-- First chat in Teams from an outside domain, translated from KQL.
--
-- Grain:    one row per row of the query's result.
-- Interval: rows whose newest event lies in [start, end).
-- Reads:    kql_community_cloud_app_events
-- Params:   $start, $end   timestamptz; the interval [start, end)
-- Imported: external_teams_contact.yaml, KQL 8d20008225289bae, duckdb-kql 1.1.2

with "CloudAppEvents" as (
    select
        "Timestamp",
        "ActionType",
        "Application",
        "AccountObjectId",
        "RawEventData",
        concat_ws('/', event_id, epoch_us(event_time)) as gundog_events
    from kql_community_cloud_app_events
    where
        event_time >= $end - to_microseconds(2678400000000)
        and event_time < $end
),

found as (
WITH "_l0_outside" AS (WITH _s0 AS (SELECT * FROM CloudAppEvents), _s1 AS (SELECT "Timestamp", ActionType, Application, AccountObjectId, RawEventData, ('0/' || gundog_events) AS gundog_events FROM _s0), _s2 AS (SELECT * FROM _s1 WHERE ("Timestamp" >= (cast($end at time zone 'UTC' as timestamp) - CAST('31d' AS INTERVAL)))), _s3 AS (SELECT * FROM _s2 WHERE (COALESCE((lower(ActionType) = lower('ChatCreated')), false) AND COALESCE((lower(Application) = lower('Microsoft Teams')), false))), _s4 AS (SELECT * FROM _s3 WHERE ((COALESCE(CAST(AccountObjectId AS VARCHAR), '') IS NULL) OR (CAST(COALESCE(CAST(AccountObjectId AS VARCHAR), '') AS VARCHAR) = ''))), _s5 AS (SELECT * FROM _s4 WHERE TRY_CAST(json_extract(RawEventData, '$.ParticipantInfo.HasForeignTenantUsers') AS BOOLEAN)), _s6 AS (SELECT * FROM _s5 WHERE COALESCE((lower(COALESCE((json_extract(RawEventData, '$.CommunicationType') ->> '$'), '')) = lower('OneOnOne')), false)), _s7 AS (SELECT "Timestamp", ActionType, Application, AccountObjectId, RawEventData, gundog_events, lower(COALESCE((json_extract(RawEventData, '$.UserId') ->> '$'), '')) AS AccountUpn FROM _s6), _s8 AS (SELECT "Timestamp", ActionType, Application, AccountObjectId, RawEventData, gundog_events, AccountUpn, COALESCE((json_extract(str_split(COALESCE(CAST(AccountUpn AS VARCHAR), ''), '@'), '$[1]') ->> '$'), '') AS "Domain" FROM _s7) SELECT * FROM _s8),
     "_l1_known" AS (WITH _s0 AS (SELECT * FROM _l0_outside), _s1 AS (SELECT * FROM _s0 WHERE ("Timestamp" < (cast($end at time zone 'UTC' as timestamp) - CAST('1d' AS INTERVAL)))), _s2 AS (SELECT "Domain" AS "Domain", string_agg(DISTINCT gundog_events, ' ' ORDER BY gundog_events) AS gundog_events FROM _s1 GROUP BY "Domain") SELECT * FROM _s2),
     "_s0" AS (SELECT * FROM _l0_outside),
     "_s1" AS (SELECT * FROM _s0 WHERE ("Timestamp" >= (cast($end at time zone 'UTC' as timestamp) - CAST('1d' AS INTERVAL)))),
     "_s2" AS (SELECT "Timestamp", ActionType, Application, AccountObjectId, RawEventData, gundog_events, AccountUpn, "Domain", json_extract(RawEventData, '$.Members') AS Member FROM _s1),
     "_s3" AS (SELECT "Timestamp", ActionType, Application, AccountObjectId, RawEventData, gundog_events, AccountUpn, "Domain", unnest(CAST(CASE  WHEN ((json_type(Member) = 'ARRAY')) THEN (json_extract(Member, '$[*]')) WHEN ((json_type(Member) = 'OBJECT')) THEN (list_transform(json_keys(Member), (lambda k: json_object(k, json_extract(Member, (('$."' || k) || '"')))))) ELSE json_array(Member) END AS "JSON"[])) AS Member FROM _s2),
     "_s4" AS (SELECT "Timestamp", ActionType, Application, AccountObjectId, RawEventData, gundog_events, AccountUpn, "Domain", Member, lower(COALESCE((json_extract(Member, '$.UPN') ->> '$'), '')) AS Contact FROM _s3),
     "_s5" AS (SELECT * FROM _s4 WHERE CASE  WHEN (((Contact IS NULL) AND (AccountUpn IS NULL))) THEN (NULL) ELSE COALESCE(TRY((Contact != AccountUpn)), true) END),
     "_s6" AS (SELECT AccountUpn AS AccountUpn, "Domain" AS "Domain", count_star() AS Chats, to_json(list_sort(COALESCE(list_distinct(flatten(list(list_value(to_json(Contact))) FILTER (WHERE (Contact IS NOT NULL)))), list_value()))) AS Contacts, string_agg(DISTINCT gundog_events, ' ' ORDER BY gundog_events) AS gundog_events FROM _s5 GROUP BY AccountUpn, "Domain"),
     "_s7" AS (SELECT _l.* FROM (_s6 AS _l ANTI JOIN (SELECT * FROM _l1_known) AS _r ON ((_l."Domain" IS NOT DISTINCT FROM _r."Domain")))),
     "_s8" AS (SELECT AccountUpn AS AccountUpn, "Domain" AS "Domain", Chats AS Chats, Contacts AS Contacts, gundog_events AS gundog_events FROM _s7)
SELECT * FROM _s8
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
        md5(cast(row($start, "AccountUpn", "Domain") as varchar)) as finding_key,
        md5(cast(row('', "AccountUpn", "Domain") as varchar)) as group_key,
        row_number() over (
            partition by md5(cast(row($start, "AccountUpn", "Domain") as varchar))
            order by "AccountUpn", "Domain", "Chats", "Contacts", gundog_events
        ) as ordinal,
        make_timestamptz(list_min(gundog_times)) as start_time,
        make_timestamptz(list_max(gundog_times)) as end_time
    from marked
)

select
    finding_key,
    ordinal,
    group_key,
    "AccountUpn" as "AccountUpn",
    "Domain" as "Domain",
    "Chats" as "Chats",
    "Contacts" as "Contacts",
    nullif(lower("AccountUpn"), '') as account_name,
    start_time,
    end_time,
    list_transform(list_sort(list_distinct(gundog_marks)), lambda mark: struct_pack(
        role := ['outside'][cast(split_part(mark, '/', 1) as integer) + 1],
        source_table := ['CloudAppEvents'][cast(split_part(mark, '/', 1) as integer) + 1],
        event_id := cast(split_part(mark, '/', 2) as uuid)
    )) as evidence
from keyed
where end_time >= $start
order by start_time, finding_key, ordinal
