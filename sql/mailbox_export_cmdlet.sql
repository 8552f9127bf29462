-- Mailbox exports that PowerShell itself ran, inside a shell or another process.
--
-- Grain:    one row per account, host and interval, where enough speaks against it; one
--           more for exports before the interval whose first removal falls into it.
-- Interval: of the exports, or of their first removal where that is later.
-- Reads:    exchange_cmdlets(event, host, account and process columns; actions,
--           is_exposed, is_in_process_event, command_line)
-- Params:   $start, $end   timestamptz; the interval [start, end)
--           $firstSeen     interval; how long an account or host must not have exported
--           $within        interval; how soon after an export a removal belongs to it
--           $together      interval; how far apart a shell and the server that runs its
--                          command record the same cmdlet
--           $minPoints     number; how much must speak against it
--           $webProcesses  text; pattern of web servers' processes, in lower case
--           $scriptHosts   text; pattern of other hosts of scripts, in lower case

with commands as (
    select
        *,
        coalesce(device_id, host_name) as host_key,
        coalesce(account_sid, account_key, '') as who,
        list_contains(actions, 'export') as is_export,
        list_contains(actions, 'removal') as is_removal,
        coalesce(regexp_full_match(process_file_name, $webProcesses), false)
            as is_in_web,
        coalesce(regexp_full_match(parent_file_name, $webProcesses), false)
            as is_under_web,
        coalesce(regexp_full_match(process_file_name, $scriptHosts), false)
        or coalesce(regexp_full_match(parent_file_name, $scriptHosts), false)
            as is_from_script
    from exchange_cmdlets
    where
        event_time >= $start - $within - $firstSeen
        and event_time < $end
        and coalesce(device_id, host_name) is not null
),

-- Exchange's own shell sends what is typed to the server, which runs it again in its
-- web server: then the shell's record has the account.
direct as (
    select *
    from commands
    where
        not is_in_web
        or not exists (
            select 1
            from commands as shell
            where
                not shell.is_in_web
                and shell.tenant = commands.tenant
                and shell.host_key = commands.host_key
                and shell.event_time >= commands.event_time - $together
                and shell.event_time <= commands.event_time + $together
                and list_has_any(shell.actions, commands.actions)
        )
),

exports as (
    select
        tenant,
        host_key,
        who,
        event_time < $start as is_earlier,
        min(event_time) as start_time,
        max(event_time) as end_time,
        min(host_name) as host_name,
        min(dns_domain) as dns_domain,
        min(account_name) as account_name,
        min(account_domain) as account_domain,
        min(account_sid) as account_sid,
        count(*) as commands,
        bool_or(is_in_web) as is_in_web,
        bool_or(is_under_web and not is_in_web) as is_under_web,
        bool_or(is_from_script) as is_from_script,
        bool_or(is_exposed) as is_exposed,
        list_sort(list_distinct(list(process_file_name))) as processes,
        first(command_line order by event_time, event_id) as export_command,
        list(
            struct_pack(
                role := 'export', source_table := 'DeviceEvents', event_id := event_id
            )
            order by event_time, event_id
        ) as evidence
    from direct
    where is_export and not is_in_process_event and event_time >= $start - $within
    group by tenant, host_key, who, is_earlier
),

-- Removals on the host after the first of the exports, by whomever.
removals as (
    select
        exports.tenant,
        exports.host_key,
        exports.who,
        exports.is_earlier,
        min(direct.event_time) as removed_at,
        arg_min(
            direct.account_name, struct_pack(direct.event_time, direct.event_id)
        ) as removed_by
    from exports
    inner join direct
        on
            exports.tenant = direct.tenant
            and exports.host_key = direct.host_key
            and exports.start_time <= direct.event_time
            and exports.end_time + $within >= direct.event_time
    where direct.is_removal
    group by exports.tenant, exports.host_key, exports.who, exports.is_earlier
),

earlier as (
    select
        exports.tenant,
        exports.host_key,
        exports.who,
        exports.is_earlier,
        coalesce(bool_or(direct.host_key = exports.host_key), false) as is_known_host,
        coalesce(
            bool_or(direct.who = exports.who and exports.who <> ''), false
        ) as is_known_account
    from exports
    left join direct
        on
            exports.tenant = direct.tenant
            and direct.is_export
            and exports.start_time > direct.event_time
            and exports.start_time - $firstSeen <= direct.event_time
            and (exports.host_key = direct.host_key or exports.who = direct.who)
    group by exports.tenant, exports.host_key, exports.who, exports.is_earlier
),

told as (
    select
        exports.*,
        removals.removed_at,
        removals.removed_by,
        not earlier.is_known_host as is_new_host,
        -- In a web server all run as its own account.
        not earlier.is_known_account and not exports.is_in_web as is_new_account,
        2 * cast(exports.is_in_web as integer)
        + 2 * cast(exports.is_under_web as integer)
        + 2 * cast(exports.is_exposed as integer)
        + cast(exports.is_from_script as integer)
        + cast(not earlier.is_known_host as integer)
        + cast(not earlier.is_known_account and not exports.is_in_web as integer)
        + 3 * cast(removals.removed_at is not null as integer) as points
    from exports
    inner join earlier
        on
            exports.tenant = earlier.tenant
            and exports.host_key = earlier.host_key
            and exports.who = earlier.who
            and exports.is_earlier = earlier.is_earlier
    left join removals
        on
            exports.tenant = removals.tenant
            and exports.host_key = removals.host_key
            and exports.who = removals.who
            and exports.is_earlier = removals.is_earlier
)

select
    tenant,
    $start as interval_start,
    host_key,
    who,
    is_earlier,
    start_time,
    end_time,
    host_name,
    dns_domain,
    account_name,
    account_domain,
    account_sid,
    commands,
    processes,
    export_command,
    removed_at,
    removed_by,
    is_in_web,
    is_under_web,
    is_from_script,
    is_exposed,
    is_new_host,
    is_new_account,
    cast(points as double) as score,
    case when points >= 4 then 'high' else 'medium' end as severity,
    concat_ws(
        ', ',
        'exports a mailbox',
        case
            when is_in_web then 'inside a web server and from no shell of the host'
        end,
        case when is_under_web then 'in a shell that a web server started' end,
        case when is_from_script then 'from a script host' end,
        case when is_exposed then 'to an admin share or a web folder' end,
        case when is_new_account then 'by an account that had not exported before' end,
        case when is_new_host then 'on a host where nobody had' end,
        case
            when removed_at is not null
                then
                    'and ' || coalesce(removed_by, 'an unknown account')
                    || ' removed the request'
        end
    ) as reason,
    evidence
from told
where points >= $minPoints and (not is_earlier or removed_at >= $start)
order by start_time, tenant, host_key, who, is_earlier
