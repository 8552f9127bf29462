-- Records of mail read per hour, as the Sentinel query counts them.
--
-- Grain:    one row per tenant and hour that has records.
-- Interval: hours of [start, end).
-- Reads:    mail_access(event_time, tenant, application_name, result_status)
-- Params:   $start, $end   timestamptz; the interval [start, end)

select
    date_trunc('hour', event_time) as hour,
    tenant,
    count(*) as Total
from mail_access
where
    event_time >= $start
    and event_time < $end
    -- Kusto's has: a whole word, where a word is letters and digits.
    and regexp_matches(application_name, '(?i)(^|[^0-9a-z])exchange([^0-9a-z]|$)')
    and result_status = 'Succeeded'
group by all
order by hour, tenant
