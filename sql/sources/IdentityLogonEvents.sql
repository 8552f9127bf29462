-- Logons through Active Directory and cloud services,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  AdditionalFields
create table IdentityLogonEvents (
    Timestamp timestamptz,
    ActionType varchar,
    Application varchar,
    LogonType varchar,
    Protocol varchar,
    FailureReason varchar,
    AccountName varchar,
    AccountDomain varchar,
    AccountUpn varchar,
    AccountSid varchar,
    AccountObjectId varchar,
    AccountDisplayName varchar,
    DeviceName varchar,
    DeviceType varchar,
    OSPlatform varchar,
    IPAddress varchar,
    Port integer,
    DestinationDeviceName varchar,
    DestinationIPAddress varchar,
    DestinationPort integer,
    TargetDeviceName varchar,
    TargetAccountDisplayName varchar,
    Location varchar,
    Isp varchar,
    ReportId varchar,
    AdditionalFields varchar,
    TenantId varchar
);
