-- Accounts that start to read a mailbox that is not their own.
--
-- Grain:    one row per account and mailbox that it had not read for $history.
-- Interval: of the record with which the account reaches the floor.
-- Reads:    mail_access(event_id, event_time, tenant, actor, mailbox, logon_type,
--           logon_sid, owner_sid, access_type, items, folder, app_id, ip_address,
--           client_info)
-- Params:   $start, $end    timestamptz; the interval [start, end)
--           $staged_from    timestamptz; from here on all records are staged
--           $history        interval; how long the account must not have read it
--           $within         interval; how soon after its first record the floor counts
--           $minRecords     number; the floor; a Sync reaches it at once, because it
--                           takes a whole folder

with foreign_records as (
    select
        *,
        case access_type when 'Sync' then $minRecords else 1 end as weight,
        lag(event_time) over (
            partition by tenant, actor, mailbox
            order by event_time, event_id
        ) as previous_time
    from mail_access
    where
        actor <> ''
        and mailbox <> ''
        and actor <> mailbox
        and logon_type is distinct from 'owner'
        and coalesce(logon_sid <> owner_sid, true)
        and event_time >= $start - $history
        and event_time < $end
        and $staged_from <= $start - $history
),

-- A spell begins with the first record after a silence as long as $history.
spells as (
    select
        *,
        max(
            case
                when coalesce(previous_time < event_time - $history, true)
                    then event_time
            end
        ) over (
            partition by tenant, actor, mailbox
            order by event_time, event_id
            rows between unbounded preceding and current row
        ) as first_time
    from foreign_records
),

weighed as (
    select
        *,
        sum(weight) over (
            partition by tenant, actor, mailbox, first_time
            order by event_time, event_id
            rows between unbounded preceding and current row
        ) as reached
    from spells
)

select
    tenant,
    actor,
    mailbox,
    split_part(actor, '@', 1) as account_name,
    first_time as start_time,
    max(event_time) as end_time,
    min(event_time) filter (where reached >= $minRecords) as reached_at,
    count(*) as records,
    cast(coalesce(sum(items), 0) as bigint) as items,
    count(distinct coalesce(folder, '')) filter (where access_type = 'Sync') as folders,
    first(app_id order by event_time, event_id) as app_id,
    first(ip_address order by event_time, event_id) as ip_address,
    list_sort(list_distinct(list(ip_address))) as ip_addresses,
    list_sort(list_distinct(list(client_info))) as clients,
    min(logon_type) as logon_type,
    actor || ' had not read ' || mailbox || ' before' as reason,
    list(
        struct_pack(
            role := 'record', source_table := 'CloudAppEvents', event_id := event_id
        )
        order by event_time, event_id
    ) as evidence
from weighed
group by tenant, actor, mailbox, first_time
having
    min(event_time) filter (where reached >= $minRecords) >= $start
    and min(event_time) filter (where reached >= $minRecords) <= first_time + $within
order by start_time, tenant, actor, mailbox
