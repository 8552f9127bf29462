-- Changes in Active Directory and Entra ID,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  AdditionalFields
create table IdentityDirectoryEvents (
    Timestamp timestamptz,
    ActionType varchar,
    Application varchar,
    TargetAccountUpn varchar,
    TargetAccountDisplayName varchar,
    TargetDeviceName varchar,
    DestinationDeviceName varchar,
    DestinationIPAddress varchar,
    DestinationPort integer,
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
    Location varchar,
    ISP varchar,
    ReportId varchar,
    AdditionalFields varchar,
    TenantId varchar
);
