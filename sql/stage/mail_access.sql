-- Records of mail items read in Exchange, with what the hunts need out of their JSON.
--
-- Grain:    one row per delivered record; a record is an access of several items (Bind)
--           or of a whole folder (Sync, which tells no number of items).
-- Interval: all rows of the files at hand.
-- Reads:    CloudAppEvents
-- Params:   none
-- Keys:     mailbox
-- Contexts: mailbox, network, isp, country, app_id | record_app_id, client_family,
--           app_id + record_app_id + client_family + access_mode,
--           session_id | aad_session_id

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
            '$.MailboxOwnerSid', '$.SessionId', '$.ResultStatus',
            '$.AppAccessContext.AADSessionId', '$.AppAccessContext.UniqueTokenId',
            '$.UserType'
        ])) as delivered
    from CloudAppEvents
    where
        lower(ActionType) = 'mailitemsaccessed'
        -- Office 365 and Microsoft 365 are other names for it.
        and (
            coalesce(Application, '') = ''
            or contains(lower(Application), 'exchange')
            or contains(Application, '365')
        )
),

-- What nearly every record says is missing, so that an exporter may have wrapped it or
-- spelled its keys in another way.
doubted as (
    select
        *,
        coalesce(nullif(delivered[2], ''), nullif(delivered[3], '')) is null
        or delivered[1] is null
        or (delivered[5] is null and delivered[7] is null) as is_odd
    from records
),

unwrapped as (
    select
        *,
        case when is_odd then normalise_record(
            RawEventData,
            'Id MailboxOwnerUPN MailboxGuid UserId OperationProperties RecordType'
            || ' OperationCount Item ParentFolder Path Name Value Folders FolderItems'
            || ' ClientAppId AppAccessContext AppId ClientInfoString ClientIPAddress'
            || ' ClientIP LogonType LogonUserSid MailboxOwnerSid SessionId ResultStatus'
            || ' AADSessionId UniqueTokenId UserType'
        ) else RawEventData end as record_json
    from doubted
),

parsed as (
    select
        *,
        case when is_odd then try(json_extract_string(record_json, [
            '$.Id', '$.MailboxOwnerUPN', '$.MailboxGuid', '$.UserId',
            '$.OperationProperties', '$.RecordType', '$.OperationCount',
            '$.Item.ParentFolder.Path', '$.Item.ParentFolder.Name',
            '$.Item.ParentFolder.Id', '$.Folders[0].Path', '$.ClientAppId',
            '$.AppAccessContext.ClientAppId', '$.AppId', '$.ClientInfoString',
            '$.ClientIPAddress', '$.ClientIP', '$.LogonType', '$.LogonUserSid',
            '$.MailboxOwnerSid', '$.SessionId', '$.ResultStatus',
            '$.AppAccessContext.AADSessionId', '$.AppAccessContext.UniqueTokenId',
            '$.UserType'
        ])) else delivered end as field
    from unwrapped
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
        end as usual_type,
        -- An object that was delivered as such keeps the id that it had before gundog
        -- looked for keys in another case and into wrappers.
        case
            when is_odd and not regexp_matches(RawEventData, '^\s*[{]') then field[1]
            else delivered[1]
        end as delivered_id,
        coalesce(
            nullif(field[16], ''), nullif(IPAddress, ''), field[17]
        ) as address
    from parsed
),

opened as (
    select
        *,
        -- Null where another tool has flattened the properties to text.
        case when usual_type is null then try(from_json(
            field[5], '[{"Name": "VARCHAR", "Value": "VARCHAR"}]'
        )) end as properties,
        -- PowerShell writes @{Name=IsThrottled; Value=True}, or the other way round.
        case when usual_type is null then lower(field[5]) end as flattened,
        case
            when Timestamp is null then 'no Timestamp'
            when not is_odd then null
            when RawEventData is null or regexp_full_match(RawEventData, '\s*')
                then 'no RawEventData'
            when field is null then 'malformed JSON in RawEventData'
            when not regexp_matches(record_json, '^\s*[{]')
                then 'no JSON object in RawEventData'
        end as reject_reason
    from usual
),

typed as (
    select
        *,
        coalesce(
            usual_type,
            list_filter(
                properties, lambda one: one.name = 'MailAccessType'
            )[1].value,
            case
                when regexp_matches(
                    flattened,
                    'mailaccesstype[^\w{}]+(value[^\w{}]+)?bind\b'
                    || '|\bbind[^\w{}]+name[^\w{}]+mailaccesstype\b'
                ) then 'Bind'
                when regexp_matches(
                    flattened,
                    'mailaccesstype[^\w{}]+(value[^\w{}]+)?sync\b'
                    || '|\bsync[^\w{}]+name[^\w{}]+mailaccesstype\b'
                ) then 'Sync'
            end,
            case field[6] when '2' then 'Sync' when '50' then 'Bind' end
        ) as access_type
    from opened
),

