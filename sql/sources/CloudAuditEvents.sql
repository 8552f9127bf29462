-- Audit events of cloud platforms, as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  RawEventData, AdditionalFields
create table CloudAuditEvents (
    Timestamp timestamptz,
    ReportId varchar,
    DataSource varchar,
    ActionType varchar,
    OperationName varchar,
    ResourceId varchar,
    IPAddress varchar,
    IsAnonymousProxy boolean,
    CountryCode varchar,
    City varchar,
    Isp varchar,
    UserAgent varchar,
    RawEventData varchar,
    AdditionalFields varchar,
    TenantId varchar
);
