-- Links in Teams messages, as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table MessageUrlInfo (
    Timestamp timestamptz,
    TeamsMessageId varchar,
    Url varchar,
    UrlDomain varchar,
    ThreatTypes varchar,
    ReportId varchar,
    TenantId varchar
);
