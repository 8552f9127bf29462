-- Mailbox exports and removals in one hour, as the Sentinel query pairs them.
--
-- Grain:    one row per hour, host, account and pair of command lines; details are the
--           columns that Kusto returns.
-- Interval: events of [start, end) and no others.
-- Reads:    shell_commands(event_id, event_time, tenant, device_name, host_name,
--           dns_domain, account_name, account_name_raw, file_name, command_line)
-- Params:   $start, $end   timestamptz; the interval [start, end)

with commands as (
    select
        tenant,
        date_trunc('hour', event_time) as timekey,
        -- In Kusto a missing text is an empty one, and equals it.
        coalesce(device_name, '') as device_name,
        coalesce(account_name_raw, '') as account_raw,
        command_line,
        contains(lower(command_line), 'new-mailboxexportrequest') as is_export,
        contains(lower(command_line), 'remove-mailboxexportrequest') as is_removal,
        min(event_time) as first_time,
        max(event_time) as last_time,
        any_value(host_name) as host_name,
        any_value(dns_domain) as dns_domain,
        any_value(account_name) as account_name,
        list(event_id order by event_time, event_id) as event_ids
    from shell_commands
    where
        lower(file_name) in ('powershell.exe', 'cmd.exe')
        and event_time >= $start
        and event_time < $end
    group by all
),

pairs as (
    select
        exported.*,
        least(exported.first_time, removed.first_time) as start_time,
        greatest(exported.last_time, removed.last_time) as end_time,
        to_json([exported.command_line, removed.command_line]) as commands,
        removed.event_ids as removal_ids
    from commands as exported
    inner join commands as removed
        on
            exported.tenant = removed.tenant
            and exported.device_name = removed.device_name
            and exported.timekey = removed.timekey
            and exported.account_raw = removed.account_raw
    where
        exported.is_export
        and removed.is_removal
),

found as (
    select
        *,
        struct_pack(
            timekey := timekey,
            DeviceName := device_name,
            AccountName := account_raw,
            commands := cast(commands as varchar),
            HostCustomEntity := device_name,
            AccountCustomEntity := account_raw
        ) as details
    from pairs
)

select
    tenant,
    $start as interval_start,
    $end as interval_end,
    details,
    row_number() over (partition by tenant, details) as ordinal,
    host_name,
    dns_domain,
    account_name,
    device_name,
    start_time,
    end_time,
    list_concat(
        list_transform(event_ids, lambda id: struct_pack(
            role := 'export', source_table := 'DeviceProcessEvents', event_id := id
        )),
        list_transform(removal_ids, lambda id: struct_pack(
            role := 'removal', source_table := 'DeviceProcessEvents', event_id := id
        ))
    ) as evidence
from found
order by start_time, tenant, details
