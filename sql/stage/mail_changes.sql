-- Changes that decide who can read mail, where it goes, and what of it is recorded.
--
-- Grain:    one row per delivered record of a change to a mailbox, a rule, the audit or
--           an application, or of a search of mailboxes.
-- Interval: all rows of the files at hand.
-- Reads:    CloudAppEvents
-- Params:   none
-- Keys:     actor

with records as (
    select
        *,
        -- Those of Entra end with a full stop; one has a dash, of one kind or another.
        trim(regexp_replace(
            regexp_replace(lower(ActionType), ' - |[^a-z0-9.-]+', ' ', 'g'),
            '[. ]+$', ''
        )) as activity,
        try(json_extract_string(RawEventData, [
            '$.Id', '$.UserId', '$.UserType', '$.Parameters', '$.OperationProperties',
            '$.ModifiedProperties', '$.ExtendedProperties', '$.ObjectId',
            '$.MailboxOwnerUPN', '$.ClientIPAddress', '$.ClientIP',
            '$.ActorIpAddress', '$.ResultStatus', '$.ClientAppId', '$.AppId',
            '$.SessionId', '$.AppAccessContext.AADSessionId', '$.Workload', '$.Target',
            '$.Item.ParentFolder.MemberUpn', '$.Item.ParentFolder.MemberSid',
            '$.Item.ParentFolder.MemberRights', '$.Item.ParentFolder.Path',
            '$.ExchangeLocations', '$.Query'
        ])) as delivered
    from CloudAppEvents
    where regexp_matches(
        lower(ActionType),
        '^\s*(consent to application|add delegated permission grant'
        || '|add oauth2permissiongrant|add app role assignment to service principal'
        || '|add service principal credentials'
        || '|add-(mailbox|recipient|mailboxfolder)permission'
        || '|set-mailboxfolderpermission'
        || '|(add|modify|update)folderpermissions|(new|set)-managementroleassignment'
        || '|(new|set)-(inbox|transport|journal)rule|updateinboxrules'
        || '|set-mailbox|set-mailboxauditbypassassociation|set-adminauditlogconfig'
        || '|set-organizationconfig|search(created|started|previewed|exported)'
        || '|search(exportdownloaded|resultspurged)|previewitem(downloaded|rendered)'
        || '|(new|start)-(compliance|mailbox)search|new-compliancesearchaction'
        || '|search-mailbox|new-mailboxexportrequest|exportjob|downloaddocument'
        || '|update application.+certificates and secrets management)[.\s]*$'
    )
),

unwrapped as (
    select
        *,
        delivered[1] is null or delivered[2] is null as is_odd,
        case when delivered[1] is null or delivered[2] is null then normalise_record(
            RawEventData,
            'Id UserId UserType Parameters OperationProperties ModifiedProperties'
            || ' ExtendedProperties Name Value NewValue OldValue ObjectId'
            || ' MailboxOwnerUPN ClientIPAddress ClientIP ActorIpAddress ResultStatus'
            || ' ClientAppId AppId SessionId AppAccessContext AADSessionId Workload'
            || ' Target ID Type Item ParentFolder MemberUpn MemberSid MemberRights'
            || ' Path ExchangeLocations Query'
        ) else RawEventData end as record_json
    from records
),

parsed as (
    select
        *,
        case when is_odd then try(json_extract_string(record_json, [
            '$.Id', '$.UserId', '$.UserType', '$.Parameters', '$.OperationProperties',
            '$.ModifiedProperties', '$.ExtendedProperties', '$.ObjectId',
            '$.MailboxOwnerUPN', '$.ClientIPAddress', '$.ClientIP',
            '$.ActorIpAddress', '$.ResultStatus', '$.ClientAppId', '$.AppId',
            '$.SessionId', '$.AppAccessContext.AADSessionId', '$.Workload', '$.Target',
            '$.Item.ParentFolder.MemberUpn', '$.Item.ParentFolder.MemberSid',
            '$.Item.ParentFolder.MemberRights', '$.Item.ParentFolder.Path',
            '$.ExchangeLocations', '$.Query'
        ])) else delivered end as field
    from unwrapped
),

