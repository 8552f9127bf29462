-- Mail read per mailbox and hour.
--
-- Grain:    one row per tenant, mailbox and hour that has records; items are what Bind
--           records tell, folders are what Sync records took whole.
-- Interval: hours of [start, end).
-- Reads:    mail_access(event_time, tenant, mailbox, access_type, items, folder,
--           is_throttled)
-- Params:   $start, $end   timestamptz; the interval [start, end)

select
    date_trunc('hour', event_time) as hour,
    tenant,
    mailbox,
    cast(coalesce(sum(items), 0) as bigint) as items,
    count(*) as records,
    count(distinct coalesce(folder, '')) filter (where access_type = 'Sync') as folders,
    bool_or(is_throttled) as throttled
from mail_access
where
    event_time >= $start
    and event_time < $end
group by all
order by hour, tenant, mailbox
