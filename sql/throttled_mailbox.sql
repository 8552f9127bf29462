-- Mailboxes read so much that Exchange stopped recording who reads them.
--
-- Grain:    one row per mailbox and first record that says so; others in the time that
--           the recording stays off belong to it.
-- Interval: of that first record.
-- Reads:    mail_access(event_id, event_time, tenant, mailbox, items, is_throttled, …)
-- Params:   $start, $end   timestamptz; the interval [start, end)
--           $silence       interval; how long the recording stays off

-- Few mailboxes are ever cut off; only theirs are counted.
with cut_off as (
    select distinct
        tenant,
        mailbox
    from mail_access
    where
        is_throttled
        and event_time >= $start
        and event_time < $end
),

records as (
    select
        *,
        count(*) over before as records,
        cast(coalesce(sum(items) over before, 0) as bigint) as items_read,
        max(event_time) filter (where is_throttled) over earlier as last_throttled
    from mail_access
    where
        event_time >= $start - $silence
        and event_time < $end
        and exists (
            select 1
            from cut_off
            where
                cut_off.tenant = mail_access.tenant
                and cut_off.mailbox = mail_access.mailbox
        )
    window
        before as (
            partition by tenant, mailbox order by event_time
            range between $silence preceding and current row
        ),
        earlier as (
            partition by tenant, mailbox order by event_time, event_id
            rows between unbounded preceding and 1 preceding
        )
)

select
    tenant,
    mailbox,
    event_id as record_event_id,
    event_time as start_time,
    event_time as end_time,
    app_id,
    ip_address,
    actor,
    access_type,
    client_info,
    records,
    items_read,
    concat(
        'Exchange stopped recording who reads ', mailbox, ' after ', records,
        ' records in ', $silence
    ) as reason,
    [struct_pack(
        role := 'throttled', source_table := 'CloudAppEvents', event_id := event_id
    )] as evidence
from records
where
    is_throttled
    and event_time >= $start
    and (last_throttled is null or last_throttled + $silence <= event_time)
order by start_time, tenant, mailbox
