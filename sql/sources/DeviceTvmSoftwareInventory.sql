-- Vulnerability management in Defender's advanced hunting: a list of what is, no events.
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
