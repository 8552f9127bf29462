-- Accounts that are let into mailboxes of others, into folders of these, or into all.
--
-- Grain:    one row per account that is let in, and interval.
-- Interval: of the grants.
-- Reads:    mail_changes(event_id, event_time, tenant, activity, actor, is_success,
--           mailbox, grantee, rights, folder, properties, ip_address, country)
-- Params:   $start, $end   timestamptz; the interval [start, end)
--           $history       interval; the same grant within it before is not new
--           $roles         text; pattern of roles that open mailboxes, in lower case
--           $spread        number; so many mailboxes on one day are many

with grants as (
    select
        *,
        case
            when contains(activity, 'managementroleassignment') then 'role'
            when contains(activity, 'folderpermission') then 'folder'
            when contains(activity, 'mailboxpermission') then 'mailbox'
            else 'send'
        end as scope,
        coalesce(mailbox, '') as opened,
        -- The same name with and without a domain.
        split_part(regexp_extract(grantee, '([^\\/]*)$', 1), '@', 1) as let_in,
        split_part(actor, '@', 1) as let_in_by
    from mail_changes
    where
        event_time >= $start - $history
        and event_time < $end
        and is_success
        and grantee is not null
        and grantee <> 'nt authority\self'
        and not starts_with(actor, 'nt authority\system')
        and lower(coalesce(properties['deny'], '')) not in ('true', '$true')
        and regexp_matches(
            activity,
            'permissions?$|managementroleassignment$|^set-mailbox$'
        )
),

opening as (
    select
        *,
        coalesce(
            lag(event_time) over (
                partition by tenant, grantee, opened, scope, folder, rights
                order by event_time, event_id
            ) < event_time - $history,
            true
        ) as is_new,
        let_in = let_in_by and scope <> 'send' as is_own_grant,
        grantee in ('default', 'anonymous', 'everyone') as is_open_to_all
    from grants
    where
        let_in <> split_part(opened, '@', 1)
        and case scope
            when 'role' then regexp_matches(rights, $roles)
            when
                'mailbox'
                then regexp_matches(rights, 'fullaccess|changeowner|changepermission')
            when 'folder'
                then
                    regexp_matches(
                        rights, 'readany|reviewer|author|editor|owner\b|readitems'
                    )
                    and not contains(lower(coalesce(folder, '')), 'calendar')
            else true
        end
),

summed as (
    select
        tenant,
        grantee,
        min(event_time) as start_time,
        max(event_time) as end_time,
        case when count(distinct opened) = 1 then min(mailbox) end as mailbox,
        count(distinct opened) as mailboxes,
        list_sort(list_distinct(list(opened)))[1:20] as opened,
        list_sort(list_distinct(list(actor))) as granted_by,
        list_sort(list_distinct(list(rights))) as rights,
        list_sort(list_distinct(list(folder))) as folders,
        list_sort(list_distinct(list(scope))) as scopes,
        first(actor order by event_time, event_id) as actor,
        first(let_in order by event_time, event_id) as account_name,
        first(ip_address order by event_time, event_id) as ip_address,
        first(country order by event_time, event_id) as country,
        bool_or(is_own_grant) as is_own_grant,
        bool_or(is_open_to_all) as is_open_to_all,
        list(
            struct_pack(
                role := 'grant', source_table := 'CloudAppEvents', event_id := event_id
            )
            order by event_time, event_id
        ) as evidence
    from opening
    where event_time >= $start and is_new
    group by tenant, grantee
)

select
    tenant,
    grantee,
    $start as interval_start,
    start_time,
    end_time,
    case when list_contains(scopes, 'role') then null else mailbox end as mailbox,
    mailboxes,
    opened,
    granted_by,
    rights,
    folders,
    scopes,
    actor,
    account_name,
    ip_address,
    country,
    is_own_grant,
    is_open_to_all,
    case
        when
            list_contains(scopes, 'role') or is_own_grant or is_open_to_all
            or mailboxes >= $spread then 'high'
        when list_contains(scopes, 'mailbox') then 'medium'
        else 'low'
    end as severity,
    concat_ws(
        ', ',
        case
            when list_contains(scopes, 'role')
                then
                    'a role that opens many mailboxes: ' || array_to_string(rights, ' ')
            else
                array_to_string(rights, ' ') || ' on '
                || case mailboxes when 1 then mailbox else mailboxes || ' mailboxes' end
        end,
        'given by ' || case when is_own_grant then 'itself' else actor end,
        case when is_open_to_all then 'open to everybody' end
    ) as reason,
    evidence
from summed
order by start_time, tenant, grantee