-- The same event_id as in mail_access.
named as (
    select
        *,
        case
            when is_odd and not regexp_matches(RawEventData, '^\s*[{]') then field[1]
            else delivered[1]
        end as delivered_id,
        -- Lists of names and values, in four places.
        list_filter(field[4:7], lambda text: text is not null) as texts,
        coalesce(
            nullif(field[10], ''), nullif(IPAddress, ''), nullif(field[11], ''),
            field[12]
        ) as address,
        case
            when Timestamp is null then 'no Timestamp'
            when not is_odd then null
            when RawEventData is null or regexp_full_match(RawEventData, '\s*')
                then 'no RawEventData'
            when field is null then 'malformed JSON in RawEventData'
            when not regexp_matches(record_json, '^\s*[{]')
                then 'no JSON object in RawEventData'
        end as reject_reason
    from parsed
),

-- As Microsoft writes them, as an object, and as text: @{Name=a; Value=b} or -a "b".
paired as (
    select
        *,
        flatten(list_transform(texts, lambda text: coalesce(
            nullif(list_filter(
                try(list_transform(
                    from_json(
                        text,
                        '[{"Name":"VARCHAR","Value":"VARCHAR","NewValue":"VARCHAR",'
                        || '"OldValue":"VARCHAR"}]'
                    ),
                    lambda pair: struct_pack(
                        name := pair.name,
                        value := coalesce(pair.value, pair.newvalue),
                        before := pair.oldvalue
                    )
                )),
                lambda pair: pair.name is not null
            ), []),
            nullif(try(list_transform(json_keys(text), lambda key: struct_pack(
                name := key,
                value := json_extract_string(
                    text, '$."' || replace(key, '"', '\"') || '"'
                ),
                before := cast(null as varchar)
            ))), []),
            list_concat(
                list_transform(
                    regexp_extract_all(
                        text, '[{]\s*Name=[^;,{}]*[;,]\s*(?:New)?Value=[^{}]*[}]'
                    ),
                    lambda part: struct_pack(
                        name := regexp_extract(part, 'Name=([^;,{}]*)', 1),
                        value := regexp_extract(part, 'Value=([^{}]*?)\s*[}]', 1),
                        before := cast(null as varchar)
                    )
                ),
                list_transform(
                    regexp_extract_all(
                        text, '[{]\s*(?:New)?Value=[^{}]*[;,]\s*Name=[^;,{}]*[}]'
                    ),
                    lambda part: struct_pack(
                        name := regexp_extract(part, '.*Name=([^;,{}]*)', 1),
                        value := regexp_extract(part, 'Value=([^{}]*)[;,]\s*Name=', 1),
                        before := cast(null as varchar)
                    )
                ),
                list_transform(
                    regexp_extract_all(
                        text, '(?:^|\s)-[A-Za-z]\w*(?:[:\s]\s*(?:"[^"]*"|[^\s"-]\S*))?'
                    ),
                    lambda part: struct_pack(
                        name := regexp_extract(part, '-(\w+)', 1),
                        value := coalesce(
                            nullif(
                                trim(regexp_extract(part, '-\w+[:\s]\s*(.+)$', 1)), ''
                            ),
                            'True'
                        ),
                        before := cast(null as varchar)
                    )
                )
            )
        ))) as pairs
    from named
),

-- Entra writes some values in quotation marks.
listed as (
    select
        *,
        list_filter(
            list_transform(pairs, lambda pair: struct_pack(
                name := lower(trim(pair.name)),
                value := coalesce(
                    regexp_replace(trim(pair.value), '^"([^"]*)"$', '\1'), ''
                ),
                before := coalesce(
                    regexp_replace(trim(pair.before), '^"([^"]*)"$', '\1'), ''
                )
            )),
            lambda pair: coalesce(pair.name, '') <> ''
        ) as entries
    from paired
),

spelled as (
    select
        *,
        list_sort(list_distinct(
            list_transform(entries, lambda pair: pair.name)
        )) as property_names,
        list_sort(list_distinct(list_transform(
            list_filter(entries, lambda pair: pair.before <> ''),
            lambda pair: pair.name
        ))) as changed_names
    from listed
),

-- The first of equal names counts.
mapped as (
    select
        *,
        map(property_names, list_transform(property_names, lambda name: list_filter(
            entries, lambda pair: pair.name = name
        )[1].value)) as properties,
        map(changed_names, list_transform(changed_names, lambda name: list_filter(
            entries, lambda pair: pair.name = name and pair.before <> ''
        )[1].before)) as old_properties,
        lower(trim(coalesce(field[2], ''))) as actor,
        regexp_matches(activity, 'grant$|app role assignment') as is_grant,
        regexp_matches(activity, '^consent|^update app|credentials$') as is_for_app,
        try(from_json(field[19], '[{"ID":"VARCHAR","Type":"VARCHAR"}]')) as targets
    from spelled
),

