-- Mail read per mailbox and hour, and how much of it from something new to the mailbox.
--
-- Grain:    one row per tenant, mailbox and hour that has records; items are what Bind
--           records tell, folders are what Sync records took whole. The columns of new
--           things are items, and null until the mailbox is known well enough; what is
--           new is rare, too, where few mailboxes of the tenant had it a while before.
-- Interval: hours of [start, end).
-- Reads:    mail_access(event_time, tenant, mailbox, access_type, items, folder,
--           is_throttled, network, isp, country, app_id, record_app_id),
--           mail_access_contexts(tenant, entity, kind, value, first_time)
-- Params:   $start, $end    timestamptz; the interval [start, end)
--           $established    interval; how long a mailbox must be known
--           $fresh          interval; how long something is new after it was first seen
--           $few            number; so many mailboxes have what is rare, at most

with learned as (
    select
        tenant,
        entity as mailbox,
        min(first_time) + $established as learned_at
    from mail_access_contexts
    where kind = '*'
    group by tenant, entity
),

-- What is new to mailboxes that are known well enough.
fresh as materialized (
    select
        tenant,
        entity as mailbox,
        kind,
        value,
        min(first_time) as first_time
    from mail_access_contexts as known
    where
        kind in ('network', 'isp', 'country', 'app_id')
        and first_time >= $start - $fresh
        and first_time < $end
        and exists (
            select 1
            from learned
            where
                learned.learned_at < $end
                and learned.tenant = known.tenant
                and learned.mailbox = known.entity
        )
        and not exists (
            select 1
            from mail_access_contexts as older
            where
                older.first_time < $start - $fresh
                and older.kind = known.kind
                and older.tenant = known.tenant
                and older.entity = known.entity
                and older.value = known.value
        )
    group by tenant, entity, kind, value
),

-- Since when each mailbox of the tenant has what is new to one of them.
owned as (
    select
        tenant,
        kind,
        value,
        min(first_time) as first_time
    from mail_access_contexts as known
    where
        kind in ('network', 'isp', 'country', 'app_id')
        and exists (
            select 1
            from fresh
            where
                fresh.kind = known.kind
                and fresh.tenant = known.tenant
                and fresh.value = known.value
        )
    group by tenant, entity, kind, value
),

-- Since when more than a few have it, or null.
spread as (
    select
        tenant,
        kind,
        value,
        list_sort(list(first_time))[cast($few as bigint) + 1] as common_since
    from owned
    group by tenant, kind, value
),

novel as materialized (
    select
        fresh.*,
        spread.common_since
    from fresh
    inner join spread
        on
            fresh.tenant = spread.tenant
            and fresh.kind = spread.kind
            and fresh.value = spread.value
),

-- Records of mailboxes that have something new: for how long they had what is new.
compared as (
    select
        records.tenant,
        records.mailbox,
        date_trunc('hour', records.event_time) as hour,
        records.items,
        records.event_time - networks.first_time as network_age,
        records.event_time - networks.common_since as network_common,
        records.event_time - providers.first_time as provider_age,
        records.event_time - providers.common_since as provider_common,
        records.event_time - countries.first_time as country_age,
        records.event_time - countries.common_since as country_common,
        records.event_time - apps.first_time as app_age,
        records.event_time - apps.common_since as app_common
    from mail_access as records
    left join novel as networks
        on
            networks.kind = 'network'
            and records.tenant = networks.tenant
            and records.mailbox = networks.mailbox
            and records.network = networks.value
    left join novel as providers
        on
            providers.kind = 'isp'
            and records.tenant = providers.tenant
            and records.mailbox = providers.mailbox
            and records.isp = providers.value
    left join novel as countries
        on
            countries.kind = 'country'
            and records.tenant = countries.tenant
            and records.mailbox = countries.mailbox
            and records.country = countries.value
    left join novel as apps
        on
            apps.kind = 'app_id'
            and records.tenant = apps.tenant
            and records.mailbox = apps.mailbox
            and apps.value = coalesce(
                nullif(records.app_id, ''), nullif(records.record_app_id, '')
            )
    where
        records.event_time >= $start
        and records.event_time < $end
        and exists (
            select 1
            from fresh
            where fresh.tenant = records.tenant and fresh.mailbox = records.mailbox
        )
),

news as (
    select
        tenant,
        mailbox,
        hour,
        sum(items) filter (where network_age < $fresh) as new_network,
        sum(items) filter (
            where network_age < $fresh and coalesce(network_common < $fresh, true)
        ) as rare_network,
        sum(items) filter (where provider_age < $fresh) as new_provider,
        sum(items) filter (
            where provider_age < $fresh and coalesce(provider_common < $fresh, true)
        ) as rare_provider,
        sum(items) filter (where country_age < $fresh) as new_country,
        sum(items) filter (
            where country_age < $fresh and coalesce(country_common < $fresh, true)
        ) as rare_country,
        sum(items) filter (where app_age < $fresh) as new_app,
        sum(items) filter (
            where app_age < $fresh and coalesce(app_common < $fresh, true)
        ) as rare_app
    from compared
    group by tenant, mailbox, hour
),

counted as (
    select
        date_trunc('hour', event_time) as hour,
        tenant,
        mailbox,
        cast(coalesce(sum(items), 0) as bigint) as items,
        count(*) as records,
        count(distinct coalesce(folder, '')) filter (
            where access_type = 'Sync'
        ) as folders,
        bool_or(is_throttled) as throttled
    from mail_access
    where
        event_time >= $start
        and event_time < $end
    group by all
)

select
    counted.*,
    case
        when learned.learned_at <= counted.hour
            then cast(coalesce(news.new_network, 0) as bigint)
    end as new_network,
    case
        when learned.learned_at <= counted.hour
            then cast(coalesce(news.new_provider, 0) as bigint)
    end as new_provider,
    case
        when learned.learned_at <= counted.hour
            then cast(coalesce(news.new_country, 0) as bigint)
    end as new_country,
    case
        when learned.learned_at <= counted.hour
            then cast(coalesce(news.new_app, 0) as bigint)
    end as new_app,
    case
        when learned.learned_at <= counted.hour
            then cast(coalesce(news.rare_network, 0) as bigint)
    end as rare_network,
    case
        when learned.learned_at <= counted.hour
            then cast(coalesce(news.rare_provider, 0) as bigint)
    end as rare_provider,
    case
        when learned.learned_at <= counted.hour
            then cast(coalesce(news.rare_country, 0) as bigint)
    end as rare_country,
    case
        when learned.learned_at <= counted.hour
            then cast(coalesce(news.rare_app, 0) as bigint)
    end as rare_app
from counted
left join learned
    on counted.tenant = learned.tenant and counted.mailbox = learned.mailbox
left join news
    on
        counted.tenant = news.tenant
        and counted.mailbox = news.mailbox
        and counted.hour = news.hour
order by counted.hour, counted.tenant, counted.mailbox
