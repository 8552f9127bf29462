-- Files that Defender for Office 365 found malicious,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  ThreatTypes
create table FileMaliciousContentInfo (
    Timestamp timestamptz,
    Workload varchar,
    FileName varchar,
    FolderPath varchar,
    FileSize bigint,
    SHA256 varchar,
    FileOwnerDisplayName varchar,
    FileOwnerUpn varchar,
    DocumentId varchar,
    ThreatTypes varchar,
    ThreatNames varchar,
    DetectionMethods varchar,
    LastModifyingAccountUpn varchar,
    LastModifiedTime timestamptz,
    FileCreationTime timestamptz,
    ReportId varchar,
    TenantId varchar
);
