-- Audit of mailboxes that is switched off, bypassed, or no longer records reads.
--
-- Grain:    one row per account that changes it, and interval.
-- Interval: of the changes.
-- Reads:    mail_changes(event_id, event_time, tenant, activity, actor, is_success,
--           mailbox, properties, ip_address, country)
-- Params:   $start, $end   timestamptz; the interval [start, end)

with changes as (
    select
        *,
        lower(concat_ws(
            ' ', properties['auditowner'], properties['auditdelegate'],
            properties['auditadmin']
        )) as recorded
    from mail_changes
    where event_time >= $start and event_time < $end and is_success
),

weakened as (
    select
        *,
        case
            when
                activity = 'set-mailboxauditbypassassociation'
                and lower(properties['auditbypassenabled']) in ('true', '$true', '1')
                then 'bypass'
            when
                activity = 'set-adminauditlogconfig'
                and (
                    lower(properties['unifiedauditlogingestionenabled'])
                    in ('false', '$false', '0')
                    or lower(properties['adminauditlogenabled'])
                    in ('false', '$false', '0')
                ) then 'tenant'
            when
                activity = 'set-organizationconfig'
                and lower(properties['auditdisabled']) in ('true', '$true', '1')
                then 'tenant'
            when
                activity = 'set-mailbox'
                and lower(properties['auditenabled']) in ('false', '$false', '0')
                then 'mailbox'
            -- A list is given whole, or as what is added or removed.
            when
                activity = 'set-mailbox'
                and trim(recorded) <> ''
                and case
                    when contains(recorded, 'remove')
                        then regexp_matches(recorded, 'remove\W+[^}]*mailitemsaccessed')
                    else
                        not contains(recorded, 'mailitemsaccessed')
                        and not regexp_matches(recorded, 'add\W*=')
                end then 'reads'
        end as effect
    from changes
),

summed as (
    select
        tenant,
        actor,
        min(event_time) as start_time,
        max(event_time) as end_time,
        first(ip_address order by event_time, event_id) as ip_address,
        first(country order by event_time, event_id) as country,
        list_sort(list_distinct(list(effect))) as effects,
        list_sort(list_distinct(list(mailbox) filter (where effect <> 'tenant')))
            as mailboxes,
        list(
            struct_pack(
                role := effect, source_table := 'CloudAppEvents', event_id := event_id
            )
            order by event_time, event_id
        ) as evidence
    from weakened
    where effect is not null
    group by tenant, actor
)

select
    tenant,
    actor,
    $start as interval_start,
    start_time,
    end_time,
    split_part(actor, '@', 1) as account_name,
    case when len(mailboxes) = 1 then mailboxes[1] end as mailbox,
    coalesce(mailboxes, []) as mailboxes,
    effects,
    ip_address,
    country,
    case when list_has_any(effects, ['bypass', 'tenant']) then 'high' else 'medium' end
        as severity,
    concat_ws(
        ', ',
        case
            when
                list_contains(effects, 'tenant')
                then 'the audit of the whole tenant is off'
        end,
        case
            when list_contains(effects, 'bypass')
                then 'what an account does in mailboxes is no longer recorded'
        end,
        case
            when list_contains(effects, 'mailbox') then 'the audit of a mailbox is off'
        end,
        case
            when
                list_contains(effects, 'reads')
                then 'reads of a mailbox are not recorded'
        end
    ) as reason,
    evidence
from summed
order by start_time, tenant, actor
