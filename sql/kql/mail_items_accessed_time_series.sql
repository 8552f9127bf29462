-- Flagged hours joined to the records exactly on them, as the Sentinel query does.
--
-- Grain:    one row per flagged hour and record; details are the columns of Kusto.
-- Interval: flagged hours later than two days before the interval's end.
-- Reads:    mail_on_the_hour(event_id, event_time, tenant, and the source's columns)
-- Params:   $start, $end   timestamptz; the interval; its end is Kusto's now()
--           $flagged       list of struct(tenant, hour, Total, anomalies, score, …)

with hours as (
    select unnest($flagged, recursive := true)
),

-- The default join keeps one row of its left side for each key.
alerts as (
    select *
    from hours
    where
        anomalies > 0
        and hour > $end - interval 2 days
    qualify row_number() over (partition by tenant, hour order by score) = 1
),

records as (
    select *
    from mail_on_the_hour
    where
        event_time > $end - interval 2 days
        and event_time < $end
),

joined as (
    select
        alerts.*,
        records.event_id,
        -- Without a port and brackets, as exceptions and people look for it.
        regexp_replace(
            nullif(records.IPAddress, ''),
            '^\s*(?:\[([^\]]*)\]|((?:[0-9A-Fa-f:]*:)?\d{1,3}(?:\.\d{1,3}){3}))'
            || '(?::\d*)?\s*$',
            '\1\2'
        ) as ip_address,
        struct_pack(
            Timestamp := alerts.hour, Total := alerts.Total,
            baseline := cast(trunc(alerts.baseline) as bigint),
            anomalies := alerts.anomalies, score := alerts.score,
            Timestamp1 := records.event_time, ActionType := records.ActionType,
            Application := records.Application, ApplicationId := records.ApplicationId,
            AppInstanceId := records.AppInstanceId,
            AccountObjectId := records.AccountObjectId, AccountId := records.AccountId,
            AccountDisplayName := records.AccountDisplayName,
            IsAdminOperation := records.IsAdminOperation,
            DeviceType := records.DeviceType,
            OSPlatform := records.OSPlatform,
            IPAddress := records.IPAddress,
            IsAnonymousProxy := records.IsAnonymousProxy,
            CountryCode := records.CountryCode, City := records.City,
            Isp := records.Isp, UserAgent := records.UserAgent,
            ActivityType := records.ActivityType,
            ActivityObjects := records.ActivityObjects,
            ObjectName := records.ObjectName,
            ObjectType := records.ObjectType, ObjectId := records.ObjectId,
            ReportId := records.ReportId, AccountType := records.AccountType,
            IsExternalUser := records.IsExternalUser,
            IsImpersonated := records.IsImpersonated, IPTags := records.IPTags,
            IPCategory := records.IPCategory, UserAgentTags := records.UserAgentTags,
            AdditionalFields := records.AdditionalFields,
            LastSeenForUser := records.LastSeenForUser,
            UncommonForUser := records.UncommonForUser,
            AuditSource := records.AuditSource, SessionData := records.SessionData,
            OAuthAppId := records.OAuthAppId, TenantId := records.TenantId,
            -- extend removes a column that is there already and appends it.
            RawEventData := records.RawEventData
        ) as details
    from alerts
    inner join records
        on alerts.tenant = records.tenant and alerts.hour = records.event_time
)

select
    tenant,
    $start as interval_start,
    $end as interval_end,
    details,
    row_number() over (partition by tenant, details order by event_id) as ordinal,
    hour as start_time,
    hour as end_time,
    ip_address,
    Total as observed,
    baseline as expected,
    score,
    [struct_pack(
        role := 'record', source_table := 'CloudAppEvents', event_id := event_id
    )] as evidence
from joined
order by start_time, tenant, details, ordinal
