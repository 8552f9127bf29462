-- Applications that read mail in a new way, or from many more mailboxes than before.
--
-- Grain:    one row per application whose access is new to the tenant: the application
--           itself, its combination of ids, client and mode, or its reach.
-- Interval: of the records; one row for each interval in which something is new.
-- Reads:    mail_access(event_id, event_time, tenant, mailbox, actor, app_id,
--           record_app_id, client_family, access_mode, items, ip_address, country),
--           mail_access_contexts(tenant, entity, kind, value, first_time)
-- Params:   $start, $end    timestamptz; the interval [start, end)
--           $staged_from    timestamptz; from here on all records are staged
--           $history        interval; how long the tenant must be staged
--           $established    interval; a mailbox that is known for less is not counted
--           $growFrom       number; so many more mailboxes are growth, if they are
--                           as many as the application had before
--           $broadFrom      number; so many more mailboxes weigh more

with records as (
    select
        *,
        coalesce(nullif(app_id, ''), nullif(record_app_id, '')) as application,
        -- As the contexts of the stage write it.
        concat_ws(
            ' + ', coalesce(nullif(app_id, ''), '-'),
            coalesce(nullif(record_app_id, ''), '-'),
            coalesce(nullif(client_family, ''), '-'),
            coalesce(nullif(access_mode, ''), '-')
        ) as way
    from mail_access
    where
        event_time >= $start
        and event_time < $end
        and coalesce(nullif(app_id, ''), nullif(record_app_id, '')) is not null
        and $staged_from <= $start - $history
),

-- What anybody in the tenant had before, and how many.
familiar as (
    select
        tenant,
        kind,
        value,
        count(distinct entity) as mailboxes
    from mail_access_contexts
    where
        first_time < $start
        and kind in (
            'app_id', 'app_id + record_app_id + client_family + access_mode'
        )
    group by tenant, kind, value
),

ways as (
    select distinct
        tenant,
        application,
        way
    from records
    where not exists (
        select 1
        from familiar
        where
            familiar.kind = 'app_id + record_app_id + client_family + access_mode'
            and familiar.tenant = records.tenant
            and familiar.value = records.way
    )
),

new_ways as (
    select
        tenant,
        application,
        list(way order by way asc) as new_ways
    from ways
    group by tenant, application
),

-- Mailboxes known for long enough that did not have the application before.
reached as (
    select
        tenant,
        application,
        count(*) as mailboxes_new
    from (
        select distinct
            tenant,
            application,
            mailbox
        from records
        where mailbox <> ''
    ) as pairs
    where
        exists (
            select 1
            from mail_access_contexts as known
            where
                known.kind = '*'
                and known.first_time <= $start - $established
                and known.tenant = pairs.tenant
                and known.entity = pairs.mailbox
        )
        and not exists (
            select 1
            from mail_access_contexts as known
            where
                known.kind = 'app_id'
                and known.first_time < $start
                and known.tenant = pairs.tenant
                and known.entity = pairs.mailbox
                and known.value = pairs.application
        )
    group by tenant, application
),

summed as (
    select
        tenant,
        application,
        min(event_time) as start_time,
        max(event_time) as end_time,
        count(*) as records,
        cast(coalesce(sum(items), 0) as bigint) as items,
        count(distinct nullif(mailbox, '')) as mailboxes,
        first(mailbox order by event_time, event_id) as first_mailbox,
        first(actor order by event_time, event_id) as actor,
        first(ip_address order by event_time, event_id) as ip_address,
        first(country order by country is null, event_time, event_id) as country,
        bool_or(access_mode = 'app_only') as is_app_only,
        list(distinct client_family) filter (
            where client_family is not null
        ) as client_families,
        list(
            struct_pack(
                role := 'record', source_table := 'CloudAppEvents', event_id := event_id
            )
            order by event_time, event_id
        ) as evidence
    from records
    group by tenant, application
),

compared as (
    select
        summed.*,
        new_ways.new_ways,
        coalesce(familiar.mailboxes, 0) as mailboxes_before,
        coalesce(reached.mailboxes_new, 0) as mailboxes_new,
        familiar.value is null as is_new_app,
        familiar.value is not null and new_ways.new_ways is not null as is_new_way
    from summed
    left join new_ways
        on
            summed.tenant = new_ways.tenant
            and summed.application = new_ways.application
    left join reached
        on
            summed.tenant = reached.tenant and summed.application = reached.application
    left join familiar
        on
            summed.tenant = familiar.tenant
            and familiar.kind = 'app_id'
            and summed.application = familiar.value
),

judged as (
    select
        *,
        not is_new_app
        and mailboxes_new >= greatest($growFrom, mailboxes_before) as is_growth
    from compared
),

scored as (
    select
        *,
        4 * cast(is_new_app as integer)
        + 2 * cast(is_new_way as integer)
        + 4 * cast(is_growth as integer)
        + 2 * cast(coalesce(is_app_only, false) as integer)
        + 2 * cast(mailboxes_new >= $broadFrom as integer) as points
    from judged
    where is_new_app or is_new_way or is_growth
)

select
    $start as interval_start,
    tenant,
    application as app_id,
    start_time,
    end_time,
    -- An application that reads one mailbox is about that one.
    case when mailboxes = 1 then first_mailbox end as mailbox,
    actor,
    ip_address,
    country,
    records,
    items,
    mailboxes,
    mailboxes_before,
    mailboxes_new,
    coalesce(is_app_only, false) as is_app_only,
    is_new_app,
    is_new_way,
    is_growth,
    list_sort(client_families) as client_families,
    new_ways[1:5] as new_ways,
    cast(points as double) as score,
    case
        when points >= 6 then 'high'
        when points >= 4 then 'medium'
        else 'low'
    end as severity,
    concat_ws(
        ', ',
        case when is_new_app then 'new to the tenant' end,
        case
            when is_new_way
                then 'known with other ids, another client or another mode'
        end,
        case
            when is_growth
                then concat(
                    'reads ', mailboxes_new, ' mailboxes that it did not, after ',
                    mailboxes_before
                )
            when mailboxes = 1 then 'reads one mailbox'
            else concat('reads ', mailboxes, ' mailboxes')
        end,
        case when is_app_only then 'without a user' end
    ) as reason,
    evidence
from scored
order by start_time, tenant, app_id