told as (
    select
        *,
        lower(trim(coalesce(field[4], ''))) as actor,
        lower(coalesce(
            nullif(field[12], ''), nullif(field[13], ''), nullif(OAuthAppId, ''),
            nullif(field[14], '')
        )) as app_id,
        lower(field[15]) as client,
        -- Without a port and brackets.
        case
            when contains(address, ':') or starts_with(address, '[')
                then regexp_replace(
                    address,
                    '^\s*(?:\[([^\]]*)\]|((?:[0-9A-Fa-f:]*:)?\d{1,3}(?:\.\d{1,3}){3}))'
                    || '(?::\d*)?\s*$',
                    '\1\2'
                )
            else address
        end as ip_address
    from typed
),

-- An address of version 6 is eight groups; `::` stands for those that are zero.
halved as (
    select
        *,
        regexp_extract(
            ip_address,
            '^(?:::[Ff]{4}:)?(\d{1,3}\.\d{1,3}\.\d{1,3})\.\d{1,3}$', 1
        ) as site_4,
        case
            when regexp_full_match(ip_address, '[0-9A-Fa-f:]*:[0-9A-Fa-f:]*(%\w+)?')
                then string_split(lower(split_part(ip_address, '%', 1)), '::')
        end as halves
    from told
),

grouped as (
    select
        *,
        list_filter(string_split(halves[1], ':'), lambda part: part <> '') as head,
        coalesce(
            list_filter(string_split(halves[2], ':'), lambda part: part <> ''), []
        ) as tail
    from halved
),

sited as (
    select
        *,
        array_to_string(list_transform(
            (
                head
                || ['0', '0', '0', '0', '0', '0', '0'][1:8 - len(head) - len(tail)]
                || tail
            )[1:3],
            lambda part: coalesce(nullif(ltrim(part, '0'), ''), '0')
        ), ':') as site_6
    from grouped
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
    reject_reason,
    coalesce(TenantId, '') as tenant,
    -- The event_id says it where it is a UUID.
    case when try_cast(delivered_id as uuid) is null then field[1] end as record_id,
    lower(trim(coalesce(nullif(field[2], ''), field[3], ''))) as mailbox,
    actor,
    access_type,
    coalesce(
        try_cast(field[7] as bigint),
        -- Nothing at all where the folders are no JSON, rather than no items.
        case when access_type is distinct from 'Sync' then cast(nullif(list_sum(
            try(json_array_length(record_json, '$.Folders[*].FolderItems'))
        ), 0) as bigint) end
    ) as items,
    coalesce(nullif(field[8], ''), field[9], field[10], field[11]) as folder,
    case when usual_type is null then coalesce(
        lower(list_filter(
            properties, lambda one: one.name = 'IsThrottled'
        )[1].value) = 'true',
        regexp_matches(
            flattened,
            'isthrottled[^\w{}]+(value[^\w{}]+)?true\b'
            || '|\btrue[^\w{}]+name[^\w{}]+isthrottled\b'
        ),
        false
    ) else false end as is_throttled,
    app_id,
    field[15] as client_info,
    ip_address,
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
    -- Addresses that one site or one gateway has: /24, or /48 of version 6.
    coalesce(
        nullif(site_4, '') || '.0/24',
        regexp_replace(site_6, '^0(:0)*$|(:0)+$', '') || '::/48'
    ) as network,
    nullif(Isp, '') as isp,
    IsAnonymousProxy as is_anonymous_proxy,
    nullif(IPCategory, '') as ip_category,
    nullif(nullif(IPTags, ''), '[]') as ip_tags,
    -- Most often it only repeats ClientInfoString.
    nullif(nullif(UserAgent, ''), coalesce(field[15], '')) as user_agent,
    nullif(field[23], '') as aad_session_id,
    nullif(field[24], '') as token_id,
    -- The AppId alone: often the API that was called, while app_id is who called it.
    lower(nullif(field[14], '')) as record_app_id,
    case
        when client is null or client = '' then null
        when
            contains(client, 'outlook-ios') or contains(client, 'outlook-android')
            or starts_with(client, 'client=outlookservice')
            -- Outlook for iOS and Android.
            or app_id = '27922004-5251-4030-b22d-91ecd9a37ea4' then 'mobile'
        when
            contains(client, 'msexchangerpc') or contains(client, 'mapi')
            or contains(client, 'macoutlook') then 'outlook_desktop'
        when contains(client, 'client=owa') then 'owa'
        when contains(client, 'activesync') then 'active_sync'
        when contains(client, 'protocol=pop') then 'pop'
        when contains(client, 'imap') then 'imap'
        when contains(client, 'webservices') then 'ews'
        when contains(client, 'client=rest') then 'rest'
        else 'other'
    end as client_family,
    -- Types 5 and 6 are applications and service principals.
    case
        when
            field[25] in ('5', '6', 'Application', 'ServicePrincipal')
            or actor = app_id
            or starts_with(actor, 'serviceprincipal_') then 'app_only'
        when app_id is not null then 'delegated'
    end as access_mode,
    case when reject_reason is not null then RawEventData end as raw_event_data
from sited
