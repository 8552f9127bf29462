-- Rows of CloudAppEvents that imported hunts read, typed as in Kusto.
--
-- Grain:    one row per event.
-- Interval: all rows of the files at hand.
-- Reads:    CloudAppEvents
-- Params:   none
-- Imported: by duckdb-kql 1.1.2; do not edit, import again
-- Rows:     2071618fc4
-- Rows:     3dde0e8ce4 76ca456597 9010559ea4 bf12e6b77a
-- Rows:     41b34ed407
-- Rows:     7331b3eac0
-- Rows:     7547e4819d 7eadb2fb8b
-- Rows:     f025e6b7e6
-- Made:     689d3bf16b5311d8

with typed as (
    select
        file_id,
        cast(md5(concat_ws(
            chr(31), coalesce(cast("TenantId" as varchar), ''),
            coalesce(timestamp_ns, 0),
            coalesce(cast("ReportId" as varchar), ''),
            coalesce(cast("AccountObjectId" as varchar), ''),
            coalesce(cast("ActionType" as varchar), ''),
            case when coalesce(cast("ReportId" as varchar), '') in ('', '0')
                then concat_ws(
                    chr(31), coalesce(cast("Application" as varchar), ''),
                    coalesce(cast("IPAddress" as varchar), ''),
                    coalesce(cast("RawEventData" as varchar), '')
                )
            end
        )) as uuid) as event_id,
        Timestamp as event_time,
        case when Timestamp is null then 'no Timestamp' end as reject_reason,
        coalesce(TenantId, '') as tenant,
        "Timestamp" at time zone 'UTC' as "Timestamp",
        coalesce("ActionType", '') as "ActionType",
        coalesce("Application", '') as "Application",
        coalesce("AccountObjectId", '') as "AccountObjectId",
        coalesce("IPAddress", '') as "IPAddress",
        coalesce("ReportId", '') as "ReportId",
        try_cast("RawEventData" as json) as "RawEventData"
    from CloudAppEvents
)

select * from (
WITH _s0 AS (SELECT * FROM typed), _s1 AS (SELECT * FROM _s0 WHERE (COALESCE((lower(ActionType) IN (lower('Add member to role.'), lower('Add eligible member to role.'))), false) OR (COALESCE((lower(ActionType) = lower('ChatCreated')), false) AND COALESCE((lower(Application) = lower('Microsoft Teams')), false) AND CASE  WHEN ((typeof(json_extract(RawEventData, '$.ParticipantInfo.HasForeignTenantUsers')) = 'VARCHAR')) THEN (CASE  WHEN (regexp_matches(CAST(json_extract(RawEventData, '$.ParticipantInfo.HasForeignTenantUsers') AS VARCHAR), '^\s*[-+]?\d+\s*$')) THEN ((TRY_CAST(regexp_replace(CAST(json_extract(RawEventData, '$.ParticipantInfo.HasForeignTenantUsers') AS VARCHAR), '^\s+|\s+$', '', 'g') AS BIGINT) != 0)) WHEN (regexp_matches(CAST(json_extract(RawEventData, '$.ParticipantInfo.HasForeignTenantUsers') AS VARCHAR), '(?i)^\s*(true|false)\s*$')) THEN (TRY_CAST(regexp_replace(CAST(json_extract(RawEventData, '$.ParticipantInfo.HasForeignTenantUsers') AS VARCHAR), '^\s+|\s+$', '', 'g') AS BOOLEAN)) ELSE NULL END) ELSE TRY_CAST(json_extract(RawEventData, '$.ParticipantInfo.HasForeignTenantUsers') AS BOOLEAN) END AND COALESCE((lower(COALESCE((json_extract(RawEventData, '$.CommunicationType') ->> '$'), '')) = lower('OneOnOne')), false)) OR COALESCE((lower(ActionType) IN (lower('DeleteCustomDetection'), lower('ChangeCustomDetectionRuleStatus'))), false) OR COALESCE((lower(ActionType) IN (lower('Update conditional access policy.'), lower('Delete conditional access policy.'))), false) OR (COALESCE((lower(ActionType) = lower('FileDownloaded')), false) AND COALESCE((lower(Application) IN (lower('Microsoft SharePoint Online'), lower('Microsoft OneDrive for Business'))), false)) OR COALESCE((lower(ActionType) = lower('ReleaseFromIsolation')), false))) SELECT * FROM _s1
)
