-- Keys and passwords that are added to applications.
--
-- Grain:    one row per application, account that adds them, and interval.
-- Interval: of the additions.
-- Reads:    mail_changes(event_id, event_time, tenant, activity, actor, is_app_only,
--           is_success, app_id, app_name, permissions, properties, old_properties,
--           ip_address, country)
-- Params:   $start, $end   timestamptz; the interval [start, end)
--           $history       interval; how far back additions and grants are looked for
--           $mail          text; pattern of permissions for mail, in lower case

with changes as (
    select
        *,
        coalesce(app_id, lower(app_name), '') as application,
        lower(app_name) as app_label,
        coalesce(properties['keydescription'], '') as keys_now,
        coalesce(old_properties['keydescription'], '') as keys_before
    from mail_changes
    where event_time >= $start - $history and event_time < $end and is_success
),

additions as (
    select
        *,
        coalesce(
            lag(event_time) over (
                partition by tenant, application, actor order by event_time, event_id
            ) < event_time - $history,
            true
        ) as is_new
    from changes
    where
        application <> ''
        and regexp_matches(activity, 'credentials$|certificates and secrets')
        -- A key that is removed is recorded in the same way.
        and case
            when contains(keys_now, 'KeyIdentifier=')
                then
                    not list_has_all(
                        regexp_extract_all(
                            lower(keys_before), 'keyidentifier=([0-9a-f-]+)', 1
                        ),
                        regexp_extract_all(
                            lower(keys_now), 'keyidentifier=([0-9a-f-]+)', 1
                        )
                    )
            else keys_now not in ('', '[]') or contains(activity, 'credentials')
        end
),

-- Applications by id or by name: not every record has both.
with_mail as (
    select
        tenant,
        app_id,
        app_label,
        max(event_time) as granted_at
    from changes
    where
        len(list_filter(
            permissions, lambda word: regexp_full_match(lower(word), $mail)
        )) > 0
    group by tenant, app_id, app_label
),

summed as (
    select
        tenant,
        application,
        actor,
        min(event_time) as start_time,
        max(event_time) as end_time,
        first(app_id order by event_time, event_id) as app_id,
        first(app_label order by app_label is null, event_time, event_id) as app_label,
        first(
            app_name order by app_name is null, event_time, event_id
        ) as app_name,
        first(ip_address order by event_time, event_id) as ip_address,
        first(country order by event_time, event_id) as country,
        bool_or(is_app_only) as is_app_only,
        bool_or(is_new) as is_new,
        count(*) as additions,
        list(
            struct_pack(
                role := 'credential', source_table := 'CloudAppEvents',
                event_id := event_id
            )
            order by event_time, event_id
        ) as evidence
    from additions
    where event_time >= $start
    group by tenant, application, actor
),

told as (
    select
        *,
        (
            select max(with_mail.granted_at)
            from with_mail
            where
                with_mail.tenant = summed.tenant
                and (
                    with_mail.app_id = summed.app_id
                    or with_mail.app_label = summed.app_label
                )
        ) as mail_granted_at
    from summed
)

select
    tenant,
    application,
    actor,
    $start as interval_start,
    start_time,
    end_time,
    app_id,
    coalesce(app_name, application) as app_name,
    split_part(actor, '@', 1) as account_name,
    ip_address,
    country,
    additions,
    is_new,
    mail_granted_at,
    case
        when mail_granted_at is not null or is_app_only then 'high'
        when is_new then 'medium'
        else 'low'
    end as severity,
    concat_ws(
        ', ',
        case
            when is_new then 'the account had not added credentials to it before'
            else 'the account adds credentials to it now and then'
        end,
        case when is_app_only then 'an application did it' end,
        case when mail_granted_at is not null then 'it may use mail' end
    ) as reason,
    evidence
from told
order by start_time, tenant, application, actor
