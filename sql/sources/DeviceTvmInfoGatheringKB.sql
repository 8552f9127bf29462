-- Defender's vulnerability management: a list of what there is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  Categories
create table DeviceTvmInfoGatheringKB (
    Timestamp timestamptz,
    IgId varchar,
    FieldName varchar,
    Description varchar,
    Categories varchar,
    DataStructure varchar,
    TenantId varchar
);
