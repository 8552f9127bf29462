-- Applications that are given permissions for mail which they did not have.
--
-- Grain:    one row per application, kind of access and interval.
-- Interval: of the grants.
-- Reads:    mail_changes(event_id, event_time, tenant, activity, actor, is_success,
--           app_id, app_name, permissions, is_for_everybody, ip_address, country)
-- Params:   $start, $end   timestamptz; the interval [start, end)
--           $history       interval; a permission granted before within it is not new
--           $mail          text; pattern of the permissions that count, in lower case
--           $reads         text; pattern of those with which mail can be read
--           $campaign      number; so many accounts on one day count again

with grants as (
    select
        *,
        coalesce(app_id, lower(app_name), '') as application,
        case
            when contains(activity, 'app role') then 'application' else 'delegated'
        end as access_mode,
        unnest(list_distinct(list_transform(
            permissions,
            lambda word: case lower(word)
                -- Exchange Online's and Graph's, where only the role's id is recorded.
                when 'dc890d15-9560-4a4c-9b7f-a736ec74ec40' then 'full_access_as_app'
                when '810c84a8-4a9e-49e6-bf7d-12d183f40d01' then 'Mail.Read'
                when 'e2a3a72e-5f79-4c64-b1b1-878b674786c9' then 'Mail.ReadWrite'
                when 'b633e1c5-b582-4048-a93e-9f11b44c7e96' then 'Mail.Send'
                else word
            end
        ))) as scope_name
    from mail_changes
    where
        event_time >= $start - $history
        and event_time < $end
        and is_success
        and len(permissions) > 0
),

of_mail as (
    select
        *,
        coalesce(
            lag(event_time) over (
                partition by tenant, application, access_mode, lower(scope_name)
                order by event_time, event_id
            ) < event_time - $history,
            true
        ) as is_new,
        regexp_full_match(lower(scope_name), $reads) as is_reading
    from grants
    where application <> '' and regexp_full_match(lower(scope_name), $mail)
),

summed as (
    select
        tenant,
        application,
        access_mode,
        min(event_time) as start_time,
        max(event_time) as end_time,
        first(app_id order by event_time, event_id) as app_id,
        first(
            app_name order by app_name is null, event_time, event_id
        ) as app_name,
        first(actor order by event_time, event_id) as actor,
        first(ip_address order by event_time, event_id) as ip_address,
        first(country order by event_time, event_id) as country,
        count(distinct actor) as account_count,
        list_sort(list_distinct(list(scope_name))) as granted_scopes,
        list_sort(list_distinct(list(scope_name) filter (where is_new)))
            as new_scopes,
        bool_or(is_reading) as is_reading,
        bool_or(is_for_everybody) as is_for_everybody,
        list(distinct struct_pack(event_time, event_id)) as moments
    from of_mail
    where event_time >= $start
    group by tenant, application, access_mode
)

select
    tenant,
    application,
    access_mode,
    $start as interval_start,
    start_time,
    end_time,
    app_id,
    coalesce(app_name, application) as app_name,
    actor,
    split_part(actor, '@', 1) as account_name,
    account_count,
    ip_address,
    country,
    granted_scopes,
    coalesce(new_scopes, []) as new_scopes,
    is_for_everybody,
    case
        when not is_reading then 'low'
        when access_mode = 'application' then 'high'
        else 'medium'
    end as severity,
    concat_ws(
        ', ',
        case access_mode
            when 'application' then 'may use mailboxes without a user: '
            else 'may use mail for its users: '
        end || array_to_string(granted_scopes, ' '),
        case when is_for_everybody then 'granted for everybody' end,
        case
            when account_count > 1 then 'granted by ' || account_count || ' accounts'
        end
    ) as reason,
    list_transform(list_sort(moments), lambda moment: struct_pack(
        role := 'grant', source_table := 'CloudAppEvents', event_id := moment.event_id
    )) as evidence
from summed
where len(coalesce(new_scopes, [])) > 0 or account_count >= $campaign
order by start_time, tenant, application, access_mode
