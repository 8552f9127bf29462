-- Rules and settings that send mail out of the tenant, or hide it from its reader.
--
-- Grain:    one row per mailbox, or rule for the whole tenant, and interval.
-- Interval: of the changes.
-- Reads:    mail_changes(event_id, event_time, tenant, activity, actor, is_success,
--           mailbox, properties, ip_address, country, is_anonymous_proxy)
-- Params:   $start, $end   timestamptz; the interval [start, end)
--           $history       interval; whose accounts' domains are the tenant's own
--           $folders       text; pattern of folders where nobody looks, in lower case
--           $words         text; pattern of what such rules look for, in lower case

with changes as (
    select
        *,
        -- In a rule's actions an action that sends has recipients beside it.
        concat_ws(
            ' ', properties['forwardto'], properties['forwardasattachmentto'],
            properties['redirectto'], properties['forwardingsmtpaddress'],
            properties['forwardingaddress'], properties['redirectmessageto'],
            properties['blindcopyto'], properties['copyto'],
            properties['addtorecipients'], properties['journalemailaddress'],
            case
                when
                    regexp_matches(properties['ruleactions'], '(?i)forward|redirect')
                    then properties['ruleactions']
            end
        ) as destinations,
        concat_ws(
            ' ', properties['subjectcontainswords'], properties['bodycontainswords'],
            properties['subjectorbodycontainswords'], properties['from'],
            properties['fromaddresscontainswords'], properties['headercontainswords'],
            properties['rulecondition']
        ) as conditions,
        regexp_matches(activity, '^(new|set)-(transport|journal)rule$')
            as is_for_tenant,
        contains(activity, 'rule') as is_rule,
        coalesce(
            properties['name'], properties['rulename'], properties['identity'], ''
        ) as rule_name,
        coalesce(
            lower(properties['deletemessage']) in ('true', '$true')
            or lower(properties['softdeletemessage']) in ('true', '$true')
            or regexp_matches(lower(properties['movetofolder']), $folders)
            or regexp_matches(
                properties['ruleactions'],
                '(?i)"?ActionType"?\s*:\s*"?(soft|hard|permanent)?delete'
            ),
            false
        ) as is_hiding
    from mail_changes
    where
        event_time >= $start - $history
        and event_time < $end
        and is_success
),

-- Whoever works in the tenant and is no guest has an address in a domain of its own.
own_domains as (
    select
        tenant,
        list(distinct split_part(actor, '@', 2)) as domains
    from changes
    where contains(actor, '@') and not contains(actor, '#ext#')
    group by tenant
),

addressed as (
    select
        changes.*,
        coalesce(own_domains.domains, []) as domains,
        list_sort(list_distinct(regexp_extract_all(
            lower(changes.destinations),
            '[a-z0-9._%+''-]+@[a-z0-9-]+(?:[.][a-z0-9-]+)+'
        ))) as addresses
    from changes
    left join own_domains on changes.tenant = own_domains.tenant
    where
        changes.event_time >= $start
        and (changes.is_rule or changes.activity = 'set-mailbox')
),

sent as (
    select
        *,
        list_filter(addresses, lambda address: not list_contains(
            domains, split_part(address, '@', 2)
        )) as outside
    from addressed
),

told as (
    select
        *,
        case
            when is_for_tenant then 'rule ' || lower(rule_name) else mailbox
        end as subject,
        len(outside) > 0 as is_sending,
        regexp_matches(lower(conditions), $words) as is_picking,
        -- Names of a sign or two, which nobody reads in a list of rules.
        is_rule and not is_for_tenant
        and regexp_full_match(rule_name, '\W+|.{1,2}') as is_nameless,
        is_rule and is_hiding and trim(conditions) = '' as is_for_all_mail
    from sent
    where len(outside) > 0 or (is_hiding and is_rule)
),

summed as (
    select
        tenant,
        subject,
        min(event_time) as start_time,
        max(event_time) as end_time,
        min(mailbox) filter (where not is_for_tenant) as mailbox,
        first(actor order by event_time, event_id) as actor,
        first(ip_address order by event_time, event_id) as ip_address,
        first(country order by event_time, event_id) as country,
        list_sort(list_distinct(list(rule_name) filter (where is_rule))) as rule_names,
        list_sort(list_distinct(flatten(list(outside)))) as outside,
        list_sort(list_distinct(list(conditions) filter (where conditions <> '')))
            as conditions,
        bool_or(is_for_tenant) as is_for_tenant,
        bool_or(is_sending) as is_sending,
        bool_or(is_hiding) as is_hiding,
        bool_or(is_picking) as is_picking,
        bool_or(is_nameless) as is_nameless,
        bool_or(is_for_all_mail) as is_for_all_mail,
        coalesce(bool_or(is_anonymous_proxy), false) as is_anonymous_proxy,
        list(
            struct_pack(
                role := 'change', source_table := 'CloudAppEvents', event_id := event_id
            )
            order by event_time, event_id
        ) as evidence
    from told
    where subject is not null
    group by tenant, subject
),

weighed as (
    select
        *,
        2 * cast(is_sending as integer)
        + cast(is_hiding as integer)
        + cast(is_for_tenant as integer)
        + cast(is_picking as integer)
        + cast(is_nameless as integer)
        + cast(is_for_all_mail as integer)
        + cast(is_anonymous_proxy as integer) as points
    from summed
)

select
    tenant,
    subject,
    $start as interval_start,
    start_time,
    end_time,
    mailbox,
    actor,
    split_part(actor, '@', 1) as account_name,
    ip_address,
    country,
    rule_names,
    outside,
    conditions,
    is_for_tenant,
    is_sending,
    is_hiding,
    is_picking,
    is_nameless,
    is_for_all_mail,
    is_anonymous_proxy,
    cast(points as double) as score,
    case when points >= 3 then 'high' when points = 2 then 'medium' else 'low' end
        as severity,
    concat_ws(
        ', ',
        case
            when is_sending then 'sends mail to ' || array_to_string(outside[1:5], ' ')
        end,
        case when is_hiding then 'deletes mail or moves it where nobody looks' end,
        case when is_for_tenant then 'for the whole tenant' end,
        case when is_picking then 'picks mail about money or security' end,
        case when is_for_all_mail then 'without a condition' end,
        case when is_nameless then 'under a name that says nothing' end,
        case when is_anonymous_proxy then 'set through an anonymous proxy' end
    ) as reason,
    evidence
from weighed
order by start_time, tenant, subject
