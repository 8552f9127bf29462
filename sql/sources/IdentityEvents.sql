-- Identity events of other providers, as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  TargetObjects, RawEventData, AdditionalFields
create table IdentityEvents (
    Timestamp timestamptz,
    ReportId varchar,
    AccountId varchar,
    AccountType varchar,
    AccountDisplayName varchar,
    AccountUpn varchar,
    ActionType varchar,
    ActionResult varchar,
    ActionFailureReason varchar,
    IPAddress varchar,
    UserAgent varchar,
    TargetObjects varchar,
    Application varchar,
    ApplicationInstanceId varchar,
    ApplicationEventId varchar,
    ApplicationSessionId varchar,
    RawEventData varchar,
    AdditionalFields varchar,
    TenantId varchar
);
