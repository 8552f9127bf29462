-- Defender's vulnerability management: a list of what there is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  CveTags
create table DeviceTvmSoftwareVulnerabilities (
    Timestamp timestamptz,
    DeviceId varchar,
    DeviceName varchar,
    OSPlatform varchar,
    OSVersion varchar,
    OSArchitecture varchar,
    SoftwareVendor varchar,
    SoftwareName varchar,
    SoftwareVersion varchar,
    CveId varchar,
    VulnerabilitySeverityLevel varchar,
    RecommendedSecurityUpdate varchar,
    RecommendedSecurityUpdateId varchar,
    CveTags varchar,
    TenantId varchar
);
