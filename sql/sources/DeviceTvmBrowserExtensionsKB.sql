-- Defender's vulnerability management: a list of what there is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  ExtensionVersion
create table DeviceTvmBrowserExtensionsKB (
    Timestamp timestamptz,
    BrowserName varchar,
    ExtensionId varchar,
    ExtensionName varchar,
    ExtensionDescription varchar,
    ExtensionVersion varchar,
    ExtensionRisk varchar,
    PermissionId varchar,
    PermissionName varchar,
    PermissionDescription varchar,
    PermissionRisk varchar,
    IsPermissionRequired varchar,
    TenantId varchar
);
