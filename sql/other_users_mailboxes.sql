-- Accounts that start to read a mailbox that is not their own.
--
-- Grain:    one row per account and mailbox that it had not read for $history.
-- Interval: of the record with which the account reaches the floor.
-- Reads:    mail_access(event_id, event_time, tenant, actor, mailbox, logon_type,
--           logon_sid, owner_sid, access_type, items, folder, app_id, ip_address,
--           client_info),
--           mail_changes(event_id, event_time, tenant, activity, actor, is_success,
--           mailbox, grantee, rights, app_id, permissions, properties)
-- Params:   $start, $end    timestamptz; the interval [start, end)
--           $staged_from    timestamptz; from here on all records are staged
--           $history        interval; how long the account must not have read it
--           $within         interval; how soon after its first record the floor counts
--           $minRecords     number; the floor; a Sync reaches it at once, because it
--                           takes a whole folder
--           $appRoles       texts; roles with which an application reads all mailboxes

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
),

started as (
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
        count(distinct coalesce(folder, '')) filter (
            where access_type = 'Sync'
        ) as folders,
        first(app_id order by event_time, event_id) as app_id,
        first(ip_address order by event_time, event_id) as ip_address,
        list_sort(list_distinct(list(ip_address))) as ip_addresses,
        list_sort(list_distinct(list(client_info))) as clients,
        min(logon_type) as logon_type,
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
        and min(event_time) filter (where reached >= $minRecords)
        <= first_time + $within
),

-- Who was let into which mailboxes, and applications into all.
grants as (
    select
        tenant,
        event_id,
        event_time,
        actor as granted_by,
        coalesce(rights, array_to_string(permissions, ' ')) as granted_rights,
        coalesce(mailbox, '') as opened,
        contains(activity, 'managementroleassignment')
        or contains(activity, 'app role') as is_for_all,
        coalesce(regexp_extract(grantee, '([^\\/]*)$', 1), app_id) as let_in
    from mail_changes
    where
        event_time >= $start - $history
        and event_time < $end
        and is_success
        and lower(coalesce(properties['deny'], '')) not in ('true', '$true')
        and (
            regexp_matches(activity, '(mailbox|folder)permissions?$')
            or (
                contains(activity, 'managementroleassignment')
                and contains(rights, 'applicationimpersonation')
            )
            or (
                contains(activity, 'app role')
                and list_has_any(permissions, $appRoles)
            )
        )
),

granted as (
    select
        started.*,
        grants.event_id as grant_id,
        grants.event_time as granted_at,
        grants.granted_by,
        grants.granted_rights
    from started
    left join grants
        on
            started.tenant = grants.tenant
            and started.end_time >= grants.event_time
            and (
                grants.let_in in (started.actor, started.app_id)
                -- Exchange writes an alias in place of an address.
                or (
                    not contains(grants.let_in, '@')
                    and grants.let_in = split_part(started.actor, '@', 1)
                )
            )
            and (
                grants.is_for_all
                or started.mailbox = grants.opened
                or split_part(started.mailbox, '@', 1) = grants.opened
            )
    -- The newest one for this mailbox, else for all.
    qualify row_number() over (
        partition by started.tenant, started.actor, started.mailbox, started.start_time
        order by grants.is_for_all asc, grants.event_time desc, grants.event_id asc
    ) = 1
)

select
    * exclude (evidence, grant_id),
    concat(
        actor, ' had not read ', mailbox, ' before; ',
        case
            when grant_id is null then 'no grant seen'
            else
                concat(
                    granted_rights,
                    ' given by ',
                    case granted_by when actor then 'itself' else granted_by end,
                    ' on ',
                    strftime(granted_at at time zone 'UTC', '%Y-%m-%d %H:%M UTC')
                )
        end
    ) as reason,
    list_concat(
        evidence,
        case
            when grant_id is not null
                then [
                    struct_pack(
                        role := 'grant',
                        source_table := 'CloudAppEvents',
                        event_id := grant_id
                    )
                ]
        end
    ) as evidence
from granted
order by start_time, tenant, actor, mailbox