told as (
    select
        *,
        -- The target of a grant is the API that it is for.
        case when is_grant then coalesce(
            nullif(properties['serviceprincipal.appid'], ''),
            nullif(properties['serviceprincipal.objectid'], ''),
            nullif(properties['serviceprincipal.displayname'], '')
        ) when is_for_app then coalesce(
            nullif(regexp_extract(
                properties['targetid.serviceprincipalnames'],
                '[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}'
            ), ''),
            nullif(regexp_extract(
                properties['additionaldetails'],
                '(?i)"AppId\\*"\s*:\s*\\*"([0-9a-f-]{36})', 1
            ), ''),
            field[8]
        ) end as changed_app,
        coalesce(
            nullif(field[9], ''),
            nullif(properties['mailbox'], ''),
            case
                when contains(activity, 'inboxrule') then actor
                when not is_grant and not is_for_app then coalesce(
                    nullif(properties['identity'], ''), nullif(field[24], ''), field[8]
                )
            end
        ) as subject,
        -- What a consent says stands as [old] => [new].
        coalesce(
            nullif(properties['consentaction.permissions'], ''),
            nullif(properties['delegatedpermissiongrant.scope'], ''),
            nullif(properties['approle.value'], ''),
            properties['approle.id']
        ) as granted_text,
        coalesce(
            old_properties['consentaction.permissions'],
            old_properties['delegatedpermissiongrant.scope'], ''
        ) as granted_before
    from mapped
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
    activity,
    actor,
    -- Types 5 and 6 are applications and service principals.
    coalesce(
        field[3] in ('5', '6', 'Application', 'ServicePrincipal')
        or starts_with(actor, 'serviceprincipal_'),
        false
    ) as is_app_only,
    coalesce(
        lower(field[13]) not in ('false', 'failed', 'failure', 'error'), true
    ) as is_success,
    -- The last part of a path, without a folder.
    nullif(lower(regexp_replace(
        regexp_extract(regexp_replace(subject, ':\\.*$', ''), '([^/\\]*)$', 1),
        '^smtp:', ''
    )), '') as mailbox,
    -- Who is let in.
    lower(coalesce(
        nullif(field[20], ''), nullif(field[21], ''), nullif(properties['user'], ''),
        nullif(properties['trustee'], ''),
        nullif(properties['grantsendonbehalfto'], ''),
        nullif(properties['securitygroup'], ''), nullif(properties['app'], '')
    )) as grantee,
    lower(coalesce(
        nullif(field[22], ''), nullif(properties['accessrights'], ''),
        nullif(properties['role'], '')
    )) as rights,
    coalesce(
        nullif(field[23], ''),
        nullif(regexp_extract(properties['identity'], ':(\\.*)$', 1), '')
    ) as folder,
    lower(changed_app) as app_id,
    coalesce(
        nullif(properties['serviceprincipal.displayname'], ''),
        case
            when is_for_app
                then list_filter(targets, lambda target: target.type = '1')[1].id
        end
    ) as app_name,
    -- Words with a dot or an underscore that were not granted before.
    list_sort(list_distinct(list_filter(
        regexp_split_to_array(
            regexp_replace(granted_text, '(?s)^.*=>', ''), '[^0-9A-Za-z_.-]+'
        ),
        lambda word: regexp_matches(word, '\w[._]\w|^[0-9a-f-]{36}$')
        and not list_contains(
            regexp_split_to_array(
                granted_before || ' '
                || regexp_extract(granted_text, '(?s)^(.*)=>', 1),
                '[^0-9A-Za-z_.-]+'
            ),
            word
        )
    ))) as permissions,
    coalesce(regexp_matches(
        coalesce(properties['consentaction.permissions'], '')
        || coalesce(properties['delegatedpermissiongrant.consenttype'], ''),
        '(?i)AllPrincipals'
    ), false) as is_for_everybody,
    properties,
    old_properties,
    field[25] as query,
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
    end as ip_address,
    CountryCode as country,
    nullif(Isp, '') as isp,
    IsAnonymousProxy as is_anonymous_proxy,
    lower(coalesce(nullif(field[14], ''), nullif(field[15], ''))) as client_app_id,
    nullif(UserAgent, '') as user_agent,
    nullif(coalesce(nullif(field[16], ''), field[17]), '') as session_id,
    field[18] as workload,
    ReportId as report_id,
    case when reject_reason is not null then RawEventData end as raw_event_data
from told
