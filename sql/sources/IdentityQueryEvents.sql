-- Queries about objects of Active Directory,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  AdditionalFields
create table IdentityQueryEvents (
    Timestamp timestamptz,
    ActionType varchar,
    Application varchar,
    QueryType varchar,
    QueryTarget varchar,
    Query varchar,
    Protocol varchar,
    AccountName varchar,
    AccountDomain varchar,
    AccountUpn varchar,
    AccountSid varchar,
    AccountObjectId varchar,
    AccountDisplayName varchar,
    DeviceName varchar,
    IPAddress varchar,
    Port integer,
    DestinationDeviceName varchar,
    DestinationIPAddress varchar,
    DestinationPort integer,
    TargetDeviceName varchar,
    TargetAccountUpn varchar,
    TargetAccountDisplayName varchar,
    Location varchar,
    ReportId varchar,
    AdditionalFields varchar,
    TenantId varchar
);
