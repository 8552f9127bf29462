-- Sign-ins of service principals to Entra ID, under the table's former name.
-- TenantId is added by exports.
create table AADSpnSignInEventsBeta (
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
