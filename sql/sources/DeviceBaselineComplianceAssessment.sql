-- Baseline assessment in Defender's advanced hunting: a list of what is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  Source, RecommendedValue, CurrentValue
create table DeviceBaselineComplianceAssessment (
    Timestamp timestamptz,
    DeviceId varchar,
    DeviceName varchar,
    OSPlatform varchar,
    OSVersion varchar,
    ConfigurationId varchar,
    ProfileId varchar,
    IsCompliant boolean,
    IsApplicable boolean,
    Source varchar,
    RecommendedValue varchar,
    CurrentValue varchar,
    IsExempt boolean,
    TenantId varchar
);
