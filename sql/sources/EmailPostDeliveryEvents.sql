-- What was done to mails after their delivery,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table EmailPostDeliveryEvents (
    Timestamp timestamptz,
    NetworkMessageId varchar,
    InternetMessageId varchar,
    Action varchar,
    ActionType varchar,
    ActionTrigger varchar,
    ActionResult varchar,
    RecipientEmailAddress varchar,
    DeliveryLocation varchar,
    SourceLocation varchar,
    ThreatTypes varchar,
    DetectionMethods varchar,
    ReportId varchar,
    TenantId varchar
);
