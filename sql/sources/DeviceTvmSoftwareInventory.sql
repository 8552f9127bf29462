-- Defender's vulnerability management: a list of what there is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
create table DeviceTvmSoftwareInventory (
    Timestamp timestamptz,
    DeviceId varchar,
    DeviceName varchar,
    OSPlatform varchar,
    OSVersion varchar,
    OSArchitecture varchar,
    SoftwareVendor varchar,
    SoftwareName varchar,
    SoftwareVersion varchar,
    EndOfSupportStatus varchar,
    EndOfSupportDate timestamptz,
    ProductCodeCpe varchar,
    TenantId varchar
);
