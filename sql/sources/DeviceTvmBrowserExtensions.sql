-- Defender's vulnerability management: a list of what there is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
create table DeviceTvmBrowserExtensions (
    Timestamp timestamptz,
    DeviceId varchar,
    BrowserName varchar,
    ExtensionId varchar,
    ExtensionName varchar,
    ExtensionDescription varchar,
    ExtensionVersion varchar,
    ExtensionRisk varchar,
    ExtensionVendor varchar,
    IsActivated varchar,
    InstallationTime timestamptz,
    TenantId varchar
);
