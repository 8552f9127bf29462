-- Defender's vulnerability management: a list of what there is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  AffectedSoftware
create table DeviceTvmSoftwareVulnerabilitiesKB (
    Timestamp timestamptz,
    CveId varchar,
    CvssScore varchar,
    IsExploitAvailable boolean,
    VulnerabilitySeverityLevel varchar,
    LastModifiedTime timestamptz,
    PublishedDate timestamptz,
    VulnerabilityDescription varchar,
    AffectedSoftware varchar,
    TenantId varchar
);
