-- Users at risk, as Sentinel has them.
-- Timestamp is Sentinel's TimeGenerated: map it in gundog.yaml under lake, columns.
create table AADRiskyUsers (
    Timestamp timestamptz,
    TenantId varchar,
    Id varchar,
    IsDeleted boolean,
    IsProcessing boolean,
    RiskDetail varchar,
    RiskLastUpdatedDateTime timestamptz,
    RiskLevel varchar,
    RiskState varchar,
    UserDisplayName varchar,
    UserPrincipalName varchar,
    OperationName varchar,
    CorrelationId varchar,
    SourceSystem varchar,
    _IsBillable varchar,
    _BilledSize double
);
