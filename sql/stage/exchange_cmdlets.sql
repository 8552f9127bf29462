-- Mailbox export cmdlets that PowerShell itself ran, in a shell or in another process.
--
-- Grain:    one row per PowerShellCommand event; its command is the name of a cmdlet,
--           or the text that was run. Actions are the cmdlets it runs, in their order.
-- Interval: all rows of the files at hand.
-- Reads:    DeviceEvents
-- Params:   none
-- Keys:     device_id | host_name, account_sid | account_name

with commands as (
    select
        *,
        try(json_extract_string(AdditionalFields, '$.Command')) as plain_command
    from DeviceEvents
    where
        lower(ActionType) = 'powershellcommand'
        and regexp_matches(
            AdditionalFields,
            '(?i)' || regexp_replace(
                'mailboxexportrequest', '(.)', '\1(`|\\\\u0060)?', 'g'
            )
        )
),

-- The fields come as JSON in a text, and sometimes once more in a text.
unwrapped as (
    select
        *,
        coalesce(
            plain_command,
            try(json_extract_string(
                normalise_record(AdditionalFields, 'Command'), '$.Command'
            ))
        ) as command
    from commands
),

called as (
    select
        *,
        -- Text of PowerShell, and no command line with a program's name before it.
        cmdlets_run('$null; ' || command) as calls,
        cmdlets_run(InitiatingProcessCommandLine) as started_with
    from unwrapped
),

cleaned as (
    select
        *,
        array_to_string(list_transform(calls, lambda call: concat(
            case
                when
                    regexp_full_match(call.name, 'new-[\pL\pN_]*mailboxexportrequest')
                    then chr(29) || 'export'
                when
                    regexp_full_match(
                        call.name, 'remove-[\pL\pN_]*mailboxexportrequest'
                    )
                    then chr(29) || 'removal'
                else call.name
            end,
            lower(call.arguments)
        )), ' ') as acting,
        coalesce(
            nullif(nullif(lower(trim(InitiatingProcessAccountDomain)), ''), '-'),
            nullif(
                regexp_extract(lower(InitiatingProcessAccountName), '^(.*)\\', 1), ''
            ),
            nullif(
                regexp_extract(lower(InitiatingProcessAccountName), '@(.*)$', 1), ''
            ),
            ''
        ) as account_domain,
        nullif(nullif(trim(regexp_extract(
            lower(InitiatingProcessAccountName), '([^\\@]*)(@.*)?$', 1
        )), ''), '-') as account_name
    from called
)

select
    file_id,
    cast(md5(concat_ws(
        chr(31), coalesce(TenantId, ''),
        coalesce(nullif(lower(DeviceId), ''), lower(DeviceName), ''),
        coalesce(epoch_us(Timestamp), 0), coalesce(ReportId, 0),
        coalesce(InitiatingProcessId, 0),
        coalesce(lower(InitiatingProcessAccountName), ''), AdditionalFields
    )) as uuid) as event_id,
    Timestamp as event_time,
    case
        when Timestamp is null then 'no Timestamp'
        when command is null then 'no Command in AdditionalFields'
    end as reject_reason,
    coalesce(TenantId, '') as tenant,
    nullif(nullif(lower(trim(DeviceId)), ''), '-') as device_id,
    DeviceName as device_name,
    nullif(nullif(lower(trim(split_part(DeviceName, '.', 1))), ''), '-') as host_name,
    nullif(
        substr(lower(DeviceName), length(split_part(DeviceName, '.', 1)) + 2), ''
    ) as dns_domain,
    nullif(
        nullif(nullif(upper(trim(InitiatingProcessAccountSid)), ''), '-'), 'S-1-0-0'
    ) as account_sid,
    account_domain,
    account_name,
    account_domain || '\' || account_name as account_key,
    ReportId as report_id,
    InitiatingProcessId as process_id,
    InitiatingProcessCreationTime as process_created,
    lower(InitiatingProcessFileName) as process_file_name,
    InitiatingProcessCommandLine as process_command_line,
    lower(InitiatingProcessParentFileName) as parent_file_name,
    command as command_line,
    coalesce(
        regexp_extract_all(acting, '\x1d(export|removal)', 1), cast([] as varchar[])
    ) as actions,
    -- Behind the export stands an admin share or a folder of a web server.
    coalesce(regexp_matches(
        acting,
        '(?s)\x1dexport.*([\\/]{2}[^\s\\/]+[\\/]([a-z]|admin)\$|inetpub|wwwroot'
        || '|httpproxy|clientaccess|aspnet_client|[\\/](owa|ecp)[\\/])'
    ), false) as is_exposed,
    -- The process event of this shell names the cmdlet too.
    coalesce(list_bool_or(list_transform(started_with, lambda call: regexp_full_match(
        call.name, '(new|remove)-[\pL\pN_]*mailboxexportrequest'
    ))), false) as is_in_process_event
from cleaned
