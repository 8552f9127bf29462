-- Records of mail items read in Exchange, with what the hunts need out of their JSON.
--
-- Grain:    one row per delivered record; a record is an access of several items (Bind)
--           or of a whole folder (Sync, which tells no number of items).
-- Interval: all rows of the files at hand.
-- Reads:    CloudAppEvents
-- Params:   none

with records as (
    select
        *,
        -- JSON is the dear part: it is parsed here, once, for every hunt.
        try(json_extract_string(RawEventData, [
            '$.Id', '$.MailboxOwnerUPN', '$.MailboxGuid', '$.UserId',
            '$.OperationProperties', '$.RecordType', '$.OperationCount',
            '$.Item.ParentFolder.Path', '$.Item.ParentFolder.Name',
            '$.Item.ParentFolder.Id', '$.Folders[0].Path', '$.ClientAppId',
            '$.AppAccessContext.ClientAppId', '$.AppId', '$.ClientInfoString',
            '$.ClientIPAddress', '$.ClientIP', '$.LogonType', '$.LogonUserSid',
            '$.MailboxOwnerSid', '$.SessionId', '$.ResultStatus'
        ])) as field
    from CloudAppEvents
    where
        lower(ActionType) = 'mailitemsaccessed'
        and (Application is null or contains(lower(Application), 'exchange'))
),

-- What nearly every record says of itself needs no second parse.
usual as (
    select
        *,
        case field[5]
            when
                '[{"Name":"MailAccessType","Value":"Bind"},'
                || '{"Name":"IsThrottled","Value":"False"}]' then 'Bind'
            when
                '[{"Name":"MailAccessType","Value":"Sync"},'
                || '{"Name":"IsThrottled","Value":"False"}]' then 'Sync'
        end as usual_type
    from records
),

opened as (
    select
        *,
        -- Null where another tool has flattened the properties to text.
        case when usual_type is null then try(from_json(
            field[5], '[{"Name": "VARCHAR", "Value": "VARCHAR"}]'
        )) end as properties,
        case
            when Timestamp is null then 'no Timestamp'
            when RawEventData is null or regexp_full_match(RawEventData, '\s*')
                then 'no RawEventData'
            when field is null then 'malformed JSON in RawEventData'
            when not regexp_matches(RawEventData, '^\s*[{]')
                then 'no JSON object in RawEventData'
        end as reject_reason
    from usual
)

select
    file_id,
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
    reject_reason,
    coalesce(TenantId, '') as tenant,
    -- The event_id says it where it is a UUID.
    case when try_cast(field[1] as uuid) is null then field[1] end as record_id,
    lower(trim(coalesce(nullif(field[2], ''), field[3], ''))) as mailbox,
    lower(trim(coalesce(field[4], ''))) as actor,
    coalesce(
        usual_type,
        list_filter(
            properties, lambda one: one.name = 'MailAccessType'
        )[1].value,
        case field[6] when '2' then 'Sync' when '50' then 'Bind' end
    ) as access_type,
    try_cast(field[7] as bigint) as items,
    coalesce(nullif(field[8], ''), field[9], field[10], field[11]) as folder,
    case when usual_type is null then coalesce(lower(list_filter(
        properties, lambda one: one.name = 'IsThrottled'
    )[1].value) = 'true', false) else false end as is_throttled,
    lower(coalesce(
        nullif(field[12], ''), nullif(field[13], ''), nullif(OAuthAppId, ''),
        nullif(field[14], '')
    )) as app_id,
    field[15] as client_info,
    coalesce(nullif(field[16], ''), nullif(IPAddress, ''), field[17]) as ip_address,
    case lower(field[18])
        when '0' then 'owner' when '1' then 'admin' when '2' then 'delegate'
        else lower(field[18])
    end as logon_type,
    field[19] as logon_sid,
    field[20] as owner_sid,
    field[21] as session_id,
    field[22] as result_status,
    Application as application_name,
    ReportId as report_id,
    CountryCode as country,
    case when reject_reason is not null then RawEventData end as raw_event_data
from opened
