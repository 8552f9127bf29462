-- OAuth applications and their permissions,
-- as Defender XDR's advanced hunting has them.
-- TenantId is added by exports.
-- Dynamic:  VerifiedPublisher, Permissions
create table OAuthAppInfo (
    Timestamp timestamptz,
    ReportId varchar,
    OAuthAppId varchar,
    ServicePrincipalId varchar,
    AppName varchar,
    AddedOnTime timestamptz,
    LastModifiedTime timestamptz,
    AppStatus varchar,
    VerifiedPublisher varchar,
    PrivilegeLevel varchar,
    Permissions varchar,
    ConsentedUsersCount integer,
    IsAdminConsented boolean,
    AppOrigin varchar,
    LastUsedTime timestamptz,
    AppOwnerTenantId varchar,
    TenantId varchar
);
