-- Mail read from a network from which the mailbox was never read before.
--
-- Grain:    one row per mailbox, network and interval, where enough about it is new.
-- Interval: of the first record from that network.
-- Reads:    mail_access(event_id, event_time, tenant, mailbox, actor, network,
--           ip_address, isp, country, is_anonymous_proxy, client_family, app_id,
--           record_app_id, session_id, aad_session_id, access_type, items, folder),
--           mail_access_contexts(tenant, entity, kind, value, first_time)
-- Params:   $start, $end    timestamptz; the interval [start, end)
--           $staged_from    timestamptz; from here on all records are staged
--           $history        interval; how long the tenant must be staged
--           $established    interval; how long the mailbox must be known
--           $minDays        number; on how many days the mailbox must have been read
--           $within         interval; how long before $start a session may have been
--                           used from another network
--           $siteFrom       number; a network new to so many mailboxes is a new site
--           $minPoints      number; how much must be new

with records as (
    select
        *,
        coalesce(app_id, record_app_id) as application,
        coalesce(nullif(session_id, ''), aad_session_id) as session_key
    from mail_access
    where
        event_time >= $start - $within
        and event_time < $end
        and mailbox <> ''
        and network is not null
        and $staged_from <= $start - $history
),

places as (
    select
        tenant,
        mailbox,
        network,
        min(event_time) as first_time
    from records
    where event_time >= $start
    group by tenant, mailbox, network
),

new_places as (
    select *
    from places
    where not exists (
        select 1
        from mail_access_contexts as known
        where
            known.kind = 'network'
            and known.first_time < $start
            and known.tenant = places.tenant
            and known.entity = places.mailbox
            and known.value = places.network
    )
),

-- What these mailboxes were read from and with before.
habits as (
    select
        tenant,
        entity as mailbox,
        min(first_time) filter (where kind = '*') + $established as learned_at,
        list(distinct value) filter (where kind = 'country') as countries,
        list(distinct value) filter (where kind = 'isp') as isps,
        list(distinct value) filter (where kind = 'client_family') as families,
        list(distinct value) filter (where kind = 'app_id') as apps,
        list(distinct value) filter (where kind = 'session_id') as sessions
    from mail_access_contexts as known
    where
        first_time < $start
        and exists (
            select 1
            from new_places
            where new_places.tenant = known.tenant and new_places.mailbox = known.entity
        )
    group by tenant, entity
    having count(*) filter (where kind = '*') >= $minDays
),

-- What any mailbox of the tenant was read from before.
familiar as (
    select distinct
        tenant,
        kind,
        value
    from mail_access_contexts
    where first_time < $start and kind in ('network', 'isp', 'country')
),

learned as (
    select
        new_places.*,
        habits.countries,
        habits.isps,
        habits.families,
        habits.apps,
        habits.sessions,
        count(*) over (partition by new_places.tenant, new_places.network) as mailboxes
    from new_places
    inner join habits
        on new_places.tenant = habits.tenant and new_places.mailbox = habits.mailbox
    where habits.learned_at <= new_places.first_time
),

-- When sessions were used from where; phones keep theirs while they move.
used as (
    select
        tenant,
        mailbox,
        session_key,
        network,
        isp,
        country,
        min(event_time) as used_from,
        max(event_time) as used_until
    from records
    where session_key is not null and client_family is distinct from 'mobile'
    group by tenant, mailbox, session_key, network, isp, country
),

hopped as (
    select
        here.tenant,
        here.mailbox,
        here.network,
        min(there.network) as other_network,
        -- Nobody is in two countries on one day, or in two places at once.
        coalesce(bool_or(
            here.country <> there.country
            or greatest(here.used_from, there.used_from)
            <= least(here.used_until, there.used_until)
        ), false) as is_in_two_places
    from used as here
    inner join used as there
        on
            here.tenant = there.tenant
            and here.mailbox = there.mailbox
            and here.session_key = there.session_key
            and here.network <> there.network
            and coalesce(here.isp <> there.isp, true)
    group by here.tenant, here.mailbox, here.network
),

