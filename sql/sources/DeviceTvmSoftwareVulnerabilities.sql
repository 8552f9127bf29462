-- Vulnerability management in Defender's advanced hunting: a list of what is, no events.
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
