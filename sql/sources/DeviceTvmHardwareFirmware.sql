-- Defender's vulnerability management: a list of what there is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  AdditionalFields
create table DeviceTvmHardwareFirmware (
    Timestamp timestamptz,
    DeviceId varchar,
    DeviceName varchar,
    ComponentType varchar,
    Manufacturer varchar,
    ComponentName varchar,
    ComponentFamily varchar,
    ComponentVersion varchar,
    AdditionalFields varchar,
    TenantId varchar
);
