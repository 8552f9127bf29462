-- Mailboxes read so much that Exchange stopped recording who reads them.
--
-- Grain:    one row per mailbox and first record that says so; others in the time that
--           the recording stays off belong to it.
-- Interval: of that first record.
-- Reads:    mail_access(event_id, event_time, tenant, mailbox, items, is_throttled, …),
--           mail_access_contexts(tenant, entity, kind, value, first_time)
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
),

marks as (
    select *
    from records
    where
        is_throttled
        and event_time >= $start
        and (last_throttled is null or last_throttled + $silence <= event_time)
),

-- Who made the records before: the mark itself is only one of them.
parts as (
    select
        marks.tenant,
        marks.mailbox,
        marks.event_id,
        marks.event_time,
        unnest(['session', 'address', 'application']) as aspect,
        unnest([
            coalesce(
                nullif(earlier_records.session_id, ''), earlier_records.aad_session_id
            ),
            earlier_records.ip_address,
            coalesce(earlier_records.app_id, earlier_records.record_app_id)
        ]) as named,
        unnest([
            coalesce(
                nullif(earlier_records.session_id, ''), earlier_records.aad_session_id
            ),
            earlier_records.network,
            coalesce(earlier_records.app_id, earlier_records.record_app_id)
        ]) as known_as
    from marks
    inner join records as earlier_records
        on
            marks.tenant = earlier_records.tenant
            and marks.mailbox = earlier_records.mailbox
            and marks.event_time >= earlier_records.event_time
            and marks.event_time - $silence <= earlier_records.event_time
),

counted as (
    select
        tenant,
        mailbox,
        event_id,
        event_time,
        aspect,
        named,
        min(known_as) as known_as,
        count(*) as records,
        sum(count(*)) over (
            partition by tenant, mailbox, event_id, aspect
        ) as all_records,
        row_number() over (
            partition by tenant, mailbox, event_id, aspect
            order by count(*) desc, named asc
        ) as place
    from parts
    where named is not null
    group by tenant, mailbox, event_id, event_time, aspect, named
),

-- The first time of each context of these mailboxes; `*` is the mailbox itself.
firsts as (
    select
        tenant,
        entity as mailbox,
        kind,
        value,
        min(first_time) as first_time
    from mail_access_contexts
    where
        kind in ('*', 'session_id', 'network', 'app_id')
        and exists (
            select 1
            from cut_off
            where
                cut_off.tenant = mail_access_contexts.tenant
                and cut_off.mailbox = mail_access_contexts.entity
        )
    group by tenant, entity, kind, value
),

ranked as (
    select
        counted.*,
        -- Nothing is new to a mailbox that was not known before itself.
        case
            when
                counted.known_as is not null
                and own.first_time < counted.event_time - $silence
                then coalesce(
                    firsts.first_time >= counted.event_time - $silence, true
                )
        end as is_new
    from counted
    left join firsts
        on
            counted.tenant = firsts.tenant
            and counted.mailbox = firsts.mailbox
            and counted.known_as = firsts.value
            and firsts.kind = case counted.aspect
                when 'session' then 'session_id'
                when 'address' then 'network'
                else 'app_id'
            end
    left join firsts as own
        on
            counted.tenant = own.tenant
            and counted.mailbox = own.mailbox
            and own.kind = '*'
    where counted.place <= 3
),

tops as (
    select
        tenant,
        mailbox,
        event_id,
        aspect,
        list(
            struct_pack(
                value := named,
                records := records,
                share := round(records / all_records, 4),
                is_new := is_new
            )
            order by place asc
        ) as top_parts,
        first(records order by place asc) filter (where place = 1 and is_new)
            as most_new
    from ranked
    group by tenant, mailbox, event_id, aspect
)

select
    marks.tenant,
    marks.mailbox,
    marks.event_id as record_event_id,
    marks.event_time as start_time,
    marks.event_time as end_time,
    marks.app_id,
    marks.ip_address,
    marks.actor,
    marks.access_type,
    marks.client_info,
    marks.records,
    marks.items_read,
    sessions.top_parts as top_session,
    addresses.top_parts as top_address,
    applications.top_parts as top_application,
    concat(
        'Exchange stopped recording who reads ', marks.mailbox, ' after ',
        marks.records, ' records in ', $silence,
        '; new to the mailbox: ' || nullif(concat_ws(
            ', ',
            'the session of ' || sessions.most_new || ' of them',
            'the network of ' || addresses.most_new || ' of them',
            'the application of ' || applications.most_new || ' of them'
        ), '')
    ) as reason,
    [struct_pack(
        role := 'throttled',
        source_table := 'CloudAppEvents',
        event_id := marks.event_id
    )] as evidence
from marks
left join tops as sessions
    on
        marks.tenant = sessions.tenant
        and marks.mailbox = sessions.mailbox
        and marks.event_id = sessions.event_id
        and sessions.aspect = 'session'
left join tops as addresses
    on
        marks.tenant = addresses.tenant
        and marks.mailbox = addresses.mailbox
        and marks.event_id = addresses.event_id
        and addresses.aspect = 'address'
left join tops as applications
    on
        marks.tenant = applications.tenant
        and marks.mailbox = applications.mailbox
        and marks.event_id = applications.event_id
        and applications.aspect = 'application'
order by start_time, marks.tenant, marks.mailbox
