-- Behaviours that put data at risk, as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  DeviceInfo, SensitivityLabelInfo, SensitiveInfoTypesInfo, UrlDomainInfo,
--           SharepointSiteInfo, RecipientEmailInfo, RemovableMediaInfo, PrinterName,
--           PriorityContentMatchInfo
create table DataSecurityBehaviors (
    Timestamp timestamptz,
    BehaviorId varchar,
    ActionType varchar,
    StartTime timestamptz,
    EndTime timestamptz,
    AttackTechniques varchar,
    Categories varchar,
    ActionCategory varchar,
    Description varchar,
    ServiceSource varchar,
    DetectionSource varchar,
    ActivityCount integer,
    IsAnomalous boolean,
    IsContentHidden boolean,
    AccountUpn varchar,
    AccountEmail varchar,
    Application varchar,
    DeviceInfo varchar,
    SensitivityLabelInfo varchar,
    SensitiveInfoTypesInfo varchar,
    UrlDomainInfo varchar,
    SharepointSiteInfo varchar,
    RecipientEmailInfo varchar,
    RemovableMediaInfo varchar,
    PrinterName varchar,
    PriorityContentMatchInfo varchar,
    TenantId varchar
);
