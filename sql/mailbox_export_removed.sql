-- Mailbox exports whose request the same account removed on the same host soon after.
--
-- Grain:    one row per export; its first removal wins.
-- Interval: a pair belongs to the interval of its removal.
-- Reads:    shell_commands(event, host, account and process columns; actions, is_both,
--           is_exposed, steps, command_line)
-- Params:   $start, $end   timestamptz; the interval [start, end)
--           $within        interval; longest gap from export to removal
--           $firstSeen     interval; how long an account or host must not have exported

with recursive events as (
    select
        *,
        event_time + $within as paired_until,
        event_time - $firstSeen as known_from,
        unnest(list_distinct(actions)) as act
    from shell_commands
    where
        event_time >= $start - $within - $firstSeen
        and event_time < $end
),

-- A shell that starts a shell with the same cmdlet is one command.
lineage as (
    select
        act,
        event_id,
        event_id as root_id,
        process_created as root_created
    from events
    union
    select
        lineage.act,
        lineage.event_id,
        parent.event_id as root_id,
        parent.process_created as root_created
    from lineage
    inner join events as child
        on lineage.act = child.act and lineage.root_id = child.event_id
    inner join events as parent
        on
            child.act = parent.act
            and child.tenant = parent.tenant
            and child.parent_process_id = parent.process_id
            and child.parent_created = parent.process_created
            and child.process_id is distinct from parent.process_id
            and coalesce(
                child.device_id = parent.device_id,
                child.host_name = parent.host_name
            )
),

roots as (
    select *
    from lineage
    qualify row_number() over (
        partition by act, event_id
        order by root_created nulls last, root_id
    ) = 1
),

commands as (
    select
        events.*,
        list(events.event_id) over command as event_ids,
        list(struct_pack(
            role
            := array_to_string(list_sort(list_distinct(events.actions)), ' and '),
            source_table := 'DeviceProcessEvents',
            event_id := events.event_id
        )) over command as parts,
        flatten(list(events.steps) over command) as all_steps,
        list(
            case when events.is_both then events.event_id end
        ) over command as both_ids,
        bool_or(events.is_exposed) over command as has_exposed
    from events
    inner join roots
        on events.act = roots.act and events.event_id = roots.event_id
    window
        command as (
            partition by roots.act, roots.root_id
            order by
                events.event_time,
                events.event_id is distinct from roots.root_id,
                events.event_id
            rows between unbounded preceding and unbounded following
        )
    qualify row_number() over command = 1
),

pairs as (
    select
        exported.*,
        removed.event_time as removed_at,
        removed.command_line as removal_command,
        list_has_any(exported.both_ids, removed.event_ids) as same_process,
        list_sort(
            list_distinct(list_concat(exported.all_steps, removed.all_steps))
        ) as undone,
        removed.parts as removal_parts
    from commands as exported
    inner join commands as removed
        on
            exported.tenant = removed.tenant
            and coalesce(
                exported.device_id = removed.device_id,
                exported.host_name = removed.host_name
            )
            and coalesce(
                exported.account_sid = removed.account_sid,
                exported.account_key = removed.account_key
            )
            and exported.event_time <= removed.event_time
            and exported.paired_until >= removed.event_time
            -- One line that removes first and exports then is no pair with itself.
            and (
                list_has_any(exported.both_ids, removed.event_ids)
                or not list_has_any(exported.event_ids, removed.event_ids)
            )
    where
        exported.act = 'export'
        and removed.act = 'removal'
    qualify row_number() over (
        partition by exported.event_id
        order by removed.event_time, removed.event_id
    ) = 1
),

known as (
    select
        pairs.event_id,
        bool_or(coalesce(
            pairs.device_id = other.device_id, pairs.host_name = other.host_name
        )) and bool_or(coalesce(
            pairs.account_sid = other.account_sid,
            pairs.account_key = other.account_key
        )) as is_known
    from pairs
    inner join commands as other
        on
            pairs.tenant = other.tenant
            and pairs.event_time > other.event_time
            and pairs.known_from <= other.event_time
    where other.act = 'export'
    group by pairs.event_id
),

told as (
    select
        pairs.*,
        extract(epoch from pairs.removed_at - pairs.event_time) as gap_s,
        cast(floor(extract(epoch from pairs.removed_at - pairs.event_time)) as bigint)
            as s,
        coalesce(known.is_known, false) as is_known
    from pairs
    left join known on pairs.event_id = known.event_id
    where pairs.removed_at >= $start
)

select
    tenant,
    event_id as export_event_id,
    event_time as start_time,
    removed_at as end_time,
    host_name,
    dns_domain,
    account_name,
    account_domain,
    account_sid,
    case
        when len(undone) > 0 or has_exposed or not is_known then 'high'
        else 'medium'
    end as severity,
    concat_ws(
        '; ',
        case when same_process then 'one command line exports and removes' end,
        case when not same_process then 'removed soon after the export' end,
        case
            when len(undone) > 0
                then 'disguised by ' || array_to_string(undone, ', ')
        end,
        case when has_exposed then 'written to an admin share or a web folder' end,
        case when not is_known then 'account or host had not exported before' end
    ) as reason,
    coalesce(nullif(concat(
        nullif(s // 86400, 0) || 'd', nullif(s // 3600 % 24, 0) || 'h',
        nullif(s // 60 % 60, 0) || 'm', nullif(s % 60, 0) || 's'
    ), ''), '0s') as gap,
    gap_s,
    same_process,
    command_line as export_command,
    removal_command,
    undone as steps,
    list_concat(parts, list_filter(
        removal_parts, lambda one: not list_contains(parts, one)
    )) as evidence
from told
order by start_time, export_event_id
