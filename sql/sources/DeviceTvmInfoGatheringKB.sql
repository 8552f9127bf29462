-- Vulnerability management in Defender's advanced hunting: a list of what is, no events.
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
