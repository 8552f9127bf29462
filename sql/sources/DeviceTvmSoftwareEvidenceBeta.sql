-- Defender's vulnerability management: a list of what there is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  RegistryPaths, DiskPaths
create table DeviceTvmSoftwareEvidenceBeta (
    Timestamp timestamptz,
    DeviceId varchar,
    SoftwareVendor varchar,
    SoftwareName varchar,
    SoftwareVersion varchar,
    RegistryPaths varchar,
    DiskPaths varchar,
    LastSeenTime varchar,
    TenantId varchar
);
