-- Mail campaigns that Defender for Office 365 knows,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table CampaignInfo (
    Timestamp timestamptz,
    CampaignName varchar,
    CampaignId varchar,
    CampaignType varchar,
    CampaignSubtype varchar,
    NetworkMessageId varchar,
    RecipientEmailAddress varchar,
    ReportId varchar,
    TenantId varchar
);
