-- Searches of mailboxes with eDiscovery, and what is exported or purged of them.
--
-- Grain:    one row per account and interval; of an account that has done it before,
--           only where it exports or purges.
-- Interval: of the searches and exports.
-- Reads:    mail_changes(event_id, event_time, tenant, activity, actor, is_success,
--           mailbox, properties, query, ip_address, country)
-- Params:   $start, $end   timestamptz; the interval [start, end)
--           $history       interval; how long the account must not have done it

with searches as (
    select
        *,
        regexp_matches(activity, '^search(exported|exportdownloaded)$')
        or activity in (
            'new-mailboxexportrequest', 'exportjob', 'downloaddocument',
            'previewitemdownloaded'
        )
        or (
            activity = 'new-compliancesearchaction'
            and lower(coalesce(properties['export'], '')) in ('true', '$true')
        )
        or (
            activity in ('search-mailbox', 'new-mailboxsearch')
            and coalesce(properties['targetmailbox'], '') <> ''
        ) as is_export,
        activity = 'searchresultspurged'
        or (
            activity = 'new-compliancesearchaction'
            and lower(coalesce(properties['purge'], '')) in ('true', '$true')
        )
        or (
            activity = 'search-mailbox'
            and lower(coalesce(properties['deletecontent'], '')) in ('true', '$true')
        ) as is_purge,
        coalesce(
            nullif(properties['searchname'], ''), nullif(properties['name'], ''),
            nullif(properties['identity'], ''), mailbox, ''
        ) as search_name,
        nullif(concat_ws(
            ' ', query, properties['contentmatchquery'], properties['searchquery']
        ), '') as terms,
        concat_ws(
            ' ', properties['exchangelocation'], properties['exchangelocations'],
            properties['sourcemailboxes']
        ) as places
    from mail_changes
    where
        event_time >= $start - $history
        and event_time < $end
        and is_success
        and actor <> ''
        and not starts_with(actor, 'nt authority\')
        and (
            starts_with(activity, 'search')
            or starts_with(activity, 'previewitem')
            or contains(activity, 'search')
            or activity in ('new-mailboxexportrequest', 'exportjob', 'downloaddocument')
        )
),

dated as (
    select
        *,
        coalesce(
            max(event_time) filter (where event_time < $start) over (
                partition by tenant, actor
            ) < min(event_time) filter (where event_time >= $start) over (
                partition by tenant, actor
            ) - $history,
            true
        ) as is_new
    from searches
),

accounts as (
    select
        tenant,
        actor,
        min(event_time) as start_time,
        max(event_time) as end_time,
        count(*) as records,
        first(ip_address order by event_time, event_id) as ip_address,
        first(country order by event_time, event_id) as country,
        list_sort(list_distinct(list(activity))) as activities,
        list_sort(list_distinct(list(search_name) filter (where search_name <> '')))
            as search_names,
        list_sort(list_distinct(list(terms)))[1:20] as terms,
        bool_or(is_new) as is_new,
        bool_or(is_export) as is_export,
        bool_or(is_purge) as is_purge,
        bool_or(regexp_matches(places, '(?i)^\W*all\W*$')) as is_everywhere,
        list(
            struct_pack(
                role := case
                    when is_export then 'export' when is_purge then 'purge'
                    else 'search'
                end,
                source_table := 'CloudAppEvents',
                event_id := event_id
            )
            order by event_time, event_id
        ) as evidence
    from dated
    where event_time >= $start
    group by tenant, actor
)

select
    tenant,
    actor,
    $start as interval_start,
    start_time,
    end_time,
    split_part(actor, '@', 1) as account_name,
    ip_address,
    country,
    records,
    activities,
    search_names,
    terms,
    is_new,
    is_export,
    is_purge,
    is_everywhere,
    case
        when is_new and (is_export or is_purge) then 'high'
        when is_new or is_purge then 'medium'
        else 'low'
    end as severity,
    concat_ws(
        ', ',
        case when is_new then 'the account had not searched mailboxes before' end,
        case when is_export then 'it exported what it found' end,
        case when is_purge then 'it deleted what it found' end,
        case when is_everywhere then 'in all mailboxes' end
    ) as reason,
    evidence
from accounts
where is_new or is_export or is_purge
order by start_time, tenant, actor
