-- Exposure graph in Defender's advanced hunting: a list of what is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  Categories, NodeProperties, EntityIds
create table ExposureGraphNodes (
    Timestamp timestamptz,
    NodeId varchar,
    NodeLabel varchar,
    NodeName varchar,
    Categories varchar,
    NodeProperties varchar,
    EntityIds varchar,
    TenantId varchar
);
