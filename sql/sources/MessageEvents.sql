-- Teams messages, as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  RecipientDetails, DetectionMethods, ConfidenceLevel
create table MessageEvents (
    Timestamp timestamptz,
    LastEditedTime varchar,
    TeamsMessageId varchar,
    SenderEmailAddress varchar,
    SenderDisplayName varchar,
    SenderObjectId varchar,
    SenderType varchar,
    RecipientDetails varchar,
    IsOwnedThread boolean,
    MessageId varchar,
    ParentMessageId varchar,
    GroupId varchar,
    GroupName varchar,
    ThreadId varchar,
    ThreadSubtype varchar,
    IsExternalThread boolean,
    MessageFormatType varchar,
    MessageFormatSubtype varchar,
    MessageVersion varchar,
    MessageSubject varchar,
    ThreatTypes varchar,
    DetectionMethods varchar,
    ConfidenceLevel varchar,
    DeliveryAction varchar,
    DeliveryLocation varchar,
    ReportId varchar,
    SafetyTip varchar,
    TenantId varchar
);