summed as (
    select
        tenant,
        mailbox,
        network,
        max(event_time) as end_time,
        count(*) as records,
        cast(coalesce(sum(items), 0) as bigint) as items,
        count(distinct coalesce(folder, '')) filter (
            where access_type = 'Sync'
        ) as folders,
        first(actor order by event_time, event_id) as actor,
        first(ip_address order by event_time, event_id) as ip_address,
        first(isp order by isp is null, event_time, event_id) as isp,
        first(country order by country is null, event_time, event_id) as country,
        first(client_family order by event_time, event_id) as client_family,
        first(application order by event_time, event_id) as app_id,
        first(
            session_key order by session_key is null, event_time, event_id
        ) as session_id,
        coalesce(bool_or(is_anonymous_proxy), false) as is_anonymous_proxy,
        list(
            struct_pack(
                role := 'record', source_table := 'CloudAppEvents', event_id := event_id
            )
            order by event_time, event_id
        ) as evidence
    from records
    where
        event_time >= $start
        and exists (
            select 1
            from learned
            where
                learned.tenant = records.tenant
                and learned.mailbox = records.mailbox
                and learned.network = records.network
        )
    group by tenant, mailbox, network
),

compared as (
    select
        summed.*,
        learned.first_time,
        learned.mailboxes,
        learned.countries as usual_countries,
        learned.isps as usual_providers,
        hopped.other_network,
        coalesce(hopped.is_in_two_places, false) as is_in_two_places,
        coalesce(not list_contains(learned.countries, summed.country), false)
            as is_new_country,
        coalesce(not list_contains(learned.isps, summed.isp), false) as is_new_provider,
        coalesce(
            not list_contains(learned.families, summed.client_family)
            or not list_contains(learned.apps, summed.app_id),
            false
        ) as is_new_client,
        -- A phone that goes on with its session has only moved.
        coalesce(
            summed.client_family = 'mobile'
            and list_contains(learned.sessions, summed.session_id),
            false
        ) as has_moved
    from summed
    inner join learned
        on
            summed.tenant = learned.tenant
            and summed.mailbox = learned.mailbox
            and summed.network = learned.network
    left join hopped
        on
            summed.tenant = hopped.tenant
            and summed.mailbox = hopped.mailbox
            and summed.network = hopped.network
),

weighed as (
    select
        compared.*,
        network_known.value is null as is_new_to_tenant,
        compared.is_new_country and country_known.value is null as is_country_of_nobody,
        compared.is_new_provider
        and provider_known.value is null as is_provider_of_nobody
    from compared
    left join familiar as network_known
        on
            compared.tenant = network_known.tenant
            and network_known.kind = 'network'
            and compared.network = network_known.value
    left join familiar as country_known
        on
            compared.tenant = country_known.tenant
            and country_known.kind = 'country'
            and compared.country = country_known.value
    left join familiar as provider_known
        on
            compared.tenant = provider_known.tenant
            and provider_known.kind = 'isp'
            and compared.isp = provider_known.value
),

scored as (
    select
        *,
        mailboxes between 2 and $siteFrom - 1 as is_spread,
        2 * cast(is_new_country as integer)
        + cast(is_country_of_nobody as integer)
        + cast(is_new_provider as integer)
        + cast(is_provider_of_nobody as integer)
        + cast(is_new_to_tenant as integer)
        + cast(is_new_client as integer)
        + 2 * cast(is_anonymous_proxy as integer)
        + cast(other_network is not null as integer)
        + 2 * cast(is_in_two_places as integer)
        + 2 * cast(folders > 0 as integer)
        + 2 * cast(is_spread as integer)
        - 2 * cast(has_moved as integer) as points
    from weighed
)

select
    tenant,
    mailbox,
    network,
    $start as interval_start,
    first_time as start_time,
    end_time,
    ip_address,
    isp,
    country,
    client_family,
    app_id,
    session_id,
    actor,
    records,
    items,
    folders,
    mailboxes,
    other_network,
    is_in_two_places,
    is_anonymous_proxy,
    is_new_country,
    is_new_provider,
    is_new_client,
    is_new_to_tenant,
    list_sort(usual_countries) as usual_countries,
    list_sort(usual_providers)[1:10] as usual_providers,
    cast(points as double) as score,
    case
        when points >= 8 then 'high'
        when points >= 6 then 'medium'
        else 'low'
    end as severity,
    concat_ws(
        ', ',
        'read from a network that is new to the mailbox',
        case
            when is_country_of_nobody then 'in a country new to the tenant'
            when is_new_country then 'in a country new to the mailbox'
        end,
        case
            when is_provider_of_nobody then 'of a provider new to the tenant'
            when is_new_provider then 'of a provider new to the mailbox'
        end,
        case when is_new_client then 'with a client new to the mailbox' end,
        case when is_anonymous_proxy then 'through an anonymous proxy' end,
        'in a session that is also used from ' || other_network,
        case when folders > 0 then 'taking whole folders' end,
        case when is_spread then 'as are ' || (mailboxes - 1) || ' others' end
    ) as reason,
    evidence
from scored
where points >= $minPoints
order by start_time, tenant, mailbox, network
