-- Baseline assessment in Defender's advanced hunting: a list of what is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  OSPlatform
create table DeviceBaselineComplianceProfiles (
    Timestamp timestamptz,
    ProfileId varchar,
    ProfileName varchar,
    ProfileDescription varchar,
    OSPlatform varchar,
    OSVersion varchar,
    BaseBenchmark varchar,
    BenchmarkVersion varchar,
    BenchmarkProfileLevel varchar,
    Status boolean,
    CreatedBy varchar,
    CreatedOn timestamptz,
    LastUpdatedBy varchar,
    LastUpdatedOn timestamptz,
    TenantId varchar
);
