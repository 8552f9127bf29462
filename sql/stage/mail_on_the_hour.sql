-- Records of mail read that lie on a whole hour to the nanosecond: only these can the
-- published hunt join to one.
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
        end as field
    from CloudAppEvents
    where
        timestamp_ns % 3600000000000 = 0
        and lower(ActionType) = 'mailitemsaccessed'
        and regexp_matches(Application, '(?i)(^|[^0-9a-z])exchange([^0-9a-z]|$)')
)

select
    file_id,
    -- The same as in mail_access.
    coalesce(
        try_cast(field[1] as uuid),
        cast(md5('Id ' || nullif(field[1], '')) as uuid),
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
from records
where field[2] = 'Succeeded'
