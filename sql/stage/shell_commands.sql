-- Command lines that name a mailbox export cmdlet, as typed and with disguises undone.
--
-- Grain:    one row per process event; actions are the cmdlets it runs, in their order,
--           without those it only names, or tries with -WhatIf.
-- Interval: all rows of the files at hand.
-- Reads:    DeviceProcessEvents
-- Params:   none
-- Keys:     device_id | host_name, account_sid | account_name

with candidates as (
    select *
    from DeviceProcessEvents
    -- Undoing a disguise is dear. It drops no letters but those of `n and `r, so that
    -- what it can uncover in ASCII shows: the letters of the cmdlet in their order, or
    -- base64 of UTF-16. That is decoded where four ASCII characters are in a row, which
    -- hold bytes (0, x, 0) that make four letters: A, one of A-H, one of sixteen, A.
    where
        length(ProcessCommandLine) <> strlen(ProcessCommandLine)
        or (
            (contains(ProcessCommandLine, 'q') or contains(ProcessCommandLine, 'Q'))
            and regexp_matches(
                ProcessCommandLine,
                '(?i)' || regexp_replace(
                    'mailboxexportrequest', '(.)', '\1([^a-z]|`[nr])*', 'g'
                )
            )
        )
        or (
            ProcessCommandLine like '%A%A%'
            and regexp_matches(
                ProcessCommandLine,
                'A([^0-9A-Za-z]|`[nr])*[A-H]([^0-9A-Za-z]|`[nr])*[AEIMQUYcgkosw048]'
                || '([^0-9A-Za-z]|`[nr])*A'
            )
        )
),

events as (
    select
        *,
        -- Not `in`: DuckDB makes a join of a long list, and puts it before the filter.
        regexp_full_match(
            lower(FileName), '(cmd|powershell|pwsh|powershell_ise)(\.exe)?'
        )
        or regexp_full_match(
            lower(ProcessVersionInfoOriginalFileName),
            '(cmd|powershell|pwsh|powershell_ise)\.exe|pwsh\.dll'
        ) as is_shell
    from candidates
),

undone as (
    select
        *,
        case
            when is_shell then normalise_command_line(ProcessCommandLine)
        end as undisguised
    from events
    where is_shell or contains(lower(ProcessCommandLine), '-mailboxexportrequest')
),

named as (
    select
        *,
        coalesce(
            undisguised.text,
            trim(regexp_replace(ProcessCommandLine, '\s+', ' ', 'g'))
        ) as command_text
    from undone
    where
        -- Import-PSSession -Prefix OnPrem makes New-OnPremMailboxExportRequest.
        regexp_matches(
            ProcessCommandLine, '(?i)(new|remove)-[\pL\pN_]*mailboxexportrequest'
        )
        or regexp_matches(
            undisguised.text, '(?i)(new|remove)-[\pL\pN_]*mailboxexportrequest'
        )
),

called as (
    select
        *,
        case when is_shell then cmdlets_run(ProcessCommandLine) end as calls
    from named
),

cleaned as (
    select
        *,
        -- \x1d stands before each of the two, and no pattern runs into the next.
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
            nullif(nullif(lower(trim(AccountDomain)), ''), '-'),
            nullif(regexp_extract(lower(AccountName), '^(.*)\\', 1), ''),
            nullif(regexp_extract(lower(AccountName), '@(.*)$', 1), ''),
            ''
        ) as account_domain,
        nullif(nullif(trim(
            regexp_extract(lower(AccountName), '([^\\@]*)(@.*)?$', 1)
        ), ''), '-') as account_name
    from called
)

select
    file_id,
    cast(md5(concat_ws(
        chr(31), coalesce(TenantId, ''),
        coalesce(nullif(lower(DeviceId), ''), lower(DeviceName), ''),
        coalesce(epoch_us(Timestamp), 0), coalesce(ReportId, 0), coalesce(ProcessId, 0),
        coalesce(lower(AccountDomain), ''), coalesce(lower(AccountName), ''),
        coalesce(ProcessCommandLine, '')
    )) as uuid) as event_id,
    Timestamp as event_time,
    case when Timestamp is null then 'no Timestamp' end as reject_reason,
    coalesce(TenantId, '') as tenant,
    nullif(nullif(lower(trim(DeviceId)), ''), '-') as device_id,
    DeviceName as device_name,
    nullif(nullif(lower(trim(split_part(DeviceName, '.', 1))), ''), '-') as host_name,
    nullif(
        substr(lower(DeviceName), length(split_part(DeviceName, '.', 1)) + 2), ''
    ) as dns_domain,
    nullif(nullif(nullif(upper(trim(AccountSid)), ''), '-'), 'S-1-0-0') as account_sid,
    account_domain,
    account_name,
    account_domain || '\' || account_name as account_key,
    AccountName as account_name_raw,
    ActionType as action_type,
    ReportId as report_id,
    ProcessId as process_id,
    ProcessCreationTime as process_created,
    InitiatingProcessId as parent_process_id,
    InitiatingProcessCreationTime as parent_created,
    InitiatingProcessFileName as parent_file_name,
    InitiatingProcessCommandLine as parent_command_line,
    FileName as file_name,
    ProcessVersionInfoOriginalFileName as original_file_name,
    FolderPath as folder_path,
    is_shell,
    ProcessCommandLine as command_line,
    command_text as normalised,
    coalesce(undisguised.steps, cast([] as varchar[])) as steps,
    -- The export stands before the removal in the text of this one process.
    coalesce(
        regexp_matches(acting, '(?s)\x1dexport.*\x1dremoval'), false
    ) as is_both,
    -- Behind the export stands an admin share or a folder of a web server.
    coalesce(regexp_matches(
        acting,
        '(?s)\x1dexport.*([\\/]{2}[^\s\\/]+[\\/]([a-z]|admin)\$|inetpub|wwwroot'
        || '|httpproxy|clientaccess|aspnet_client|[\\/](owa|ecp)[\\/])'
    ), false) as is_exposed,
    coalesce(
        regexp_extract_all(acting, '\x1d(export|removal)', 1), cast([] as varchar[])
    ) as actions
from cleaned
