-- Baseline assessment in Defender's advanced hunting: a list of what is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  BenchmarkProfileLevels, Source, RecommendedValue
create table DeviceBaselineComplianceAssessmentKB (
    Timestamp timestamptz,
    ConfigurationId varchar,
    ConfigurationName varchar,
    ConfigurationDescription varchar,
    ConfigurationRationale varchar,
    ConfigurationCategory varchar,
    BenchmarkProfileLevels varchar,
    CCEReference varchar,
    RemediationOptions varchar,
    ConfigurationBenchmark varchar,
    Source varchar,
    RecommendedValue varchar,
    TenantId varchar
);
