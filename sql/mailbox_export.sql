-- Mailbox exports that are started in a shell, told by how and where to.
--
-- Grain:    one row per account, host and interval, where enough speaks against it.
-- Interval: of the exports.
-- Reads:    shell_commands(event, host, account and process columns; actions,
--           is_exposed, steps, command_line)
-- Params:   $start, $end   timestamptz; the interval [start, end)
--           $firstSeen     interval; how long an account or host must not have exported
--           $within        interval; how soon after an export a removal belongs to it
--           $minPoints     number; how much must speak against it
--           $webParents    text; pattern of web servers' processes, in lower case
--           $scriptParents text; pattern of other hosts of scripts, in lower case

with commands as (
    select
        *,
        coalesce(device_id, host_name) as host_key,
        coalesce(account_sid, account_key, '') as who,
        list_contains(actions, 'export') as is_export,
        list_contains(actions, 'removal') as is_removal,
        account_sid = 'S-1-5-18' or account_name = 'system' as is_system,
        coalesce(regexp_full_match(lower(parent_file_name), $webParents), false)
            as is_from_web,
        coalesce(regexp_full_match(lower(parent_file_name), $scriptParents), false)
            as is_from_script
    from shell_commands
    where
        event_time >= $start - $firstSeen
        and event_time < $end
        and coalesce(device_id, host_name) is not null
),

exports as (
    select
        tenant,
        host_key,
        who,
        min(event_time) as start_time,
        max(event_time) as end_time,
        min(host_name) as host_name,
        min(dns_domain) as dns_domain,
        min(account_name) as account_name,
        min(account_domain) as account_domain,
        min(account_sid) as account_sid,
        count(*) as commands,
        coalesce(bool_or(is_system), false) as is_system,
        bool_or(is_from_web) as is_from_web,
        bool_or(is_from_script) as is_from_script,
        bool_or(is_exposed) as is_exposed,
        bool_or(len(steps) > 0) as is_disguised,
        list_sort(list_distinct(flatten(list(steps)))) as steps,
        list_sort(list_distinct(list(lower(parent_file_name)))) as parents,
        first(command_line order by event_time, event_id) as export_command,
        list(
            struct_pack(
                role := 'export', source_table := 'DeviceProcessEvents',
                event_id := event_id
            )
            order by event_time, event_id
        ) as evidence
    from commands
    where is_export and event_time >= $start
    group by tenant, host_key, who
),

-- Removals on the host after the first of the exports, by whomever.
removals as (
    select
        exports.tenant,
        exports.host_key,
        exports.who,
        min(commands.event_time) as removed_at,
        arg_min(
            commands.account_name, struct_pack(commands.event_time, commands.event_id)
        ) as removed_by,
        bool_or(commands.who = exports.who) as is_own_removal
    from exports
    inner join commands
        on
            exports.tenant = commands.tenant
            and exports.host_key = commands.host_key
            and exports.start_time <= commands.event_time
            and exports.end_time + $within >= commands.event_time
    where commands.is_removal
    group by exports.tenant, exports.host_key, exports.who
),

earlier as (
    select
        exports.tenant,
        exports.host_key,
        exports.who,
        coalesce(bool_or(commands.host_key = exports.host_key), false) as is_known_host,
        coalesce(
            bool_or(commands.who = exports.who and exports.who <> ''), false
        ) as is_known_account
    from exports
    left join commands
        on
            exports.tenant = commands.tenant
            and commands.is_export
            and exports.start_time > commands.event_time
            and exports.start_time - $firstSeen <= commands.event_time
            and (
                exports.host_key = commands.host_key
                or exports.who = commands.who
            )
    group by exports.tenant, exports.host_key, exports.who
),

told as (
    select
        exports.*,
        removals.removed_at,
        removals.removed_by,
        coalesce(removals.is_own_removal, false) as is_own_removal,
        not earlier.is_known_host as is_new_host,
        not earlier.is_known_account as is_new_account,
        2 * cast(exports.is_from_web as integer)
        + 2 * cast(exports.is_exposed as integer)
        + cast(exports.is_system as integer)
        + cast(exports.is_from_script as integer)
        + cast(exports.is_disguised as integer)
        + cast(not earlier.is_known_host as integer)
        + cast(not earlier.is_known_account as integer)
        + 2 * cast(coalesce(not removals.is_own_removal, false) as integer) as points
    from exports
    inner join earlier
        on
            exports.tenant = earlier.tenant
            and exports.host_key = earlier.host_key
            and exports.who = earlier.who
    left join removals
        on
            exports.tenant = removals.tenant
            and exports.host_key = removals.host_key
            and exports.who = removals.who
)

select
    tenant,
    $start as interval_start,
    host_key,
    who,
    start_time,
    end_time,
    host_name,
    dns_domain,
    account_name,
    account_domain,
    account_sid,
    commands,
    parents,
    steps,
    export_command,
    removed_at,
    removed_by,
    is_system,
    is_from_web,
    is_from_script,
    is_exposed,
    is_new_host,
    is_new_account,
    cast(points as double) as score,
    case when points >= 4 then 'high' else 'medium' end
        as severity,
    concat_ws(
        ', ',
        'exports a mailbox',
        case when is_from_web then 'started by a web server' end,
        case when is_from_script then 'started by a script' end,
        case when is_exposed then 'to an admin share or a web folder' end,
        case when is_system then 'as SYSTEM' end,
        case when is_disguised then 'disguised by ' || array_to_string(steps, ', ') end,
        case when is_new_account then 'by an account that had not exported before' end,
        case when is_new_host then 'on a host where nobody had' end,
        case
            when removed_at is not null and not is_own_removal
                then
                    'and ' || coalesce(removed_by, 'another account')
                    || ' removed the request'
            when removed_at is not null then 'and removed the request'
        end
    ) as reason,
    evidence
from told
where points >= $minPoints
order by start_time, tenant, host_key, who
