-- Exposure graph in Defender's advanced hunting: a list of what is, not of events.
-- Timestamp is when a row was exported: Defender gives none.
-- Dynamic:  SourceNodeCategories, TargetNodeCategories, EdgeProperties
create table ExposureGraphEdges (
    Timestamp timestamptz,
    EdgeId varchar,
    EdgeLabel varchar,
    SourceNodeId varchar,
    SourceNodeName varchar,
    SourceNodeLabel varchar,
    SourceNodeCategories varchar,
    TargetNodeId varchar,
    TargetNodeName varchar,
    TargetNodeLabel varchar,
    TargetNodeCategories varchar,
    EdgeProperties varchar,
    TenantId varchar
);
