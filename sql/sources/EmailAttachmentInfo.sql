-- Attachments of mails, as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table EmailAttachmentInfo (
    Timestamp timestamptz,
    NetworkMessageId varchar,
    SenderFromAddress varchar,
    SenderDisplayName varchar,
    SenderObjectId varchar,
    RecipientEmailAddress varchar,
    RecipientObjectId varchar,
    FileName varchar,
    FileType varchar,
    SHA256 varchar,
    FileSize bigint,
    ThreatTypes varchar,
    ThreatNames varchar,
    DetectionMethods varchar,
    ReportId varchar,
    TenantId varchar
);
