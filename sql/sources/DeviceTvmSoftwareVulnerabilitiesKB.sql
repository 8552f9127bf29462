-- Vulnerability management in Defender's advanced hunting: a list of what is, no events.
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
