-- Links in mails, as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table EmailUrlInfo (
    Timestamp timestamptz,
    NetworkMessageId varchar,
    Url varchar,
    UrlDomain varchar,
    UrlLocation varchar,
    ReportId varchar,
    TenantId varchar
);
