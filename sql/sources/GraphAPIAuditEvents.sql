-- Requests to Microsoft Graph, as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table GraphAPIAuditEvents (
    Timestamp timestamptz,
    IdentityProvider varchar,
    ApiVersion varchar,
    ApplicationId varchar,
    ClientRequestId varchar,
    OperationId varchar,
    AccountObjectId varchar,
    Location varchar,
    RequestDuration varchar,
    RequestMethod varchar,
    ResponseStatusCode varchar,
    Scopes varchar,
    EntityType varchar,
    ReportId varchar,
    RequestUri varchar,
    UniqueTokenIdentifier varchar,
    RequestId varchar,
    IpAddress varchar,
    ServicePrincipalId varchar,
    TargetWorkload varchar,
    ResponseSize bigint,
    TenantId varchar,
    Type varchar,
    SourceSystem varchar,
    TimeGenerated timestamptz
);
