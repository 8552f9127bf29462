-- Defender's vulnerability management: a list of what there is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  ConfigurationBenchmarks, Tags
create table DeviceTvmSecureConfigurationAssessmentKB (
    Timestamp timestamptz,
    ConfigurationId varchar,
    ConfigurationImpact double,
    ConfigurationName varchar,
    ConfigurationDescription varchar,
    RiskDescription varchar,
    ConfigurationCategory varchar,
    ConfigurationSubcategory varchar,
    ConfigurationBenchmarks varchar,
    Tags varchar,
    RemediationOptions varchar,
    TenantId varchar
);
