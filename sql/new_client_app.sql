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

with uses as (
    select
        tenant,
        mailbox,
        app_id,
        min(case when event_time >= $start then event_time end) as first_time,
        max(case when event_time < $start then event_time end) as last_before
    from mail_access
    where
        event_time >= $start - $history
        and event_time < $end
        and $staged_from <= $start - $history
        and app_id is not null
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
    -- Behind so many others it is common.
    qualify rank() over (
        partition by tenant, app_id order by first_time
    ) <= $commonFrom
),

spread as (
    select
        arrivals.tenant,
        arrivals.scope,
        arrivals.app_id,
        arrivals.first_time,
        arrivals.first_time - $established as known_until,
        arrivals.first_time - $history as known_from,
        count(*) filter (
            where uses.first_time < arrivals.first_time
            or uses.last_before >= arrivals.first_time - $history
        ) as mailboxes_before
    from arrivals
    inner join uses
        on arrivals.tenant = uses.tenant and arrivals.app_id = uses.app_id
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
                from mail_access as mail
                where
                    mail.event_time >= $start - $history
                    and mail.event_time < $end
                    and mail.tenant = spread.tenant
                    and mail.mailbox = spread.scope
                    and mail.event_time <= spread.known_until
                    and mail.event_time >= spread.known_from
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
