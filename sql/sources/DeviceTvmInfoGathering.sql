-- Findings of the assessment of devices,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  AdditionalFields
create table DeviceTvmInfoGathering (
    Timestamp timestamptz,
    LastSeenTime timestamptz,
    DeviceId varchar,
    DeviceName varchar,
    OSPlatform varchar,
    AdditionalFields varchar,
    TenantId varchar
);
