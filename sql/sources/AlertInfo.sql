-- Alerts of the Defender products, as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table AlertInfo (
    Timestamp timestamptz,
    AlertId varchar,
    Title varchar,
    Category varchar,
    Severity varchar,
    ServiceSource varchar,
    DetectionSource varchar,
    AttackTechniques varchar,
    TenantId varchar
);
