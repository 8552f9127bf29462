-- Risk detections of users, as Sentinel has them.
-- Timestamp is Sentinel's TimeGenerated: map it in gundog.yaml under lake, columns.
-- Dynamic:  AdditionalInfo, Location
create table AADUserRiskEvents (
    Timestamp timestamptz,
    TenantId varchar,
    Activity varchar,
    ActivityDateTime timestamptz,
    AdditionalInfo varchar,
    CorrelationId varchar,
    DetectedDateTime timestamptz,
    DetectionTimingType varchar,
    Id varchar,
    IpAddress varchar,
    LastUpdatedDateTime timestamptz,
    Location varchar,
    RequestId varchar,
    RiskDetail varchar,
    RiskEventType varchar,
    RiskLevel varchar,
    RiskState varchar,
    Source varchar,
    TokenIssuerType varchar,
    UserDisplayName varchar,
    UserId varchar,
    UserPrincipalName varchar,
    OperationName varchar,
    SourceSystem varchar,
    _IsBillable varchar,
    _BilledSize double
);
