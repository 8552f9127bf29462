-- Client applications that start to read mail.
--
-- Grain:    one row per application that the tenant had not seen for $history (high),
--           and one per mailbox that had not seen it while few others had (low).
-- Interval: of the application's first record there.
-- Reads:    mail_access(event_id, event_time, tenant, mailbox, app_id, actor, items,
--           ip_address, client_info)
-- Params:   $start, $end    timestamptz; the interval [start, end)
--           $staged_from    timestamptz; from here on all records are staged
--           $history        interval; how long the application must not have been seen
--           $established    interval; how long a mailbox must have been read for
--           $commonFrom     number; an application in so many mailboxes is common

-- From here on days stand for their records, which is exact while $history is longer.
with days as (
    select
        tenant,
        mailbox,
        app_id,
        event_time >= $start as is_inside,
        cast(event_time as date) as utc_day,
        min(event_time) as first_time,
        max(event_time) as last_time
    from mail_access
    where
        event_time >= $start - $history
        and event_time < $end
        and $staged_from <= $start - $history
    group by all
),

uses as (
    select
        tenant,
        mailbox,
        app_id,
        min(first_time) filter (where is_inside) as first_time,
        max(last_time) filter (where not is_inside) as last_before
    from days
    where app_id is not null
    group by all
),

arrivals as (
    select
        tenant,
        '*' as scope,
        app_id,
        min(first_time) as first_time
    from uses
    group by tenant, app_id
    having
        min(first_time) is not null
        and coalesce(max(last_before) < min(first_time) - $history, true)
    union all
    select
        tenant,
        mailbox as scope,
        app_id,
        first_time
    from uses
    where
        first_time is not null
        and mailbox <> ''
        and coalesce(last_before < first_time - $history, true)
),

spread as (
    select
        arrivals.tenant,
        arrivals.scope,
        arrivals.app_id,
        arrivals.first_time,
        arrivals.first_time - $established as known_until,
        arrivals.first_time - $history as known_from,
        count(distinct days.mailbox) filter (
            where days.first_time < arrivals.first_time
        ) as mailboxes_before
    from arrivals
    inner join days
        on
            arrivals.tenant = days.tenant
            and arrivals.app_id = days.app_id
            and arrivals.first_time <= days.last_time + $history
    group by all
),

new_apps as (
    select *
    from spread
    where
        scope = '*'
        or (
            mailboxes_before between 1 and $commonFrom - 1
            and exists (
                select 1
                from days
                where
                    days.tenant = spread.tenant
                    and days.mailbox = spread.scope
                    and days.first_time <= spread.known_until
                    and days.last_time >= spread.known_from
            )
        )
)

select
    new_apps.tenant,
    new_apps.scope,
    new_apps.app_id,
    first(mail.mailbox order by mail.event_time, mail.event_id) as mailbox,
    first(mail.actor order by mail.event_time, mail.event_id) as actor,
    first(mail.ip_address order by mail.event_time, mail.event_id) as ip_address,
    first(mail.client_info order by mail.event_time, mail.event_id) as client_info,
    new_apps.first_time as start_time,
    max(mail.event_time) as end_time,
    count(*) as records,
    cast(coalesce(sum(mail.items), 0) as bigint) as items,
    count(distinct mail.mailbox) as mailboxes,
    new_apps.mailboxes_before,
    case when new_apps.scope = '*' then 'high' else 'low' end as severity,
    case
        when new_apps.scope = '*' then 'no mailbox of the tenant had seen it before'
        else 'new to this mailbox, and few others had seen it before'
    end as reason,
    list(
        struct_pack(
            role := 'record',
            source_table := 'CloudAppEvents',
            event_id := mail.event_id
        )
        order by mail.event_time, mail.event_id
    ) as evidence
from new_apps
inner join mail_access as mail
    on
        new_apps.tenant = mail.tenant
        and new_apps.app_id = mail.app_id
        and (new_apps.scope = '*' or new_apps.scope = mail.mailbox)
where
    mail.event_time >= $start
    and mail.event_time < $end
group by
    new_apps.tenant,
    new_apps.scope,
    new_apps.app_id,
    new_apps.first_time,
    new_apps.mailboxes_before
order by start_time, new_apps.tenant, new_apps.scope, new_apps.app_id
