-- Records of mail read that lie on a whole hour to the nanosecond: only these can the
-- Sentinel hunt join to one.
--
-- Grain:    one row per delivered record; every column of the source, a missing text as
--           Kusto has it: empty.
-- Interval: all rows of the files at hand.
-- Reads:    CloudAppEvents
-- Params:   none

with records as (
    select
        *,
        -- The case keeps JSON from being parsed of rows that the filter drops.
        case
            when timestamp_ns % 3600000000000 = 0
                then try(json_extract_string(RawEventData, ['$.Id', '$.ResultStatus']))
        end as delivered
    from CloudAppEvents
    where
        timestamp_ns % 3600000000000 = 0
        and lower(ActionType) = 'mailitemsaccessed'
        and regexp_matches(Application, '(?i)(^|[^0-9a-z])exchange([^0-9a-z]|$)')
),

-- What an exporter did to a record is undone, as in mail_access: Kusto had it whole.
parsed as (
    select
        *,
        case
            when
                (delivered[1] is null or delivered[2] is null)
                and timestamp_ns % 3600000000000 = 0
                then try(json_extract_string(
                    normalise_record(RawEventData, 'Id ResultStatus'),
                    ['$.Id', '$.ResultStatus']
                ))
            else delivered
        end as field
    from records
),

-- The same event_id as in mail_access.
named as (
    select
        *,
        case
            when delivered[1] is null and not regexp_matches(RawEventData, '^\s*[{]')
                then field[1]
            else delivered[1]
        end as delivered_id
    from parsed
)

select
    file_id,
    coalesce(
        try_cast(delivered_id as uuid),
        cast(md5('Id ' || nullif(delivered_id, '')) as uuid),
        cast(md5('ReportId ' || nullif(ReportId, '')) as uuid),
        cast(md5(concat_ws(
            chr(31), 'row', coalesce(epoch_us(Timestamp), 0),
            coalesce(AccountObjectId, ''), coalesce(IPAddress, ''),
            coalesce(RawEventData, '')
        )) as uuid)
    ) as event_id,
    Timestamp as event_time,
    cast(null as varchar) as reject_reason,
    coalesce(TenantId, '') as tenant,
    ActionType,
    Application,
    ApplicationId,
    AppInstanceId,
    coalesce(AccountObjectId, '') as AccountObjectId,
    coalesce(AccountId, '') as AccountId,
    coalesce(AccountDisplayName, '') as AccountDisplayName,
    IsAdminOperation,
    coalesce(DeviceType, '') as DeviceType,
    coalesce(OSPlatform, '') as OSPlatform,
    coalesce(IPAddress, '') as IPAddress,
    IsAnonymousProxy,
    coalesce(CountryCode, '') as CountryCode,
    coalesce(City, '') as City,
    coalesce(Isp, '') as Isp,
    coalesce(UserAgent, '') as UserAgent,
    coalesce(ActivityType, '') as ActivityType,
    ActivityObjects,
    coalesce(ObjectName, '') as ObjectName,
    coalesce(ObjectType, '') as ObjectType,
    coalesce(ObjectId, '') as ObjectId,
    coalesce(ReportId, '') as ReportId,
    coalesce(AccountType, '') as AccountType,
    IsExternalUser,
    IsImpersonated,
    IPTags,
    coalesce(IPCategory, '') as IPCategory,
    UserAgentTags,
    RawEventData,
    AdditionalFields,
    LastSeenForUser,
    UncommonForUser,
    coalesce(AuditSource, '') as AuditSource,
    SessionData,
    coalesce(OAuthAppId, '') as OAuthAppId,
    coalesce(TenantId, '') as TenantId
from named
where field[2] = 'Succeeded'
