-- Behaviours seen by Defender for Cloud Apps,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table BehaviorInfo (
    Timestamp timestamptz,
    BehaviorId varchar,
    Title varchar,
    Description varchar,
    Categories varchar,
    AttackTechniques varchar,
    ServiceSource varchar,
    DetectionSource varchar,
    DataSources varchar,
    DeviceId varchar,
    AccountUpn varchar,
    AccountObjectId varchar,
    StartTime timestamptz,
    EndTime timestamptz,
    AdditionalFields varchar,
    ActionType varchar,
    TenantId varchar
);
