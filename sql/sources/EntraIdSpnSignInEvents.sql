-- Sign-ins of service principals to Entra ID,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
create table EntraIdSpnSignInEvents (
    Timestamp timestamptz,
    Application varchar,
    ApplicationId varchar,
    IsManagedIdentity boolean,
    ErrorCode integer,
    CorrelationId varchar,
    ServicePrincipalName varchar,
    ServicePrincipalId varchar,
    ResourceDisplayName varchar,
    ResourceId varchar,
    ResourceTenantId varchar,
    IPAddress varchar,
    Country varchar,
    State varchar,
    City varchar,
    Latitude varchar,
    Longitude varchar,
    RequestId varchar,
    ReportId varchar,
    TenantId varchar
);
