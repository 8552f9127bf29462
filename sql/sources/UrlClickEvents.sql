-- Clicks on links in mails and Office, as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table UrlClickEvents (
    Timestamp timestamptz,
    Url varchar,
    ActionType varchar,
    AccountUpn varchar,
    Workload varchar,
    NetworkMessageId varchar,
    ThreatTypes varchar,
    DetectionMethods varchar,
    IPAddress varchar,
    IsClickedThrough boolean,
    UrlChain varchar,
    ReportId varchar,
    AppName varchar,
    AppVersion varchar,
    SourceId varchar,
    TenantId varchar,
    Type varchar,
    SourceSystem varchar,
    TimeGenerated timestamptz
);
