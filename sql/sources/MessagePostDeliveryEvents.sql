-- What was done to Teams messages after their delivery,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  RecipientDetails, ConfidenceLevel
create table MessagePostDeliveryEvents (
    Timestamp timestamptz,
    TeamsMessageId varchar,
    Action varchar,
    ActionType varchar,
    ActionTrigger varchar,
    ActionResult varchar,
    SenderEmailAddress varchar,
    RecipientDetails varchar,
    ThreatTypes varchar,
    ConfidenceLevel varchar,
    DetectionMethods varchar,
    LatestDeliveryLocation varchar,
    ReportId varchar,
    IsExternalThread boolean,
    SafetyTip varchar,
    TenantId varchar
);
